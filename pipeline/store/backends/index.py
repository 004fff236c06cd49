"""The index of a folder: the size, work and last use of each entry, and the bytes of all.

    size            the bytes of all entries in 20 characters, and then the journal: one msgpack
                    list per entry that was written or removed since the index was last read
    index.sqlite3   a row per entry, and one per folder of entries

The entries are the truth. A row about a folder holds the folder's time after our last change in it.
Where it differs, somebody else changed the folder, or a process was killed: it is listed again. A
lost or corrupt index is made again in this way. The lock of `size` excludes all others meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from math import frexp
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from pipeline.store.entry import DIGEST, CodecError, Entry, header, prefixed

if TYPE_CHECKING:
    import sqlite3

# A row is not written at each put: that takes 45 µs, and appending to the journal takes 8. A
# connection is open only while the lock is held: no thread shares it, and no child inherits it.

_DIGITS = 20  # length of the total in its file, in bytes
_LEAST_SECONDS = 1e-4  # seconds that any entry is worth: opening its file costs as much
LONGEST_JOURNAL = 1 << 17  # bytes above which it is moved into the index
_LARGEST = 1 << 62  # no number in the journal is larger
_HEAD = 1 << 12  # bytes of an entry that contain its header, with few exceptions
_BATCH = 2000  # entries that are added to the index while others wait
_TICK = 0.02  # seconds in which two changes of a folder may have the same time
_VERSION = 1  # of the tables
_MAX_TIME = 2.0**33  # seconds since 1970
_INTERVAL = 10.0  # seconds in which an eviction checks once whether others changed the folders
_ROUNDS = 4  # of looking for entries whose last use is as in the index

_TABLES = """
    CREATE TABLE entries (digest TEXT PRIMARY KEY, bytes INTEGER, used REAL, seconds REAL,
                          created REAL, function TEXT, class INTEGER) WITHOUT ROWID;
    CREATE INDEX by_class ON entries (class, used);
    CREATE TABLE shards (name TEXT PRIMARY KEY, state INTEGER, entries INTEGER, bytes INTEGER);
    CREATE TRIGGER added AFTER INSERT ON entries BEGIN
        UPDATE shards SET entries = entries + 1, bytes = bytes + NEW.bytes
        WHERE name = substr(NEW.digest, 1, 2);
    END;
    CREATE TRIGGER removed AFTER DELETE ON entries BEGIN
        UPDATE shards SET entries = entries - 1, bytes = bytes - OLD.bytes
        WHERE name = substr(OLD.digest, 1, 2);
    END;
"""
_SHARDS = [f"{number:02x}" for number in range(256)]
_CLASSES = """
    WITH RECURSIVE classes(class) AS (
        SELECT min(class) FROM entries
        UNION ALL
        SELECT (SELECT min(class) FROM entries WHERE class > classes.class) FROM classes
        WHERE classes.class IS NOT NULL
    ) SELECT class FROM classes WHERE class IS NOT NULL
