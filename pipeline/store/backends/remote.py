"""A store's entries at a URL that fsspec knows: `s3://bucket/cache`, `memory://`.

    entries/ab/abcdef…    one object per entry, named by its digest
    temporary/            entries that are being written, where readers could see partial files
    notes/<topic>/<time>  one line each. Reading many of them merges them into one object
    notes/<topic>/latest  the last line, of topics of which only that counts

Names are looked up one by one, many at once; only where requests wait for each other, all names
are listed. Nothing is locked: two processes may compute the same task, and the last one to store it
wins. What others store may exceed a bound for a second. Entries are read into memory. When an entry
was last used is not known, only when it was written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import get_ident
from typing import Any, NamedTuple

from fsspec import get_filesystem_class
from fsspec.core import split_protocol, url_to_fs
from fsspec.implementations.dirfs import DirFileSystem

from pipeline.identity import mask_passwords
from pipeline.store.backends.index import Stat, Usage
from pipeline.store.backends.notes import MAX_NOTE_BYTES, checked_topic, newest
from pipeline.store.entry import DIGEST, Entry, pieces

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
"""Protocols of object stores: they need no folders, and no reader sees a partial object."""

_S3_SETTINGS: dict[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "max_pool_connections": 32,
}
"""For botocore: a server that is down fails in seconds, one that hangs in half a minute."""

_PART = 1 << 24  # bytes of one request. The parts of a larger file are requested at the same time
_LISTED = 64  # digests from which on names are listed where requests wait for each other
HEAD = 1 << 14  # bytes of an entry that `fetch` reads: all of a small one
_BATCH = 1000  # entries whose heads are in memory at the same time
_MOST_NOTES = 100  # objects of a topic from which on they are merged into one
_MERGED = ".many"
_LATEST = "latest"
_LAST_COUNTS = ("code-", "content-")  # topics of which the last line counts: found by name
_ABANDONED = 3600  # seconds after which a temporary file counts as abandoned


@contextmanager
def _os_errors() -> Iterator[None]:
    """Turn any library's error into an `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


