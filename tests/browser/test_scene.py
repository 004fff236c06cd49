"""Tree and DAG in a browser: pointed at, pinned, stepped through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline import count
from pipeline.schedule import observed
from tests.browser.scenes import SIDES, Seen, around
from tests.functions import fib

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

VALUES = {f"fib({n})": value for n, value in enumerate([0, 1, 1, 2, 3, 5, 8])}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("n", [0, 3, 6])
def test_pointing_lights_a_subproblem_its_inputs_and_its_consumers_on_both_sides(
    opened: Opened, side: str, n: int
) -> None:
    seen = Seen(opened("fib(6)"))
    seen.node(side, f"fib({n})").hover()
    for each, graph in zip(SIDES, (fib(6).graph(memoize=False), fib(6).graph()), strict=True):
        for kind, names in around(graph, fib(n).key).items():
            assert seen.with_class(each, kind) == names
    seen.page.mouse.move(1, 1)
    assert not seen.is_lit
    assert all(seen.with_class(each, "same") == [] for each in SIDES)


def test_what_is_lit_is_outlined_and_the_rest_is_faint(opened: Opened) -> None:
    seen = Seen(opened("fib(6)"))
    seen.node("dag", "fib(3)").hover()
    strokes = {
        kind: seen.root.locator(f".dag [data-box].{kind} :is(ellipse, polygon)").first.evaluate(
            "node => getComputedStyle(node).stroke + getComputedStyle(node).strokeDasharray"
        )
        for kind in ("same", "input", "consumer")
    }
    assert len(set(strokes.values())) == 3
    rest = seen.root.locator(".tree [data-box]:not(.same, .input, .consumer)").first
    assert float(rest.evaluate("node => getComputedStyle(node).opacity")) < 0.3


def test_the_card_tells_key_arguments_value_occurrences_and_seconds(opened: Opened) -> None:
    seen = Seen(opened("fib(6)"))
    seen.node("tree", "fib(3), = 2, 2 of 3").hover()
    card = seen.card()
    assert card["call"] == "fib(3)"
    assert card["key"] == repr(fib(3).key)
    assert card["arguments"] == "3"
    assert card["value"] == "2"
    assert card["occurrences"] == "3 on the left; this is number 2"
    assert card["took"].endswith(("µs", "ms", " s"))
    assert card["takes"] == "fib(2), fib(1)"
    assert card["is taken by"] == "fib(5)"
    seen.node("dag", "fib(3)").hover()
    assert seen.card()["is taken by"] == "fib(5), fib(4)"


@pytest.mark.parametrize("width", [400, 1280])
def test_the_card_is_in_sight_of_the_node(opened: Opened, width: int) -> None:
    seen = Seen(opened("fib(6)", viewport={"width": width, "height": 700}))
    for side in SIDES:
        seen.node(side, "fib(5)").hover()
        box = seen.root.locator("[data-card]").bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= 700
        assert seen.with_class(side, "same")


def test_a_folded_node_tells_what_its_call_takes(opened: Opened) -> None:
    seen = Seen(opened("fib(40)"))
    seen.node("tree", "fib(9) again").scroll_into_view_if_needed()
    seen.node("tree", "fib(9) again").hover()
    assert seen.card()["takes"] == "fib(8), fib(7)"
    assert "2 of those drawn, with 109 tasks in it" in seen.card()["occurrences"]


def test_a_click_pins_a_second_one_and_escape_let_go(opened: Opened) -> None:
    seen = Seen(opened("fib(6)"))
    node = seen.node("dag", "fib(4)")
    node.click()
    assert node.get_attribute("aria-pressed") == "true"
    seen.node("tree", "fib(1)").hover()
    seen.page.mouse.move(1, 1)
    assert seen.with_class("dag", "same") == ["fib(4)"]
    node.click()
    seen.page.mouse.move(1, 1)
    assert not seen.is_lit
    assert node.get_attribute("aria-pressed") == "false"
    node.click()
    seen.press("Escape")
    assert not seen.is_lit
    seen.node("tree", "fib(4)").click()
    seen.node("dag", "fib(2)").click()
    assert seen.root.locator('[aria-pressed="true"]').count() == 1
    assert seen.with_class("dag", "same") == ["fib(2)"]


def test_a_row_of_the_memo_table_lights_its_subproblem(opened: Opened) -> None:
    seen = Seen(opened("fib(6)"))
    seen.root.locator("[data-memo] tbody tr").nth(2).hover()
    assert seen.with_class("dag", "same") == ["fib(2)"]


def test_in_the_end_the_counters_are_what_is_counted_and_the_table_what_is_computed(
    opened: Opened,
) -> None:
    seen = Seen(opened("fib(6)"))
    seen.press("End")
    counts = count(fib(6))
    # fib(2) to fib(6) add two values each: ten are taken, six of them for the first time
    assert seen.counters("tree") == [f"{counts.tree} of {counts.tree}", "0", "12"]
    assert seen.counters("dag") == ["7 of 7", "4", "5"]
    takers = {"fib(0)": 1, "fib(5)": 1, **{f"fib({n})": 2 for n in range(1, 5)}}
    assert seen.memo() == {
        call: (str(value), str(takers.get(call, ""))) for call, value in VALUES.items()
    }
    assert seen.said == "Both are done: 25 evaluations in the tree, 7 in the DAG."


def test_the_steps_of_the_dag_are_those_of_the_run(opened: Opened) -> None:
    page = opened("fib(6)")
    seen = Seen(page)
    seen.do("first")
    done = []
    for _ in range(7):
        seen.do("next")
        done += [each for each in seen.with_class("dag", "done") if each not in done]
    assert done == [f"fib({key[1]})" for key in observed(fib(6).graph()).seconds]
    assert sorted(done) == sorted(VALUES)


def test_every_step_counts_one_evaluation_on_either_side(opened: Opened) -> None:
    seen = Seen(opened("fib(6)"))
    seen.do("first")
    assert seen.said.startswith("Nothing is evaluated yet.")
    for step in range(1, 26):
        seen.do("next")
        assert seen.counters("tree")[0] == f"{step} of 25"
        assert len(seen.with_class("tree", "done")) == step
        assert len(seen.with_class("dag", "done")) == min(step, 7)
        assert sum(value != "" for value, _ in seen.memo().values()) == min(step, 7)
        if step == 7:
            assert "18 of 25 calls to go" in seen.said
    seen.do("back")
    assert len(seen.with_class("tree", "done")) == 24


def test_two_outputs_and_inputs_taken_twice_are_counted(opened: Opened) -> None:
    seen = Seen(opened("two"))
    seen.press("End")
    assert seen.counters("tree") == ["40 of 40", "0", "19"]
    assert seen.counters("dag") == ["7 of 7", "4", "5"]
    seen = Seen(opened("doubled"))
    seen.press("End")
    assert seen.counters("tree") == ["63 of 63", "0", "31"]
    assert seen.counters("dag") == ["6 of 6", "5", "5"]
    assert [reads for _, reads in seen.memo().values()] == ["2"] * 5 + [""]


def test_a_graph_of_one_task_has_one_step(opened: Opened) -> None:
    seen = Seen(opened("fib(0)"))
    assert seen.frames == 1
    seen.press("End")
    assert seen.counters("tree") == ["1 of 1", "0"]
    assert seen.memo() == {"fib(0)": ("0", "")}
    seen.press("Home", "ArrowLeft", "ArrowRight", "ArrowRight", "Space", "End")
    assert seen.said == "Both are done: 1 evaluation in the tree, 1 in the DAG."


def test_what_a_store_has_is_there_before_the_first_step(opened: Opened) -> None:
    seen = Seen(opened("all loaded"))
    seen.do("first")
    assert seen.with_class("dag", "done") == ["fib(6)"]
    assert seen.memo()["fib(6)"] == ("8", "")
    seen.do("next")
    assert "task by task" not in seen.said
    seen = Seen(opened("part loaded"))
    seen.do("first")
    assert seen.with_class("dag", "done") == ["fib(3)", "fib(4)"]
    seen.do("last")
    assert seen.counters("dag")[:2] == ["3 of 8", "2"]
    assert seen.memo()["fib(7)"] == ("13", "")


def test_a_graph_as_it_was_built_stands_beside_the_shared_one(opened: Opened) -> None:
    seen = Seen(opened("built"))
    seen.press("End")
    total = int(seen.text(".tree h3").split()[1])
    assert len(seen.with_class("tree", "done")) == total
    assert len(seen.with_class("dag", "done")) == len(seen.memo())
    seen.node("dag", "ones_like").hover()
    assert len(seen.with_class("tree", "same")) > 1
    assert seen.card()["occurrences"].startswith(f"{len(seen.with_class('tree', 'same'))} on")
