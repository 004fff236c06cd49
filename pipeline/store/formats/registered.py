"""Formats in two functions: those that a program registers, and those of known libraries.

`dump` makes a value a tree of values that have formats, and `load` makes the value of the tree. An
entry names the format: "module:QualName" for a format of the program, the public name of the type,
such as "polars.DataFrame", for one of a library. So neither is ever taken for the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from typing import Any, NamedTuple

from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, file_of

_MAIN = ("__mp_main__", "<run_path>")  # the main script, in another process or under `runpy`


class Registered(NamedTuple):
    """A format that the program registered.

    path: of the type, as an entry names it
    kind: the type; None if it was registered by its name
    """

    path: str
    kind: type | None
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


_registered: dict[str, Registered] = {}  # by path, the newest last
_found: dict[type, tuple[str, LibraryFormat]] = {}  # formats of types of libraries


def register_format(
    kind: type | str, dump: Callable[[Any], Any], load: Callable[[Any], Any]
) -> None:
    """Give a type a format in two functions, so that a store can keep its values.

    kind: a class, or its name, "module:QualName": its module is then not imported before it is used
    dump: makes a value a tree: None, numbers, texts, bytes, times, lists, tuples, dicts, sets,
        arrays, tables, and other values that have a format
    load: makes the value of that tree; its type must be exactly `kind`

    The type is exact: a subclass has no format by this. The newest registration of a type counts,
    also before the format of a library. Register in each process that stores or loads, best in the
    module that defines the class. An entry names the type, not the functions: `load` should read
    what older versions of `dump` made, or raise an error: then the task runs again.
    Loading runs `load`, which is code of yours, on a file that others may have written.

    >>> class Angle:
    ...     def __init__(self, degrees):
    ...         self.degrees = degrees
    >>> register_format(Angle, lambda angle: angle.degrees, Angle)
    >>> from pipeline.store import decoded, encoded
    >>> decoded(b"".join(encoded([Angle(90)])))[0].degrees
    90

    Raises `UnstorableError` for a type that always has a format, such as `list`.
    """
    path = path_of(kind) if isinstance(kind, type) else kind
    module, _, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    if not (module and name and callable(dump) and callable(load)):
        raise UnstorableError(
            f"cannot register a format of {kind!r:.100}",
            'give a class, or its name as "module:QualName", and two functions, dump and load',
        )
    if module == "builtins" or module.partition(".")[0] in ("numpy", "pandas", "datetime"):
        raise UnstorableError(
            f"cannot register a format of {path}", "it has one; derive a class, and register that"
        )
    _registered.pop(path, None)  # so that it becomes the last one
    _registered[path] = Registered(path, kind if isinstance(kind, type) else None, dump, load)


def script_formats() -> tuple[Registered, ...]:
    """The formats of classes of the main script, which other processes cannot import."""
    return tuple(form for path, form in _registered.items() if path.startswith("__main__:"))


def add_formats(formats: tuple[Registered, ...]) -> None:
    """Register formats that came from another process."""
    _registered.update((form.path, form) for form in formats)


def path_of(kind: Any, separator: str = ":") -> str:
    """Where a class or a function is, as an entry names it."""
    module = "__main__" if kind.__module__ in _MAIN else kind.__module__
    return f"{module}{separator}{kind.__qualname__}"


def is_registered(kind: type) -> bool:
    """Whether the program registered a format of a type."""
    return bool(_registered) and _own(kind) is not None


def is_of_library(kind: type) -> bool:
    """Whether a type has a format as one of a known library."""
    return _of_library(kind) is not None


def remedy_of(kind: type) -> str:
    """What makes a value of this type storable, by the library of one of its bases; or nothing."""
    for base in kind.__mro__:
        if found := _of_library(base):
            return found[1].remedy
    return ""


def _own(kind: type) -> Registered | None:
    for form in [*_registered.values()][::-1]:  # others may register meanwhile
        if kind is (imported(form.path) if form.kind is None else form.kind):
            return form
    return None


def imported(path: str) -> Any:
    """What is at a path, if its module is imported."""
    module, _, name = path.partition(":")
    return reduce(
        lambda owner, part: getattr(owner, part, None), name.split("."), sys.modules.get(module)
    )


def _of_library(kind: type) -> tuple[str, LibraryFormat] | None:
    """The name of a library's format, and the format. Imports nothing but files of that library."""
    if kind in _found:
        return _found[kind]
    file = file_of(kind.__module__)
    for name, form in import_module(file).FORMATS.items() if file else ():
        module, _, attribute = name.rpartition(".")
        # Nobody has made such a value before its module is imported.
        meant = getattr(sys.modules.get(module), attribute, None)
        if kind is meant or (form.is_family and meant is not None and issubclass(kind, meant)):
            _found[kind] = name, form
            return name, form
    return None


def dumped(value: Any) -> tuple[str, Any]:
    """The name of a value's format, and its tree."""
    kind = type(value)
    if own := _own(kind):
        name, dump = own.path, own.dump
    elif found := _of_library(kind):
        name, dump = found[0], found[1].dump
    try:
        return name, dump(value)
    except UnstorableError:
        raise
    except ImportError as error:
        library = error.name or name.partition(".")[0]
        raise UnstorableError(noun(value), f"{error}; pip install {library}") from error
    except Exception as error:
        why = f"the dump of {name} raised {_text(error)}; change what it holds, or the format"
        raise UnstorableError(noun(value), why) from error


def loaded(name: Any, tree: Any) -> Any:
    """The value of a tree, by the format of this name."""
    if type(name) is not str:
        raise CodecError(f"a value whose format is {noun(name)}")
    if ":" in name:
        return _loaded_by_program(name, tree)
    file = file_of(name)
    form = import_module(file).FORMATS.get(name) if file else None
    if form is None:
        raise UnreadableError(f"no format has the name {name!r}: a newer release may know it")
    try:
        return form.load(tree)
    except ImportError as error:
        library = error.name or name.partition(".")[0]
        raise UnreadableError(f"a {name}: {error}; pip install {library}") from error


def _loaded_by_program(name: str, tree: Any) -> Any:
    form = _registered.get(name)
    if form is None:
        module, _, kind = name.partition(":")
        raise UnreadableError(
            f"{name!r} has no format here: import what calls register_format({kind}, dump, load), "
            f"{module!r} perhaps"
        )
    try:
        value = form.load(tree)
    except Exception as error:
        raise UnreadableError(f"the load of {name} raised {_text(error)}") from error
    meant = imported(name) if form.kind is None else form.kind
    if type(value) is not meant:
        raise UnreadableError(f"the load of {name} returned {noun(value)}, of another type")
    return value


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
