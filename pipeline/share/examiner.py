"""Digests of the arguments of tasks, and what in them may make a task impure."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.identity import Digester, is_process_state, library_name
from pipeline.share.impurities import NAMED, SEEDS, SOURCES, STEADY

if TYPE_CHECKING:
    from dask.typing import Key


def _is_unseeded(value: Any) -> bool:
    """Whether an object has a seed, and it is None: an estimator that will draw numbers."""
    attributes = getattr(type(value), "__dict__", None) and getattr(value, "__dict__", None)
    return (
        type(attributes) is dict
        and any(each in attributes and attributes[each] is None for each in SEEDS)
        and library_name(type(value)) not in STEADY
    )


class Examiner(Digester):
    """A digester for the arguments of tasks.

    It keeps the order of dicts, which a function may see, and notes on its way what may make a
    task impure: functions that are arguments, and sources of random numbers, at any depth.
    """

    dict_order_counts = True

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[Any] = []
        self.sources: list[Any] = []

    def encode(self, value: Any) -> Key:
        if isinstance(value, (*NAMED, functools.partial)) and not self.definitions:
            self.functions.append(value)
        elif isinstance(value, SOURCES):
            if not is_process_state(value):  # those who draw of them are told
                self.sources.append(value)
        elif not isinstance(value, ModuleType) and _is_unseeded(value):
            self.sources.append(value)
        return super().encode(value)

    def content(self, value: Any) -> Key:
        known = len(self.functions)
        found = super().content(value)
        # That an object is of a class, or is made by it, does not say that the class is called.
        inner = [each for each in self.functions[known:] if not isinstance(each, type)]
        self.functions[known:] = inner
        return found
