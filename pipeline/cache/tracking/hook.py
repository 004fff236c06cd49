"""The audit events of a process, handed to the observers of the tasks that raise them.

CPython raises an event for each file that is opened, each socket, each program. A hook cannot be
removed, so there is one per process, which does nothing while nothing is observed.
"""

from __future__ import annotations

import glob
import os
import sys
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from types import FrameType
from typing import Any
from urllib.parse import unquote

from pipeline.cache.tracking.attribution import (
    READLINK,
    THREAD_STARTS,
    current_observers,
    follow_work,
    start_thread,
    watching,
)
from pipeline.cache.tracking.callers import (
    is_own_affair,
    looks_for_pattern,
    opens_folder,
    starts_process,
)
from pipeline.cache.tracking.inputs import Input
from pipeline.cache.tracking.observer import Needs, Observer
from pipeline.identity import Versions, signature_of


def observing(
    given: Container[str] = (),
    needs: Needs | None = None,
    *,
    seeds: Container[str] = (),
    draws: bool = True,
    versions: Versions = "minor",
) -> Observer:
    """An observer of this thread, for a `with` statement. Its lists are complete after that."""
    _install()
    return Observer(given, needs, seeds=seeds, draws=draws, versions=versions)


def add_inputs(inputs: Iterable[Input]) -> None:
    """Adds inputs to what runs in this thread: those of a result that it takes from a store."""
    kept = list(inputs)
    for observer in current_observers():
        observer.add(kept)


def add_effect(text: str) -> None:
    """Adds an effect to what runs in this thread: why its result is not stored."""
    for observer in current_observers():
        observer.effect(text)


# Events


def _decoded(path: Any) -> str | None:
    """A path as text. None for what is none: of an open file, on Linux, its path is known."""
    if path is None:
        return "."
    if isinstance(path, int):
        try:
            return os.readlink(f"/proc/self/fd/{path}")
        except OSError:
            return None
    try:
        return os.fsdecode(path)
    except (TypeError, ValueError):
        return None


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NEW = os.O_CREAT | os.O_EXCL
_UNNAMED = getattr(os, "O_TMPFILE", 0)


def _open(observer: Observer, path: Any, _mode: Any, flags: Any) -> None:
    name = None if isinstance(path, int) else _decoded(path)
    if name is None:
        return
    if not isinstance(flags, int) or not flags & _WRITING:
        observer.read(name)
    elif flags & _NEW == _NEW and os.path.lexists(name):
        observer.read(name)  # an error that shows that the file is there
    elif not _UNNAMED or flags & _UNNAMED != _UNNAMED:
        observer.write(name, is_anew=bool(flags & os.O_TRUNC))


def _list(observer: Observer, path: Any = None) -> None:
    name = _decoded(path)
    if name is not None:
        observer.read(name, "folder")


def _readlink(observer: Observer, path: Any, folder: Any) -> None:
    name = _decoded(path)
    if name is not None and folder is None:
        observer.link(name)


def _glob(observer: Observer, pattern: Any, _recursive: Any, root: Any, folder: Any) -> None:
    name, place = _decoded(pattern), _decoded(root or "")
    if name is not None and place is not None:
        observer.match("**" if folder is not None else os.path.join(glob.escape(place), name))


def _glob_in(observer: Observer, folder: Any, pattern: Any) -> None:
    place = "" if str(folder) == "." else glob.escape(str(folder))
    observer.match(os.path.join(place, str(pattern)))


def _writes(verb: str, which: int = 0, folder: int | None = None) -> Callable[..., None]:
    """An event that changes a path. which, folder: the places of the path and of its `dir_fd`."""

    def handle(observer: Observer, *args: Any) -> None:
        name = _joined(args, which, folder)
        if name is not None:
            observer.write(name, verb, is_anew=verb != "changed")

    return handle


def _joined(args: Sequence[Any], which: int, folder: int | None) -> str | None:
    """A path among the arguments of an event, which may be in an open folder."""
    name = _decoded(args[which])
    if name is None or folder is None or len(args) <= folder or args[folder] in (-1, None):
        return name
    return os.path.join(_decoded(args[folder]) or "", name)


def _rename(observer: Observer, *args: Any) -> None:
    name = _joined(args, 0, 2)
    if name is not None and os.path.lexists(name):
        observer.write(name, "renamed")
        _writes("wrote", 1, 3)(observer, *args)


def _mkdir(observer: Observer, path: Any, *_: Any) -> None:
    """A folder is no effect. What is removed from it later was the task's own."""
    name = _decoded(path)
    if name is not None and signature_of(name) is None:
        observer.write(name, "made")


def _sqlite(observer: Observer, database: Any, *_: Any) -> None:
    """A database is read, unless it changes: its transactions are in two more files."""
    name = _decoded(database) or ""
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").partition("?")[0])
        name = name.removeprefix("//localhost").removeprefix("//")
    if name not in ("", ":memory:"):
        for end in ("", "-journal", "-wal"):
            observer.read(name + end, may_write=True)


