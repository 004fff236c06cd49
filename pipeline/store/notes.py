"""What a store knows beside its entries: lists of values by topic. See `backends.notes`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from pipeline.store.backends import Backend, nearby, parse_history, parse_notes, topic_of
from pipeline.store.failures import Failures

_LONG = 1 << 16  # characters of arguments above which a note omits them


class Notes:
    """Notes by topic. One that fails is no error: results are there, and more are computed."""

    def __init__(self, backend: Backend, failures: Failures, is_written: bool) -> None:
        self._backend, self._failures, self._is_written = backend, failures, is_written
        self._described: set[str] = set()  # topics

    def on(self, topic: str) -> list[Any]:
        """The notes on a topic."""
        with suppress(Exception):
            return parse_notes(self._backend.notes(topic)) if self._failures.is_reachable else []
        return []

    def on_all(self, topics: Iterable[str]) -> dict[str, list[Any]]:
        """The notes on many topics, requested together, of which the last note counts."""
        with suppress(Exception):
            lines = self._backend.noted(topics) if self._failures.is_reachable else {}
            return {topic: parse_notes(found) for topic, found in lines.items()}
        return {}

    def add(self, topic: str, value: Any, is_urgent: bool = True) -> None:
        """Add to the notes on a topic, if the store can be written.

        is_urgent: whether other processes see it at once; else within a second
        """
        try:
            if self._failures.is_reachable and self._is_written:
                note = self._backend.note if is_urgent else self._backend.note_later
                note(topic, json.dumps(value))
        except Exception:  # the result is there; a warning would not help
            self._failures.rest()

    def add_once(self, topic: str, describe: Callable[[], Any]) -> None:
        """Note the first description of a topic."""
        if topic not in self._described and self._is_written:
            self._described.add(topic)
            # Nearby: to look upstream takes longer.
            with nearby(), self._failures.tolerating("written") as is_reachable:
                if is_reachable and not self._backend.notes(topic):
                    self._backend.note(topic, json.dumps(describe()))

    def add_call(
        self, function: str, digest: str, code: str, arguments: list[list[str]], reason: str = ""
    ) -> None:
        """Note that a call was computed, for `history`, and why it is not stored."""
        if function:
            is_long = sum(len(text) for pair in arguments for text in pair) > _LONG
            value = [digest, code, [] if is_long else arguments, reason]
            # The process that runs the graph may read what its workers note.
            self.add(topic_of(function), value, is_urgent=self._failures.in_worker)

    def history(self, function: str) -> list[list[Any]]:
        """The computed calls of a function: digest, code, arguments, and why it is not stored."""
        return parse_history(self.on(topic_of(function)))
