"""The caches that are compared: each as its own documentation has it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import Store

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


class Column(NamedTuple):
    """One cache.

    module: that must be installed
    new: makes a decorator for an empty cache in a folder
    """

    name: str
    module: str
    new: Callable[[Path], Decorator]

    @property
    def is_installed(self) -> bool:
        return util.find_spec(self.module) is not None


def _ours(**options: Any) -> Callable[[Path], Decorator]:
    return lambda folder: Store(folder, **options).memoize


def _joblib(**options: Any) -> Callable[[Path], Decorator]:
    def new(folder: Path) -> Decorator:
        import joblib

        memory = joblib.Memory(folder, verbose=0, **options)
        return lambda function: memory.cache(function)

    return new


def _diskcache(folder: Path) -> Decorator:
    import diskcache

    memoize: Decorator = diskcache.Cache(folder, size_limit=1 << 40).memoize()
    return memoize


def _cachau(folder: Path) -> Decorator:
    import cachau

    memoize: Decorator = cachau.cache(persist=str(folder))
    return memoize


def _cachau_in_memory(_: Path) -> Decorator:
    import cachau

    memoize: Decorator = cachau.cache()
    return memoize


OURS, JOBLIB, MAPPED, FLOOR = "pipeline", "joblib", "joblib, mmap", "functools"
ON_DISK = (
    Column(OURS, "pipeline", _ours()),
    Column(JOBLIB, "joblib", _joblib()),
    Column(MAPPED, "joblib", _joblib(mmap_mode="c")),
    Column("diskcache", "diskcache", _diskcache),
    Column("cachau", "cachau", _cachau),
)
SMALL = tuple(column for column in ON_DISK if column.name != MAPPED)
IN_MEMORY = (
    Column(OURS, "pipeline", _ours(memory="2GB")),
    Column("cachau", "cachau", _cachau_in_memory),
    Column(FLOOR, "functools", lambda _: functools.cache),
)
DURABLE = tuple(
    Column(name, "pipeline", _ours(durable=durable))
    for name, durable in (("True", True), ('"end"', "end"), ("False", False))
)
NAMES = [*dict.fromkeys(column.name for column in ON_DISK + IN_MEMORY)]