def _socket(observer: Observer, *args: Any) -> None:
    address = args[-1] if args else None
    if isinstance(address, tuple) and len(address) > 1:
        observer.effect(f"it opened a socket to {address[0]}:{address[1]}")
    else:
        observer.effect("it opened a socket")


def _lookup(observer: Observer, host: Any = None, *_: Any) -> None:
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    observer.effect(f"it looked up the address of {name}")


def _program(observer: Observer, command: Any = None, arguments: Any = None, *_: Any) -> None:
    if isinstance(arguments, list | tuple) and arguments:
        command = arguments[0]
    name = _decoded(command) if isinstance(command, str | bytes | os.PathLike) else None
    words = name.split() if name else []
    observer.effect(
        f"it started a program: {os.path.basename(words[0]) or words[0]}"
        if words
        else "it started a program"
    )


def _spawn(observer: Observer, _mode: Any, *args: Any) -> None:
    _program(observer, *args)


def _variable(observer: Observer, name: Any, *_: Any) -> None:
    observer.set_variable(os.fsdecode(name))


def _effect(text: str) -> Callable[..., None]:
    def handle(observer: Observer, *_: Any) -> None:
        observer.effect(text)

    return handle


def _dlopen(observer: Observer, name: Any = None, *_: Any) -> None:
    """Compiled code that the program loads itself. Names without a folder are of the system."""
    if isinstance(name, str) and os.sep in name:
        observer.read(name)


def _chdir(observer: Observer, *_: Any) -> None:
    observer.move()


_EVENTS: dict[str, Callable[..., None]] = {
    "open": _open,
    "os.listdir": _list,
    "os.scandir": _list,
    READLINK: _readlink,
    "glob.glob/2": _glob,
    "pathlib.Path.glob": _glob_in,
    "pathlib.Path.rglob": lambda observer, *_: observer.match("**"),
    "os.remove": _writes("removed", 0, 1),
    "os.rmdir": _writes("removed", 0, 1),
    "shutil.rmtree": _writes("removed"),
    "os.truncate": _writes("changed"),
    "os.utime": _writes("changed"),
    "os.chmod": _writes("changed"),
    "os.chown": _writes("changed"),
    "os.rename": _rename,
    "os.link": _writes("wrote", 1, 3),
    "os.symlink": _writes("wrote", 1, 2),
    "os.mkdir": _mkdir,
    "os.putenv": _variable,
    "os.unsetenv": _variable,
    "os.chdir": _chdir,
    "os.fchdir": _chdir,
    "sqlite3.connect": _sqlite,
    "socket.connect": _socket,
    "socket.bind": _socket,
    "socket.sendto": _socket,
    "socket.sendmsg": _socket,
    "socket.getaddrinfo": _lookup,
    "socket.gethostbyname": _lookup,
    "socket.gethostbyaddr": _lookup,
    "subprocess.Popen": _program,
    "os.system": _program,
    "os.exec": _program,
    "os.posix_spawn": _program,
    "os.spawn": _spawn,
    "os.fork": _effect("it started a process"),
    "os.forkpty": _effect("it started a process"),
    "os.kill": _effect("it sent a signal"),
    "os.killpg": _effect("it sent a signal"),
    "builtins.input": _effect("it read from the keyboard"),
    "webbrowser.open": _effect("it opened a browser"),
    "ctypes.dlopen": _dlopen,
}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Hands an event to the observers of its thread. Called for every event of the process."""
    if not watching or event not in _HANDLED:
        return
    observers = current_observers()
    if not observers:
        return
    try:
        _observe(observers, event, args, sys._getframe().f_back)
    except Exception as error:  # an error here would become one of the task
        for observer in observers:
            observer.effect(f"{event} could not be observed: {error}")


def _observe(
    observers: Sequence[Observer], event: str, args: tuple[Any, ...], frame: FrameType | None
) -> None:
    if event in THREAD_STARTS:
        start_thread(args[0])
        return
    path = args[0] if args and isinstance(args[0], str) else ""
    is_quiet = is_own_affair(frame, path)
    has_processes = starts_process(event, frame, path)
    for observer in observers:
        if event == "import":
            observer.imports(is_quiet)
        elif has_processes:
            observer.effect("it started a process")
        elif event == "os.scandir" and not is_quiet and looks_for_pattern(frame):
            observer.read(_decoded(args[0]) or ".", "listing")
        elif not is_quiet and not (event == "open" and opens_folder(frame)):
            _EVENTS[event](observer, *args)


_HANDLED = {*_EVENTS, *THREAD_STARTS, "import"}

_installing = threading.Lock()
_installed: list[bool] = []


def _install() -> None:
    """Adds the hook, once per process: no hook can be removed."""
    if _installed:
        return
    with _installing:
        if not _installed:
            follow_work()
            sys.addaudithook(_hook)
            _installed.append(True)
