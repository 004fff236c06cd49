"""What runs note beside the entries: what they computed, and what they did.

Notes are lines of JSON by topic. `runs` has one line per run, `function-…` one line per computed
call of a function, `code-…` one description of a function's code. A folder keeps each topic in a
file, which can be lost without harm. `gc` removes old topics with a hash, and keeps those without.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from operator import add
from threading import Lock
from typing import Any
from weakref import WeakSet

MAX_NOTE_BYTES = 1 << 19  # of a topic. Above it, old notes are removed, and runs are summed
_MOST_PENDING = 500  # lines that wait to be written
_TOPIC = re.compile(r"[a-z]{1,20}(-[0-9a-f]{0,64})?")  # topics become names of files
_LARGEST = 1 << 63  # no run counts this much. It is finite, so that a sum of valid counts is finite


@dataclass
class Counts:
    """What a store did in one run or several.

    hits: tasks whose results were loaded
    misses: tasks that were looked up and computed
    skipped: tasks that were computed and not looked up
    saved: seconds that loaded results once took, less the seconds of loading them
    """

    hits: int = 0
    misses: int = 0
    skipped: int = 0
    stored: int = 0
    loaded_bytes: int = 0
    stored_bytes: int = 0
    saved: float = 0.0

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, vars(self).values(), vars(other).values()))


def topic_of(function: str) -> str:
    """The topic of a function's notes. Names of functions never become paths."""
    return f"function-{blake2b(function.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"


def checked_topic(name: str) -> str:
    """A topic. Raises `ValueError` for other text."""
    if not _TOPIC.fullmatch(name):
        raise ValueError(f"{name!r} is not a topic: a topic is a word, or a word-hash")
    return name


def parse_notes(lines: Iterable[str]) -> list[Any]:
    """The values of JSON lines; other lines are skipped."""
    values = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return values


def parse_history(notes: Iterable[Any]) -> list[list[Any]]:
    """The notes that are [digest, code, arguments, reason]. Anybody may have written others."""
    return [
        note
        for note in notes
        if _has_types(note, str, str, list, str)
        and all(_has_types(argument, str, str) for argument in note[2])
    ]


def _has_types(value: Any, *types: type) -> bool:
    return isinstance(value, list) and tuple(map(type, value)) == types


def sum_runs(notes: Iterable[Any]) -> Counts:
    """The counts of all runs. Notes that are no valid counts are skipped."""
    total, types = Counts(), {name: type(number) for name, number in vars(Counts()).items()}
    for note in notes:
        is_valid = isinstance(note, dict) and {name: type(note[name]) for name in note} == types
        if is_valid and all(0 <= number < _LARGEST for number in note.values()):
            total += Counts(**note)
    return total


def newest(lines: list[bytes], limit: int) -> list[bytes]:
    """The last lines that fit into a number of bytes."""
    start = len(lines)
    while start and (limit := limit - len(lines[start - 1]) - 1) >= 0:
        start -= 1
    return lines[start:]


def append_notes(file: int, topic: str, added: list[bytes]) -> None:
    """Add lines to the notes in an open file, whose lock the caller holds."""
    text = b"\n".join(added)
    if os.lseek(file, 0, os.SEEK_END) + len(text) < MAX_NOTE_BYTES:
        os.write(file, text + b"\n")
        return
    # In place, as others wait for the lock of this file. A kill in between duplicates some lines.
    with open(file, "r+b", closefd=False) as notes:
        notes.seek(0)
        lines = [*notes.read().split(b"\n"), *added]
        if topic == "runs":
            runs = sum_runs(parse_notes(text.decode(errors="replace") for text in lines))
            lines = [json.dumps(vars(runs)).encode()]
        notes.seek(0)
        notes.write(b"\n".join([*newest(lines, MAX_NOTE_BYTES // 2), b""]))
        notes.truncate()


class PendingNotes:
    """Notes of this process that are not yet in their files.

    write: adds lines to the notes on a topic
    """

    def __init__(self, write: Callable[[str, list[str]], None]) -> None:
        self._write, self._lock = write, Lock()
        self._lines: deque[tuple[str, str]] = deque()
        _all_pending.add(self)

    def add(self, topic: str, line: str) -> None:
        """Add a line. A forked process writes it at once: it may end without `atexit`."""
        self._lines.append((topic, line))
        if _is_forked or len(self._lines) >= _MOST_PENDING:
            self.write_all()

    def write_all(self) -> None:
        """Write all lines. Those that cannot be written are lost."""
        if not (self._lines or self._lock.locked()):
            return
        with self._lock:  # a reader waits for lines that another thread writes
            by_topic: dict[str, list[str]] = {}
            with suppress(IndexError):
                while True:
                    topic, line = self._lines.popleft()
                    by_topic.setdefault(topic, []).append(line)
            for topic, lines in by_topic.items():
                with suppress(OSError):
                    self._write(topic, lines)

    def forget(self) -> None:
        """Forget all lines, in a forked process: its parent writes them."""
        self._lock = Lock()  # another thread of the parent may hold the former
        self._lines.clear()


_all_pending: WeakSet[PendingNotes] = WeakSet()
_is_forked = False


def write_pending() -> None:
    """Write all notes of this process: another object may be of the same store."""
    for pending in list(_all_pending):
        pending.write_all()


def _forget_pending() -> None:
    global _is_forked
    _is_forked = True
    for pending in list(_all_pending):
        pending.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pending)
