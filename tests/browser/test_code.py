"""The source, the call stack and the look-ups, step by step."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.gallery import GALLERY
from pipeline.graph import label, tree_size
from tests.functions import fib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline import TaskGraph
    from tests.browser.scenes import Opened

STEPS = """
(most) => {
  const scene = document.querySelector("[data-scene]");
  const texts = (what) => [...scene.querySelectorAll(what)].map((found) => found.textContent);
  const rows = (what) => [...scene.querySelectorAll(`${what} li`)].map((row) =>
    [row.firstChild.textContent, row.lastChild.textContent]);
  const steps = [];
  const last = Math.min(most ?? Infinity, Number(scene.querySelector("[data-scrub]").max));
  for (let step = 1; step <= last; step += 1) {
    scene.querySelector('[data-do="next"]').click();
    const seen = scene.querySelector("[data-source]:not([hidden])");
    steps.push({
      stack: rows("[data-stack]"),
      looked: rows("[data-looked]"),
      head: seen.firstChild.textContent,
      source: seen.textContent,
      lit: [...seen.querySelectorAll(".lit")].map((line) => line.textContent.trim()),
      hits: Number(scene.querySelector(".dag [data-hits]").textContent),
    });
  }
  return steps;
}
"""


def stacks(graph: TaskGraph) -> Iterator[list[Any]]:
    """The calls that go on as each call of the naive recursion returns, the first call first."""

    def evaluate(stack: list[Any]) -> Iterator[list[Any]]:
        for key in graph.inputs(stack[-1]):
            yield from evaluate([*stack, key])
        yield stack

    for key in graph.keys:
        yield from evaluate([key])


@pytest.mark.parametrize("name", ["binomial", "hofstadter-female", "lcs"])
def test_the_stack_is_that_of_the_recursion_and_the_lit_line_returns(
    opened: Opened, name: str
) -> None:
    graph = GALLERY[name].call().graph()
    steps = opened(name).evaluate(STEPS)
    for step, stack in zip(steps, stacks(graph), strict=True):
        calls = [*map(label, stack)]
        if len(calls) > 7:
            calls[1 : len(calls) - 5] = [f"… {len(calls) - 6} more"]
        assert [call for call, _ in step["stack"]] == calls
        *waiting, (_, value) = step["stack"]
        assert all(re.fullmatch(r"line \d+|", line) for _, line in waiting)
        assert value.startswith("= ")
        function = stack[-1][0].rpartition("-")[0]
        assert f"def {function}(" in step["source"]
        [lit] = step["lit"]
        is_base = not graph.inputs(stack[-1])
        assert lit.startswith("return")
        assert (f"{function}(" in lit or "male(" in lit) is not is_base


def test_found_look_ups_are_the_hits_and_replace_the_calls_of_a_tree(opened: Opened) -> None:
    steps = opened("fib(6)").evaluate(STEPS)
    dag, found = fib(6).graph(), Counter[str]()
    values = {label(key): (key, fib(key[1]).compute()) for key in dag.tasks}
    for step in steps[: len(dag)]:
        *inputs, (row, how) = step["looked"]
        key, value = values.pop(row.partition("]")[0].removeprefix("memo["))
        assert (row, how) == (f"memo[{label(key)}] ← {value}", "miss: computed and kept")
        names = [row.partition("]")[0].removeprefix("memo[") for row, _ in inputs]
        assert names == [label(source) for source in dag.inputs(key)]
        for name, (_, how) in zip(names, inputs, strict=True):
            size = tree_size(fib(int(name[4:-1])).graph())
            again = f"hit: replaces {size} call{'s' if size > 1 else ''}"
            assert how == (again if found[name] else "first use")
            found[name] += 1
        assert step["hits"] == found.total() - len(found)
    assert not values


def test_when_the_dag_is_done_it_has_what_the_tree_repeats(opened: Opened) -> None:
    steps = opened("fib(6)").evaluate(STEPS)
    seen = Counter[Any]()
    replaced = []
    for number, (step, stack) in enumerate(zip(steps, stacks(fib(6).graph()), strict=True)):
        again = [key for key in stack if seen[key]]
        seen[stack[-1]] += 1
        if number < 7:
            continue
        assert len(step["looked"]) == (len(again) > 0)
        for row, how in step["looked"]:
            size = tree_size(fib(again[0][1]).graph())
            assert row == f"memo[{label(again[0])}] → {fib(again[0][1]).compute()}"
            assert how == f"replaces {size} call{'s' if size > 1 else ''}"
            replaced.append(row)
    # The second fib(3) takes 5 steps, and the second fib(4) 9; of the second fib(2) one remained.
    assert Counter(replaced) == {
        "memo[fib(2)] → 1": 1,
        "memo[fib(3)] → 2": 5,
        "memo[fib(4)] → 3": 9,
    }


def test_a_folded_call_has_its_def_line_and_a_deep_stack_an_ellipsis(opened: Opened) -> None:
    steps = opened("fib(40)").evaluate(STEPS, 50)
    assert max(len(step["stack"]) for step in steps) == 7
    assert any(re.fullmatch(r"… \d+ more", call) for step in steps for call, _ in step["stack"])
    folded = [step for step in steps if step["stack"][-1][1].endswith("folded")]
    assert folded
    for step in folded:
        assert step["lit"] == [step["head"]]


def test_line_and_stack_are_in_sight_and_nothing_moves(
    opened: Opened,
) -> None:
    page = opened("fib(6)", viewport={"width": 1280, "height": 800})
    places = [
        page.locator(what) for what in (".tree .view", ".dag .view", "[data-memo] thead", ".source")
    ]
    boxes = [place.bounding_box() for place in places]
    for _ in range(9):
        page.keyboard.press("ArrowRight")
        for what in (".source .lit", "[data-stack] .now"):
            box = page.locator(what).first.bounding_box()
            assert 0 < box["y"] < box["y"] + box["height"] <= 800
        assert [place.bounding_box() for place in places] == boxes
    page.keyboard.press("Home")
    assert page.locator(".source .lit").count() == 0
    assert page.locator("[data-stack] li").count() == 0


def test_a_collection_of_no_calls_has_no_code(opened: Opened) -> None:
    assert opened("built").locator(".source, .calls").count() == 0


def test_what_a_store_loaded_replaces_the_calls_below_it(opened: Opened) -> None:
    steps = opened("part loaded").evaluate(STEPS)  # fib(7), of which fib(3) and fib(4) are stored
    first, *later = [row for step in steps for row in step["looked"]]
    assert first == ["memo[fib(4)] → 3", "from the store"]
    assert not [text for row in later for text in row if "null" in text]
    over = [step["looked"] for step in steps if step["looked"] and len(step["looked"]) == 1]
    assert ["memo[fib(4)] → 3", "from the store: replaces 9 calls"] in [row for [row] in over]
    assert {row[0] for [row] in over} <= {
        "memo[fib(3)] → 2",
        "memo[fib(4)] → 3",
        "memo[fib(5)] → 5",
    }
    assert all("null" not in text for step in steps for row in step["stack"] for text in row)