"""
"""The classes that have entries. `SELECT DISTINCT` would read all rows."""

_packb = msgpack.Packer(unicode_errors="surrogatepass").pack


class Stat(NamedTuple):
    """The file of an entry.

    used: when it was last used, in seconds since 1970: the time of the file, which a load sets, at
        most once a minute
    identity: changes with the file. Empty where a change could go unnoticed
    """

    bytes: int
    used: float
    identity: tuple[int, ...] = ()


class Usage(NamedTuple):
    """How many entries a store has, and their bytes."""

    entries: int
    bytes: int


class Row(NamedTuple):
    """What the index knows of an entry; `used` is the least that it can be.

    seconds: to compute the entry again
    """

    digest: str
    bytes: int
    used: float
    seconds: float = 0.0
    created: float = 0.0
    function: str | None = None


class Change(NamedTuple):
    """An entry that was written, or removed if `bytes` is negative.

    before, after: the time of its folder
    """

    digest: str
    bytes: int
    seconds: float
    created: float
    function: str
    before: int
    after: int


def eviction_order(
    stats: Mapping[str, Stat], seconds: Mapping[str, float], now: float
) -> list[str]:
    """Digests in the order of eviction: large, quick to compute and long unused entries first.

    seconds: to compute each entry again

    >>> stats = {"old": Stat(10, 0.0), "slow": Stat(10, 0.0), "new": Stat(10, 90.0)}
    >>> eviction_order(stats, {"old": 1.0, "slow": 60.0, "new": 1.0}, 100.0)
    ['old', 'new', 'slow']
    """

    def uselessness(digest: str) -> float:
        age = max(now - stats[digest].used, 0.0) + 1.0
        return stats[digest].bytes * age / (seconds.get(digest, 0.0) + _LEAST_SECONDS)

    return sorted(stats, key=uselessness, reverse=True)


def shard_state(path: str) -> int:
    """The time of a folder of entries, in nanoseconds. 0 if it is missing."""
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


# The total and the journal, in a file whose lock the caller holds.


def read_total(file: int) -> int | None:
    """The total in a file. None if it must be counted again."""
    text = os.pread(file, _DIGITS, 0)
    if len(text) != _DIGITS or text[-1:] != b"\n" or not text.rstrip().isdigit():
        os.truncate(file, 0)
        return None
    return int(text) if _is_current(os.fstat(file)) else None


def write_total(file: int, total: int) -> None:
    """Replace the total in a file."""
    os.pwrite(file, b"%-*d\n" % (_DIGITS - 1, total), 0)


def append_change(file: int, change: Change) -> int:
    """Add a change to the journal; returns the bytes of the journal."""
    end = max(os.lseek(file, 0, os.SEEK_END), _DIGITS)
    return end + os.pwrite(file, _packb(change), end) - _DIGITS


def _changes(file: int) -> Iterator[Change]:
    """The changes in the journal. It ends where it is not valid."""
    data = os.pread(file, os.fstat(file).st_size, 0)[_DIGITS:]
    unpacker = msgpack.Unpacker(unicode_errors="surrogatepass", max_buffer_size=len(data) or 1)
    unpacker.feed(data)
    with suppress(Exception):
        for fields in unpacker:
            change = Change(*fields)
            types = tuple(map(type, change))
            numbers = change.bytes, change.before, change.after
            if types != (str, int, float, float, str, int, int) or not DIGEST.fullmatch(change[0]):
                return
            if not all(-1 <= number < _LARGEST for number in numbers):
                return
            yield change


def _is_current(state: os.stat_result) -> bool:
    """Whether a file was written since the system started.

    A failure of power may have lost what was written before.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return clock is None or state.st_mtime >= time.time() - time.clock_gettime(clock)


# The index. A child that is forked in a transaction would have a part of it.

_transaction = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_transaction.acquire,
        after_in_parent=_transaction.release,
        after_in_child=_transaction.release,
    )


