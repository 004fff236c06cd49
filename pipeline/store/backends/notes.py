"""What runs note beside the entries: what they computed, and what they did.

Notes are lines of JSON by topic. `runs` has one line per run, `function-…` one line per computed
call of a function, `code-…` one description of a function's code. A folder keeps each topic in a
file, which can be lost without harm.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from operator import add
from typing import Any

MAX_NOTE_BYTES = 1 << 19  # of a topic. Above it, old notes are removed, and runs are summed
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


def append_note(file: int, topic: str, line: bytes) -> None:
    """Add a line to the notes in an open file, whose lock the caller holds."""
    if os.lseek(file, 0, os.SEEK_END) + len(line) < MAX_NOTE_BYTES:
        os.write(file, line + b"\n")
        return
    # In place, as others wait for the lock of this file. A kill in between duplicates some lines.
    with open(file, "r+b", closefd=False) as notes:
        notes.seek(0)
        lines = [*notes.read().split(b"\n"), line]
        if topic == "runs":
            runs = sum_runs(parse_notes(text.decode(errors="replace") for text in lines))
            lines = [json.dumps(vars(runs)).encode()]
        notes.seek(0)
        notes.write(b"\n".join([*newest(lines, MAX_NOTE_BYTES // 2), b""]))
        notes.truncate()
