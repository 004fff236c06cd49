"""Which folder is a store, and who may use its files.

The file `dask-memo` marks a folder as a store. Its own rights say who uses the store: its owner
alone, or a group. So all who open a store agree, whatever they ask for.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from typing import NamedTuple

from pipeline.store.entry import DIGEST, MAGIC

NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # or a link leads a write out of the folder

_MARK, _LAYOUT = "dask-memo", "1"
_USED_BY_GROUP = 0o060
_SAMPLE = 16  # entries of a folder without a mark that are looked at
LEASE = b"process "  # as files of leases begin

TEMPORARY = re.compile(r"[0-9a-f]{32}\.\d+\.\d+\.[0-9a-f]{8}")
_SHARD = re.compile(r"[0-9a-f]{2}(\.[0-9a-f]{16})?")
_TOPIC = re.compile(r"runs|[a-z]{1,20}-[0-9a-f]{8,64}")
_FILES = re.compile(r"size|index\.sqlite3(-[a-z]+)?|dask-memo\.[0-9a-f]{16}")
_NAMES = re.compile(rf"(entries|temporary|leases|notes)(\.[0-9a-f]{{16}})?|{_FILES.pattern}")


class Rights(NamedTuple):
    """Who may use the files and folders of a store.

    file, folder: their modes
    group: by its number; -1 if their owner alone may use them
    """

    file: int = 0o600
    folder: int = 0o700
    group: int = -1

    def give(self, path: str | int, mode: int) -> None:
        """Set the rights of a file, or of a folder, that was just opened or made."""
        state = os.stat(path)
        if self.group != -1:
            if state.st_uid != os.geteuid():  # its owner has set them
                return
            if state.st_gid != self.group:
                with suppress(OSError):  # this user is not a member: others warn that they fail
                    os.chown(path, -1, self.group)
        if state.st_mode & mode != mode:  # the umask takes rights away
            os.chmod(path, mode)


OWNER = Rights()


def group_rights(path: str) -> Rights:
    """The rights of a store in a folder that its group uses."""
    # With 0o2000, what is made in a folder has its group.
    return Rights(0o660, 0o2770, os.stat(path).st_gid)


def open_file(path: str, flags: int, rights: Rights = OWNER) -> int:
    """Open a file, and no link. A new file has these rights, whatever the umask."""
    file = os.open(path, flags | NO_LINKS, rights.file)
    if flags & os.O_CREAT:
        try:
            rights.give(file, rights.file)
        except BaseException:
            os.close(file)
            raise
    return file


def make_folder(path: str, rights: Rights) -> None:
    """Make a folder if it is missing. Others see it when they may use it."""
    if rights.group == -1:
        with suppress(FileExistsError):
            os.mkdir(path, rights.folder)
            rights.give(path, rights.folder)
        return
    temporary = _temporary_name(path)
    os.mkdir(temporary, 0o700)
    try:
        rights.give(temporary, rights.folder)
        os.rename(temporary, path)
    except OSError as error:
        os.rmdir(temporary)
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise


def is_marked(path: str) -> bool:
    """Whether a folder is a store."""
    return os.path.exists(f"{path}/{_MARK}")


def claim(path: str, is_for_group: bool) -> Rights:
    """Mark a folder as a store; the rights of its files.

    is_for_group: whether a new store is its group's

    Raises `OSError` if the folder is something else, or a store of other users.
    """
    mark = f"{path}/{_MARK}"
    try:
        file = os.open(mark, os.O_RDONLY | NO_LINKS | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        if _is_marked_meanwhile(path):
            return claim(path, is_for_group)
        return _marked(path, mark, is_for_group)
    try:
        layout = os.read(file, 20).decode(errors="replace").strip() or _LAYOUT
        is_group = os.fstat(file).st_mode & _USED_BY_GROUP == _USED_BY_GROUP
    finally:
        os.close(file)
    if layout != _LAYOUT:
        raise OSError(
            errno.EINVAL,
            f"it is a store of version {layout!r}, and this program reads version "
            f"{_LAYOUT}: update dask-memo, or give another folder",
            path,
        )
    if is_for_group and not is_group:
        raise OSError(
            errno.EPERM,
            "it was made without shared=True, for its owner alone: give another folder, or run "
            f"`chmod -R g+rwX {path}` and `find {path} -type d -exec chmod g+s {{}} +`",
            path,
        )
    return group_rights(path) if is_group else OWNER


def _marked(path: str, mark: str, is_for_group: bool) -> Rights:
    rights = group_rights(path) if is_for_group else OWNER
    temporary = _temporary_name(mark)  # others see the mark with its rights
    file = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, rights)
    try:
        os.write(file, f"{_LAYOUT}\n".encode())
    finally:
        os.close(file)
    os.replace(temporary, mark)
    return rights


def _temporary_name(path: str) -> str:
    return f"{path}.{os.urandom(8).hex()}"


# Folders without a mark


def _is_marked_meanwhile(path: str) -> bool:
    """Whether another thread or process has marked a folder that had no mark.

    Raises `FileExistsError` if it has our names, and is not what is left of a store.

    Somebody may remove the folder while processes write to it: then the mark is gone, and what they
    write later stays.
    """
    names = sorted(os.listdir(path))
    ours = [name for name in names if _NAMES.fullmatch(name)]
    if _MARK in names:
        return True
    if ours and not (ours == names and all(_is_left(path, name) for name in names)):
        raise FileExistsError(
            errno.EEXIST,
            f"it contains {ours[0]}, and is not a store: give another folder; if it is "
            f"a store, make a file {_MARK} in it",
            path,
        )
    return False


def _is_left(path: str, name: str) -> bool:
    """Whether a file or a folder can be of a store, by its name and by all that is in it."""
    place = f"{path}/{name}"
    try:
        if _FILES.fullmatch(name):
            return stat.S_ISREG(os.lstat(place).st_mode)
        match name.partition(".")[0]:
            case "entries":
                shards = _names_in(place, _SHARD, is_folder=True)
                entries = [path for shard in shards for path in _names_in(shard, DIGEST)]
                return all(_begins(entry, MAGIC) for entry in entries[:_SAMPLE])
            case "leases":
                return all(_begins(file, LEASE, b"\0") for file in _names_in(place, DIGEST))
            case "notes":
                return all(_begins(file, b"[", b"{") for file in _names_in(place, _TOPIC))
        return _names_in(place, TEMPORARY) is not None
    except FileNotFoundError:  # it is gone meanwhile
        return True
    except OSError:
        return False


def _names_in(folder: str, pattern: re.Pattern[str], is_folder: bool = False) -> list[str]:
    """The paths of files in a folder, or of folders.

    Raises `OSError` if it is a link, or has anything else in it.
    """
    if not stat.S_ISDIR(os.lstat(folder).st_mode):
        raise NotADirectoryError(folder)
    paths = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_kind = entry.is_dir if is_folder else entry.is_file
            if not pattern.fullmatch(entry.name) or not is_kind(follow_symlinks=False):
                raise FileExistsError(entry.path)
            paths.append(entry.path)
    return paths


def _begins(path: str, *starts: bytes) -> bool:
    """Whether a file begins with one of these, as far as it has so many bytes."""
    file = os.open(path, os.O_RDONLY | NO_LINKS)
    try:
        data = os.read(file, max(map(len, starts)))
        return any(start.startswith(data[: len(start)]) for start in starts)
    finally:
        os.close(file)
