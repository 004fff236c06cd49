"""How many bytes are in all entries of a folder, as the processes that use it count together."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.store.disk import write
from pipeline.store.locks import holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.store.disk import Folders


class Tally:
    """A number in a file, which one thread or process at a time reads and changes.

    recount: what it should be, found out anew
    """

    def __init__(self, folders: Folders, path: str, recount: Callable[[], int]) -> None:
        self._folders, self._recount = folders, recount
        self._folder, self._name = os.path.split(path)
        self._held = threading.local()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who counts."""
        flags = os.O_RDWR | os.O_CREAT
        with holding(self._folders.open(self._folder, self._name, flags)) as file:
            self._held.file = file
            try:
                yield
            finally:
                del self._held.file

    def get(self) -> int:
        """The number, as it was set; to be asked with the lock held."""
        file = self._held.file
        os.lseek(file, 0, os.SEEK_SET)
        text = os.read(file, _DIGITS + 1)
        if len(text) != _DIGITS or not text.strip().isdigit():
            os.truncate(file, 0)  # nobody has counted yet, or it is no number of ours
            return self._recount()
        # What was written before the system went down may have been lost.
        return self._recount() if os.fstat(file).st_mtime < _booted() else int(text)

    def set(self, total: int) -> None:
        """Say what it is now, with the lock held."""
        file = self._held.file
        os.lseek(file, 0, os.SEEK_SET)
        write(file, [f"{total:<{_DIGITS}}".encode()])


_DIGITS = 20


def _booted() -> float:
    """When the system was started, in seconds since 1970; 0 where that is not known."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if clock is None else time.time() - time.clock_gettime(clock)