class Bucket:
    """Files by their paths below a URL. Raises `OSError` for all failures.

    options: for fsspec, as `key`, `secret` and `endpoint_url` of S3. `config_kwargs`, for botocore,
        replaces our timeouts

    It connects when it is first used: here only wrong arguments fail.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url, self.options = url, options
        self.protocol = url.partition("://")[0].rpartition("::")[2]
        self._is_atomic = self.protocol in _BUCKETS or self.protocol == "memory"
        self._is_thread_safe = self._is_atomic  # of others the connection says it
        self._connections: dict[tuple[int, int], tuple[Any, str]] = {}
        if self.protocol in _BUCKETS and not url.partition("://")[2].strip("/"):
            raise ValueError(f"it names no bucket: give {self.protocol}://bucket/cache")
        protocols = filter(None, (split_protocol(part)[0] for part in url.split("::")))
        first, *_ = [get_filesystem_class(protocol) for protocol in protocols]
        self.is_parallel = first.async_impl is True  # else each request waits for the one before

    @property
    def fs(self) -> Any:
        """The file system of this process, and of this thread where that matters."""
        return self._connected()[0]

    @property
    def path(self) -> str:
        """The path of the URL in its file system."""
        return self._connected()[1]

    def _connected(self) -> tuple[Any, str]:
        # An asynchronous file system has a thread, which a fork leaves behind. Another one is a
        # single connection, as of FTP, which two threads must not use at the same time.
        here = os.getpid(), 0 if self._is_thread_safe else get_ident()
        if here not in self._connections:
            options = {"use_listings_cache": False, **self.options}
            is_s3 = self.url.startswith(("s3://", "s3a://"))
            settings = options.get("config_kwargs") or {}
            if is_s3:
                options["config_kwargs"] = {**_S3_SETTINGS, **settings}
            fs, path = url_to_fs(self.url, **options)
            if isinstance(fs, DirFileSystem):  # before 2026.5 it could read files only whole
                fs, path = fs.fs, f"{fs.path}/{path}"
            if is_s3 and "retries" not in settings:
                fs.retries = 1  # botocore has tried already; s3fs would multiply that by five
            self._is_thread_safe = bool(fs.async_impl) or self._is_thread_safe
            self._connections[here] = fs, path.rstrip("/")
        return self._connections[here]

    @_os_errors()
    def find(self, folder: str) -> dict[str, dict[str, Any]]:
        """What is known of each file below a folder, by its path."""
        self.fs.invalidate_cache()
        with suppress(FileNotFoundError):
            return dict(self.fs.find(f"{self.path}/{folder}", detail=True))
        return {}

    def listing(self, folder: str) -> dict[str, dict[str, Any]]:
        """What is known of each file below a folder, by its name."""
        return {path.rpartition("/")[2]: info for path, info in self.find(folder).items()}

    @_os_errors()
    def info(self, path: str) -> dict[str, Any] | None:
        """What is known of a file. None if it is missing."""
        with suppress(FileNotFoundError):
            return dict(self.fs.info(f"{self.path}/{path}"))
        return None

    @_os_errors()
    def heads(self, paths: Iterable[str], lengths: Iterable[int]) -> list[bytes | None]:
        """The first bytes of files, requested together. None for missing files."""
        places = [f"{self.path}/{path}" for path in paths]
        ends = [max(length, 1) for length in lengths]
        if not places:
            return []
        # `exists` would report every file of an unreachable server as missing.
        heads = self.fs.cat_ranges(places, [0] * len(places), ends, on_error="return")
        for place, head in enumerate(heads):
            if isinstance(head, FileNotFoundError):
                heads[place] = None
            elif isinstance(head, Exception):
                if "satisfiable" not in str(head):  # said of empty files, which have no range
                    raise head
                heads[place] = b""
        return list(heads)

    def read(self, path: str) -> bytes | None:
        """All bytes of a file, by one request if it is small. None if it is missing."""
        return self.read_all([path])[0]

    @_os_errors()
    def read_all(self, paths: list[str]) -> list[bytes | None]:
        """All bytes of files, requested together. None for missing files."""
        files = self.heads(paths, [_PART] * len(paths))
        if not (large := [n for n, head in enumerate(files) if head and len(head) == _PART]):
            return files
        sizes = self.fs.sizes([f"{self.path}/{paths[number]}" for number in large])
        parts = [
            (number, start)
            for number, size in zip(large, sizes, strict=True)
            for start in range(_PART, size, _PART)
        ]
        data = self.fs.cat_ranges(
            [f"{self.path}/{paths[number]}" for number, _ in parts],
            [start for _, start in parts],
            [start + _PART for _, start in parts],
            on_error="raise",
        )
        whole = {number: [files[number] or b""] for number in large}
        for (number, _), part in zip(parts, data, strict=True):
            whole[number].append(part)
        for number in large:
            files[number] = b"".join(whole.pop(number))
        return files

    @_os_errors()
    def write(self, path: str, data: bytes) -> None:
        """Write a file. Readers see all of it or nothing."""
        fs, place = self.fs, f"{self.path}/{path}"
        if self._is_atomic:
            fs.pipe_file(place, data)
            return
        temporary = f"{self.path}/temporary/{_stamp()}"
        fs.makedirs(f"{self.path}/temporary", exist_ok=True)
        try:
            fs.pipe_file(temporary, data)
            fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            fs.mv(temporary, place)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(temporary)
            raise

    @_os_errors()
    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Write files, at the same time where possible. Readers see all of each or nothing."""
        if self._is_atomic and len(files) > 1:
            self.fs.pipe({f"{self.path}/{path}": data for path, data in files.items()})
            return
        for path, data in files.items():
            self.write(path, data)

    @_os_errors()
    def erase(self, paths: Iterable[str]) -> None:
        """Remove files, by one request where possible. Missing files are no error."""
        places = [f"{self.path}/{path}" for path in paths]
        if self._is_thread_safe and len(places) > 1:
            self.fs.rm(places)
            return
        for place in places:
            with suppress(FileNotFoundError):
                self.fs.rm_file(place)


