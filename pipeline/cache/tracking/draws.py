"""Whether numbers were drawn from the global random state of Python or NumPy, within 1 µs.

Reading a state costs 10 µs for Python and 35 µs for NumPy, more than many tasks. So the words of
the state that each draw changes are read from memory: their place is found once, by looking for
known values in an object, and what it finds is compared with what the library reports. Where the
place is not found, the library reports the state each time.
"""

from __future__ import annotations

import _random
import ctypes
import functools
import random
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from dask.sizeof import sizeof

from pipeline.identity import closure_values


class States(NamedTuple):
    """The states of the global generators: equal if nothing was drawn or seeded between them."""

    numpy: object
    random: object


_BACKGROUND = [
    "pandas", "dask.sizeof", "distributed.comm.core", "distributed.utils_comm", "tornado.ioloop",
]  # fmt: skip
"""Modules that draw in other threads while a task runs: a size is guessed, a connection retried."""

_own_numbers = random.Random()  # noqa: S311 # no secrets
_OWN_NUMPY = SimpleNamespace(random=np.random.RandomState(0))


def _import_drawing() -> None:
    """Import what draws a number when it is imported: the format of estimators needs it.

    Otherwise tasks that run meanwhile would seem to draw.
    """
    state = random.getstate()
    import_module("rich.style")
    random.setstate(state)


_import_drawing()


def _separate_background() -> None:
    """Gives a second generator to modules that draw in the background, once each.

    Otherwise each task on a cluster would seem to draw. A program that seeds `random` gets the
    numbers that it expects.
    """
    for name in tuple(_BACKGROUND):
        module = sys.modules.get(name)
        if name == "pandas" and hasattr(module, "DataFrame"):
            _separate_sizes(module)
        elif module is not None and getattr(module, "random", None) is random:
            module.random = _own_numbers  # type: ignore[attr-defined]
        else:
            continue
        with suppress(ValueError):  # another thread did the same
            _BACKGROUND.remove(name)


def _separate_sizes(pandas: Any) -> None:
    """The same for the sizes of columns of objects, which Dask guesses by NumPy's generator."""
    size_of = closure_values(sizeof.dispatch(pandas.DataFrame)).get("object_size")
    if isinstance(size_of, FunctionType) and "np" in (names := size_of.__code__.co_freevars):
        (size_of.__closure__ or ())[names.index("np")].cell_contents = _OWN_NUMPY


def states() -> States:
    if _BACKGROUND:
        _separate_background()
    return States(_numpy_state(np.random.mtrand._rand), _python_state(random._inst))


_WORDS = 24
"""Bytes that are compared: a position and words that change when the state is renewed."""


def _numpy_state(generator: Any) -> object:
    """The state of NumPy's generator: its bits, and the normal number that it keeps for later."""
    bits = generator._bit_generator
    known = _numpy.get(id(bits))
    if known is None or known.bits is not bits or known.generator is not generator:
        known = _numpy[id(bits)] = _numpy_reader(generator, bits)
    return known.read()


class _Reader(NamedTuple):
    """How a state is read. The objects are held, so that their memory stays theirs."""

    generator: Any
    bits: Any
    read: Callable[[], object]


_numpy: dict[int, _Reader] = {}


def _numpy_reader(generator: Any, bits: Any) -> _Reader:
    place = _place_of_kept_normal()
    if (
        type(bits) is not np.random.MT19937
        or type(generator) is not np.random.RandomState
        or not place
    ):
        return _Reader(generator, bits, lambda: repr(generator.get_state(legacy=False)))
    # struct { uint32_t key[624]; int pos; }
    address = bits.ctypes.state_address
    key = (ctypes.c_char * _WORDS).from_address(address)
    position = (ctypes.c_char * 4).from_address(address + 4 * 624)
    kept = (ctypes.c_char * 16).from_address(id(generator) + place)
    return _Reader(generator, bits, lambda: (key.raw, position.raw, kept.raw))


@functools.cache
def _place_of_kept_normal() -> int:
    """Where a RandomState keeps a flag and a normal number for later. 0 if it is not found."""
    value = 1.2345678e-200
    trial = np.random.RandomState(0)
    memory = (ctypes.c_char * type(trial).__basicsize__).from_address(id(trial))
    places = []
    for flag in (1, 0):
        trial.set_state({**trial.get_state(legacy=False), "has_gauss": flag, "gauss": value})
        places.append(memory.raw.find(struct.pack("=ixxxxd", flag, value)))
    return places[0] if places[0] == places[1] > 0 else 0


def _python_state(generator: random.Random) -> object:
    known = _python.get(id(generator))
    if known is None or known.generator is not generator:
        known = _python[id(generator)] = _python_reader(generator)
    return known.read()


_python: dict[int, _Reader] = {}


def _python_reader(generator: random.Random) -> _Reader:
    """Python's generator: struct { PyObject_HEAD; int index; uint32_t state[624]; }."""
    start = object.__basicsize__
    memory = (ctypes.c_char * _WORDS).from_address(id(generator) + start)
    *words, index = random.Random.getstate(generator)[1]
    first = struct.pack(f"={_WORDS // 4}I", index, *words[: _WORDS // 4 - 1])
    if not isinstance(generator, _random.Random) or memory.raw != first:
        return _Reader(generator, None, generator.getstate)
    return _Reader(generator, None, lambda: (memory.raw, vars(generator)["gauss_next"]))
