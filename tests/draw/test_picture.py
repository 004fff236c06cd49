"""Files that Graphviz makes, without a `dot` program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.draw import Picture

if TYPE_CHECKING:
    from pathlib import Path

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
