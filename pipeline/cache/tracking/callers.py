"""Who opened a file: the program, or a part of Python that reads and writes for itself."""

from __future__ import annotations

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
    "joblib.externals.loky.backend.context",
    "numba.core.caching",
    "_pytest",
    "coverage",
)
"""Modules whose files and programs change no result: logs, versions, counts of processors."""

_PACKAGE = Path(__file__).parent.parent.parent
_QUIET_FOLDERS = (str(_PACKAGE / "store") + os.sep, str(Path(__file__).parent) + os.sep)
_ENGINE = str(_PACKAGE) + os.sep
_APPS = str(_PACKAGE / "apps") + os.sep

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
        file = frame.f_code.co_filename
        role = _roles.get(file) or _role(file)
        if role is Role.QUIET:
            return True
        if role is Role.PROGRAM:
            return False
        if role is Role.SOURCES and path.endswith((".py", ".pyi", ".pyw")):
            return True
        if role is Role.IMPORTER and not _reads_data(frame):
            return True
        frame = frame.f_back
    return False


def opens_folder(frame: FrameType | None) -> bool:
    """Whether `os.fwalk` or `shutil.rmtree` opens a folder, by a name in another open folder."""
    return frame is not None and frame.f_code.co_name in ("_fwalk", "_rmtree_safe_fd")


def is_installed(path: str) -> bool:
    """Whether a file belongs to Python or to an installed library."""
    return path.startswith(_INSTALLED) or any(part in path for part in _PACKAGES)


def _reads_data(frame: FrameType) -> bool:
    """Whether a loader reads a file of data in a package, as for `pkgutil.get_data`."""
    outer = frame.f_back
    return (
        frame.f_code.co_name == "get_data"
        and outer is not None
        and not outer.f_code.co_filename.startswith("<frozen ")
    )


def _role(file: str) -> Role:
    role = _roles[file] = _find_role(file)
    return role


def _find_role(file: str) -> Role:
    if file.startswith(("<frozen importlib", "<frozen zipimport")):
        return Role.IMPORTER
    if file.startswith("<frozen "):
        return Role.LIBRARY
    if file.startswith(_QUIET_FOLDERS):
        return Role.QUIET
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
        folder = max((place for place in _INSTALLED if file.startswith(place)), key=len)
        inner = file.removeprefix(folder)
    return inner.removesuffix(".py").removesuffix(f"{os.sep}__init__").replace(os.sep, ".")
