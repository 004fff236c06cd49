"""The README is true: its blocks run, and print what it says."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import pipeline
from tests.command import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDES = sorted(ROOT.glob("pipeline/*/README.md"))


def blocks_of(text: str) -> list[tuple[str, str]]:
    """The language and the content of each block."""
    return re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)


BLOCKS = blocks_of(README)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.parent.name)
def test_guides_are_true(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = path.read_text()
    assert _run(blocks_of(text))
    titles = [line.lstrip("# ").lower().replace(" ", "-") for line in text.splitlines()
              if line.startswith("##")]  # fmt: skip
    assert re.findall(r"\(#(.*?)\)", text) == titles


def test_python_blocks_print_what_stands_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(BLOCKS) >= 4
    assert (tmp_path / "fib.svg").exists()


def _run(blocks: list[tuple[str, str]]) -> int:
    """Run the blocks of Python, and compare what they print with the block below."""
    scope: dict[str, Any] = {"__name__": "readme"}
    ran = 0
    for (kind, code), (below, expected) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "python":
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(code, scope)  # noqa: S102 - our own README
            assert below == "text"
            assert _untimed(printed.getvalue()) == _untimed(expected)
            ran += 1
    return ran


def _untimed(text: str) -> list[str]:
    """Words, but for how long something took, which is the machine's."""
    return re.sub(r"took [\d.]+ \S+", "took …", text).split()


def test_the_table_of_the_command_line_is_as_printed() -> None:
    command = next(code for kind, code in BLOCKS if code.startswith("pipeline fib"))
    shown = next(code for kind, code in BLOCKS if kind == "text" and "naive time" in code)
    text = run(*command.split()[1:])[1]
    # But for the times, which are of the machine and the moment.
    exact = [line.split()[:5] for line in text.splitlines()[:-1]]
    assert [line.split()[:5] for line in shown.splitlines()[:-1]] == exact


def test_other_commands_print_what_stands_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = list(pairwise(BLOCKS))
    ours = ("pipeline mlp", "pipeline train", "pipeline gallery")
    commands = [
        (code, shown)
        for (_, code), (kind, shown) in pairs
        if code.startswith(ours) and kind == "text"
    ]
    assert len(commands) == 3
    for command, shown in commands:
        code, text, _ = run(*command.split()[1:])
        assert code == 0
        # The last digits of a training are the machine's.
        measured = r"\d+\.\d%|loss \S+"
        assert re.sub(measured, "…", text) == re.sub(measured, "…", shown)


def test_the_first_code_is_six_lines_and_its_picture_follows() -> None:
    first = README.split("## ")[0]
    assert [kind for kind, _ in re.findall(r"```(\w+)\n(.*?)```", first, re.DOTALL)] == [
        "python",
        "text",
    ]
    code = BLOCKS[0][1].splitlines()
    assert len([line for line in code if line]) == 6
    assert first.index("outputs/fib-6.svg") > first.index("```text")


def test_the_commands_are_one_line_each() -> None:
    lines = [code.strip() for kind, code in BLOCKS if kind == "sh" and "venv" in code]
    assert len(lines) == 2
    assert all("\n" not in line for line in lines)
    assert lines[0].endswith("pipeline run")
    assert lines[1].endswith("pytest -q")


def test_pictures_that_are_shown_are_there() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        start = b"\x89PNG" if path.endswith(".png") else b"<?xml"
        assert (ROOT / path).read_bytes().startswith(start)


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
