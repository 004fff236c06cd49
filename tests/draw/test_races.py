"""The race of tree against DAG: its order, its counts, and its file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from dask import delayed

from pipeline import LimitError, count, race
from pipeline.draw.races import LEAD, LONGEST, PAUSE
from tests.functions import binomial, edit_distance, fib

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.draw import Race


def drawn(shown: Race) -> ElementTree.Element:
    return ElementTree.fromstring(shown.render())  # noqa: S314 - our own


def evaluated(shown: Race, panel: str) -> list[str]:
    """The first line of each node of a panel, in the order in which the nodes light up."""
    lines = {}
    for group in drawn(shown).iterfind(".//{*}g[@id]"):
        step = re.search(r"node step-(\d+)", group.get("class", ""))
        if step and group.attrib["id"].startswith(f"{panel}-"):
            lines[int(step[1])] = group.findtext(".//{*}text", "")
    assert list(range(1, len(lines) + 1)) == sorted(lines)
    return [lines[step] for step in sorted(lines)]


def states(shown: Race, panel: str) -> list[list[str]]:
    """The lines of a heading at each step."""
    steps: dict[int, list[str]] = {}
    for text in drawn(shown).iterfind(f".//{{*}}g[@id='{panel}']/{{*}}text"):
        step = re.search(r"count-(\d+)", text.get("class", ""))
        assert step
        steps.setdefault(int(step[1]), []).append(text.text or "")
    return [steps[step] for step in sorted(steps)]


def test_the_tree_lights_up_as_the_naive_recursion_returns() -> None:
    returned: list[str] = []

    def naive(n: int) -> int:
        value = n if n < 2 else naive(n - 1) + naive(n - 2)
        returned.append(f"fib({n})")
        return value

    naive(6)
    assert evaluated(race(fib(6)), "tree") == returned


def test_the_dag_lights_up_after_what_it_takes() -> None:
    order = evaluated(race(fib(6)), "dag")
    assert sorted(order) == [f"fib({n})" for n in range(7)]
    assert order[2:] == [f"fib({n})" for n in range(2, 7)]


def test_the_headings_count_tasks_repeats_and_reads_from_memory() -> None:
    shown = race(fib(6))
    left, right = states(shown, "tree"), states(shown, "dag")
    assert (len(left), len(right)) == (26, 8)
    assert left[0][0] == "tree: 0 of 25 tasks"
    assert left[4] == ["tree: 4 of 25 tasks", "1 evaluated again"]
    assert left[-1] == ["tree: 25 of 25 tasks", "18 evaluated again"]
    assert right[-1] == ["DAG: 7 of 7 tasks", "4 values from memory"]


def test_an_edge_lights_up_with_its_consumer() -> None:
    svg = drawn(race(fib(2)))
    classes = [group.get("class", "") for group in svg.iterfind(".//{*}g[@class]")]
    edges = [name.split()[1:] for name in classes if name.startswith("edge")]
    assert edges == [["step-3"]] * 4


def test_without_motion_it_is_the_end_state() -> None:
    style = drawn(race(fib(4))).findtext("{*}style", "")
    still, _, moving = style.partition("@media (prefers-reduced-motion: no-preference) {")
    assert still.strip() == ".count { opacity: 0 } .count.last { opacity: 1 }"
    assert moving.rstrip().endswith("}")


def test_the_file_is_small_and_the_same_each_time_and_has_no_script(tmp_path: Path) -> None:
    path = race(fib(6)).save(tmp_path / "race.svg")
    assert path.read_bytes() == race(fib(6)).render()
    text = path.read_text()
    assert len(text) < 100_000
    assert "<script" not in text
    assert not re.findall(r"(?:url\(|@import|href=)", text)


@pytest.mark.parametrize("call", [fib(9), binomial(5, 2), edit_distance("ab", "ba")], ids=repr)
def test_every_task_of_both_sides_has_a_step(call: Any) -> None:
    shown, counts = race(call, nodes=200), count(call)
    assert (len(evaluated(shown, "tree")), len(evaluated(shown, "dag"))) == (
        counts.tree,
        counts.dag,
    )
    assert shown.seconds <= LEAD + LONGEST + PAUSE


def test_delayed_calls_race_as_they_were_built_against_shared_ones() -> None:
    twice = [delayed(abs)(4, pure=False) for _ in range(2)]
    shown = race(delayed(sum)(twice))
    assert states(shown, "tree")[-1] == ["tree: 3 of 3 tasks", "1 evaluated again"]
    assert states(shown, "dag")[-1] == ["shared: 2 of 2 tasks", "1 value from memory"]


def test_what_cannot_race_is_an_error() -> None:
    with pytest.raises(LimitError, match=r"331,160,281 tasks would be folded.*nodes=100 at most"):
        race(fib(40))
    wide = [delayed(max)(*range(number)) for number in range(1, 40)]
    with pytest.raises(LimitError, match="would be folded"):
        race([delayed(sum)(wide, pure=False) for _ in range(12)] * 2)
    with pytest.raises(ValueError, match="no two tasks are equal"):
        race(delayed(abs)(4))
    with pytest.raises(ValueError, match=r"ends in \.svg"):
        race(fib(2)).save("race.gif")