class Remote:
    """Entries at a URL: a `Backend`. Raises `OSError` for all failures.

    options: see `Bucket`
    """

    is_local = False

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.address = url
        self.bucket = Bucket(url, options)
        self.is_shared = self.bucket.protocol != "memory"
        self.is_private = not self.is_shared
        self.is_distant = self.bucket.is_parallel
        self._fetched: dict[str, _Fetched] = {}
        self._counted: dict[str, Stat] = {}
        self._total, self._valid_until = 0, 0.0

    def __repr__(self) -> str:
        return mask_passwords(self.address)

    # Entries

    def known(self, digests: Iterable[str]) -> set[str]:
        requested = set(digests) - {""}
        if len(requested) >= _LISTED and not self.bucket.is_parallel:
            return requested.intersection(self.bucket.listing("entries"))
        return {digest for digest, _ in self.heads(sorted(requested), 1)}

    def digests(self) -> Iterator[str]:
        yield from self.stats()

    def distant(self, digests: Iterable[str]) -> list[str]:
        return list(digests)

    def fetch(self, digests: Iterable[str], is_whole: bool = False) -> None:
        held = self._fetched
        names = [name for name in digests if name not in held or is_whole > held[name].is_whole]
        paths = list(map(_path, names))
        files = (
            self.bucket.read_all(paths)
            if is_whole
            else self.bucket.heads(paths, [HEAD] * len(names))
        )
        for name, data in zip(names, files, strict=True):
            held[name] = _Fetched(data, is_whole or data is None or len(data) < HEAD)

    def release(self) -> None:
        self._fetched = {}

    def read(self, digest: str) -> tuple[memoryview, Stat] | None:
        fetched = self._fetched.pop(digest, None)  # it may be large
        whole = fetched is not None and fetched.is_whole
        data = fetched.data if fetched and whole else self.bucket.read(_path(digest))
        # A copy that the reader may change, as it may a map of a local file.
        return None if data is None else (memoryview(bytearray(data)), Stat(len(data), 0.0))

    def keep_open(self, digest: str) -> None:
        """None: what is removed at a URL is gone."""

    def heads(self, digests: Iterable[str], length: int) -> Iterator[tuple[str, memoryview]]:
        names = list(digests)
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            heads = {
                name: fetched.data
                for name in batch
                if (fetched := self._fetched.get(name)) and (fetched.is_whole or length <= HEAD)
            }
            rest = [name for name in batch if name not in heads]
            requested = self.bucket.heads(map(_path, rest), [length] * len(rest))
            heads |= dict(zip(rest, requested, strict=True))
            for digest in batch:
                if (head := heads[digest]) is not None:
                    yield digest, memoryview(head)[:length]

    def stat(self, digest: str) -> Stat | None:
        if time.monotonic() < self._valid_until:
            return self._counted.get(digest)
        info = self.bucket.info(_path(digest))
        return _stat(info) if info else None

    def stats(self) -> dict[str, Stat]:
        files = self.bucket.listing("entries")
        return {name: _stat(files[name]) for name in sorted(files) if DIGEST.fullmatch(name)}

    def touch(self, digest: str) -> None:
        """Nothing: only the time of writing is known."""

    def write(
        self,
        digest: str,
        buffers: list[Any],
        prepare: Callable[[], None] = lambda: None,
        entry: Entry | None = None,  # noqa: ARG002 - there is no index
    ) -> None:
        prepare()
        data = b"".join(pieces(buffers))
        self.bucket.write(_path(digest), data)
        self._fetched.pop(digest, None)
        self._counted[digest] = Stat(len(data), time.time())

    def write_all(self, entries: Mapping[str, memoryview]) -> None:
        self.bucket.write_all({_path(digest): bytes(view) for digest, view in entries.items()})

    def flush(self) -> None:
        """Nothing: `write` has waited."""

    def trial(self, digest: str, buffers: list[Any]) -> memoryview:
        self.bucket.write(_path(digest), b"".join(pieces(buffers)))
        data = self.bucket.read(_path(digest))
        self.bucket.erase([_path(digest)])
        return memoryview(data or b"")

    def remove(self, digest: str) -> int | None:
        self._counted.pop(digest, None)
        self._fetched.pop(digest, None)
        if info := self.bucket.info(_path(digest)):
            self.bucket.erase([_path(digest)])
        return int(info["size"]) if info else None

    def evict(self, digest: str) -> int | None:
        return self.remove(digest)

    def sweep(self) -> int:
        if self.bucket.protocol in _BUCKETS:  # they have no temporary files
            return 0
        before = time.time() - _ABANDONED
        old = [name for name in self.bucket.listing("temporary") if _time_of(name) < before]
        self.bucket.erase(f"temporary/{name}" for name in old)
        return len(old)

    # What processes do together

    def lease(self, digest: str, waiting: Any = None, task: str = "") -> None:
        """Nothing: whether another process computes the task is not known."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def total(self) -> int:
        return self._total if time.monotonic() < self._valid_until else self.count()

    def set_total(self, total: int) -> None:
        self._total = total

    def count(self) -> int:
        start = time.monotonic()
        self._counted = self.stats()
        self._total = sum(entry.bytes for entry in self._counted.values())
        # Others may change it. Counting a large store takes at most a tenth of the time.
        self._valid_until = time.monotonic() + max(10 * (time.monotonic() - start), 1.0)
        return self._total

    def usage(self) -> Usage:
        total = self.count()
        return Usage(len(self._counted), total)

    def least_useful(self, most: int) -> None:
        """Nothing: there is no index."""

    def newest(self, most: int | None, function: str | None) -> None:
        """Nothing: there is no index."""

    # Notes

    def note(self, topic: str, *lines: str) -> None:
        folder, data = f"notes/{checked_topic(topic)}", _encoded(lines)
        if topic.startswith(_LAST_COUNTS):
            self.bucket.write(f"{folder}/{_LATEST}", data[-1])
        elif len(data) == 1:
            self.bucket.write(f"{folder}/{_stamp()}", data[0])
        else:
            stamped = b"".join(b"%s %s\n" % (_stamp().encode(), line) for line in data)
            self.bucket.write(f"{folder}/{_stamp()}{_MERGED}", stamped)

    def note_later(self, topic: str, line: str) -> None:
        self.note(topic, line)

    def noted(self, topics: Iterable[str]) -> dict[str, list[str]]:
        paths = {topic: f"notes/{checked_topic(topic)}/{_LATEST}" for topic in topics
                 if topic.startswith(_LAST_COUNTS)}  # fmt: skip
        last = zip(
            paths, self.bucket.heads(paths.values(), [MAX_NOTE_BYTES] * len(paths)), strict=True
        )
        return {topic: _decoded([line] if line else []) for topic, line in last}

    def notes(self, topic: str) -> list[str]:
        if topic.startswith(_LAST_COUNTS):
            return self.noted([topic])[topic]
        files = self.bucket.listing(folder := f"notes/{checked_topic(topic)}")
        sizes = [int(info["size"]) for info in files.values()]
        heads = self.bucket.heads([f"{folder}/{name}" for name in files], sizes)
        objects = {name: data for name, data in zip(files, heads, strict=True) if data is not None}
        lines: dict[bytes, bytes] = {}  # by name: a line may be in two merged objects
        for name, data in objects.items():
            if name.endswith(_MERGED):
                lines |= dict(line.partition(b" ")[::2] for line in data.splitlines())
            else:
                lines[name.encode()] = data
        if len(objects) > _MOST_NOTES:
            merged = newest([b"%s %s" % (stamp, lines[stamp]) for stamp in sorted(lines)],
                            MAX_NOTE_BYTES)  # fmt: skip
            with suppress(Exception):  # as where one may only read
                self.bucket.write(f"{folder}/{_stamp()}{_MERGED}", b"\n".join([*merged, b""]))
                self.bucket.erase(f"{folder}/{name}" for name in objects)
        return _decoded(lines[stamp] for stamp in sorted(lines))

    def topics(self) -> dict[str, float]:
        times: dict[str, float] = {}
        for path, info in self.bucket.find("notes").items():
            topic, name = path.split("/")[-2:]
            written = _stat(info).used if name == _LATEST else _time_of(name)
            times[topic] = max(times.get(topic, 0.0), written)
        return times

    def forget(self, topic: str) -> None:
        folder = f"notes/{checked_topic(topic)}"
        self.bucket.erase(f"{folder}/{name}" for name in self.bucket.listing(folder))


class _Fetched(NamedTuple):
    """The first bytes of an entry, or all of it. None if it is missing."""

    data: bytes | None
    is_whole: bool


def _encoded(lines: Iterable[str]) -> list[bytes]:
    return [line.encode(errors="surrogatepass") for line in lines]


def _decoded(lines: Iterable[bytes]) -> list[str]:
    return [line.decode(errors="replace") for line in lines]


def _path(digest: str) -> str:
    return f"entries/{digest[:2]}/{digest}"


def _stamp() -> str:
    """A name that is unique, and that sorts by time."""
    return f"{time.time_ns():020}-{os.urandom(4).hex()}"


def _time_of(stamp: str) -> float:
    """The time in such a name, in seconds since 1970; 0 for another name."""
    digits = stamp.partition("-")[0]
    return int(digits) / 1e9 if digits.isdecimal() else 0.0


def _stat(info: dict[str, Any]) -> Stat:
    used = time.time()  # if it is not known: nothing is removed for its age
    for name in ("created", "updated", "mtime", "last_modified", "LastModified"):
        written = info.get(name)
        written = written.timestamp() if isinstance(written, datetime) else written
        if isinstance(written, int | float) and written > 0:
            used = float(written)
    return Stat(int(info["size"]), used)
