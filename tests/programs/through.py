"""A collection through a new store object: its value, what ran for it, and the warnings."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

import pipeline
from pipeline import Store, StoreWarning, measure

if TYPE_CHECKING:
    from pathlib import Path


class Outcome(NamedTuple):
    """What came out of a run.

    ran: the functions of the tasks that were computed, and not loaded
    tasks: how many they were
    """

    value: Any
    ran: set[str]
    tasks: int
    warnings: list[str]


def through(
    folder: Path, *collections: Any, scheduler: str | None = "sync", fuse: bool = True,
    **options: Any,
) -> Outcome:  # fmt: skip
    """Run collections through the store in a folder.

    options: of the store
    """
    store = Store(folder, **{"durable": False, **options})
    with warnings.catch_warnings(record=True) as caught, measure() as measured:
        warnings.simplefilter("always")
        values = pipeline.compute(*collections, store=store, scheduler=scheduler, fuse=fuse)
    texts = [str(one.message) for one in caught if issubclass(one.category, StoreWarning)]
    value = plain(values[0] if len(values) == 1 else values)
    computed = [run for run in measured.runs if not run.is_loaded]
    return Outcome(value, set(measured.functions), len(computed), texts)


def explained(folder: Path, *collections: Any, **options: Any) -> Any:
    """The explanation of a run through the store in a folder."""
    return Store(folder, **{"durable": False, **options}).explain(*collections)


def plain(value: Any) -> Any:
    """A value that `==` compares: frames and arrays as lists."""
    if isinstance(value, pd.DataFrame | pd.Series):
        frame = value.to_frame() if isinstance(value, pd.Series) else value
        return [list(map(str, frame.columns)), *frame.reset_index().to_numpy().tolist()]
    if hasattr(value, "to_dict"):  # xarray's
        return value.to_dict()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value
