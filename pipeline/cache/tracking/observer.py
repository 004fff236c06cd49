"""What a task does while it runs: the files that it reads, and its effects on the world.

CPython raises an audit event for each file that is opened, each socket, each program. One hook
per process hands the events of a thread to the observers of that thread: those of the task that
runs in it, and of the tasks around it. A thread that a task starts counts as the task's.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import source_from_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from pipeline.cache.tracking.callers import (
    is_installed,
    is_own_affair,
    opens_folder,
    starts_process,
)
from pipeline.cache.tracking.draws import States, states
from pipeline.cache.tracking.inputs import (
    Input,
    Signature,
    content_of,
    context_input,
    folder_of_process,
    path_input,
    signature_of,
    variable_input,
)


class Needs(Protocol):
    """What the code of a function reads, besides its arguments."""

    @property
    def variables(self) -> Iterable[str]: ...

    @property
    def contexts(self) -> Iterable[str]: ...


class _Read(NamedTuple):
    """A file or a folder at its first opening.

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
    ) -> None:
        self.inputs, self.effects, self.changes = [], [], []
        self._given, self._needs, self._seeds, self._draws = given, needs, seeds, draws
        self._reads: dict[tuple[str, str], _Read] = {}
        self._found: dict[Input, None] = {}
        self._seen: dict[str, None] = {}
        self._written: dict[str, bool] = {}
        self._variables: dict[str, str | None] = {}
        self._folder = ""
        self._states: States | None = None

    def __enter__(self) -> Observer:
        _install()
        if self._needs is not None:
            self._read_needs(self._needs)
        if self._draws:
            self._states = states()
        thread = _local.state
        thread.observers = (*thread.observers, self)
        _observing.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _observing.discard(self)
        thread = _local.state
        thread.observers = tuple(other for other in thread.observers if other is not self)
        if self._states is not None:
            self._compare_draws(self._states)
        if self._written:
            self._check_written()
        if self._variables or self._folder:
            self._check_process()
        for read in list(self._reads.values()):
            self._check_read(read)
        changes = [f"{name} changed while it ran" for name in self.changes]
        self.inputs, self.effects = sorted(self._found), [*changes, *self._seen]

    # What the events report, and what others may add while the block runs

    def add(self, inputs: Iterable[Input]) -> None:
        """More inputs: those of a result that the task took from a store."""
        self._found.update(dict.fromkeys(inputs))

    def effect(self, text: str) -> None:
        self._seen[text] = None

    def read(self, name: str, kind: str = "file", *, may_write: bool = False) -> None:
        """A file or a folder that is about to be opened.

        may_write: whether the task itself may write it by this
        """
        if name.endswith(".pyc"):
            name = _source_of(name)
        if (kind, name) in self._reads:
            return
        path = os.path.join(os.getcwd(), name)
        if _is_system(path) or self._wrote(path):
            return
        if not _is_text(name):
            self.effect(f"it read {_short(path)!a}, whose name is no text")
            return
        before = signature_of(path)
        if before is not None and before.is_folder != (kind == "folder"):
            return  # an error, or a folder that is opened in order to list it
        if os.path.isabs(name):
            if self._depends_on_folder(path):
                self._found[folder_of_process()] = None
        elif self._folder:
            self._found[Input("cwd", "", self._folder)] = None
            name = path
        if before is not None and not (before.is_file or before.is_folder):
            self.effect(f"it read from {_short(path)}, which is no file")
            return
        content = content_of(kind, path, before) if before and before.is_racy else ""
        self._reads[kind, name] = _Read(kind, name, path, before, content, may_write)

    def write(self, name: str, verb: str = "wrote") -> None:
        """A path that is about to be written, made, changed, or removed."""
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
            self.effect(f"it {verb} {_short(path)}")

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

    # After the block

    def _read_needs(self, needs: Needs) -> None:
        for name in needs.variables:
            self._found[variable_input(name)] = None
        for name in needs.contexts:
            short = name.rpartition(":")[2]
            try:
                self._found[context_input(name)] = None
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
        for path, was_there in list(self._written.items()):
            after = None if was_there else signature_of(path)
            if after is not None and not (after.is_folder and _is_empty(path)):
                self.effect(f"it wrote {_short(path)}")

    def _check_process(self) -> None:
        for name, value in self._variables.items():
            if os.environ.get(name) != value:
                self.effect(f"it set the environment variable {name}")
        if self._folder and os.getcwd() != self._folder:
            self.effect("it changed the current folder")

    def _check_read(self, read: _Read) -> None:
        before = read.before
        if read.kind == "folder" and self._wrote_into(read.path):
            before = signature_of(read.path)  # its own files change a folder
        found = path_input(read.kind, read.name, read.path, before)
        if found is not None and read.content in ("", found.content):
            self._found[found] = None
        elif read.may_write:
            self.effect(f"it wrote {_short(read.path)}")
        elif not self._wrote(read.path):
            what = "folder " if read.kind == "folder" else ""
            self.changes.append(f"{what}{_short(read.path)}")

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


