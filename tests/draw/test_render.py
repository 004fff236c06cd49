"""Pictures: what stands in them, and that they are the same every time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree import ElementTree

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask.task_spec import Alias, Task, TaskRef

import pipeline
from pipeline import Store, contrast, recurrence, trace
from pipeline.draw import Picture, atomic_write
from pipeline.draw.dot import STATUS_COLOURS
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


# Rendering

PICTURE = Picture("digraph { a -> b }")


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        ("svg", b"<?xml"),
        ("png", b"\x89PNG"),
        ("pdf", b"%PDF"),
        ("dot", b"digraph"),
        ("SVG", b"<?xml"),
    ],
)
def test_the_suffix_chooses_the_format(suffix: str, start: bytes, tmp_path: Path) -> None:
    path = PICTURE.save(tmp_path / f"a.{suffix}")
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.svgz"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a file name ends in .svg, .png, .pdf, .dot"):
        PICTURE.save(tmp_path / name)


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PICTURE.save(tmp_path / "none" / "a.svg")


def test_drawing_needs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert PICTURE.render("png").startswith(b"\x89PNG")


def test_what_graphviz_says_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    Picture("digraph { a [shape=nonsense] }").render("svg")
    assert "nonsense" in capfd.readouterr().err
    PICTURE.render("svg")
    assert capfd.readouterr().err == ""


# Files are complete or absent


def write(path: Path, content: bytes = b"new") -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(path, b"old and long")
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.txt"]


def _fail_after(file: BinaryIO, error: type[BaseException]) -> None:
    file.write(b"half")
    file.flush()
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
@pytest.mark.parametrize("old", [b"old", None])
def test_what_ends_in_the_middle_leaves_things_as_they_were(
    tmp_path: Path, error: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        _fail_after(file, error)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {} if old is None else {"a.txt": old}
    )


def test_a_mode_is_kept_or_given_or_the_systems(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    before = os.umask(0o027)
    try:
        write(path)
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)
    path.chmod(0o646)
    write(path)
    assert path.stat().st_mode & 0o777 == 0o646
    with atomic_write(path, 0o600):
        pass
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_still_leads_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("there/a.txt")
    for content in (b"one", b"other"):
        write(link, content)
        assert link.is_symlink()
        assert (tmp_path / "there/a.txt").read_bytes() == content


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(path)
        assert os.read(reader, 9) == b"new"
    finally:
        os.close(reader)
    assert path.is_fifo()


@pytest.mark.parametrize(("name", "error"), [
    ("none/a.txt", FileNotFoundError), (".", IsADirectoryError), ("file/a.txt", NotADirectoryError),
])  # fmt: skip
def test_errors_name_the_path(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(error) as raised:
        write(tmp_path / name)
    assert raised.value.filename in (tmp_path / name, str(tmp_path / name))
