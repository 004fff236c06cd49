"""Whether a function, and all that it reaches, is as it was when it was read."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from dask.typing import Key

from pipeline.identity.code.bindings import Bindings, bindings_of
from pipeline.identity.code.modules import Library, UnimportedModule
from pipeline.identity.code.references import definition_parts, library_name
from pipeline.identity.encoder import ATOMS, Encoder, Known, Reading


class Reach:
    """A definition that was read, with all that it reaches.

    known: what was read
    encoder: makes encoders of the same kind
    """

    def __init__(self, root: Any, known: Known, encoder: Callable[[], Encoder]) -> None:
        self._encoder = encoder
        self._bindings: list[Bindings] = []
        self._contents: list[tuple[Any, Key]] = []  # values that may change, encoded
        self._readings: list[tuple[Any, Reading]] = []  # definitions that are read again
        for reached in known.reached(root):
            definition = known.values[reached]
            bindings = bindings_of(definition)
            if bindings is None:
                self._readings.append((definition, known.readings[reached]))
                continue
            self._bindings.append(bindings)
            for value in _changeable_parts(definition):
                self._contents.append((value, encoder().part_of_definition(value)))

    def is_same(self) -> bool:
        """Whether all of it would be read as it was."""
        for bindings in self._bindings:
            if not bindings.are_same():
                return False
        return not (self._contents or self._readings) or self._is_read_the_same()

    def _is_read_the_same(self) -> bool:
        """Whether what names alone do not decide is read as it was."""
        try:
            return all(
                self._encoder().part_of_definition(value) == encoded
                for value, encoded in self._contents
            ) and all(
                self._encoder().read(definition) == reading
                for definition, reading in self._readings
            )
        except Exception:  # a value without content, or one that a thread changes right now
            return False


def _changeable_parts(definition: Any) -> list[Any]:
    """The parts of a definition that may change while their names stay bound to them."""
    values: list[Any] = list(definition_parts(definition))
    if isinstance(definition, type):
        _bases, _metaclass, *members = values
        values = [value for name, value in members if name not in _FIELDS]
    return [value for value in values if not _is_fixed(value)]


_FIELDS = {"__dataclass_fields__", "__dataclass_params__"}
"""Members of a class that take a millisecond to read; its methods, made of them, are read."""


def _is_fixed(value: Any, depth: int = 4) -> bool:
    """Whether a value has the content that it had, or counts as a definition."""
    kind = type(value)
    if kind in ATOMS or kind is Library or isinstance(value, Enum):
        return True
    if isinstance(value, FunctionType | type | UnimportedModule | ModuleType):
        return True
    if kind in (tuple, frozenset):
        return depth > 0 and all(_is_fixed(item, depth - 1) for item in value)
    return library_name(value) is not None