def observing(
    given: Container[str] = (),
    needs: Needs | None = None,
    *,
    seeds: Container[str] = (),
    draws: bool = True,
) -> Observer:
    """An observer of this thread, for a `with` statement. Its lists are complete after that."""
    return Observer(given, needs, seeds=seeds, draws=draws)


def add_inputs(inputs: Iterable[Input]) -> None:
    """Adds inputs to what runs in this thread: those of a result that it takes from a store."""
    if _observing:
        kept = list(inputs)
        for observer in _local.state.current():
            observer.add(kept)


# Threads


class _Thread:
    """The observers of a thread, and the thread that started it while it was observed."""

    def __init__(self, parent: _Thread | None) -> None:
        self.observers: tuple[Observer, ...] = ()
        self.parent = parent

    def current(self) -> Sequence[Observer]:
        """The observers of this thread, and those that its parents have now."""
        if self.parent is None:
            return self.observers
        return (*self.observers, *self.parent.current())


class _Local(threading.local):
    def __init__(self) -> None:
        # `threading.current_thread()` would register this thread, if it is still starting.
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
        self.state = _Thread(_parents.get(thread) if thread is not None else None)


_parents: WeakKeyDictionary[threading.Thread, _Thread] = WeakKeyDictionary()
_observing: set[Observer] = set()


def _start_thread(function: Any) -> None:
    """A thread is started: its events count for the thread that starts it."""
    thread = getattr(function, "__self__", None)
    if isinstance(thread, threading.Thread):
        _parents[thread] = _local.state


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
        observer.write(name)


def _list(observer: Observer, path: Any = None) -> None:
    name = _decoded(path)
    if name is not None:
        observer.read(name, "folder")


def _writes(verb: str, which: int = 0, folder: int | None = None) -> Callable[..., None]:
    """An event that changes a path. which, folder: the places of the path and of its `dir_fd`."""

    def handle(observer: Observer, *args: Any) -> None:
        name = _joined(args, which, folder)
        if name is not None:
            observer.write(name, verb)

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
    observer.effect(f"it started a program: {_last(words[0])}" if words else "it started a program")


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

_STARTS = {"_thread.start_new_thread", "_thread.start_joinable_thread"}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Hands an event to the observers of its thread. Called for every event of the process."""
    if not _observing or event not in _HANDLED:
        return
    observers = _local.state.current()
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
    if event in _STARTS:
        _start_thread(args[0])
        return
    path = args[0] if args and isinstance(args[0], str) else ""
    is_quiet = is_own_affair(frame, path)
    has_processes = starts_process(event, frame, path)
    for observer in observers:
        if event == "import":
            observer.imports(is_quiet)
        elif has_processes:
            observer.effect("it started a process")
        elif not is_quiet and not (event == "open" and opens_folder(frame)):
            _EVENTS[event](observer, *args)


_HANDLED = {*_EVENTS, *_STARTS, "import"}

_local = _Local()
_installing = threading.Lock()
_installed: list[bool] = []


def _install() -> None:
    """Adds the hook, once per process: no hook can be removed."""
    if _installed:
        return
    with _installing:
        if not _installed:
            if sys.version_info < (3, 12):
                _report_threads()
            _follow_pools()
            os.register_at_fork(after_in_child=_observing.clear)
            sys.addaudithook(_hook)
            _installed.append(True)


def _report_threads() -> None:
    """Has `threading` raise the event that Python 3.12 raises when a thread is started."""
    start = threading._start_new_thread  # type: ignore[attr-defined]

    def audited(function: Any, args: Any, *more: Any) -> Any:
        sys.audit("_thread.start_new_thread", function, args, *more)
        return start(function, args, *more)

    threading._start_new_thread = audited  # type: ignore[attr-defined]


def _follow_pools() -> None:
    """Has what a task hands to a pool count as the task's: its threads may be older."""
    submit: Callable[..., Any] = ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def followed(pool: Any, function: Any, /, *args: Any, **named: Any) -> Any:
        if _observing and (observers := _local.state.current()):
            return submit(pool, _call_for, observers, function, *args, **named)
        return submit(pool, function, *args, **named)

    ThreadPoolExecutor.submit = followed  # type: ignore[method-assign]


def _call_for(
    observers: Sequence[Observer], function: Callable[..., Any], /, *args: Any, **named: Any
) -> Any:
    """Calls a function for the task of another thread."""
    thread = _local.state
    before, current = thread.observers, thread.current()
    thread.observers = (*before, *(other for other in observers if other not in current))
    try:
        return function(*args, **named)
    finally:
        thread.observers = before


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


def _is_empty(folder: str) -> bool:
    """Whether a folder holds no files, but for folders."""
    return not any(files for _, _, files in os.walk(folder))


def _last(path: str) -> str:
    return os.path.basename(path) or path
