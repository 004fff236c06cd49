"""What caches return after something has changed: the right value, or a wrong one."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from tests.benchmarks.caches import SMALL, Column

MODULE = """
import numpy as np

def helper(number):
    return number + 1

def own(number):
    return 10 * number

def reaches(number):
    return helper(number)

def reads(path):
    with open(path) as file:
        return file.read()

def filled(number):
    return np.full(100_000, float(number))
"""
NAME = "program_of_the_benchmark"


@contextmanager
def imported(folder: Path, code: str) -> Iterator[ModuleType]:
    """A module of this code, as a new process would import it."""
    (folder / f"{NAME}.py").write_text(code)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(NAME)
    finally:
        sys.path.remove(str(folder))
        del sys.modules[NAME]


def after_an_edit(column: Column, folder: Path, name: str, old: str, new: str) -> bool:
    """Whether a function has its new value after an edit of its module."""
    with imported(folder, MODULE) as module:
        before = column.new(folder / "store")(getattr(module, name))(3)
    with imported(folder, MODULE.replace(old, new)) as module:
        after = column.new(folder / "store")(getattr(module, name))(3)
        return bool(after == getattr(module, name)(3) != before)


def own_code(column: Column, folder: Path) -> bool:
    return after_an_edit(column, folder, "own", "10 * number", "1000 * number")


def helper(column: Column, folder: Path) -> bool:
    return after_an_edit(column, folder, "reaches", "number + 1", "number + 100")


def file(column: Column, folder: Path) -> bool:
    path = folder / "read.txt"
    with imported(folder, MODULE) as module:
        reads = column.new(folder / "store")(module.reads)
        path.write_text("old")
        reads(str(path))
        path.write_text("new")
        return bool(reads(str(path)) == "new")


def stored_byte(column: Column, folder: Path) -> bool:
    with imported(folder, MODULE) as module:
        column.new(folder / "store")(module.filled)(3)
        files = (path for path in (folder / "store").rglob("*") if path.is_file())
        path = max(files, key=lambda path: path.stat().st_size)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        loaded = column.new(folder / "store")(module.filled)(3)
        return np.array_equal(loaded, module.filled(3))


CHANGES: dict[str, Callable[[Column, Path], bool]] = {
    "the code of the function": own_code,
    "a helper that it calls": helper,
    "a file that it reads": file,
    "a byte of a stored array": stored_byte,
}


def table(folder: Path) -> None:
    """Print what each cache that is installed returns."""
    print(f"\n{'after a change of …':<30}" + "".join(f"{column.name:>13}" for column in SMALL))
    for label, is_right in CHANGES.items():
        cells = []
        for column in SMALL:
            (place := folder / label.replace(" ", "-") / column.name).mkdir(parents=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                is_known = column.is_installed
                cells.append(("right" if is_right(column, place) else "wrong") if is_known else "–")
        print(f"{label:<30}" + "".join(f"{cell:>13}" for cell in cells))
