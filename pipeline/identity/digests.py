"""Digests: content hashes of values and functions, equal in every process and on every machine.

A key distinguishes calls within a run; a digest must do so for years. So it covers the version of
Python and of every library that a function uses, and refuses every value without content. How far
versions count is a choice, `Versions`: with another choice, digests are others.
"""

from __future__ import annotations

import functools
import os
import platform
import random
import re
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import numpy as np
from dask.typing import Key

from pipeline.identity.attributes import MISSING, member_of, type_part
from pipeline.identity.code.modules import namespace
from pipeline.identity.encoder import Encoder, Known, ReachedError, Versions
from pipeline.identity.files import File
from pipeline.identity.states import UnkeyableError
from pipeline.identity.text import short_repr

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_PYTHON: dict[Versions, str] = {
    "minor": f"python {sys.version_info.major}.{sys.version_info.minor}",
    "exact": f"python {platform.python_version()}",
    "ignore": "python",
}

_RELEASE = re.compile(r"((\d+!)?\d+(\.\d+)?)(\.\d+)*(\.post\d+)?")
"""Versions of releases: `2.4.1`, `2024.10`. Group 1 is what counts of them under "minor"."""

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
    return digest_under("minor", value)


def digest_under(versions: Versions, value: Any) -> str:
    """The digest of a value, as `digest` has it, with another choice of versions."""
    return hash_encoded(Digester(known=Known(versions)).encode(value), versions)


def hash_encoded(content: object, versions: Versions = "minor") -> str:
    """The hash of strings, integers and tuples of them, in this version of Python."""
    return blake2b(repr((_PYTHON[versions], content)).encode(), digest_size=16).hexdigest()


def is_process_state(value: Any) -> bool:
    """Whether a value is the generator behind `random` or `numpy.random`, one in each process."""
    return value is random._inst or value is np.random.mtrand._rand


class Digester(Encoder):
    """An encoder that covers the versions of libraries, and refuses values without content."""

    def library(self, name: str, module: str) -> str:
        return f"{name} of {library_version(module.partition('.')[0], self.known.versions)}"

    def opaque(self, value: Any, error: UnkeyableError) -> str:
        raise ReachedError(f"{short_repr(value)}: {error}") from error

    def content(self, value: Any) -> Key:
        kind = type(value)
        module = str(type_part(kind, "__module__"))
        if isinstance(value, Iterator):
            raise UnkeyableError(
                f"no key for {short_repr(value)}: its next value depends on earlier reads; "
                "pass a list"
            )
        is_cache = isinstance(value, WeakKeyDictionary | WeakValueDictionary | WeakSet)
        if self.is_inside and (is_cache or module.partition(".")[0] in _HANDLES):
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


# Versions of libraries


def library_version(package: str, versions: Versions = "minor") -> str:
    """The name and version of the distribution that a package comes from, and a hash of its code.

    Under "exact" all of that counts. Under "minor" a release counts as `numpy 2.4`, and the hash
    covers what was edited in place. Other versions count in full: `1.0rc1`, `0.3.dev1+g123`. Under
    "ignore" the name counts alone. What does not come from an index counts by its code, always: its
    owner edits it without a new version.

    Python's own modules count with Python, whose version is in every digest; this engine counts by
    its version alone.
    """
    if package in sys.stdlib_module_names:
        return "python"
    # What is imported stays as it is; anything else may be installed anew.
    is_fixed = package in sys.modules
    return _version(package, versions, () if is_fixed else tuple(map(_changed, sys.path)))


@functools.lru_cache(1024)
def _version(package: str, versions: Versions, _: tuple[int, ...]) -> str:
    # Imported here, for it takes tens of milliseconds and most runs digest nothing.
    from importlib.metadata import PackageNotFoundError, distribution, distributions

    if package == __name__.partition(".")[0]:
        return _Installed("dask-memo", distribution("dask-memo").version).text(versions)
    found = []
    with suppress(PackageNotFoundError):  # quicker than to search all
        found.append(_installed(distribution(package), package)._replace(name=package))
    if not any(installed.code for installed in found):
        others = (other for other in distributions() if _holds(_record(other), package))
        found += [installed for other in others if (installed := _installed(other, package)).code]
    code = sorted(line for installed in found for line in installed.counted_code(versions))
    if not any(installed.code for installed in found):
        own = namespace(sys.modules.get(package)).get("__version__", "without a version")
        found = found or [_Installed(package, str(own))]
        code = sorted(_code_files(package))
    hashed = blake2b("\n".join(code).encode(), digest_size=6).hexdigest()
    texts = {installed.text(versions) for installed in found}
    return ", ".join(sorted(texts)) + (f" #{hashed}" if code else "")


