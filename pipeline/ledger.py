"""What a store remembers besides results: what was computed, what runs came to, what failed."""

from __future__ import annotations

import json
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import RLock
from typing import TYPE_CHECKING, Any

from pipeline.codec import UnstorableError
from pipeline.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.entry import Entry
    from pipeline.folder import Folder


class StoreWarning(UserWarning):
    """A result that was not stored, or a stored one that was not taken, and why."""


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
        self.url, self.at = url, at
        self.counts = Counts()
        self._told: set[str] = set()
        self._unsaid: list[str] = []
        self._noted: set[str] = set()
        self._down = 0.0
        self._lock = RLock()

    def note_entry(self, entry: Entry) -> None:
        if not entry.function:
            return
        told = [entry.digest, entry.code, entry.arguments, ""]
        with suppress(Exception):  # a result is stored, whether it can be explained or not
            self.at.note(topic(entry.function), json.dumps(told))

    def history(self, function: str) -> list[list[Any]]:
        """What was computed of a function: digest, code, arguments, and why it was not stored."""
        found = self.noted(topic(function))
        return [each for each in found if isinstance(each, list) and len(each) == 4]

    def noted(self, about: str) -> list[Any]:
        """The notes on a topic."""
        found = []
        with suppress(Exception):
            for line in self.at.notes(about):
                with suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def note(self, about: str, told: Any) -> None:
        """Add to the notes on a topic."""
        self.at.note(about, json.dumps(told))

    def note_once(self, about: str, told: Callable[[], Any]) -> None:
        """Keep what is said once of a topic."""
        if about not in self._noted:
            self._noted.add(about)
            with self.forgiving("written") as reach:
                if reach and not self.at.notes(about):
                    self.at.note(about, json.dumps(told()))

    def log(self) -> None:
        """Keep what this store has counted, for `pipeline cache stats`, and begin anew."""
        counted, self.counts = self.counts, Counts()
        if counted:
            with suppress(Exception):
                self.at.note("runs", json.dumps(vars(counted)))

    def stats(self) -> Counts:
        """What was counted in all runs, this process's included."""
        total = replace(self.counts)
        for each in self.noted("runs"):
            with suppress(TypeError, KeyError):
                total.add(Counts(**each))
        return total

    # What fails

    @contextmanager
    def forgiving(self, what: str) -> Iterator[bool]:
        """Whether the store can be reached; what fails is told once, and does no more harm."""
        if self._down > time.monotonic():
            yield False
            return
        try:
            yield True
        except LostError:
            raise
        except UnstorableError as error:
            self.tell(f"unstorable {error}", str(error))
        except Exception as error:
            if isinstance(self.at, Remote):
                self._down = time.monotonic() + _PAUSE
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            kind = f"{type(error).__name__} {getattr(error, 'errno', '')}"
            self.tell(f"{what} {kind}", f"{self.url} could not be {what}: {reason}; results are "
                      "computed, and not stored where this fails")  # fmt: skip

    def tell(self, once: str, message: str) -> None:
        """Have a user warned, once of each thing, when it does no harm: see `speak`."""
        with self._lock:
            if once not in self._told:
                self._told.add(once)
                self._unsaid.append(message)

    def speak(self) -> None:
        """Warn of what was told, now that results are there."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, []
        for each in unsaid:
            warnings.warn(each, StoreWarning, stacklevel=3)


_PAUSE = 30.0
"""Seconds in which a remote store that failed is not tried again."""


def topic(function: str) -> str:
    """Under which notes are kept on a function: no name becomes a path."""
    return f"function-{blake2b(function.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
