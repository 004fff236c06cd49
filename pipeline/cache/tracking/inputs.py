"""What a task read that is not in its digest, and whether it is still the same."""

from __future__ import annotations

import glob
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from xxhash import xxh3_128_hexdigest

from pipeline.identity import Signature, Versions, digest_under, file_content, signature_of
from pipeline.share import ZONE


class Input(NamedTuple):
    """What a task read that is not in its digest.

    kind: "file", "folder", "link" (a symbolic one), "pattern" (of paths), "variable" (of the
        environment), "cwd", or "context minor", "context exact", "context ignore": a ContextVar,
        and how far versions of libraries count in its value; or one of `MADE`
    name: a path as the task opened it; the name of a variable; `module:name` of a ContextVar
    content: its hash; "" for what is not there: a missing file, an unset variable
    size: of a file, in bytes
    stamp: one number for the inode of a file and its times of change. With size and stamp as they
        were, the content is not read again. 0 if it changed so recently that they prove nothing
    """

    kind: str
    name: str
    content: str
    size: int = 0
    stamp: int = 0


MADE = frozenset({"result", "made", "entry"})
"""Kinds of what tasks made, which never changes: a file that a result is, by its path; a file that
a result before it is; and the entry of that result, by its digest.
"""


def folder_content(path: str) -> str:
    """The hash of the names in a folder, and of which are folders."""
    with os.scandir(path) as entries:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in entries)
    return xxh3_128_hexdigest("\0".join(names).encode(errors="surrogateescape"))


def pattern_input(pattern: str, root: str = "") -> Input:
    """The paths that match a pattern without `**`, hidden ones as well.

    root: where a relative pattern is looked up; empty for the current folder
    """
    place = _folder_of(pattern, root)
    folder = signature_of(place)
    found = sorted(glob.glob(pattern, root_dir=root or None, include_hidden=True))
    names = [name + "/" * os.path.isdir(os.path.join(root, name)) for name in found]
    content = _text_content("\0".join(names))
    if folder is None or folder.is_racy or glob.has_magic(_folder_of(pattern)):
        return Input("pattern", pattern, content)
    return Input("pattern", pattern, content, folder.size, folder.stamp)


def _folder_of(pattern: str, root: str = "") -> str:
    return os.path.join(root, os.path.dirname(pattern)) or "."


def content_of(kind: str, path: str, signature: Signature | None) -> str:
    """The content of a file or a folder. "" if it is not there, or may not be read."""
    if signature is None or not (signature.is_file or signature.is_folder):
        return ""
    if signature.is_folder != (kind == "folder"):
        return ""
    try:
        return folder_content(path) if kind == "folder" else file_content(path, signature)
    except OSError:
        return ""


def path_input(kind: str, name: str, path: str, before: Signature | None) -> Input | None:
    """A file or a folder by its content. None if it has changed since its signature was taken.

    name: as the task opened it
    path: where that is
    """
    content = content_of(kind, path, before)
    if signature_of(path) != before:
        return None
    if not content or before is None:
        return Input(kind, name, "")
    return Input(kind, name, content, before.size, 0 if before.is_racy else before.stamp)


def result_input(path: str) -> Input | None:
    """A file that is a result. None for what is no file."""
    found = signature_of(path)
    if found is None or not found.is_file or not (content := content_of("file", path, found)):
        return None
    return Input("result", path, content, found.size)


def is_in_place(made: Input) -> bool:
    """Whether a file is as a task made it."""
    now = result_input(made.name)
    return now is not None and now.content == made.content


def link_input(name: str, root: str = "") -> Input:
    """A symbolic link by where it points. root: as for `pattern_input`"""
    try:
        target = os.readlink(os.path.join(root, name))
    except (OSError, ValueError):
        return Input("link", name, "")
    return Input("link", name, _text_content(target))


def variable_input(name: str) -> Input:
    """A variable of the environment, as it is now."""
    value = os.environ.get(name)
    if name == ZONE:  # of a machine, where the variable is not set
        value = repr((value, time.tzname, time.timezone, time.altzone))
    if value is None:
        return Input("variable", name, "")
    return Input("variable", name, _text_content(f"{name}={value}"))


def context_input(name: str, versions: Versions = "minor") -> Input:
    """A ContextVar by `module:name`, with its value in the context of this thread.

    Raises `TypeError` for a value without content, `LookupError` for a name that is not found:
    nothing is imported.
    """
    module, _, path = name.partition(":")
    variable: Any = sys.modules.get(module)
    for part in path.split("."):
        variable = getattr(variable, part, None)
    if variable is None:
        raise LookupError(name)
    value = variable.get(_UNSET)
    content = "" if value is _UNSET else digest_under(versions, value)
    return Input(f"context {versions}", name, content)


_UNSET = object()


