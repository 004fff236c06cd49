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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def fail(message: str, code: int) -> NoReturn:
    """End with one line on stderr."""
    click.echo(f"pipeline: {' '.join(message.split())}", err=True)
    sys.exit(code)


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Have what a store warns of told as errors are, without a place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", StoreWarning)
        show = warnings.showwarning

        def showwarning(message: Any, category: Any, *place: Any, **more: Any) -> None:
            if issubclass(category, StoreWarning):
                click.echo(f"pipeline: {' '.join(str(message).split())}", err=True)
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


def print_table(head: Sequence[str], lines: Sequence[Sequence[str]], left: int = 0) -> None:
    """Print columns, flush right, but for the last `left` of them, whose last is text: it wraps."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    sides = [">"] * (len(head) - left) + ["<"] * left
    indent = sum(widths[:-1]) + 2 * (len(head) - 1)
    for line in (head, *lines):
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
