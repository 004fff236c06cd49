"""Scenes: tree and DAG as the page's program has them."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask import delayed

from pipeline import Store, count, recurrence, task, trace
from pipeline.draw import MAX_NODES
from pipeline.graph import occurrences
from pipeline.page import scene
from pipeline.page.scenes import MAX_FRAMES, MAX_WHOLE, Scene
from pipeline.schedule import observed
from tests.functions import binomial, catalan, edit_distance, female, fib, male_of


@recurrence
def doubled(n: int) -> Any:
    return 1 if n == 0 else doubled(n - 1) + doubled(n - 1)


@task
def made(what: str) -> Any:
    return {"large": np.zeros((1000, 1000)), "none": None, "nan": float("nan"), "inf": 1e400}[what]


def array() -> Any:
    x = da.ones((20, 20), chunks=10)
    return (x + x.T).sum()


def bag() -> Any:
    import dask.bag as db

    numbers: Any = db
    return numbers.from_sequence(range(6), npartitions=2).map(str).frequencies()


SHOWN: dict[str, Any] = {
    "one task": lambda: fib(0),
    "two outputs": lambda: trace([fib(5), fib(6)]),
    "the same output twice": lambda: trace([fib(5), fib(5)]),
    "a constant beside": lambda: trace([1, fib(2)]),
    "an input taken twice": lambda: doubled(5),
    "two recurrences": lambda: trace([female(5), male_of(5)]),
    "words": lambda: edit_distance("ab", "cab"),
    "a large array": lambda: made("large"),
    "None": lambda: made("none"),
    "no number": lambda: made("nan"),
    "an array": array,
    "a bag": bag,
    "delayed": lambda: delayed(sum)([delayed(abs)(-1, pure=False) for _ in range(3)]),
    "a mapping of tasks": lambda: {"a": (sum, [1, 2])},
    "folded": lambda: catalan(9),
    "folded and cut": lambda: binomial(20, 10),
    "immense": lambda: fib(3000),
    "with strings, folded": lambda: edit_distance("kitten", "sitting"),
    "mutual, folded": lambda: female(9),
}


@pytest.fixture(scope="module", params=SHOWN)
def found(request: pytest.FixtureRequest) -> Scene:
    return scene(SHOWN[request.param]())


def test_its_data_are_finite_and_of_one_length(found: Scene) -> None:
    sides = [side.data for side in found.sides]
    json.loads(json.dumps([*sides, found.data], allow_nan=False))
    left, right = sides[0], sides[-1]
    assert len(left["now"]) == found.data["frames"] <= MAX_FRAMES
    assert len(right["now"]) <= found.data["frames"]
    for side in sides:
        assert len(side["now"]) == len(side["hits"]) == len(side["work"])
        assert side["hits"] == sorted(side["hits"])
        assert side["work"] == sorted(side["work"])
        places = range(len(side["boxes"]))
        assert all(one in places and other in places for one, other in side["edges"])
        assert all(place in places for place in side["now"])


def test_the_dag_comes_to_its_end_and_every_box_is_seen_once(found: Scene) -> None:
    left, right = found.sides[0].data, found.sides[-1].data
    assert right["done"] == right["count"]
    ends = [box["at"] for box in right["boxes"] if box["of"] is not None]
    assert None not in ends
    if left["done"] is not None:
        assert left["done"] == left["count"]
        assert sorted(box["at"] for box in left["boxes"]) == list(range(left["count"]))


def test_inputs_are_evaluated_before_their_consumers(found: Scene) -> None:
    for side in found.sides:
        ends = [box["at"] for box in side.data["boxes"]]
        for consumer, taken in side.data["edges"]:
            if ends[consumer] is not None and ends[taken] is not None:
                assert ends[taken] <= ends[consumer]


def test_few_nodes_are_drawn_one_by_one_and_more_are_folded(found: Scene) -> None:
    for side in found.sides:
        is_whole = found.sides[0].data["done"] is not None
        assert is_whole or len(side.data["boxes"]) <= MAX_NODES
        assert len(re.findall(r"\bbox-\d+", unescape(side.picture))) == sum(
            box["of"] is not None for box in side.data["boxes"]
        )


def test_every_subproblem_is_told_once_with_its_value(found: Scene) -> None:
    told = found.data["subproblems"]
    assert len({each["key"] for each in told}) == len(told)
    assert all(isinstance(each["value"], str) for each in told)
    used = {box["of"] for side in found.sides for box in side.data["boxes"]} - {None}
    assert used == set(range(len(told)))


def test_values_and_times_are_those_of_the_call() -> None:
    graph = fib(9).graph()
    times = occurrences(graph)
    told = {each["key"]: each for each in scene(fib(9)).data["subproblems"]}
    for key in graph.tasks:
        assert told[repr(key)]["value"] == str(fib(key[1]).compute())
        assert told[repr(key)]["times"] == str(times[key])
        assert told[repr(key)]["arguments"] == [str(key[1])]


def test_the_sides_race_to_what_is_counted() -> None:
    left, right = (side.data for side in scene(fib(10)).sides)
    counts = count(fib(10))
    assert (left["done"], right["done"]) == (counts.tree, counts.dag)
    assert (left["hits"][-1], left["work"][-1]) == (0, (counts.tree - 1) // 2)
    # Nine calls take two values each, and ten values are taken for a first time.
    assert (right["hits"][-1], right["work"][-1]) == (18 - 10, 9)


def test_an_input_that_is_taken_twice_has_two_edges() -> None:
    right = scene(doubled(4)).sides[1].data
    assert len(right["edges"]) == 8
    assert right["hits"][-1] == 4


def test_the_order_of_the_right_side_is_that_of_the_run() -> None:
    right = scene(fib(8)).sides[1].data
    order = [str(right["boxes"].index(right["boxes"][place])) for place in right["now"]]
    labels = [f"fib({key[1]})" for key in observed(fib(8).graph()).seconds]
    told = scene(fib(8)).data["subproblems"]
    assert [told[right["boxes"][int(place)]["of"]]["label"] for place in order] == labels


def test_a_tree_that_is_too_large_begins_as_the_recursion_does() -> None:
    found = scene(fib(40))
    left = found.sides[0].data
    assert left["done"] is None
    assert left["count"] == 331_160_281
    told = [found.data["subproblems"][left["boxes"][place]["of"]]["label"] for place in left["now"]]
    assert told[:5] == ["fib(1)", "fib(0)", "fib(2)", "fib(1)", "fib(3)"]
    assert None not in left["now"]


def test_steps_of_a_long_run_share_frames() -> None:
    found = scene(fib(3000))
    assert found.data["stride"] == 5
    assert found.sides[0].data["count"] is None
    assert found.sides[1].data["done"] == 3001


def test_how_long_the_rest_takes_is_told_at_known_paces_alone(tmp_path: Any) -> None:
    rest = scene(fib(40), rate=331_160_281 / 60).data["rest"]
    assert rest["in Python's own recursion"] == "60 s"
    assert rest["at a step a second"] == "10 years"
    store = Store(tmp_path)
    assert len(scene(fib(6), store=store).data["rest"]) == 2
    assert list(scene(fib(6), store=store).data["rest"]) == ["at a step a second"]


def test_a_collection_is_shown_on_every_scheduler(scheduler: str) -> None:
    left, right = (side.data for side in scene(array()).sides)
    assert (left["done"], right["done"]) == (left["count"], right["count"])


def test_with_a_store_the_right_side_is_what_ran(tmp_path: Any) -> None:
    store = Store(tmp_path, keep={"fib"})
    scene(fib(4), store=store)
    found = scene(fib(7), store=store)
    right = found.sides[1].data
    told = found.data["subproblems"]
    ran = {told[box["of"]]["label"] for box in right["boxes"] if box["at"] is not None}
    assert ran == {"fib(5)", "fib(6)", "fib(7)"}
    assert right["done"] == 3
    values = {each["label"]: each["value"] for each in told}
    assert (values["fib(4)"], values["fib(3)"], values["fib(2)"]) == ("3", "2", None)


def test_a_side_and_its_picture_have_names() -> None:
    found = scene(fib(6))
    assert found.legend.startswith("Sharing factor: 25 ÷ 7 = 3.6. One colour, one subproblem")
    names = [(side.heading.title, *side.heading.lines) for side in found.sides]
    assert names == [("tree: 25 tasks", "one per call"), ("DAG: 7 tasks", "one per subproblem")]


def test_a_picture_has_a_class_for_each_box_and_each_edge() -> None:
    for side in scene(fib(6)).sides:
        picture = unescape(side.picture)
        boxes = re.findall(r'class="node box-(\d+) has-value(?: has-count)?"', picture)
        assert sorted(map(int, boxes)) == list(range(len(side.data["boxes"])))
        ends = re.findall(r'class="edge from-(\d+) to-(\d+)"', picture)
        assert sorted([int(one), int(other)] for one, other in ends) == sorted(side.data["edges"])


def test_a_picture_has_no_ids_titles_or_references() -> None:
    for side in scene(fib(6)).sides:
        assert side.picture.startswith("<svg")
        for forbidden in (" id=", "<title", "<!--", "xlink:title", "href="):
            assert forbidden not in side.picture


@pytest.mark.slow
def test_the_limits_are_those_that_are_told() -> None:
    assert (MAX_WHOLE, MAX_FRAMES) == (2000, 1000)
    assert len(scene(fib(14)).sides[0].data["boxes"]) == 1219
    assert len(scene(fib(15)).sides[0].data["boxes"]) == 1973
    assert len(scene(fib(16)).sides[0].data["boxes"]) <= MAX_NODES


def test_what_a_store_has_of_several_collections_is_told(tmp_path: Any) -> None:
    store = Store(tmp_path)
    asked = [array(), array() * 2]
    scene(asked, store=store)
    found = scene(asked, store=store)
    assert found.sides[1].data["done"] == 0
    assert {each["value"] for each in found.data["subproblems"]} >= {"800", "1600"}


def test_what_a_store_loaded_and_what_ran_is_counted(tmp_path: Any) -> None:
    def abs_of(number: int) -> int:
        return abs(number)

    equal = delayed(sum)([delayed(abs_of)(-1) for _ in range(3)])
    with dask.config.set(scheduler="sync"):
        first = scene(equal, store=Store(tmp_path)).data
        again = scene(equal, store=Store(tmp_path)).data
    # Of three equal tasks all run, or the later ones load the result of the first.
    assert first["ran"] + first["loaded"] == 4
    assert (again["ran"], again["loaded"]) == (0, 1)
    with dask.config.set(scheduler="sync"):
        kept = scene(equal, store=Store(tmp_path / "kept", keep=[abs_of])).data
    assert (kept["ran"], kept["loaded"]) == (2, 2)
    assert scene(equal).data["loaded"] is None