class Index:
    """The index of a folder of entries. Its user holds the lock of `size`, which is `file`.

    open_file: opens a file of the store, and makes it where it is missing

    Raises `OSError`, also for what is corrupt: then it is lost, and made again at the next use.
    """

    def __init__(self, folder: str, open_file: Callable[[str], int]) -> None:
        self._folder, self._open_file = folder, open_file
        self._checked_until = 0.0

    def absorb(self, file: int) -> None:
        """Move the journal into the index."""
        with self._opened(file):
            pass

    def heal(self, file: int) -> bool:
        """List some folders again that others have changed. False if there are more of them."""
        with self._opened(file) as db:
            return self._heal(db, _SHARDS, _BATCH, _TICK)

    def usage(self, file: int) -> Usage:
        """The number of entries, and their bytes."""
        with self._opened(file) as db:
            self._heal(db)
            return _usage(db)

    def least_useful(self, file: int, most: int) -> tuple[int, list[str]]:
        """The bytes of all entries, and some digests in the order of eviction.

        most: entries of one class; -1 for all. A class is a range of bytes per second of work
        """
        with self._opened(file) as db:
            doubtful = db.execute("SELECT name FROM shards WHERE state = -1").fetchall()
            is_checked = time.monotonic() < self._checked_until
            self._heal(db, [name for [name] in doubtful] if is_checked else _SHARDS)
            rows: list[Row] = []
            for _ in range(_ROUNDS):
                rows = _longest_unused(db, most)
                if not self._is_updated(db, rows):
                    break
            stats = {row.digest: Stat(row.bytes, row.used) for row in rows}
            seconds = {row.digest: row.seconds for row in rows}
            order = eviction_order(stats, seconds, time.time())
            return _usage(db).bytes, list(filter(DIGEST.fullmatch, order))

    def newest(self, file: int, most: int | None, function: str | None) -> tuple[list[str], int]:
        """The digests of the newest entries, and the number of all; of one function or of all."""
        where, given = ("= ?", [function]) if function is not None else ("IS NOT NULL", [])
        with self._opened(file) as db:
            self._heal(db)
            digests = db.execute(
                f"SELECT digest FROM entries WHERE function {where} "  # noqa: S608 - no data in it
                "ORDER BY created DESC, digest DESC LIMIT ?",
                [*given, -1 if most is None else most],
            ).fetchall()
            counting = f"SELECT count(*) FROM entries WHERE function {where}"  # noqa: S608 - nor here
            [[count]] = db.execute(counting, given)
            return [digest for [digest] in digests if DIGEST.fullmatch(digest)], count

    @contextmanager
    def _opened(self, file: int) -> Iterator[sqlite3.Connection]:
        """The index with the journal in it, in a transaction."""
        import sqlite3

        path = f"{self._folder}/index.sqlite3"
        with _transaction:
            try:
                handle = self._open_file("index.sqlite3")  # it follows no link, as SQLite would
                try:
                    if os.fstat(handle).st_size and not _is_current(os.fstat(handle)):
                        os.truncate(handle, 0)
                finally:
                    os.close(handle)
                with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as db:
                    _prepare(db)
                    db.execute("BEGIN IMMEDIATE")
                    _add(db, _changes(file))
                    yield db
                    db.execute("COMMIT")
                with suppress(OSError):
                    if os.fstat(file).st_size > _DIGITS:
                        os.truncate(file, _DIGITS)
            except Exception as error:
                for name in (path, f"{path}-journal"):
                    with suppress(OSError):
                        os.unlink(name)
                with suppress(OSError):
                    os.truncate(file, _DIGITS)
                raise OSError(f"the index is lost: {error}") from error

    def _heal(
        self,
        db: sqlite3.Connection,
        names: Iterable[str] = _SHARDS,
        most: int | None = None,
        fresh: float = 0.0,
    ) -> bool:
        """List some folders again, if their time is not that in the index.

        most: rows to add; fresh: seconds in which a change may have left the time as it was

        Returns whether all are as in the index.
        """
        states = _states(db, names)
        added, now = 0, time.time_ns()
        for name in names:
            state = shard_state(f"{self._folder}/entries/{name}")
            if states[name] != state or (state and abs(now - state) < fresh * 1e9):
                if most is not None and added > most:
                    return False
                added += self._list_again(db, name)
                db.execute("UPDATE shards SET state = ? WHERE name = ?", (state, name))
        if names is _SHARDS:
            self._checked_until = time.monotonic() + _INTERVAL
        return True

    def _list_again(self, db: sqlite3.Connection, name: str) -> int:
        """Have the rows of a folder as the folder is. Returns the number of new rows."""
        query = "SELECT digest, bytes FROM entries WHERE digest >= ? AND digest < ?"
        known = dict(db.execute(query, (name, f"{name}g")))
        folder, rows = f"{self._folder}/entries/{name}", []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as files:
            for entry in files:
                if DIGEST.fullmatch(entry.name) and entry.name[:2] == name:
                    with suppress(FileNotFoundError):
                        state = entry.stat(follow_symlinks=False)
                        if known.pop(entry.name, None) != state.st_size:
                            rows.append(_row(entry.path, entry.name, state))
        _replace(db, [*known, *(row.digest for row in rows)], rows)
        return len(rows)

    def _is_updated(self, db: sqlite3.Connection, rows: Iterable[Row]) -> bool:
        """Whether an entry was used at another time than the index said until now."""
        updates = []
        for row in rows:
            with suppress(OSError):
                used = os.stat(f"{self._folder}/entries/{row.digest[:2]}/{row.digest}").st_mtime
                if abs(used - row.used) > 1.0:
                    updates.append((used, row.digest))
        db.executemany("UPDATE entries SET used = ? WHERE digest = ?", updates)
        return bool(updates)


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables where they are missing, or of another version."""
    # Without a flush: what a failure of power leaves is not used, see `_is_current`.
    db.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = PERSIST;")
    [[version]] = db.execute("PRAGMA user_version")
    if version != _VERSION:
        [[tables]] = db.execute("SELECT count(*) FROM sqlite_master")
        if tables:
            raise ValueError(f"it is of version {version}")
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION};")
        db.executemany("INSERT INTO shards VALUES (?, -1, 0, 0)", [(name,) for name in _SHARDS])
        db.execute("COMMIT")


def _add(db: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Add changes of entries. A folder with other changes in between is to be listed again."""
    rows = {}
    noted = list(changes)
    before = _states(db, {change.digest[:2] for change in noted})
    states = dict(before)
    for change in noted:
        name = change.digest[:2]
        states[name] = change.after if states[name] == change.before else -1
        created, seconds = _valid(change.created), _valid(change.seconds)
        function = change.function.encode(errors="replace").decode()
        rows[change.digest] = Row(change.digest, change.bytes, created, seconds, created, function)
    _replace(db, rows, [row for row in rows.values() if row.bytes >= 0])
    changed = [(state, name) for name, state in states.items() if state != before[name]]
    db.executemany("UPDATE shards SET state = ? WHERE name = ?", changed)


