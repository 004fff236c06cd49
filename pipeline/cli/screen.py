"""What the commands have in common: options, tables, and errors of one line."""

from __future__ import annotations

import sys
import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipeline import StoreWarning
from pipeline.picture import FORMATS
from pipeline.units import masked, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def fail(message: str, code: int) -> NoReturn:
    """End with one line on stderr."""
    warn(message)
    sys.exit(code)


def warn(message: str) -> None:
    """Say one line on stderr."""
    click.echo(f"pipeline: {printable(masked(' '.join(message.split())))}", err=True)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Have what a store warns of told as errors are, without a place in the code."""
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


scheduler = click.option(
    "--scheduler",
    default="threads",
    show_default=True,
    metavar="S",
    help="sync, threads, processes, distributed, or the address of a running one, tcp://host:port.",
)


_COLUMNS = 80


def print_table(head: Sequence[str] | None, lines: Sequence[Sequence[str]], left: int = 0) -> None:
    """Print columns, flush right, but for the last `left` of them, whose last is text: it wraps.

    head: None for a table without one
    """
    rows = [list(map(printable, line)) for line in ([head] if head else []) + [*lines]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">"] * (len(widths) - left) + ["<"] * left
    indent = sum(widths[:-1]) + 2 * (len(widths) - 1)
    for line in rows:
        cells = zip(line, sides, widths, strict=True)
        text = "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()
        click.echo(textwrap.fill(text, _COLUMNS, subsequent_indent=" " * indent,
                                 replace_whitespace=False) if left else text)  # fmt: skip


def check_picture(path: Path) -> None:
    """Say that a picture cannot be saved before the work is done, not after."""
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        raise click.UsageError(
            f"cannot draw {str(path)!r}: the file name ends in .{', .'.join(FORMATS)}"
        )
    if not path.parent.is_dir():
        raise click.UsageError(f"cannot save {path}: there is no folder {path.parent}")
