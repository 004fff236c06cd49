"""What commands print: text and tables, or with --json one document; errors, and progress bars.

Text goes to stdout, unless a command prints JSON. Errors, warnings and bars go to stderr. Colours
and bars appear on terminals alone, colours not where NO_COLOR is set.
"""

from __future__ import annotations

import io
import json
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from dask.callbacks import Callback

from pipeline.identity import format_duration, mask_passwords, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline import Store

_Item = TypeVar("_Item")

WIDTH = 80
"""Columns of text and tables."""


def is_json() -> bool:
    """Whether the command that runs prints JSON, and no text."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get("json"))


def _echo(text: str, *, is_error: bool = False) -> None:
    click.echo(text, err=is_error, color=False if os.environ.get("NO_COLOR") else None)


def print_text(text: str = "") -> None:
    """Print lines."""
    if not is_json():
        _echo(text)


def print_paragraph(text: str) -> None:
    """Print a text in lines of `WIDTH` columns."""
    print_text(textwrap.fill(text, WIDTH))


def print_result(
    fields: dict[str, Any], files: Sequence[Path] = (), store: Store | None = None
) -> None:
    """Print the files that a command saved, and what a store was good for; or all as JSON.

    fields: the results, in JSON's types
    """
    for path in files:
        print_text(f"saved {path}")
    fields = {**fields, "files": list(map(str, files))}
    if store is not None:
        done = store.done
        loaded, computed = counted(done.hits, "task"), done.misses + done.skipped
        saved = format_saved(done.saved)
        print_text(f"{store.url}: {loaded} loaded, {computed:,} computed, {saved} saved")
        numbers = {"loaded": done.hits, "computed": computed, "saved": done.saved}
        fields["store"] = {"url": mask_passwords(store.url), **numbers}
    print_json(fields)


def format_saved(seconds: float) -> str:
    """Seconds that a store saved, which may be none."""
    return format_duration(seconds) if seconds else "0 s"


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "entry"), counted(2000, "entry"), counted(3, "task")
    ('1 entry', '2,000 entries', '3 tasks')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


STATUS_COLOURS = {
    "hit": "green",
    "miss": "blue",
    "skipped": "magenta",
    "culled": "bright_black",
    "differs": "red",
    "raised": "red",
}
"""As in the pictures."""


def print_table(head: Sequence[str] | None, rows: Iterable[Sequence[str]], left: int = 0) -> None:
    """Print columns, flush right but for the last `left` of them. The last of these wraps.

    head: None for a table without one
    A status in the first column has its colour.
    """
    if is_json():
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = [[printable(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="", show_header=head is not None)
    titles = head or [""] * len(lines[0])
    for after, title in zip(reversed(range(len(titles))), titles, strict=True):
        is_left = after < left
        table.add_column(
            Text.assemble((title, "bold")), justify="left" if is_left else "right",
            no_wrap=after > 0 or not is_left,
        )  # fmt: skip
    for first, *others in lines:
        table.add_row(Text.assemble((first, STATUS_COLOURS.get(first, ""))), *map(Text, others))
    # Without a column that wraps, a table is as wide as its cells: `fib --full` cuts no digits.
    width = WIDTH if left else sum(len(cell) + 2 for row in [head or [], *lines] for cell in row)
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system="standard").print(table)
    for line in file.getvalue().splitlines():
        _echo(line.rstrip())


def print_json(value: Any) -> None:
    """Print a value as JSON, if the command prints JSON."""
    if is_json():
        _echo(json_text(value))


def json_text(value: Any) -> str:
    """A value as JSON. Integers have all their digits; a number that is not finite is null.

    >>> print(json_text({"a": [10**30, 1.5, math.nan, Fraction(1, 4), Fraction(10) ** 400]}))
    {
      "a": [
        1000000000000000000000000000000,
        1.5,
        null,
        0.25,
        "1.0000000000000000e+400"
      ]
    }
    """
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(_jsonable(value), indent=2)
    finally:
        sys.set_int_max_str_digits(limit)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Fraction):
        try:
            return float(value)
        except OverflowError:  # text, for readers of JSON would read infinity
            return f"{Decimal(value.numerator) / Decimal(value.denominator):.16e}"
    return value


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure of matplotlib in the format of the suffix: equal figures, equal bytes."""
    from matplotlib import rc_context

    from pipeline.draw import atomic_write

    settings = rc_context({"svg.hashsalt": "pipeline", "svg.fonttype": "none"})
    with settings, atomic_write(path) as file:
        figure.savefig(file, format=path.suffix[1:], metadata={"Date": None})
    return path


def fail(message: str, code: int) -> NoReturn:
    """Print one line on stderr, and exit."""
    warn(message, "red")
    sys.exit(code)


def warn(message: str, colour: str = "yellow") -> None:
    """Print one line on stderr."""
    text = printable(mask_passwords(" ".join(message.split())))
    _echo(f"{click.style('pipeline:', fg=colour)} {text}", is_error=True)


@contextmanager
def store_warnings_as_lines() -> Iterator[None]:
    """Print warnings of a store as errors are printed, without a place in the code."""
    from pipeline import StoreWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", StoreWarning)
        show = warnings.showwarning

        def showwarning(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if issubclass(category, StoreWarning):
                warn(str(message))
            else:
                show(message, category, *place, **more)

        warnings.showwarning = showwarning
        yield


def is_terminal(stream: Any) -> bool:
    """Whether a person reads or writes a stream."""
    return stream is not None and stream.isatty()


_DELAY = 0.5
"""Seconds until a bar appears: shorter work needs none."""

_ITEM = 40
"""Columns that are left for an item beside a bar."""


class Bar:
    """A progress bar, where stderr is a terminal.

    total: steps, if their number is known
    """

    def __init__(self, label: str, total: int | None = None) -> None:
        self._label, self._total = label, total
        self._progress: Any = None

    def __enter__(self) -> Bar:
        if is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            item = TextColumn("{task.fields[item]}", markup=False)
            self._progress = Progress(
                "{task.description}", BarColumn(20), TaskProgressColumn(), item,
                console=Console(stderr=True), redirect_stdout=False,
            )  # fmt: skip
            self._row = self._progress.add_task(self._label, total=self._total, item="")
            # Another thread shows it: a single step may take long.
            self._timer = Timer(_DELAY, self._progress.start)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._progress is not None:
            self._timer.cancel()
            self._timer.join()
            self._progress.stop()

    def step(self, number: int = 1, item: str = "") -> None:
        """Advance by some steps, and show an item."""
        self._update(advance=number, item=printable(item)[:_ITEM])

    def extend(self, number: int) -> None:
        """Add steps to the total."""
        self._total = (self._total or 0) + number
        self._update(total=self._total)

    def _update(self, **fields: Any) -> None:
        if self._progress is not None:
            self._progress.update(self._row, **fields)

    def along(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Some items, with a step after each."""
        if isinstance(items, list):
            self.extend(len(items))
        for item in items:
            yield item
            self.step()


@contextmanager
def task_bar() -> Iterator[None]:
    """A bar of the tasks that Dask's schedulers run meanwhile on this machine.

    It has no end until a run begins, and where a cluster runs the tasks.
    """
    with Bar("tasks") as bar:

        def start(_: Any, state: Any) -> None:
            bar.extend(sum(len(state[kind]) for kind in ("waiting", "ready", "running")))

        with Callback(start_state=start, posttask=lambda *_: bar.step()):
            yield