def _states(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """The times of folders, as in the index; -1 for one that is to be listed again."""
    query = "SELECT name, state FROM shards WHERE name = ?"
    return dict(row for name in names for row in db.execute(query, (name,)))


def _replace(db: sqlite3.Connection, digests: Iterable[str], rows: Iterable[Row]) -> None:
    """Remove the rows of some entries, and add others."""
    db.executemany("DELETE FROM entries WHERE digest = ?", [(digest,) for digest in digests])
    db.executemany(
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", [(*row, _class(row)) for row in rows]
    )


def _class(row: Row) -> int:
    """The exponent of bytes per second of work: entries of a class differ by less than a half."""
    return frexp(row.bytes / (row.seconds + _LEAST_SECONDS))[1]


def _valid(seconds: float) -> float:
    """A number of seconds. 0 for what is none, as after a clock that was set back."""
    return seconds if 0 <= seconds < _MAX_TIME else 0.0


def _usage(db: sqlite3.Connection) -> Usage:
    [row] = db.execute("SELECT sum(entries), sum(bytes) FROM shards")
    if not all(type(number) is int and number >= 0 for number in row):
        raise ValueError(f"it has {row[0]!r} entries of {row[1]!r} bytes")
    return Usage(*row)


def _longest_unused(db: sqlite3.Connection, most: int) -> list[Row]:
    """Entries of each class that were not used for long."""
    query = """SELECT digest, bytes, used, seconds FROM entries WHERE class = ? AND bytes >= 0
               ORDER BY used LIMIT ?"""
    return [
        Row(*fields)
        for [number] in db.execute(_CLASSES).fetchall()
        for fields in db.execute(query, (number, most))
    ]


def _row(path: str, digest: str, state: os.stat_result) -> Row:
    """The row of an entry, from its file. It has no function if it is corrupt."""
    row = Row(digest, state.st_size, state.st_mtime)
    with suppress(OSError, CodecError), open(path, "rb", buffering=0) as file:
        head = file.read(_HEAD)
        if len(head) == _HEAD and (length := prefixed(memoryview(head))) > _HEAD:
            head += file.read(length - _HEAD)
        entry = header(memoryview(head), digest)
        row = row._replace(
            seconds=float(entry.behind),
            created=float(entry.created),
            function=entry.function.encode(errors="replace").decode(),
        )
    return row


def change_of(entry: Entry, length: int, before: int, after: int) -> Change:
    """The change that an entry is written, as a file of some bytes."""
    return Change(entry.digest, length, float(entry.behind), float(entry.created),
                  entry.function, before, after)  # fmt: skip
