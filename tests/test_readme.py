"""The README and the guides are true: their blocks run, and print what stands below them."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import pipeline
from tests.command import run

ROOT = Path(__file__).parent.parent
GUIDES = [*sorted(ROOT.glob("pipeline/*/README.md")), ROOT / "pipeline/apps/mlp/README.md"]
PAGES = [ROOT / "README.md", *GUIDES]
README = PAGES[0].read_text()

pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)


def blocks_of(text: str) -> list[tuple[str, str, str]]:
    """The language and the content of each block, and what stands below as its output."""
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    below = [code if kind == "text" else "" for kind, code in blocks[1:]] + [""]
    return [
        (kind, code, output)
        for (kind, code), output in zip(blocks, below, strict=True)
        if kind != "text"
    ]


@pages
def test_python_prints_what_stands_below_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "readme"}
    for kind, code, expected in blocks_of(path.read_text()):
        assert kind in ("python", "sh")
        if kind == "python":
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(code, scope)  # noqa: S102 - our own README
            assert _unmeasured(printed.getvalue()) == _unmeasured(expected)


@pages
def test_commands_print_what_stands_below_them(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, code, expected in blocks_of(path.read_text()):
        if kind == "python" or "venv" in code:
            continue
        for command in code.splitlines():
            status, text, _ = run(*command.removeprefix("pipeline ").split())
            assert status == 0
        if "naive time" in expected:
            # But for the times, which are of the machine and the moment.
            exact = [line.split()[:5] for line in text.splitlines()[:-1]]
            assert [line.split()[:5] for line in expected.splitlines()[:-1]] == exact
        elif expected:
            assert _unmeasured(text) == _unmeasured(expected)


def _unmeasured(text: str) -> list[str]:
    """Words, but for folders and what the machine decides: times, last digits of a training."""
    text = re.sub(r" /\S*/(?=\w+\.)", " ", text)
    return re.sub(r"took [\d.]+ \S+|\d+\.\d%|loss \S+", "…", text).split()


def test_the_readme_is_short_and_so_are_the_guides() -> None:
    assert len(README.encode()) <= 10 * 1024
    assert max(len(path.read_text().splitlines()) for path in PAGES) <= 300


@pages
def test_sentences_are_short(path: Path) -> None:
    text = re.sub(r"```.*?```|^(\||#|!\[|    ).*?$", "", path.read_text(), flags=re.DOTALL | re.M)
    text = re.sub(r"`[^`]*`|\[([^]]*)\]\([^)]*\)", r"\1", text)
    parts = re.split(
        r"(?<=[.:;?!)])[*_]*\s+(?=[^a-z])|\n\s*\n|^(?:- |\d+\. )|[:;]\s", text, flags=re.M
    )
    long = [part for part in parts if part and len(re.findall(r"\w[\w'’-]*", part)) > 25]
    assert not long


@pages
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)]*)\)", text):
        name, _, place = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not place or place in _titles(target), link
    if path in GUIDES:
        contents = re.findall(r"^- \[.*?\]\(#(.*?)\)$", text, re.M)
        assert contents == _titles(path)
        assert f"({path.relative_to(ROOT)})" in README


def _titles(path: Path) -> list[str]:
    """The anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^## (.*)$", path.read_text(), re.M)
    return [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


@pages
def test_pictures_are_there(path: Path) -> None:
    for name in re.findall(r"!\[.*?\]\((.*?)\)", path.read_text()):
        start = b"\x89PNG" if name.endswith(".png") else b"<"
        assert (path.parent / name).read_bytes().startswith(start)


def test_the_first_code_is_six_lines_and_its_picture_follows() -> None:
    first = README.split("## ")[0]
    ((kind, code, output),) = blocks_of(first)
    assert kind == "python"
    assert output
    assert len([line for line in code.splitlines() if line]) == 6
    assert first.index("![") > first.index("```text")


def test_the_commands_are_one_line_each() -> None:
    lines = [code.strip() for kind, code, _ in blocks_of(README) if "venv" in code]
    assert len(lines) == 2
    assert all("\n" not in line for line in lines)
    assert lines[0].endswith("pipeline run")
    assert "pytest -q" in lines[1]


def test_every_dependency_is_named_with_its_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    listed = re.findall(r'^    "([a-z0-9-]+)>=', project, re.MULTILINE)
    extras = re.findall(r'"([a-z0-9-]+)>=', project.split("[project.optional-dependencies]")[1])
    table = README.split("## Dependencies")[1].split("## ")[0]
    for name in {*listed, *extras} - {"dask-memo"}:
        assert re.search(rf"\b{name}\b", table), name


def test_every_public_name_is_documented() -> None:
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__doc__, name
