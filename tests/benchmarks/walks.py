"""How many files of the package a reader passes through: `python -m tests.benchmarks.walks`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pipeline
from pipeline import Store, compute, contrast
from pipeline.apps.fibonacci import fib

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = str(Path(pipeline.__file__).parent)


def walked(run: Callable[[], Any]) -> tuple[set[str], int]:
    """The files of the package whose functions a run enters, and the changes of file."""
    files: set[str] = set()
    changes, last = 0, ""

    def profile(frame: Any, event: str, _: Any) -> None:
        nonlocal changes, last
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(ROOT) and frame.f_code.co_name != "<module>":
            files.add(path.removeprefix(f"{ROOT}/"))
            changes, last = changes + (path != last), path

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type] # typeshed knows no None
    return files, changes


def table() -> None:
    """Files and changes of file of three computations, beside their bars."""
    with TemporaryDirectory() as folder:
        walks: tuple[tuple[str, int, Callable[[], Any]], ...] = (
            ("fib(6).compute()", 12, lambda: fib(6).compute(scheduler="sync")),
            ("contrast(fib(6)).save()", 14, lambda: contrast(fib(6)).save(f"{folder}/fib.svg")),
            ("compute(…, store=…), cold", 20,
             lambda: compute(fib(6), store=Store(f"{folder}/cache"), scheduler="sync")),
        )  # fmt: skip
        for name, bar, run in walks:
            files, changes = walked(run)
            print(f"{name:28}{len(files):4} files (bar {bar}), {changes:,} changes of file")
            if "-v" in sys.argv:
                print(*(f"    {file}" for file in sorted(files)), sep="\n")


if __name__ == "__main__":
    table()
