"""What the commands have in common: options, tables, JSON, and errors of one line."""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
import warnings
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipeline import SCHEDULERS, StoreWarning
from pipeline.draw import FORMATS, atomic_write
from pipeline.identity import all_digits, mask_passwords, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure


def say(text: str = "", *, is_error: bool = False) -> None:
    """Print a line. Its colours are for terminals alone, and for those who do not say NO_COLOR."""
    click.echo(text, err=is_error, color=False if os.environ.get("NO_COLOR") else None)


def is_watched() -> bool:
    """Whether somebody sees what goes to stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def fail(message: str, code: int) -> NoReturn:
    """End with one line on stderr."""
    warn(message, "red")
    sys.exit(code)


def warn(message: str, colour: str = "yellow") -> None:
    """Say one line on stderr."""
    text = printable(mask_passwords(" ".join(message.split())))
    say(f"{click.style('pipeline:', fg=colour)} {text}", is_error=True)


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


def one_of(names: Iterable[str]) -> Callable[[Any, Any, str], list[str]]:
    """What a shell completes an option's value to."""
    return lambda _, __, begun: [each for each in names if each.startswith(begun)]


def scheduler_option(default: str) -> Callable[[Any], Any]:
    """The option --scheduler, where one is taken that is not given."""
    return click.option(
        "--scheduler", default=default, show_default=True, metavar="S",
        shell_complete=one_of(SCHEDULERS),
        help="sync, threads, processes, distributed, or the address of a running one, "
        "tcp://host:port.",
    )  # fmt: skip


scheduler = scheduler_option("threads")

as_json = click.option(
    "--json", "is_json", is_flag=True, help="Print one JSON document, for programs."
)
"""Of all commands: stdout is one JSON document then, and nothing else."""


def print_json(value: Any) -> None:
    """Print what JSON can say: dicts, sequences, texts, truth, None, and numbers of any size."""
    say(as_text(value))


def as_text(value: Any, indent: str = "") -> str:
    """A value as JSON. Integers have all their digits; what is no number is null.

    >>> print(as_text({"a": [10**30, 1.5, math.nan, Fraction(1, 4), Fraction(10) ** 400]}))
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
    deeper = f"{indent}  "
    if isinstance(value, dict) and value:
        lines = [f"{json.dumps(str(key))}: {as_text(each, deeper)}" for key, each in value.items()]
        return _bracketed("{", lines, "}", indent)
    if isinstance(value, list | tuple) and value:
        return _bracketed("[", [as_text(each, deeper) for each in value], "]", indent)
    if type(value) is int:
        return all_digits(value)
    if isinstance(value, Fraction):
        return _number(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value)


def _bracketed(start: str, lines: list[str], end: str, indent: str) -> str:
    return f"{start}\n" + ",\n".join(f"{indent}  {each}" for each in lines) + f"\n{indent}{end}"


def _number(value: Fraction) -> str:
    try:
        return json.dumps(float(value))
    except OverflowError:
        # As text: readers of JSON would take the number for infinity.
        return f'"{Decimal(value.numerator) / Decimal(value.denominator):.16e}"'


_COLUMNS = 80


def fill(text: str) -> None:
    """Print a paragraph."""
    say(textwrap.fill(text, _COLUMNS))


FATES = {"hit": "green", "miss": "blue", "skipped": "magenta", "culled": "bright_black",
         "differs": "red", "raised": "red"}  # fmt: skip
"""Colours of what happens to tasks, as in the pictures."""


def print_table(
    head: Sequence[str] | None,
    lines: Sequence[Sequence[str]],
    left: int = 0,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Print columns, flush right, but for the last `left` of them, whose last is text: it wraps.

    head: None for a table without one
    colours: of what stands in the first column, which is one of those flush left
    """
    rows = [list(map(printable, line)) for line in ([head] if head else []) + [*lines]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">"] * (len(widths) - left) + ["<"] * left
    indent = sum(widths[:-1]) + 2 * (len(widths) - 1)
    for number, line in enumerate(rows):
        cells = zip(line, sides, widths, strict=True)
        text = "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()
        if left:
            text = textwrap.fill(
                text, _COLUMNS, subsequent_indent=" " * indent, replace_whitespace=False
            )
        # Last, for a colour takes characters, but no columns.
        if head and not number:
            text = click.style(text, bold=True)
        elif colours and line[0] in colours:
            text = click.style(line[0], fg=colours[line[0]]) + text[len(line[0]) :]
        say(text)


def check_picture(path: Path) -> None:
    """Say that a picture cannot be saved before the work is done, not after."""
    check_file(path, *FORMATS)


def check_file(path: Path, *suffixes: str) -> None:
    """The same of a file whose name ends in one of some suffixes."""
    if path.suffix.removeprefix(".").lower() not in suffixes:
        raise click.UsageError(
            f"cannot write {str(path)!r}: the file name ends in .{', .'.join(suffixes)}"
        )
    if not path.parent.is_dir():
        raise click.UsageError(f"cannot save {path}: there is no folder {path.parent}")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure of matplotlib in the format of the suffix: equal figures, equal bytes."""
    from matplotlib import rc_context

    settings = {"svg.hashsalt": "pipeline", "svg.fonttype": "none"}
    with rc_context(settings), atomic_write(path) as file:
        figure.savefig(file, format=path.suffix[1:], metadata={"Date": None})
    return path
