"""The notebook is true: its cells run, with Jupyter and without, and show what stands in it."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import pipeline
from tests.tour import METADATA, NOTEBOOK

TEXT = NOTEBOOK.read_text(encoding="utf-8")
CELLS: list[dict[str, Any]] = json.loads(TEXT)["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
SOURCES = ["".join(cell["source"]) for cell in CODE]

HEAD = 5
"""Lines of the first cell that say how a table is shown."""


def same_everywhere(shown: str) -> str:
    """What a cell shows, but for times, digits of code in keys, and where fonts put things.

    Of a page: what its pictures show. Only Jupyter has the source of a cell, which the page shows.
    """
    if "srcdoc" in shown:
        shown = unescape(shown)
    if "<svg" in shown:
        shown = "\n".join(re.findall(r"<text[^>]*>(.*?)</text>", shown))
    shown = re.sub(r"~?[\d.]+(e\d+)? (µs|ms|s|min|h|days|years)\b", "…", shown)
    return re.sub(r"\bfib-[0-9a-f]{12}\b", "fib-…", shown)


def outputs(cell: dict[str, Any]) -> list[str]:
    """What a cell printed, and the picture or table that it ends with."""
    found = []
    for output in cell["outputs"]:
        data = output.get("data", {})
        text = output.get("text") or data.get("image/svg+xml") or data.get("text/html")
        found.append(same_everywhere("".join(text)))
    return found


def test_twelve_code_cells_each_show_a_picture_a_page_or_a_table() -> None:
    assert len(CODE) == 12
    assert [cell["execution_count"] for cell in CODE] == list(range(1, 13))
    for cell in CODE:
        kinds = {output["output_type"] for output in cell["outputs"]}
        assert kinds
        assert kinds <= {"execute_result", "stream"}
    # The eighth is the text of an explanation, which is a table.
    pictures = ["<svg" in json.dumps(cell["outputs"]) for cell in CODE]
    pages = ["<iframe srcdoc" in json.dumps(cell["outputs"]) for cell in CODE]
    assert [place for place, is_one in enumerate(pages, 1) if is_one] == [3]
    tables = ["<table>" in json.dumps(cell["outputs"]) for cell in CODE]
    assert [place for place, is_one in enumerate(pictures, 1) if is_one] == [2, 6, 7, 9, 10, 12]
    assert [place for place, is_one in enumerate(tables, 1) if is_one] == [1, 4, 5, 11]


def test_cells_are_short_and_text_stands_between_them() -> None:
    kinds = [cell["cell_type"] for cell in CELLS]
    assert kinds == ["markdown", "code"] * 12 + ["markdown"]
    lines = [sum(bool(line.strip()) for line in source.splitlines()) for source in SOURCES]
    assert lines[0] <= 8 + HEAD
    assert max(lines[1:]) <= 8


def test_cells_use_the_public_api() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.Import)
            if not isinstance(node, ast.ImportFrom):
                continue
            module, names = str(node.module), {each.name for each in node.names}
            if module == "pipeline":
                assert names <= set(pipeline.__all__)
            elif module.startswith("pipeline."):
                assert module == "pipeline.identity" or module.startswith("pipeline.apps")
            assert not any(name.startswith("_") for name in names)


def test_the_file_tells_nothing_of_machine_and_moment_but_in_what_cells_show() -> None:
    whole = json.loads(TEXT)
    assert whole["metadata"] == METADATA
    assert [cell["id"] for cell in CELLS] == [f"cell-{n}" for n in range(1, len(CELLS) + 1)]
    assert all(cell["metadata"] == {} for cell in CELLS)
    assert json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n" == TEXT
    assert len(TEXT.encode()) < 400_000


@pytest.mark.slow
def test_cells_show_without_jupyter_what_stands_in_the_notebook() -> None:
    scope: dict[str, Any] = {"__name__": "tour"}
    for cell, source in zip(CODE, SOURCES, strict=True):
        *body, last = ast.parse(source).body
        printed, shown = io.StringIO(), None
        with redirect_stdout(printed):
            if not isinstance(last, ast.Expr):
                body.append(last)
            exec(compile(ast.Module(body, []), "tour", "exec"), scope)  # noqa: S102 - our own
            if isinstance(last, ast.Expr):
                shown = eval(compile(ast.Expression(last.value), "tour", "eval"), scope)  # noqa: S307
        names = [name for name in ("_repr_svg_", "_repr_html_") if hasattr(shown, name)]
        found = [printed.getvalue(), *(getattr(shown, name)() for name in names)]
        assert [same_everywhere(each) for each in found if each] == outputs(cell)


def test_jupyter_shows_what_stands_in_the_notebook_and_its_kernel_ends() -> None:
    missing = [name for name in ("nbclient", "ipykernel") if find_spec(name) is None]
    if missing:
        told = f"{' and '.join(missing)} missing: pip install -e '.[notebook]'"
        if os.environ.get("PIPELINE_NEEDS_NOTEBOOK"):
            pytest.fail(told)
        pytest.skip(told)
    # The paths of sockets must be short, and those of pytest may not be.
    with TemporaryDirectory() as folder:
        copy = shutil.copy(NOTEBOOK, folder)
        done = subprocess.run(
            [sys.executable, "-m", "tests.tour", copy],
            env={**os.environ, "TMPDIR": folder}, cwd=NOTEBOOK.parent.parent,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # Here its pipes are closed; a kernel that had to notice that itself would have told so.
        assert "Parent appears to have exited" not in done.stderr
        assert os.listdir(folder) == [NOTEBOOK.name]
        found = json.loads(Path(copy).read_text(encoding="utf-8"))
    for cell, before in zip(found["cells"], CELLS, strict=True):
        assert (cell["id"], cell["source"]) == (before["id"], before["source"])
        if cell["cell_type"] == "code":
            assert outputs(cell) == outputs(before)
    assert found["metadata"] == METADATA
