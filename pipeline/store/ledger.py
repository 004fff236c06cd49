"""What a store remembers besides results: what was computed, what runs came to, what failed."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import RLock
from typing import TYPE_CHECKING, Any

from pipeline.identity import mask_passwords, printable
from pipeline.store.codec import UnstorableError
from pipeline.store.remote import Remote
from pipeline.store.warned import StoreWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.store.entry import Entry
    from pipeline.store.folder import Folder


class LostError(RuntimeError):
    """An entry that was there when a run began, and could not be loaded by it."""


@dataclass
class Counts:
    """What a store did in a run, or in many.

    hits: tasks whose results were loaded; misses: that were computed, and looked up before;
        skipped: computed and not looked up
    saved: seconds that it took once until the results were there, less those of loading them
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

    def add(self, other: Counts) -> None:
        """Add those of another run."""
        for name, each in vars(other).items():
            setattr(self, name, getattr(self, name) + each)


class Ledger:
    """The notes of a store, by topic, and what it has to say."""

    def __init__(self, url: str, at: Folder | Remote) -> None:
        self.url, self.backend = url, at
        self.in_worker = False  # in a process that works for another, whose store speaks for itself
        self.counts, self._logged = Counts(), Counts()
        self._told: set[str] = set()
        self._unsaid: list[str] = []
        self._noted: set[str] = set()
        self._down = 0.0  # until then it is not tried again
        self.pause = _PAUSE
        self._lock = RLock()

    def note_entry(self, entry: Entry) -> None:
        if not entry.function:
            return
        line = json.dumps([entry.digest, entry.code, entry.arguments, ""])
        if len(line) > _LONG:
            line = json.dumps([entry.digest, entry.code, [], ""])
        with suppress(Exception):  # a result is stored, whether it can be explained or not
            self.backend.note(topic(entry.function), line)

    def history(self, function: str) -> list[list[Any]]:
        """What was computed of a function: digest, code, arguments, and why it was not stored."""
        return list(filter(_is_history, self.noted(topic(function))))

    def noted(self, about: str) -> list[Any]:
        """The notes on a topic."""
        with suppress(Exception):
            return _parsed(self.backend.notes(about)) if self.is_reachable else []
        return []

    def note(self, about: str, told: Any) -> None:
        """Add to the notes on a topic, where that can be done."""
        if self.is_reachable:
            try:
                self.backend.note(about, json.dumps(told))
            except Exception:  # what the note is about tells the user enough
                self._rest()

    def note_once(self, about: str, told: Callable[[], Any]) -> None:
        """Keep what is said once of a topic."""
        if about not in self._noted:
            self._noted.add(about)
            with self.tolerating("written") as reach:
                if reach and not self.backend.notes(about):
                    self.backend.note(about, json.dumps(told()))

    def log(self) -> None:
        """Keep what this store has counted, for `pipeline cache stats`, and begin anew."""
        with self._lock:
            counted, self.counts = self.counts, Counts()
            self._logged.add(counted)
        if counted and self.is_reachable:
            with suppress(Exception):
                line = json.dumps(vars(counted))
                if isinstance(self.backend, Remote):
                    self.backend.note("runs", line)
                else:
                    self.backend.note("runs", line, _summed)

    def count_stored(self, taken: int) -> None:
        """Count an entry that was stored."""
        with self._lock:
            self.counts.stored += 1
            self.counts.stored_bytes += taken
        if self.in_worker and not isinstance(self.backend, Remote):
            self.log()

    def stats(self) -> Counts:
        """What was counted in all runs, this process's included."""
        total = _sum(self.noted("runs"))
        total.add(self.counts)
        return total

    @property
    def done(self) -> Counts:
        """What was counted in this process alone: others may use the store at the same time."""
        total = replace(self._logged)
        total.add(self.counts)
        return total

    # What fails

    @property
    def is_reachable(self) -> bool:
        """Whether it is to be tried: a remote store that failed is left alone for a while."""
        return self._down <= time.monotonic()

    def tolerating(self, what: str) -> Forgiving:
        """Whether the store can be reached; what fails is told once, and does no more harm."""
        return Forgiving(self, what)

    def failed(self, what: str, error: Exception) -> None:
        """Tell that the store could not be read, or written."""
        kind = f"{type(error).__name__} {getattr(error, 'errno', '')}"
        self._rest()
        if isinstance(self.backend, Remote):
            what, kind = "reached", ""  # it is one trouble, whatever was asked of it
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.warn_later(f"{what} {kind}", f"{self.url} could not be {what}: {reason}; results are "
                  "computed, and not stored where this fails")  # fmt: skip

    def _rest(self) -> None:
        """Leave a remote store that failed alone for a while."""
        if isinstance(self.backend, Remote):
            self._down, self.pause = time.monotonic() + self.pause, min(2 * self.pause, _LONGEST)

    def warn_later(self, once: str, message: str) -> None:
        """Have a user warned, once of each thing, when it does no harm: see `speak`."""
        with self._lock:
            if once in self._told:
                return
            self._told.add(once)
            self._unsaid.append(printable(mask_passwords(message)))
        if self.in_worker:  # nobody will ask it to speak
            with suppress(StoreWarning):  # which is an error there, and no task is to fail for it
                self.emit_warnings()

    def emit_warnings(self) -> None:
        """Warn of what was told, now that results are there."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, []
        for each in unsaid:
            warn(each)


class Forgiving:
    """A context of which a store's failures do not leave; as what it says whether to try at all."""

    def __init__(self, ledger: Ledger, what: str) -> None:
        self.ledger, self.what = ledger, what

    def __enter__(self) -> bool:
        return self.ledger.is_reachable

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is None and self.ledger.is_reachable:
            self.ledger.pause = _PAUSE
        if not isinstance(error, Exception) or isinstance(error, LostError):
            return False
        if isinstance(error, UnstorableError):
            self.ledger.warn_later(f"unstorable {error}", str(error))
        else:
            self.ledger.failed(self.what, error)
        return True


_LONG = 1 << 16
"""Bytes of a note over which it does not tell the arguments."""


def _is_history(line: Any) -> bool:
    """Whether a note, which anybody may have written, tells what was computed of a function."""
    return (
        isinstance(line, list)
        and list(map(type, line)) == [str, str, list, str]
        and all(isinstance(each, list) and list(map(type, each)) == [str, str] for each in line[2])
    )


def _sum(told: list[Any]) -> Counts:
    """What runs came to together; what is no note of a run is left out."""
    total, kinds = Counts(), {name: type(each) for name, each in vars(Counts()).items()}
    for each in told:
        is_known = isinstance(each, dict) and {name: type(each[name]) for name in each} == kinds
        if is_known and all(0 <= number < _FINITE for number in each.values()):
            total.add(Counts(**each))
    return total


_FINITE = 1 << 63
"""What no run comes to; not infinite, since a sum of finite numbers may be."""


def _summed(lines: list[str]) -> list[str]:
    """Notes of runs as one line that says the same."""
    return [json.dumps(vars(_sum(_parsed(lines))))]


def _parsed(lines: list[str]) -> list[Any]:
    found = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            found.append(json.loads(line))
    return found


_PAUSE, _LONGEST = 30.0, 600.0
"""Seconds in which a remote store that failed is not tried again: at first, and at the most."""


def topic(function: str) -> str:
    """Under which notes are kept on a function: no name becomes a path."""
    return f"function-{blake2b(function.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
