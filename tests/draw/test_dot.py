"""How a task looks, the text in it, and files of pictures."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

import pytest

from pipeline.draw import PLAIN, Heading, Picture, atomic_write
from pipeline.draw.dot import PALETTE, STATUS_COLOURS, colour, colours, write
from pipeline.draw.folding import whole_panel
from pipeline.graph import subproblem
from tests.functions import edit_distance, fib


def test_a_panel_is_written_with_its_heading_labels_and_edges() -> None:
    graph = fib(2).graph()
    panel = whole_panel(graph, "dag")
    evaluations = Counter(map(subproblem, graph.tasks))
    headings, title = [Heading("first", "1 task", ("second",))], Heading("title", "2")
    source = write([panel], graph, {fib(2).key: "1"}, evaluations, headings=headings, title=title)
    assert "<b>first: 1 task</b>" in source
    assert "second</font>" in source
    assert "<b>title: 2</b>" in source
    assert 'label=<fib(2)<br/><font point-size="10">= 1</font>' in source
    assert source.count("style=solid]") == 2


def test_long_arguments_are_cut_each_for_itself() -> None:
    graph = edit_distance("kitten and kitten", "sitting and sitting").graph()
    source = write([whole_panel(graph, "graph")], graph, {}, Counter())
    assert "edit_distance(&#x27;kitten and k…, &#x27;sitting and …)" in source


@pytest.mark.parametrize("name", ["dag", "graph"])
def test_a_panel_inside_a_page_has_classes_and_no_paper(name: str) -> None:
    graph = fib(2).graph()
    panel = whole_panel(graph, name)
    places = {box.id: place for place, box in enumerate(panel.boxes)}
    source = write([panel], graph, {fib(2).key: "1"}, Counter(list(graph.tasks)), is_inline=True)
    root = ElementTree.fromstring(Picture(source).render("svg"))  # noqa: S314 - our own
    groups = [element for element in root.iter() if element.get("class")]
    classes = {str(group.get("class")) for group in groups}
    first, *others = (places[fib(n).key] for n in (2, 1, 0))
    count = " has-count" if name == "dag" else ""
    assert {kind for kind in classes if kind.startswith("node")} == {
        f"node box-{first} has-value{count}", *(f"node box-{place}{count}" for place in others),
    }  # fmt: skip
    edges = {kind for kind in classes if kind.startswith("edge")}
    assert edges == {f"edge from-{first} to-{place}" for place in others}
    assert not [element for element in root.iter() if element.get("fill") == "#ffffff"]
    assert "xlink:title" not in Picture(source).render("svg").decode()


def test_colours_go_on_beyond_the_palette() -> None:
    assert colour(0) == PALETTE[0]
    assert len({colour(place) for place in range(500)}) == 500


def test_neighbours_differ_in_grey() -> None:
    grey = [
        0.299 * int(c[1:3], 16) + 0.587 * int(c[3:5], 16) + 0.114 * int(c[5:], 16) for c in PALETTE
    ]
    assert all(abs(a - b) > 30 for a, b in zip(grey, grey[1:] + grey[:1], strict=True))


def test_the_status_of_a_task_overrules_groups() -> None:
    style = PLAIN._replace(group=lambda key: 0, kind="layer")
    assert colours(["a", "b"], style) == {"a": PALETTE[0], "b": PALETTE[0]}
    coloured = style.with_statuses({"a": "hit"})
    assert colours(["a", "b"], coloured) == {"a": STATUS_COLOURS["hit"], "b": PALETTE[2]}
    assert style.legend == "one colour, one layer"
    assert coloured.legend == "hit · miss · skipped · culled"


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


def replace(path: Path, content: bytes = b"new") -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    replace(path, b"old and long")
    replace(path)
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
        replace(path)
        assert path.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)
    path.chmod(0o646)
    replace(path)
    assert path.stat().st_mode & 0o777 == 0o646
    with atomic_write(path, 0o600):
        pass
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_still_leads_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to("there/a.txt")
    for content in (b"one", b"other"):
        replace(link, content)
        assert link.is_symlink()
        assert (tmp_path / "there/a.txt").read_bytes() == content


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        replace(path)
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
        replace(tmp_path / name)
    assert raised.value.filename in (tmp_path / name, str(tmp_path / name))
