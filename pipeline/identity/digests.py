"""Digests: content hashes of values and functions, equal in every process and on every machine.

A key tells calls apart within a run; a digest must do so for years. So it covers the version of
Python and of every library that a function is taken from, and takes nothing on trust: what has no
content that can be told has no digest.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Iterator
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import numpy as np

from pipeline.identity.atoms import ATOMS
from pipeline.identity.encoder import Encoder, encode
from pipeline.identity.state import UnkeyableError
from pipeline.identity.text import short_repr

if TYPE_CHECKING:
    from dask.typing import Key

OWN_SOURCES = (np.random.mtrand._rand, random._inst)
"""The generators behind the functions of `random` and `numpy.random`: each process has its own."""

_PYTHON = f"python {sys.version_info.major}.{sys.version_info.minor}"

_HANDLES = (
    "_thread.",
    "threading.",
    "_contextvars.",
    "weakref.",
    "_weakref.",
    "asyncio.",
    "logging.",
)
"""Modules of what a function may name without hanging on it: locks, loggers, and the like."""


def digest(value: Any) -> str:
    """32 hexadecimal digits of the content of a value, a function, or a class.

    The same in every process of one minor version of Python. Of a function it covers the code,
    defaults and closure, and the functions, classes and values of the project that it reaches; of
    what an installed library holds, its name and the library's version. Not covered: comments,
    docstrings and formatting, the names of files, the order of sets and dicts.

    Raises `TypeError` for what has no content that can be told: a lock, an open file, a generator,
    and a function that names one of the last two.

    >>> digest([1, 2]) == digest([1, 2]), digest([1, 2]) == digest((1, 2)), digest(1) == digest(1.0)
    (True, False, False)
    """
    return hash_encoded(encoded(value))


def encoded(value: Any) -> Key:
    """What a digest is the hash of, but for the version of Python. Raises `TypeError`."""
    if type(value) in ATOMS:
        return encode(value)
    return encode_with(Digester(), value)


def encode_with(digester: Digester, value: Any) -> Key:
    """The value, encoded by a digester of its own. Raises `TypeError` for what is too deep, too."""
    try:
        return digester.encode(value)
    except RecursionError:
        raise UnkeyableError(f"no key for a {type(value).__qualname__}: it is too deep") from None


def hash_encoded(content: object) -> str:
    """The hash of what is made of strings, integers and tuples, in this version of Python."""
    text = repr((_PYTHON, content)).encode(errors="surrogatepass")
    return blake2b(text, digest_size=16).hexdigest()


_WEAK = (WeakKeyDictionary, WeakValueDictionary, WeakSet)


class Digester(Encoder):
    """An encoder that holds libraries to their versions, and refuses what others pass over."""

    def library(self, name: str, module: str) -> str:
        return f"{name} of {library_version(module.partition('.')[0])}"

    def opaque(self, value: Any, error: UnkeyableError) -> str:
        kind = type(value)
        if f"{kind.__module__}.".startswith(_HANDLES):
            return f"opaque {kind.__qualname__}"
        name = self.definitions[0].__qualname__
        raise UnkeyableError(f"{name} reaches {short_repr(value)}: {error}") from error

    def content(self, value: Any) -> Key:
        if isinstance(value, Iterator):
            raise UnkeyableError(
                f"no key for {short_repr(value)}: what it gives next hangs on who asked before; "
                "pass a list"
            )
        if self.definitions and isinstance(value, _WEAK):
            return f"opaque {type(value).__qualname__}"  # a cache, of what others hold
        kind = type(value)
        if self.definitions and f"{kind.__module__}.".startswith(_HANDLES):
            return f"opaque {kind.__qualname__}"
        if any(value is each for each in OWN_SOURCES):
            return f"the random numbers of {kind.__module__}"  # another state in each process
        found = super().content(value)
        if hasattr(type(value), "__dask_tokenize__") and super().content(value) != found:
            raise UnkeyableError(
                f"no key for {short_repr(value)}: it gives another token each time"
            )
        return found

    def part(self, value: object) -> Key:
        return self.encode(value)

    def memory(self) -> None:
        return None


@functools.cache
def library_version(package: str) -> str:
    """The name and version of the distribution that a package comes from.

    Python's own modules count with Python, whose version is in every digest.

    >>> library_version("json")
    'python'
    """
    if package in sys.stdlib_module_names:
        return "python"
    if package == __name__.partition(".")[0]:
        return f"dask-memo {version('dask-memo')}"
    for name in (package, *packages_distributions().get(package, ())):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return str(getattr(sys.modules.get(package), "__version__", "no version"))
