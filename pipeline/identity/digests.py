"""Digests: content hashes of values and functions, equal in every process and on every machine.

A key distinguishes calls within a run; a digest must do so for years. So it covers the version of
Python and of every library that a function uses, and refuses every value without content.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import numpy as np
from dask.typing import Key

from pipeline.identity.attributes import MISSING, member_of, type_part
from pipeline.identity.encoder import Encoder, UnkeyableError, name_of
from pipeline.identity.text import short_repr

_PYTHON = f"python {sys.version_info.major}.{sys.version_info.minor}"

_HANDLES = {"_thread", "threading", "_contextvars", "weakref", "asyncio", "logging"}
"""Modules of objects that a function may name without depending on them: locks, loggers."""


def digest(value: Any) -> str:
    """32 hexadecimal digits of the content of a value, a function, or a class.

    The same in every process of one minor version of Python. Of a function it covers the code,
    defaults and closure, and the functions, classes and values of the project that it reaches; of
    what an installed library holds, its name and the library's version. Not covered: comments,
    docstrings and formatting, the names of files, the order of sets and dicts.

    Raises `TypeError` for a value without content: a lock, an open file, a generator, and a
    function that names one of the last two.

    >>> digest([1, 2]) == digest([1, 2]), digest([1, 2]) == digest((1, 2)), digest(1) == digest(1.0)
    (True, False, False)
    """
    return hash_encoded(Digester().encode(value))


def hash_encoded(content: object) -> str:
    """The hash of strings, integers and tuples of them, in this version of Python."""
    return blake2b(repr((_PYTHON, content)).encode(), digest_size=16).hexdigest()


def is_process_state(value: Any) -> bool:
    """Whether a value is the generator behind `random` or `numpy.random`, one in each process."""
    return value is random._inst or value is np.random.mtrand._rand


class Digester(Encoder):
    """An encoder that covers the versions of libraries, and refuses values without content."""

    def library(self, name: str, module: str) -> str:
        return f"{name} of {library_version(module.partition('.')[0])}"

    def opaque(self, value: Any, error: UnkeyableError) -> str:
        name = name_of(self.definitions[0])
        raise UnkeyableError(f"{name} reaches {short_repr(value)}: {error}") from error

    def content(self, value: Any) -> Key:
        kind = type(value)
        module = str(type_part(kind, "__module__"))
        if isinstance(value, Iterator):
            raise UnkeyableError(
                f"no key for {short_repr(value)}: its next value depends on earlier reads; "
                "pass a list"
            )
        is_cache = isinstance(value, WeakKeyDictionary | WeakValueDictionary | WeakSet)
        if self.definitions and (is_cache or module.partition(".")[0] in _HANDLES):
            return f"opaque {kind.__qualname__}"
        if is_process_state(value):
            return f"the random numbers of {module}"
        content = super().content(value)
        if (
            member_of(kind, "__dask_tokenize__") is not MISSING
            and super().content(value) != content
        ):
            raise UnkeyableError(
                f"no key for {short_repr(value)}: it gives another token each time"
            )
        return content

    def part(self, value: object) -> Key:
        return self.encode(value)


@functools.cache
def library_version(package: str) -> str:
    """The name and version of the distribution that a package comes from.

    Python's own modules count with Python, whose version is in every digest.
    """
    if package in sys.stdlib_module_names:
        return "python"
    # Imported here, for it takes tens of milliseconds and most runs digest nothing.
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    if package == __name__.partition(".")[0]:
        return f"dask-memo {version('dask-memo')}"
    for name in (package, *packages_distributions().get(package, ())):
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return str(getattr(sys.modules.get(package), "__version__", "no version"))
