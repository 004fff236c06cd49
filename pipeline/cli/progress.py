"""Bars on stderr that tell how far a command is: on a terminal, of what takes its time."""

from __future__ import annotations

import shutil
import sys
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, TypeVar

import click
from dask.callbacks import Callback

from pipeline.cli.screen import is_watched
from pipeline.identity import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_DELAY = 0.5
"""Seconds until a bar shows itself: what is over sooner needs none."""

_TAKEN = 58
"""Columns of label, bar, percent and time: what is left of a line is the item's."""

_Item = TypeVar("_Item")


class Bar:
    """How far something is. Not shown where stderr is no terminal.

    length: how many steps it has, if that is known
    """

    def __init__(self, label: str, length: int | None = None) -> None:
        self._bar = click.progressbar(
            _nothing(), length, label, item_show_func=_cut, width=20, file=sys.stderr
        )
        # What shows it is a thread of its own: a single step may be the one that takes long.
        self._lock = Lock()
        self._timer = Timer(_DELAY, self._show)
        self._timer.daemon = True
        self._has_begun = self._is_over = False

    def __enter__(self) -> Bar:
        if is_watched():
            self._timer.start()
        return self

    def _show(self) -> None:
        with self._lock:
            if not self._is_over:
                self._bar.__enter__()

    def step(self, number: int = 1, item: str | None = None) -> None:
        """Go on by some steps, and tell of an item."""
        with self._lock:
            if self._bar.entered:
                self._bar.update(number, item)
            else:
                self._bar.make_step(number)
                self._bar.current_item = item

    def begin(self, item: str) -> None:
        """Tell of a step that begins; the one that had begun before is done."""
        self.step(int(self._has_begun), item)
        self._has_begun = True

    def along(
        self, items: Iterable[_Item], size: Callable[[_Item], int] = lambda _: 1
    ) -> Iterator[_Item]:
        """Some items, with a step after each.

        size: of an item's step
        """
        if isinstance(items, list):
            self._bar.length = len(items)
        for each in items:
            yield each
            self.step(size(each))

    def __exit__(self, kind: Any = None, *_: Any) -> None:
        self._timer.cancel()
        if self._has_begun and kind is None:
            self.step()
        with self._lock:
            was_over, self._is_over = self._is_over, True
            if self._bar.entered and not was_over:  # show the cursor again, and end the line
                self._bar.__exit__(None, None, None)


def _nothing() -> Iterator[str]:
    """To go along: it has no length, as the bar may have none."""
    yield from ()


def _cut(item: Any) -> str | None:
    """What is told of an item, as long as a line has room for it: a longer one leaves a trail."""
    room = shutil.get_terminal_size().columns - _TAKEN
    return printable(item)[: max(room, 0)] if item else None


class Tasks(Callback):  # type: ignore[misc] # Dask is untyped
    """Bars of what the schedulers of this machine run meanwhile: one for each computation.

    Until the first one begins, a bar without an end: a run is planned, or a cluster is at work.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bars: dict[int, Bar] = {}
        self._waiting = Bar("run")

    def __enter__(self) -> Tasks:
        self._waiting.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *told: Any) -> None:
        super().__exit__(*told)
        self._waiting.__exit__()

    def _start_state(self, _: Any, state: Any) -> None:
        self._waiting.__exit__()
        length = sum(len(state[each]) for each in ("waiting", "ready", "running"))
        self._bars[id(state)] = Bar("tasks", length).__enter__()

    def _posttask(self, *told: Any) -> None:
        self._bars[id(told[3])].step()

    def _finish(self, _: Any, state: Any, *__: Any) -> None:
        self._bars.pop(id(state)).__exit__()
