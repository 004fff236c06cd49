"""What fails in a store: how long it is left alone, and the warnings that are due."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import RLock
from typing import cast

from pipeline.identity import mask_passwords, printable
from pipeline.store.entry import UnstorableError
from pipeline.store.errors import LostError, StoreWarning

_PAUSE, _LONGEST_PAUSE = 30.0, 600.0  # seconds without requests to a remote store that failed

# Packages that call a store. A warning about their lines helps no user.
_INNER_PACKAGES = {"pipeline", "dask", "distributed"}


class Failures:
    """What failed in a store. Each kind of failure is one warning, when results are there.

    url: of the store, without its password
    is_local: small operations fail one by one there; a remote store that fails is left alone
    is_written: False if nothing is ever written
    in_worker: nobody else emits its warnings
    """

    def __init__(self, url: str, is_local: bool, is_written: bool) -> None:
        self.url, self.in_worker = url, False
        self._is_local, self._is_written = is_local, is_written
        self._lock = RLock()
        self._warned: set[str] = set()
        self._pending: list[str] = []
        self._paused_until, self._pause = 0.0, _PAUSE

    @property
    def is_reachable(self) -> bool:
        """Whether to try: a remote store that failed is left alone for a while."""
        return self._paused_until <= time.monotonic()

    def tolerating(self, action: str) -> AbstractContextManager[bool, bool]:
        """A context that turns failures into one warning later. Gives whether to try at all.

        action: what fails: "read" or "written"
        """
        return cast("AbstractContextManager[bool, bool]", self._tolerating(action))

    @contextmanager
    def _tolerating(self, action: str) -> Iterator[bool]:
        try:
            yield self.is_reachable and (action != "written" or self._is_written)
        except LostError:
            raise
        except UnstorableError as error:
            self.warn_later(f"unstorable {error}", str(error))
        except Exception as error:
            self.rest()
            kind = f"{action} {type(error).__name__} {getattr(error, 'errno', '')}"
            if not self._is_local:  # one failure, whatever the action
                kind = action = "reached"
            self.warn_later(kind, f"{self.url} could not be {action}: {reason_of(error)}; results "
                            "are computed, and not stored where this fails")  # fmt: skip
        else:
            if self.is_reachable:
                self._pause = _PAUSE

    def rest(self) -> None:
        """Leave a remote store that failed alone for a while."""
        if not self._is_local:
            self._paused_until = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def warn_later(self, kind: str, message: str) -> None:
        """Warn at the next `emit_warnings`, when results are there; once of each kind."""
        with self._lock:
            if kind in self._warned:
                return
            self._warned.add(kind)
            self._pending.append(printable(mask_passwords(message)))
        if self.in_worker:
            with suppress(StoreWarning):  # an error there: no task fails for it
                self.emit_warnings()

    def refuse(self, reasons: Mapping[str, str]) -> None:
        """Warn later that results of some functions are not stored; once of each function.

        reasons: by function
        """
        new = {
            (self.url, name): why if why.startswith(f"{name}: ") else f"{name}: {why}"
            for name, why in reasons.items()
        }
        texts = [text for place, text in new.items() if place not in _refused]
        _refused.update(new)
        if texts:
            self.warn_later(texts[0], f"not stored: {'; '.join(texts)}")

    @property
    def has_warnings(self) -> bool:
        """Whether warnings are pending."""
        return bool(self._pending)

    def emit_warnings(self) -> None:
        """Emit the pending warnings, at the innermost line of the user."""
        with self._lock:
            messages, self._pending = self._pending, []
        for message in messages:
            warnings.warn(message, StoreWarning, stacklevel=_user_depth())


_refused: set[tuple[str, str]] = set()
"""Stores and functions of which this process has warned."""


def _user_depth() -> int:
    """How many calls above the caller of this function the user's line is."""
    frame, depth = sys._getframe(1), 1
    while str(frame.f_globals.get("__name__")).partition(".")[0] in _INNER_PACKAGES:
        if frame.f_back is None:  # a thread that runs no code of the user
            return 2
        frame, depth = frame.f_back, depth + 1
    return depth


def reason_of(error: Exception) -> str:
    """Why something failed, for a person."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