def folder_of_process() -> Input:
    """The current folder, by which a task made a path."""
    return Input("cwd", "", os.getcwd())


def _text_content(text: str) -> str:
    return xxh3_128_hexdigest(text.encode(errors="surrogateescape"))


class Process(NamedTuple):
    """Where tasks run, if that is another process: by this, names denote what they do there.

    folder: its current folder; empty if it is not known
    variables: the contents of the variables of its environment, as far as they are known
    """

    folder: str
    variables: dict[str, str]


def this_process() -> Process:
    """This process, for another one."""
    contents = {name: variable_input(name).content for name in [*os.environ, ZONE]}
    return Process(os.getcwd(), contents)


def changed(inputs: Iterable[Input], memo: dict[Any, Any]) -> str:
    """The first input that differs from what it was, as text. "" if all are the same.

    memo: one dictionary for each plan; each file is looked at once in it. Under `Process` it may
        have a function that finds the process where tasks run
    """
    for tracked in inputs:
        difference = memo.get(tracked)
        if difference is None:
            difference = memo[tracked] = _difference(tracked, memo)
        if difference:
            return difference
    return ""


def _difference(tracked: Input, memo: dict[Any, Any]) -> str:
    if tracked.kind in MADE:
        return ""
    if tracked.kind in ("file", "folder"):
        return _path_difference(tracked, memo)
    if tracked.kind == "pattern":
        return _pattern_difference(tracked, memo)
    if tracked.kind == "link":
        return _link_difference(tracked, memo)
    now = _current(tracked.kind, tracked.name, memo)
    if now == tracked.content:
        return ""
    if tracked.kind == "cwd":
        return f"the current folder is not {tracked.content}"
    return f"{tracked.name.rpartition(':')[2]} changed"


_CURRENT: dict[str, Callable[[str], Input]] = {
    "variable": variable_input,
    "context minor": partial(context_input, versions="minor"),
    "context exact": partial(context_input, versions="exact"),
    "context ignore": partial(context_input, versions="ignore"),
    "cwd": lambda _: folder_of_process(),
}


def _process(memo: dict[Any, Any]) -> Process | None:
    """The process where tasks run; None if it is this one."""
    if callable(find := memo.get(Process)):
        memo[Process] = find()
    process: Process | None = memo.get(Process)
    return process


def _current(kind: str, name: str, memo: dict[Any, Any]) -> str | None:
    if kind in ("variable", "cwd") and (process := _process(memo)) is not None:
        if kind == "cwd":
            return process.folder
        return process.variables.get(name, "" if process.folder else None)
    try:
        return _CURRENT[kind](name).content
    except (TypeError, LookupError):  # also a kind that this program does not know
        return None


def _is_unchanged(tracked: Input, now: Signature | None) -> bool:
    return (
        now is not None
        and tracked.stamp != 0
        and now.size == tracked.size
        and now.stamp == tracked.stamp
    )


def _root(name: str, memo: dict[Any, Any]) -> str | None:
    """The folder in which tasks look up a relative path. Empty: that of this process."""
    if os.path.isabs(name) or (process := _process(memo)) is None:
        return ""
    return process.folder or None


_UNKNOWN = "is a path of workers whose current folders are not known"


def _pattern_difference(tracked: Input, memo: dict[Any, Any]) -> str:
    root = _root(tracked.name, memo)
    if root is None:
        return f"{tracked.name} {_UNKNOWN}"
    if _is_unchanged(tracked, signature_of(_folder_of(tracked.name, root))):
        return ""
    is_same = pattern_input(tracked.name, root).content == tracked.content
    return "" if is_same else f"{tracked.name} matches other files"


def _link_difference(tracked: Input, memo: dict[Any, Any]) -> str:
    root = _root(tracked.name, memo)
    if root is None:
        return f"{tracked.name} {_UNKNOWN}"
    is_same = link_input(tracked.name, root).content == tracked.content
    return "" if is_same else f"{tracked.name} points elsewhere"


def _path_difference(tracked: Input, memo: dict[Any, Any]) -> str:
    kind, name, content, size, _ = tracked
    root = _root(name, memo)
    if root is None:
        return f"{name} {_UNKNOWN}"
    path = os.path.join(root, name)
    if name in memo:
        signature = memo[name]
    else:
        signature = memo[name] = signature_of(path)
    if signature is None:
        return f"{name} is gone" if content else ""
    if _is_unchanged(tracked, signature):
        return ""
    if kind == "file" and content and signature.size != size:
        return f"{name} changed"
    current = memo.get((kind, name))
    if current is None:
        current = memo[kind, name] = content_of(kind, path, signature)
    if current == content:
        return ""
    if not content:
        return f"{name} is there now"
    return f"folder {name} has other files" if kind == "folder" else f"{name} changed"
