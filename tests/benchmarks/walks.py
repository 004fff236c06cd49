"""How many files of the package a reader passes through: `python -m tests.benchmarks.walks`."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pipeline.cache  # now, so that no import counts
from pipeline import Store, compute, contrast, recurrence

ROOT = str(Path(pipeline.__file__).parent)


@recurrence
def fib(n: int) -> Any:
    """A user's recurrence; its file is none of the package."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


WALKS: dict[str, tuple[int, Callable[[str], Any]]] = {
    "fib(6).compute()": (12, lambda _: fib(6).compute(scheduler="sync")),
    "contrast(fib(6)).save()": (14, lambda folder: contrast(fib(6)).save(f"{folder}/fib.svg")),
    "compute(…, store=…), cold": (
        20,
        lambda folder: compute(fib(6), store=Store(f"{folder}/cache"), scheduler="sync"),
    ),
}
"""Three computations, each with its bar: the most files that it should enter."""


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
        threading.setprofile(None)
    return files, changes


def show(name: str, is_verbose: bool) -> None:
    """Walk once in this process, which has its caches to itself, and print what it entered."""
    bar, run = WALKS[name]
    with TemporaryDirectory() as folder:
        files, changes = walked(lambda: run(folder))
    print(f"{name:28}{len(files):4} files (bar {bar}), {changes:,} changes of file")
    if is_verbose:
        print(*(f"    {file}" for file in sorted(files)), sep="\n")


if __name__ == "__main__":
    for name in WALKS:
        process = multiprocessing.get_context("spawn").Process(
            target=show, args=(name, "-v" in sys.argv)
        )
        process.start()
        process.join()
