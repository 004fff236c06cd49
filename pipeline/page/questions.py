"""What a teacher asks of a scene, and what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.page.parts import Question

if TYPE_CHECKING:
    from pipeline.page.scenes import Scene


def questions(scene: Scene) -> list[Question]:
    """How often subproblems are evaluated, and how many tasks there are on either side.

    >>> from pipeline.apps.fibonacci import fib
    >>> from pipeline.page.scenes import scene
    >>> for each in questions(scene(fib(5))):
    ...     print(each.text, each.answers)
    How often does the left side evaluate fib(2)? ['3']
    How often does the left side evaluate fib(3)? ['2']
    How many tasks are there on the left? ['15']
    How many tasks are there on the right? ['6']
    """
    left, right = scene.sides
    subproblems = scene.data["subproblems"]
    needing = {right.data["boxes"][one]["of"] for one, _ in right.data["edges"]}
    repeated = [
        each for number, each in enumerate(subproblems)
        if number in needing and each["times"] != "1" and each["times"].isdigit()
    ]  # fmt: skip
    repeated.sort(key=lambda each: -int(each["times"]))
    asked = [
        Question(
            f"How often does the left side evaluate {each['label']}?", [each["times"]],
            why="Once for each of its consumers, and as often as they are. On the right: once.",
        )
        for each in repeated[:3]
    ]  # fmt: skip
    asked += [
        Question(
            f"How many tasks are there on the {name}?", [str(side.data["count"])],
            why=f"{side.heading[1][:1].upper()}{side.heading[1][1:]}.",
        )
        for name, side in (("left", left), ("right", right)) if side.data["count"] is not None
    ]  # fmt: skip
    return asked
