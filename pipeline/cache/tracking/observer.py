"""What a task does while it runs: the files that it reads, and its effects on the world."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterable, Sequence
from importlib.util import source_from_cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol

from pipeline.cache.tracking.attribution import enter, leave
from pipeline.cache.tracking.callers import is_installed
from pipeline.cache.tracking.draws import States, states
from pipeline.cache.tracking.inputs import (
    Input,
    content_of,
    context_input,
    folder_of_process,
    link_input,
    path_input,
    pattern_input,
    variable_input,
)
from pipeline.identity import Signature, Versions, signature_of


class Needs(Protocol):
    """What the code of a function reads, besides its arguments."""

    @property
    def variables(self) -> Iterable[str]: ...

    @property
    def contexts(self) -> Iterable[str]: ...


class _Read(NamedTuple):
    """A file or a folder at its first opening.

    kind: "file", "folder", or "listing" of a folder for names that match a pattern
    path: where it is, also if the task moves to another folder
    content: of what had just changed: its times would not show another change. Else ""
    may_write: whether the task itself may have written it
    """

    kind: str
    name: str
    path: str
    before: Signature | None
    content: str
    may_write: bool


class Observer:
    """What a function reads and does in this thread, while the block runs.

    given: strings that the task has among its arguments and constants. An absolute path that is
        neither of them nor below one depends on the current folder, if it is near it
    seeds: of "numpy" and "random", the global generators that the function seeds itself
    draws: whether the global generators are compared; needs 1 µs
    versions: how far versions of libraries count in the values of ContextVars

    After the block:

    inputs: what it read, each once, sorted
    effects: what it did that a stored result would not do again, as text for people
    changes: the files among the effects: what changed while it ran, whoever changed it
    """

    inputs: list[Input]
    effects: list[str]
    changes: list[str]

    def __init__(
        self,
        given: Container[str] = (),
        needs: Needs | None = None,
        *,
        seeds: Container[str] = (),
        draws: bool = True,
        versions: Versions = "minor",
    ) -> None:
        self._versions = versions
        self.inputs, self.effects, self.changes = [], [], []
        self._given, self._needs, self._seeds, self._draws = given, needs, seeds, draws
        self._reads: dict[tuple[str, str, str], _Read] = {}
        self._found: dict[Input, None] = {}
        self._seen: dict[tuple[str, str], None] = {}  # effects, each with the path of a file
        self._has_deep_patterns = False
        self._patterns: dict[str, None] = {}
        self._written: dict[str, bool] = {}
        self._edited: set[str] = set()
        self._returned: set[str] = set()
        self._begun = 0
        self._variables: dict[str, str | None] = {}
        self._folder = ""
        self._states: States | None = None

    def __enter__(self) -> Observer:
        if self._needs is not None:
            self._read_needs(self._needs)
        if self._draws:
            self._states = states()
        self._begun = time.time_ns()
        enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        leave(self)
        if self._states is not None:
            self._compare_draws(self._states)
        if self._written:
            self._check_written()
        if self._variables or self._folder:
            self._check_process()
        for read in list(self._reads.values()):
            self._check_read(read)
        # Lists: threads that the task has left behind may still add to what they iterate over.
        self._found.update(dict.fromkeys(map(pattern_input, list(self._patterns))))
        changes = [f"{name} changed while it ran" for name in self.changes]
        effects = (text for text, path in list(self._seen) if not (path and self._returns(path)))
        self.inputs, self.effects = sorted(self._found), [*changes, *dict.fromkeys(effects)]

    # What the events report, and what others may add while the block runs

    def add(self, inputs: Iterable[Input]) -> None:
        """More inputs: those of a result that the task took from a store, with its files."""
        for item in inputs:
            self._found[item] = None
            if item.kind == "made":
                self.write(item.name)

    def effect(self, text: str, path: str = "") -> None:
        """Something that a stored result would not do again. path: of the file that it changed"""
        self._seen[text, path] = None

    def read(self, name: str, kind: str = "file", *, may_write: bool = False) -> None:
        """A file or a folder that is about to be opened.

        may_write: whether the task itself may write it by this
        """
        if name.endswith(".pyc"):
            name = _source_of(name)
        path = os.path.join(os.getcwd(), name)
        if (kind, name, path) in self._reads or _is_system(path) or self._wrote(path):
            return
        if not _is_text(name):
            self.effect(f"it read {_short(path)!a}, whose name is no text")
            return
        before = signature_of(path)
        if before is not None and before.is_folder == (kind == "file"):
            return  # an error, or a folder that is opened in order to list it
        if before is not None and not (before.is_file or before.is_folder):
            self.effect(f"it read from {_short(path)}, which is no file")
            return
        content = ""
        if before is not None and before.is_racy:
            content = content_of("file" if kind == "file" else "folder", path, before)
        stable = self._stable_name(name, path)
        self._reads[kind, name, path] = _Read(kind, stable, path, before, content, may_write)

    def _stable_name(self, name: str, path: str) -> str:
        """The name by which a file is looked up later. The current folder may count, too."""
        if os.path.isabs(name):
            if self._depends_on_folder(path):
                self._found[folder_of_process()] = None
        elif self._folder:
            self._found[Input("cwd", "", self._folder)] = None
            return path
        return name

    def link(self, name: str) -> None:
        """A symbolic link that is about to be read: a task may open what it points to."""
        path = os.path.join(os.getcwd(), name)
        if _is_text(name) and not _is_system(path) and not self._wrote(path):
            self._found[link_input(self._stable_name(name, path))] = None

    def match(self, pattern: str) -> None:
        """A pattern of paths that is about to be looked up in folders.

        It counts by what matches it, not by all names in these folders. With `**` these count.
        """
        if "**" in pattern or self._folder or not _is_text(pattern):
            self._has_deep_patterns = True
        else:
            self._patterns[pattern] = None

    def write(self, name: str, verb: str = "wrote", *, is_anew: bool = True) -> None:
        """A path that is about to be written, made, changed, or removed.

        is_anew: False if it may keep a part of what it has
        """
        path = os.path.abspath(name)
        if path in self._written or _is_system(path) or f"{os.sep}__pycache__" in path:
            return
        before = signature_of(path)
        if before is None and verb not in ("wrote", "made"):
            return  # an error: there is nothing to remove or to change
        if before is not None and before.is_folder and verb == "wrote":
            return  # an error, or a file without a name
        self._written[path] = before is not None
        if before is not None and not self._is_below_written(path):
            self.effect(f"it {verb} {_short(path)}", path)
        if before is not None and not is_anew:
            self._edited.add(path)

    def returns(self, names: Sequence[str]) -> None:
        """Files that are parts of the result: to write them is no effect. Others are inputs.

        A write in C raises no event; then the file has changed since the task began.
        """
        written = set(map(os.path.realpath, self._written)) if names else set()
        for name in names:
            path = os.path.realpath(name)
            found = signature_of(path)
            if path in written or (found is not None and found.ctime > self._begun):
                self._returned.add(path)
            else:
                self.read(name)

    def set_variable(self, name: str) -> None:
        """A variable of the environment that is about to be set."""
        self._variables.setdefault(name, os.environ.get(name))

    def imports(self, is_nested: bool) -> None:
        """A module is about to be imported. Some libraries draw numbers when they are imported.

        is_nested: whether an installed library imports it while it is imported itself: what was
            drawn since the import before was drawn by libraries
        """
        if self._states is not None:
            if not is_nested:
                self._compare_draws(self._states)
            self._states = states()

    def move(self) -> None:
        """The current folder is about to change."""
        self._folder = self._folder or os.getcwd()

    def so_far(self) -> list[Input]:
        """What the task has read until now, from another thread: a file that has changed has no
        content."""
        inputs = list(self._found)
        for kind, name, path, before, *_ in list(self._reads.values()):
            kind = "file" if kind == "file" else "folder"
            inputs.append(path_input(kind, name, path, before) or Input(kind, name, "changed"))
        return inputs

    # After the block

    def _read_needs(self, needs: Needs) -> None:
        for name in needs.variables:
            self._found[variable_input(name)] = None
        for name in needs.contexts:
            short = name.rpartition(":")[2]
            try:
                self._found[context_input(name, self._versions)] = None
            except LookupError:
                self.effect(f"it reads the ContextVar {short}, which is not found as {name}")
            except TypeError:
                self.effect(f"the ContextVar {short} has a value without content")

    def _compare_draws(self, before: States) -> None:
        after = states()
        if after == before:
            return
        if after.numpy != before.numpy and "numpy" not in self._seeds:
            self.effect("it drew from NumPy's global random numbers")
        if after.random != before.random and "random" not in self._seeds:
            self.effect("it drew from Python's global random numbers")

    def _check_written(self) -> None:
        """What was not there before, and is there now. What is gone again has left no trace."""
        read = {os.path.abspath(read.path) for read in self._reads.values()}
        for path, was_there in list(self._written.items()):
            after = None if was_there else signature_of(path)
            if after is not None and not (after.is_folder and self._is_empty(path)):
                self.effect(f"it wrote {_short(path)}", path)
            is_edited = path in self._edited or (was_there and path in read)
            if is_edited and self._returns(path):
                self._edit(path)

    def _check_process(self) -> None:
        for name, value in self._variables.items():
            if os.environ.get(name) != value:
                self.effect(f"it set the environment variable {name}")
        if self._folder and os.getcwd() != self._folder:
            self.effect("it changed the current folder")

    def _check_read(self, read: _Read) -> None:
        before, kind = read.before, "file" if read.kind == "file" else "folder"
        if kind == "folder" and self._wrote_into(read.path):
            before = signature_of(read.path)  # its own files change a folder
        found = path_input(kind, read.name, read.path, before)
        if found is not None and read.content in ("", found.content):
            if read.kind != "listing" or self._has_deep_patterns:
                self._found[found] = None
        elif read.may_write:
            self.effect(f"it wrote {_short(read.path)}", os.path.abspath(read.path))
            if before is not None and self._returns(read.path):
                self._edit(read.path)
        elif not self._wrote(read.path):
            what = "folder " if kind == "folder" else ""
            self.changes.append(f"{what}{_short(read.path)}")

    def _edit(self, path: str) -> None:
        self.effect(f"it changed {_short(path)} in place; write the result at another path")

    def _returns(self, path: str) -> bool:
        return bool(self._returned) and os.path.realpath(path) in self._returned

    def _is_empty(self, folder: str) -> bool:
        """Whether a folder holds no files, but for folders and for what the task returns."""
        paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
        return all(map(self._returns, paths))

    def _wrote(self, path: str) -> bool:
        return bool(self._written) and os.path.abspath(path) in self._written

    def _wrote_into(self, folder: str) -> bool:
        folder = os.path.abspath(folder)
        return any(os.path.dirname(path) == folder for path in self._written)

    def _is_below_written(self, path: str) -> bool:
        """Whether a path is in a folder that the task made itself."""
        return any(
            not was_there and path.startswith(folder + os.sep)
            for folder, was_there in self._written.items()
        )

    def _depends_on_folder(self, path: str) -> bool:
        """Whether an absolute path may have been made from the current folder."""
        folder = os.getcwd()
        parent = os.path.dirname(folder)
        near = folder if parent in (os.sep, os.path.expanduser("~")) else parent
        if path != near and not path.startswith(near.rstrip(os.sep) + os.sep):
            return False
        while path not in self._given and f"{path}{os.sep}" not in self._given:
            outer = os.path.dirname(path)
            if outer == path:
                return True
            path = outer
        return False


# Paths


_SYSTEM = tuple(
    f"{folder}{os.sep}"
    for folder in (
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/usr/share/zoneinfo",
        "/usr/lib/zoneinfo",
        "/usr/share/locale",
        "/usr/lib/locale",
        "/etc/localtime",
    )
)
_DATA = ("/dev/shm/", "/run/media/", "/run/user/")  # noqa: S108 # files of users, all the same


def _is_system(path: str) -> bool:
    """Whether a path is of the machine or of Python: devices, time zones, installed libraries."""
    return (f"{path}{os.sep}".startswith(_SYSTEM) and not path.startswith(_DATA)) or is_installed(
        path
    )


def _short(path: str) -> str:
    """A path for a message: relative if it is below the current folder, else its end."""
    folder, path = os.getcwd(), os.path.abspath(path)
    if path == folder:
        return "."
    if path.startswith(folder.rstrip(os.sep) + os.sep):
        return os.path.relpath(path, folder)
    parts = Path(path).parts
    return os.path.join("…", *parts[-2:]) if len(parts) > 3 else path


def _source_of(path: str) -> str:
    """The source that the importer checks before it reads a compiled file."""
    try:
        return source_from_cache(path)
    except ValueError:
        return path


def _is_text(name: str) -> bool:
    """Whether a name can be written as text: a name on the disk is any bytes."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)