class _Installed(NamedTuple):
    """A distribution, and what it has of a package.

    is_indexed: whether it comes from an index, where a version never changes
    recorded: what an installer recorded of the source files: path, hash and size of each. Equal
        wherever one wheel is installed
    code: the same, with files that changed later by their content
    """

    name: str
    version: str
    is_indexed: bool = True
    recorded: Sequence[str] = ()
    code: Sequence[str] = ()

    def text(self, versions: Versions) -> str:
        if versions == "ignore":
            return self.name
        release = _RELEASE.fullmatch(self.version) if versions == "minor" else None
        return f"{self.name} {release[1] if release else self.version}"

    def counted_code(self, versions: Versions) -> Sequence[str]:
        """The lines of code that count besides the version."""
        if versions == "exact" or not self.is_indexed:
            return self.code
        if versions == "ignore":
            return ()
        is_release = _RELEASE.fullmatch(self.version) is not None
        return sorted({*self.code} - {*self.recorded}) if is_release else self.code


def _record(known: Distribution) -> str:
    return known.read_text("RECORD") or ""


def _name_and_version(known: Distribution) -> tuple[str, str]:
    """Those of a distribution, without the parser of mails, which takes milliseconds."""
    head, *_ = (known.read_text("METADATA") or "").partition("\n\n")
    fields = dict(re.findall(r"^(Name|Version): *(.*\S) *$", head, re.MULTILINE))
    if len(fields) < 2:
        return known.metadata["Name"], known.version
    return fields["Name"], fields["Version"]


def _holds(record: str, package: str) -> bool:
    """Whether a distribution has files of a package. Its metadata take longer to read."""
    heads = f"{package}/", f"{package}."
    return record.startswith(heads) or any(f"\n{head}" in record for head in heads)


def _installed(known: Distribution, package: str) -> _Installed:
    """What a distribution has of a package. All files count if it has no source files."""
    # Packages of conda name the folder where they were built, and come from an index.
    is_conda = (known.read_text("INSTALLER") or "").strip() == "conda"
    is_indexed = is_conda or not known.read_text("direct_url.json")
    record, heads = _record(known), (f"{package}/", f"{package}.")
    installed = _Installed(*_name_and_version(known), is_indexed)
    if not _holds(record, package):
        return installed
    folder = str(known.locate_file(""))
    lines = [line for line in record.splitlines() if line.startswith(heads) and line[-1] != ","]
    recorded = [line for line in lines if line.partition(",")[0].endswith(".py")] or lines
    own = re.search(r"^.*\.dist-info/RECORD(?=,)", record, re.MULTILINE)
    time, code = _changed(f"{folder}/{own[0]}") if own else 0, list(recorded)
    for place, line in enumerate(recorded):
        name = line.partition(",")[0]
        if _changed(f"{folder}/{name}") > time:
            code[place] = _file_line(folder, name)
    return installed._replace(recorded=recorded, code=code)


def _changed(path: str) -> int:
    """When a file changed; 0 if it is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _file_line(folder: str, name: str) -> str:
    """A file as installers record it."""
    path = Path(folder, name)
    content = bytes.fromhex(File(path).__dask_tokenize__()[-1])
    text = urlsafe_b64encode(content).decode().rstrip("=")
    return f"{name},sha256={text},{path.stat().st_size}"


def _code_files(package: str) -> list[str]:
    """The files of a package without a record: what is imported, or would be."""
    module = sys.modules.get(package)
    spec = PathFinder.find_spec(package) if module is None else None
    members = namespace(module)
    places = list((spec.submodule_search_locations if spec else members.get("__path__")) or ())
    if not places:
        file = spec.origin if spec else members.get("__file__")
        return [_file_line(*os.path.split(file))] if file and Path(file).exists() else []
    suffixes = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
    return [
        _file_line(place, path.relative_to(place).as_posix())
        for place in places
        for path in sorted(Path(place).rglob("*"))
        if path.name.endswith(suffixes)
    ]
