"""Files at a URL that fsspec knows: in a bucket of S3 or alike, in memory, on a server.

What such places have in common, and no more: a file is written as a whole, read from its beginning,
listed, and removed. What they do not tell by an error is not asked of them.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any

from fsspec import get_filesystem_class
from fsspec.core import split_protocol, url_to_fs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
"""Protocols of objects, which are there as a whole or not at all, and need no folders."""

_IMPATIENT: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "max_pool_connections": 32,
}
"""How botocore is set for S3: what is down is known in seconds, what hangs in half a minute."""

_PART = 1 << 24
"""Bytes that are read by one request; the parts of what is larger are read at the same time."""

_ABANDONED = 3600
"""Seconds after which a file aside is taken to have no writer."""


@contextmanager
def _reached() -> Iterator[None]:
    """Have what fails be an `OSError`, whatever a library calls it."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


class Bucket:
    """Files by their paths below a URL. Raises `OSError` for what fails there.

    options: for fsspec, as `key`, `secret` and `endpoint_url` of S3. For S3, a connection is given
        5 s and an answer 10 s, three times each; `config_kwargs`, for botocore, sets it otherwise
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        # Nothing is connected before it is used: only what is asked wrongly fails here.
        self.url, self.options = url, options
        self.protocol = url.partition("://")[0].rpartition("::")[2]
        self._is_whole = self.protocol in _BUCKETS or self.protocol == "memory"
        self._is_shared = self._is_whole  # of others it is known when there is a connection
        self._known: dict[tuple[int, int], tuple[Any, str]] = {}
        if self.protocol in _BUCKETS and not url.partition("://")[2].strip("/"):
            raise ValueError(f"it names no bucket: give {self.protocol}://bucket/cache")
        for each in filter(None, (split_protocol(part)[0] for part in url.split("::"))):
            get_filesystem_class(each)

    def _opened(self) -> tuple[Any, str]:
        options = {"use_listings_cache": False, **self.options}
        is_s3 = self.url.startswith(("s3://", "s3a://"))
        given = options.get("config_kwargs") or {}
        if is_s3:
            options["config_kwargs"] = {**_IMPATIENT, **given}
        fs, path = url_to_fs(self.url, **options)
        if is_s3 and "retries" not in given:
            fs.retries = 1  # s3fs tries five times whatever botocore has tried already
        return fs, path

    @property
    def fs(self) -> Any:
        """The file system, as this process uses it, and this thread where that matters."""
        return self._connected()[0]

    @property
    def path(self) -> str:
        """Where the files are in it."""
        return self._connected()[1]

    def _connected(self) -> tuple[Any, str]:
        # What awaits does so in a thread, which a fork leaves behind; what does not await is one
        # connection, of FTP for one, on which two threads would speak at the same time.
        here = os.getpid(), 0 if self._is_shared else get_ident()
        if here not in self._known:
            fs, path = self._opened()
            self._is_shared = bool(fs.async_impl) or self._is_shared
            self._known[here] = fs, path.rstrip("/")
        return self._known[here]

    def listed(self, folder: str) -> dict[str, dict[str, Any]]:
        """What is known of each file below a folder, by its name."""
        return {path.rpartition("/")[2]: told for path, told in self.found(folder).items()}

    @_reached()
    def found(self, folder: str) -> dict[str, dict[str, Any]]:
        """What is known of each file below a folder, by its path."""
        try:
            self.fs.invalidate_cache()
            return dict(self.fs.find(f"{self.path}/{folder}", detail=True))
        except FileNotFoundError:
            return {}

    @_reached()
    def info(self, path: str) -> dict[str, Any] | None:
        """What is known of a file. None if it is missing."""
        try:
            return dict(self.fs.info(f"{self.path}/{path}"))
        except FileNotFoundError:
            return None

    @_reached()
    def begun(self, paths: Iterable[str], sizes: Iterable[int]) -> list[bytes | None]:
        """The first bytes of some files, asked for together. None for each that is missing."""
        places = [f"{self.path}/{each}" for each in paths]
        ends = [max(each, 1) for each in sizes]
        found: list[bytes | None] = []
        # Not `exists`, for which a server that cannot be reached has nothing.
        told = self.fs.cat_ranges(places, [0] * len(places), ends, on_error="return")
        for each in told if places else ():
            if isinstance(each, FileNotFoundError):
                found.append(None)
            elif isinstance(each, Exception):
                if "satisfiable" not in str(each):  # the file has no bytes to take the first of
                    raise each
                found.append(b"")
            else:
                found.append(each)
        return found

    @_reached()
    def whole(self, path: str) -> bytes | None:
        """All bytes of a file, which takes one request, if it is not large. None if missing."""
        [found] = self.begun([path], [_PART])
        if found is None or len(found) < _PART:
            return found
        place = f"{self.path}/{path}"
        size = self.fs.size(place)
        starts = list(range(_PART, size, _PART))
        ends = [min(each + _PART, size) for each in starts]
        more = self.fs.cat_ranges([place] * len(starts), starts, ends, on_error="raise")
        return b"".join([found, *more])

    @_reached()
    def write(self, path: str, data: bytes) -> None:
        """Write a file so that it is there as a whole or not at all."""
        fs, place = self.fs, f"{self.path}/{path}"
        if self._is_whole:
            fs.pipe_file(place, data)
            return
        aside = f"{self.path}/aside/{stamp()}"
        fs.makedirs(f"{self.path}/aside", exist_ok=True)
        try:
            fs.pipe_file(aside, data)
            fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            fs.mv(aside, place)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(aside)
            raise

    @_reached()
    def erase(self, paths: Iterable[str]) -> None:
        """Remove files, by one request where there is one for that; missing ones are no error."""
        places = [f"{self.path}/{each}" for each in paths]
        if self._is_shared and len(places) > 1:
            self.fs.rm(places)
            return
        for each in places:
            with suppress(FileNotFoundError):
                self.fs.rm_file(each)

    def sweep(self) -> int:
        """Remove what was written aside long ago, and give how many files it was."""
        if self._is_whole:
            return 0
        before = time.time_ns() - _ABANDONED * 10**9
        old = [each for each in self.listed("aside") if given(each) < before]
        self.erase(f"aside/{each}" for each in old)
        return len(old)


def stamp() -> str:
    """A name that no other writer takes, and that sorts by when it was given."""
    return f"{time.time_ns():020}-{os.urandom(4).hex()}"


def given(stamp: str) -> int:
    """When a name was given, in nanoseconds since 1970; 0 for what is no such name."""
    digits = stamp.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0
