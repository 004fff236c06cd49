"""Pictures: what stands in them, and that they are the same every time."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask.task_spec import Alias, Task, TaskRef

import pipeline
from pipeline import Store, contrast, count, recurrence, trace
from pipeline.draw import PLAIN, Heading, compare
from pipeline.draw.dot import STATUS_COLOURS
from pipeline.graph import occurrences, subproblem
from tests.functions import binomial, catalan, edit_distance, fib, square

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


def nodes(picture: Any, panel: str = "") -> list[ElementTree.Element]:
    root = ElementTree.fromstring(picture.render("svg"))  # noqa: S314 - our own
    return [
        each
        for each in root.iter(f"{SVG}g")
        if each.get("class") == "node" and re.match(f"{panel or '[a-z]+-'}", str(each.get("id")))
    ]


def texts(element: ElementTree.Element) -> list[str]:
    return [str(each.text) for each in element.iter(f"{SVG}text")]


def all_text(picture: Any) -> str:
    root = ElementTree.fromstring(picture.render("svg"))  # noqa: S314 - our own
    return " ".join(texts(root))


def shape(node: ElementTree.Element) -> ElementTree.Element:
    return next(each for each in node.iter() if each.tag in (f"{SVG}ellipse", f"{SVG}polygon"))


def test_both_sides_are_walked_task_by_task() -> None:
    pair = compare(fib(4), PLAIN, 20)
    left, right = pair.walks(pair.graph.tasks)
    assert [walk.heading for walk in (left, right)] == [*pair.headings]
    assert [frame.hits for frame in left.frames(9)] == [0] * 9
    assert [frame.key[1] for frame in right.frames(9)] == [1, 0, 2, 3, 4]
    assert [walk.tasks for walk in (left, right)] == [9, 5]


def test_a_contrast_has_the_tree_and_the_dag() -> None:
    picture = contrast(fib(5))
    assert len(nodes(picture, "tree-")) == 15
    assert len(nodes(picture, "dag-")) == 6
    text = all_text(picture)
    assert "tree: 15 tasks" in text
    assert "DAG: 6 tasks" in text
    assert "sharing factor: 15 ÷ 6 = 2.5" in text


def test_a_subproblem_has_one_colour_on_both_sides_and_others_have_another() -> None:
    picture = contrast(fib(5))
    colours: dict[str, set[str]] = {}
    for node in nodes(picture):
        if shape(node).get("stroke-dasharray") is None:
            colours.setdefault(texts(node)[0], set()).add(str(shape(node).get("fill")))
    assert len(colours) == 6
    assert all(len(found) == 1 for found in colours.values())
    assert len({next(iter(found)) for found in colours.values()}) == 6


def test_the_first_occurrence_is_solid_and_repeats_are_dashed() -> None:
    tree = nodes(contrast(fib(5)), "tree-")
    for node in tree:
        first = texts(node)[1].startswith("1 of ")
        assert (shape(node).get("stroke-dasharray") is None) == first
    assert sum(shape(node).get("stroke-dasharray") is not None for node in tree) == 15 - 6


def test_badges_count_the_occurrences() -> None:
    picture = contrast(fib(6))
    badges = dict(texts(node) for node in nodes(picture, "dag-"))
    assert badges == {
        "fib(6)": "×1", "fib(5)": "×1", "fib(4)": "×2", "fib(3)": "×3", "fib(2)": "×5",
        "fib(1)": "×8", "fib(0)": "×5",
    }  # fmt: skip
    twos = sorted(texts(node)[1] for node in nodes(picture, "tree-") if texts(node)[0] == "fib(2)")
    assert twos == [f"{number} of 5" for number in range(1, 6)]


def test_base_cases_are_boxes() -> None:
    for node in nodes(contrast(fib(5))):
        base = texts(node)[0] in ("fib(0)", "fib(1)")
        assert shape(node).tag == (f"{SVG}polygon" if base else f"{SVG}ellipse")


@pytest.mark.parametrize("call", [catalan(5), fib(8), edit_distance("abc", "bcd"), binomial(6, 3)])
def test_inputs_stand_from_left_to_right_in_argument_order(call: Any) -> None:
    picture = contrast(call)
    places = {}
    for node in nodes(picture):
        places[str(node.get("id"))] = float(str(next(node.iter(f"{SVG}text")).get("x")))
    inputs: dict[str, list[str]] = {}
    for consumer, each in re.findall(r'"(tree-\w+)" -> "(tree-\w+)"', picture.dot):
        inputs.setdefault(consumer, []).append(each)
    assert inputs
    for row in inputs.values():
        xs = [places[each] for each in row]
        assert xs == sorted(xs)


@pytest.mark.parametrize("call", [catalan(5), fib(8), binomial(5, 2), edit_distance("abc", "bcd")])
def test_neither_side_reaches_into_the_other(call: Any) -> None:
    picture = contrast(call)

    def edges(panel: str) -> list[float]:
        points = [
            point.split(",")[0]
            for node in nodes(picture, panel)
            for each in node.iter()
            for point in (each.get("points") or "").split()
        ]
        return [float(point) for point in points]

    assert max(edges("tree-")) < min(edges("dag-"))


def test_a_dag_tells_how_often_a_task_takes_a_value() -> None:
    @recurrence
    def f(n: int) -> Any:
        return 1 if n == 0 else f(n - 1) * f(0) + f(n - 1)

    dot = contrast(f(2)).dot
    # f(2) takes f(1), f(0), f(1), and f(1) takes f(0) thrice: a double line each.
    assert dot.count('color="#777777:invis:#777777"') == 2


def test_nothing_is_said_on_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    contrast(fib(5), values=True).render("svg")
    fib(5).graph().visualize().render("png")
    fib(5).graph(memoize=False).visualize().render("svg")
    assert capfd.readouterr() == ("", "")


def test_strange_values_are_shown() -> None:
    class Strange:
        def __repr__(self) -> str:
            return "a\x00b\x1b[31m\ud800<b>"

    @recurrence
    def f(n: int) -> Any:
        return n

    graph = f(1).graph()
    for value in (Strange(), 10**5000, (10**5000,), [1] * 1000, None):
        assert "= " in all_text(graph.visualize(values={f(1).key: value}))


def test_values_are_shown() -> None:
    text = all_text(contrast(fib(6), values=True))
    assert "= 8" in text
    assert "= 8" not in all_text(contrast(fib(6)))
    graph = fib(3).graph()
    assert "= known" not in all_text(graph.visualize())
    assert "= 'known'" in all_text(graph.visualize(values={fib(3).key: "known"}))
    assert "= 35422484…15075" in all_text(contrast(fib(100), values=True))


def test_repeats_of_a_large_tree_are_folded_with_their_size() -> None:
    picture = contrast(fib(14))
    text = all_text(picture)
    assert "tree: 1,219 tasks" in text
    folds = dict(texts(node) for node in nodes(picture, "tree-") if "again" in texts(node)[0])
    assert folds["fib(12) again"] == "465 tasks"
    assert "fib(1) again" not in folds  # a base case is as small as its fold
    assert len(nodes(picture, "tree-")) == 1 + 2 * 13


@pytest.mark.parametrize("n", [150, 1000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_pictures_of_any_size_stay_small_and_tell_what_they_leave_out(n: int) -> None:
    picture = contrast(fib(n))
    assert len(nodes(picture, "tree-")) <= 100
    assert len(nodes(picture, "dag-")) <= 100
    gaps = re.findall(r"⋯ ([\d,.e]+) tasks ⋯", all_text(picture))
    assert len(gaps) == 2
    assert int(gaps[1].replace(",", "")) == n + 1 - len(nodes(picture, "dag-"))


@pytest.mark.slow
def test_a_graph_of_too_many_edges_is_folded_too() -> None:
    graph = catalan(60).graph()
    picture = contrast(graph)
    assert len(nodes(picture, "dag-")) < 61
    assert len(re.findall(r'"dag-\w+" -> "dag-\w+"', picture.dot)) <= 400
    picture.render("svg")


def test_a_wide_graph_is_folded_too() -> None:
    @recurrence
    def f(n: int) -> Any:
        return n if n else sum(f(k) for k in range(1, 5000))

    picture = f(0).graph().visualize()
    assert len(nodes(picture)) <= 100
    assert "⋯ 4,901 tasks ⋯" in all_text(picture)


def test_the_number_of_nodes_is_an_argument() -> None:
    assert len(nodes(contrast(fib(5), nodes=10), "tree-")) < 15
    assert len(nodes(contrast(fib(10), nodes=177), "tree-")) == 177


def test_a_tree_shows_which_of_its_tasks_are_repeats() -> None:
    tree = fib(5).graph(memoize=False)
    drawn = nodes(tree.visualize())
    assert len(drawn) == 15
    assert sum(shape(node).get("stroke-dasharray") is not None for node in drawn) == 9
    with pytest.raises(ValueError, match="is a tree already: contrast the call"):
        contrast(tree)


def test_several_outputs_stand_in_one_picture() -> None:
    picture = contrast(trace([fib(4), fib(3)]))
    assert len(nodes(picture, "tree-")) == 9 + 5
    assert len(nodes(picture, "dag-")) == 5


@pytest.mark.parametrize(
    "text",
    [
        '"quoted"',
        "<b>bold</b>",
        "a\nb",
        "x" * 10_000,
        "\\N\\",
        "&amp;",
        "φ🙂",
        "\x00\x1b",
        "\ud800",
    ],
)
def test_labels_are_escaped(text: str) -> None:
    @recurrence
    def f(s: str) -> Any:
        return 1

    picture = contrast(f(text), values=True)
    drawn = nodes(picture)
    assert len(drawn) == 2
    assert texts(drawn[0])[0].startswith("f(")
    assert len(texts(drawn[0])[0]) < 40
    if text.isascii() and text.isprintable() and len(text) < 20:
        assert texts(drawn[0])[0] == f"f({text!r})"
    assert picture.render("png").startswith(b"\x89PNG")


def test_nodes_carry_their_keys() -> None:
    picture = contrast(fib(6))
    assert repr(picture).startswith("<Picture: ")
    ids = [str(node.get("id")) for node in nodes(contrast(fib(6)))]
    assert len(set(ids)) == len(ids) == 32
    titles = {
        str(link.get("{http://www.w3.org/1999/xlink}title"))
        for node in nodes(contrast(fib(6)))
        for link in node.iter(f"{SVG}a")
    }
    assert titles == {f"fib({n}); key {fib(n).key!r}" for n in range(7)}


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import sys; from pipeline import contrast; from tests.functions import *\n"
        "[contrast(edit_distance('ab', 'ba'), values=True).save(f'{sys.argv[1]}.{kind}')"
        " for kind in ('svg', 'png', 'pdf', 'dot')]"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / seed)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
        )
    for kind in ("svg", "png", "pdf", "dot"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()


def test_visualize_saves_where_it_is_told(tmp_path: Path) -> None:
    fib(4).visualize(str(tmp_path / "call.svg"))
    fib(4).graph().visualize(str(tmp_path / "graph.png"))
    assert (tmp_path / "call.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_several_calls_are_contrasted_together() -> None:
    assert "DAG: 5 tasks" in all_text(contrast([fib(3), {"four": fib(4)}]))


def test_what_cannot_be_contrasted() -> None:
    with pytest.raises(TypeError, match="has no tasks: give a call, or a Dask collection"):
        contrast([3, 4])
    with pytest.raises(ValueError, match="nodes=2: a panel shows at least 3"):
        contrast(fib(3), nodes=2)


def test_notebooks_show_graphs_and_contrasts() -> None:
    assert "<svg" in fib(3).graph()._repr_svg_()
    assert "<svg" in contrast(fib(3))._repr_svg_()


@pytest.mark.parametrize("call", [binomial(5, 2), edit_distance("ab", "cd"), square(fib(3)) + 1])
def test_any_recurrence_is_drawn(call: Any) -> None:
    assert len(nodes(contrast(call), "dag-")) == len(call.graph())


def delayed_fib(n: int) -> Any:
    if n < 2:
        return delayed(abs)(n)
    return delayed(max)(delayed_fib(n - 1), delayed_fib(n - 2))


def test_the_contrast_of_delayed_calls_is_that_of_tree_and_dag() -> None:
    dot = contrast(delayed_fib(5)).dot
    assert "tree: 15 tasks" in dot
    assert "shared: 6 tasks" in dot
    assert "sharing factor: 15 ÷ 6 = 2.5" in dot
    assert "5 of 5" in dot
    assert dot == contrast(delayed_fib(5)).dot  # though every key is another


def test_a_large_tree_of_delayed_calls_is_folded() -> None:
    dot = contrast(delayed_fib(12)).dot
    assert "tree: 465 tasks" in dot
    assert "again" in dot


def test_the_contrast_of_any_collection_is_its_graph_beside_the_shared_one() -> None:
    def twice() -> Any:
        x = da.from_array(np.arange(8.0), chunks=4, name=False)
        return (x - x.mean()).sum()

    dot = contrast([twice(), twice()]).dot
    assert "graph: 20 tasks" in dot
    assert "shared: 10 tasks" in dot
    assert "2 of 2" in dot
    assert "×2" in dot


def test_aliases_are_not_drawn_as_work() -> None:
    graph = {"a": Task("a", abs, 1), "b": Alias("b", "a"), "c": Task("c", abs, TaskRef("b"))}
    dot = contrast(graph).dot
    assert "2 tasks" in dot
    assert "2 of 2" not in dot


def test_values_of_a_collection_are_shown() -> None:
    assert "= 1" in contrast(delayed_fib(3), values=True).dot


def test_what_has_no_tasks_is_refused() -> None:
    with pytest.raises(TypeError, match="5 has no tasks"):
        contrast(5)


def statuses(picture: Any) -> dict[str, tuple[str, str | None]]:
    """What a run does with each task, and the colour of its line."""
    return {texts(each)[0]: (texts(each)[-1], shape(each).get("stroke")) for each in nodes(picture)}


def test_with_a_store_a_picture_shows_what_a_run_would_do(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=["square"])
    call = catalan(3) + square(2)
    before = contrast(call, store=store)
    assert "hit · miss · skipped · culled" in all_text(before)
    assert statuses(before)["square(2)"] == ("miss", STATUS_COLOURS["miss"])
    assert statuses(before)["catalan(2)"][0] == "skipped"
    square(2).graph()
    pipeline.compute(square(2), store=store, scheduler="sync")
    assert statuses(contrast(call, store=store))["square(2)"] == ("hit", STATUS_COLOURS["hit"])
    pipeline.compute(call, store=store, scheduler="sync")
    after = statuses(call.graph().visualize(store=store))
    assert {status for status, _ in after.values()} == {"hit", "culled"}


def test_of_equal_tasks_the_one_that_is_not_culled_gives_the_status(tmp_path: Path) -> None:
    def load(x: int) -> int:
        return x

    store = Store(tmp_path, keep=[load])
    kept = delayed(min)([delayed(load)(1), 2])
    pipeline.compute(kept, store=store, scheduler="sync")
    collection = delayed(sum)([delayed(max)([delayed(load)(1), 2]), kept])
    found = statuses(contrast(collection, store=store))
    assert {name.removesuffix("(…)"): status for name, (status, _) in found.items()} == {
        "load(1)": "hit", "min": "hit", "max": "miss", "sum": "miss",
    }  # fmt: skip


# Comparisons, as data


def built() -> Any:
    x = da.ones((20, 20), chunks=10)
    return (x + x.T).sum()


def parallel() -> Any:
    return delayed(sum)([delayed(abs)(-1, pure=False) for _ in range(3)])


@pytest.mark.parametrize("call", [fib(6), catalan(4), binomial(6, 3)])
def test_a_call_is_its_tree_and_its_dag(call: Any) -> None:
    found, counts = compare(call, PLAIN, 2000), count(call)
    assert (found.before, len(found.graph)) == (counts.tree, counts.dag)
    assert (len(found.left.boxes), len(found.right.boxes)) == (counts.tree, counts.dag)
    assert found.times == occurrences(call.graph())
    assert [heading.title for heading in found.headings] == [
        f"tree: {counts.tree} tasks", f"DAG: {counts.dag} tasks",
    ]  # fmt: skip
    assert (found.built, found.names) == (None, None)


@pytest.mark.parametrize(
    "collections", [fib(6), catalan(4), trace([fib(4), fib(5)]), built(), parallel()]
)
def test_the_boxes_on_the_left_are_the_tasks_of_the_unshared_graph(collections: Any) -> None:
    found = compare(collections, PLAIN, 100, unfolded=2000)
    graph = found.unshared()
    assert {box.id for box in found.left.boxes} == set(graph.tasks)
    assert {box.id for box in found.right.boxes} == set(found.graph.tasks)
    assert {subproblem(key) for key in graph.tasks} == set(found.graph.tasks) == set(found.shown)
    edges = {(key, source) for key in graph.tasks for source in graph.inputs(key)}
    assert set(found.left.edges) == edges


def test_what_was_built_is_a_tree_or_a_graph() -> None:
    assert compare(parallel(), PLAIN, 100).headings[0] == Heading(
        "tree", "4 tasks", ("as it was built",)
    )
    found = compare(built(), PLAIN, 100)
    assert found.headings[0].name == "graph"
    assert found.built is not None
    assert len(found.built) == found.before
    assert sum(found.times.values()) == found.before


def test_a_graph_of_more_tasks_than_unfolded_is_folded() -> None:
    assert len(compare(fib(9), PLAIN, 20, unfolded=119).left.boxes) == 109
    assert len(compare(fib(9), PLAIN, 20, unfolded=118).left.boxes) <= 20


def test_names_lead_from_the_collections_to_the_graph() -> None:
    found = compare(built(), PLAIN, 100)
    assert found.names is not None
    assert set(found.names.values()) == set(found.graph.tasks)


@pytest.mark.parametrize(
    ("collections", "nodes", "error"),
    [(fib(5).graph(memoize=False), 100, ValueError), (5, 100, TypeError), (fib(5), 2, ValueError)],
)
def test_what_cannot_be_compared_is_an_error(collections: Any, nodes: int, error: type) -> None:
    with pytest.raises(error):
        compare(collections, PLAIN, nodes)


def test_lines_of_text_are_centred_by_their_middle() -> None:
    for node in nodes(contrast(fib(5), values=True)):
        outline = shape(node)
        if outline.tag == f"{SVG}ellipse":
            middle = float(str(outline.get("cx")))
        else:
            xs = [float(point.split(",")[0]) for point in str(outline.get("points")).split()]
            middle = (min(xs) + max(xs)) / 2
        for text in node.iter(f"{SVG}text"):
            assert text.get("text-anchor") == "middle"
            assert float(str(text.get("x"))) == pytest.approx(middle, abs=0.01)


def test_the_name_of_a_block_is_centred_in_its_outline() -> None:
    svg = ElementTree.fromstring(fib(5).graph().visualize(blocks=True).render("svg"))  # noqa: S314
    [block] = [group for group in svg.iter(f"{SVG}g") if group.get("class") == "cluster"]
    [outline], [name] = block.iter(f"{SVG}path"), block.iter(f"{SVG}text")
    xs = [float(x) for x in re.findall(r"(-?[\d.]+),", str(outline.get("d")))]
    assert name.get("text-anchor") == "middle"
    assert float(str(name.get("x"))) == pytest.approx((min(xs) + max(xs)) / 2, abs=0.01)


def test_the_longest_path_of_a_dag_is_a_column() -> None:
    drawn = {texts(node)[0]: shape(node) for node in nodes(contrast(fib(6)), "dag-")}
    middles = {float(str(drawn[f"fib({n})"].get("cx"))) for n in range(2, 7)}
    assert len(middles) == 1


def test_outputs_have_one_order_on_both_sides() -> None:
    graph = trace([square(n) for n in (3, 1, 2)])
    for panel in ("tree-", "dag-"):
        drawn = nodes(contrast(graph), panel)
        places = {float(str(next(node.iter(f"{SVG}text")).get("x"))): node for node in drawn}
        order = [texts(places[x])[0] for x in sorted(places)]
        assert [text for text in order if text.startswith("square")] == [
            "square(3)", "square(1)", "square(2)",
        ]  # fmt: skip


def test_the_paper_is_transparent() -> None:
    source = contrast(fib(4)).render("svg").decode()
    assert "#ffffff" not in source
    assert 'fill="white"' not in source


def test_marks_that_are_not_in_the_picture_are_not_explained() -> None:
    text = all_text(contrast(fib(1)))
    assert "evaluated" not in text
    assert "dashed" not in text
    assert "×3: evaluated 3 times in the tree" in all_text(contrast(fib(4)))


def test_a_collection_without_equal_tasks_is_one_graph() -> None:
    picture = contrast(delayed(sum)([delayed(abs)(-1), delayed(abs)(-2)]))
    assert len(nodes(picture)) == 3
    text = all_text(picture)
    assert "graph: 3 tasks" in text
    assert "nothing is computed twice" in text
