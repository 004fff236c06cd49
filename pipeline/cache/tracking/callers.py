"""Who opened a file: the program, or a part of Python that reads and writes for itself."""

from __future__ import annotations

import glob
import os
import sysconfig
from enum import Enum
from pathlib import Path
from types import FrameType


class Role(Enum):
    """What a file of Python code does, as far as its reading and writing is concerned."""

    PROGRAM = "it reads and writes for the task"
    LIBRARY = "it does so for its caller"
    IMPORTER = "it loads modules"
    SOURCES = "it reads source code, for messages"
    QUIET = "what it reads and writes does not count"


_QUIET = (
    "logging",
    "importlib.metadata",
    "pkg_resources",
    "platform",
    "ctypes.util",
    "multiprocessing.resource_tracker",
    "mimetypes",
    "distributed",
    "joblib.externals.loky",
    "joblib._memmapping_reducer",
    "numba.core.caching",
    "_pytest",
    "coverage",
)
"""Modules whose files, sockets and programs change no result: logs, versions, schedulers."""

_PACKAGE = Path(__file__).parent.parent.parent
_OWN = (
    str(_PACKAGE / "store") + os.sep,
    *(str(Path(__file__).with_name(f"{name}.py")) for name in ("inputs", "observer", "readers")),
)
"""Files of this engine that open files of the store, or look at those of the task."""

_ENGINE = str(_PACKAGE) + os.sep
_APPS = str(_PACKAGE / "apps") + os.sep
_SAVING = str(_PACKAGE / "cache" / "saving" / "tasks.py")
"""It calls the tasks. What calls it in turn, such as the worker of a cluster, does not count."""

_INSTALLED = tuple(
    {
        f"{folder}{os.sep}"
        for kind in ("purelib", "platlib", "stdlib", "platstdlib")
        for folder in (sysconfig.get_path(kind), os.path.realpath(sysconfig.get_path(kind)))
    }
)
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

_roles: dict[str, Role] = {}


def is_own_affair(frame: FrameType | None, path: str = "") -> bool:
    """Whether Python or a library did this for itself: imported a module, wrote a log.

    frame: the one that opened `path`. The frames from there to the first of the program decide.
    """
    while frame is not None:
        role = _role_of(frame)
        if role is Role.QUIET:
            return True
        if role is Role.PROGRAM:
            return False
        if role is Role.SOURCES and path.endswith((".py", ".pyi", ".pyw")):
            return True
        if role is Role.IMPORTER:
            frame = _first_of_importer(frame)
            if frame.f_code.co_name not in _LOADERS:
                return True
        frame = frame.f_back
    return False


def opens_folder(frame: FrameType | None) -> bool:
    """Whether `os.fwalk` or `shutil.rmtree` opens a folder, by a name in another open folder."""
    return frame is not None and frame.f_code.co_name in ("_fwalk", "_rmtree_safe_fd")


def looks_for_pattern(frame: FrameType | None) -> bool:
    """Whether a folder is listed by `glob`, or by `Path.glob`, which has a method for that."""
    if frame is None:
        return False
    if frame.f_code.co_name == "_scandir" and frame.f_back is not None:
        return frame.f_back.f_code.co_name in ("_select_from", "_iterate_directories")
    return frame.f_code.co_filename == glob.__file__


def starts_process(event: str, frame: FrameType | None, path: str) -> bool:
    """Whether processes are started, or used, for which Python raises no event.

    `multiprocessing` opens a pipe to each. joblib keeps its processes and makes a folder for each
    use; a library such as scikit-learn has them compute what it would compute itself.
    """
    if frame is None:
        return False
    if event == "open":
        code = frame.f_code
        return code.co_name == "_launch" and code.co_filename.endswith(_LAUNCHERS)
    if event == "os.mkdir" and "joblib_memmapping_folder" in path:
        caller: FrameType | None = frame
        while caller is not None and _role_of(caller) is not Role.PROGRAM:
            name = _module(caller.f_code.co_filename)
            if name.partition(".")[0] not in ("os", "<frozen os>", "joblib"):
                return False
            caller = caller.f_back
        return caller is not None
    return False


_LAUNCHERS = ("popen_spawn_posix.py", "popen_forkserver.py")


def is_installed(path: str) -> bool:
    """Whether a file belongs to Python or to an installed library."""
    return path.startswith(_INSTALLED) or any(part in path for part in _PACKAGES)


_LOADERS = {"exec_module", "load_module", "get_code", "get_source", "get_data"}
"""What a program calls in order to run a file as a module, or to read the data of a package."""


def _first_of_importer(frame: FrameType) -> FrameType:
    """The function of the importer that was called from outside."""
    while (outer := frame.f_back) is not None:
        if not outer.f_code.co_filename.startswith("<frozen importlib"):
            break
        frame = outer
    return frame


def _role_of(frame: FrameType) -> Role:
    file = frame.f_code.co_filename
    if file not in _roles:
        _roles[file] = _find_role(file)
    return _roles[file]


def _find_role(file: str) -> Role:
    if file.startswith(("<frozen importlib", "<frozen zipimport")):
        return Role.IMPORTER
    if file.startswith("<frozen "):
        return Role.LIBRARY
    if file.startswith(_OWN):
        return Role.QUIET
    if file == _SAVING:
        return Role.PROGRAM
    if file.startswith(_ENGINE) and not file.startswith(_APPS):
        return Role.LIBRARY
    if not is_installed(file):
        return Role.PROGRAM
    module = _module(file)
    if module == "linecache":
        return Role.SOURCES
    is_quiet = any(module == name or module.startswith(f"{name}.") for name in _QUIET)
    return Role.QUIET if is_quiet else Role.LIBRARY


def _module(file: str) -> str:
    """The name of an installed module, by its file."""
    for part in _PACKAGES:
        if part in file:
            inner = file.rpartition(part)[2]
            break
    else:
        folder = max((place for place in _INSTALLED if file.startswith(place)), key=len, default="")
        inner = file.removeprefix(folder)
    return inner.removesuffix(".py").removesuffix(f"{os.sep}__init__").replace(os.sep, ".")
