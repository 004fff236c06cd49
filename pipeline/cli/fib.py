"""`pipeline fib`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import scheduler
from pipeline.apps import fibonacci
from pipeline.cli.options import computing_options, picture_option, race_of, race_option
from pipeline.cli.screen import Bar, print_result, print_table, print_text
from pipeline.graph import MAX_TASKS
from pipeline.identity import all_digits, format_duration, format_number, shorten

if TYPE_CHECKING:
    from pipeline import Store


def traceable(text: str) -> int:
    """An n whose fib(n) can be traced: a type of click."""
    if text.startswith("--"):
        raise click.BadParameter(f"no such option: {text}; see pipeline fib --help")
    try:
        number: int = fibonacci.fib_call(int(text)).args[0]
    except ValueError:
        rule = "n must be a whole number from 0 on, like 6"
        raise click.BadParameter(f"fib({text}): {rule}") from None
    if number >= MAX_TASKS:
        raise click.BadParameter(
            f"fib({text}) has over {MAX_TASKS:,} subproblems: give a smaller n"
        )
    return number


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("numbers", nargs=-1, required=True, type=traceable, metavar="N [N ...]")
@picture_option("--save", text="Draw the tree beside the DAG, of all N together.")
@race_option
@click.option("--full", is_flag=True, help="Print all digits of long integers.")
@computing_options()
def fib(
    numbers: tuple[int, ...], save: Path | None, race_file: Path | None, full: bool,
    scheduler_name: str, store: Store | None,
) -> None:  # fmt: skip
    """Fibonacci numbers: tasks and seconds of the tree and of the DAG.

    With --store, the DAG's result is loaded, or computed and stored; its time includes that.

    \b
    pipeline fib 38 40 100 2000
    pipeline fib 6 --save fib.svg
    pipeline fib 6 --race race.svg
    pipeline fib 2000 --store cache
    """
    if race_file and len(numbers) > 1:
        raise click.UsageError("--race shows one N: give one, like pipeline fib 6 --race race.svg")
    race = race_of(fibonacci.fib(numbers[0])) if race_file else None
    rate = fibonacci.naive_rate()
    with scheduler(scheduler_name):
        fibonacci.fib(2).compute()  # so that no row pays for the workers' start
        with store or nullcontext(), Bar("fib", len(numbers)) as bar:
            rows = []
            for n in numbers:
                rows += fibonacci.table([n], rate)
                bar.step(item=f"fib({n})")
    print_rows(rows, rate, all_digits if full else shorten)
    files = []
    if save:
        from pipeline import contrast, trace  # which numbers alone do not need

        with Bar("draw"):
            files.append(contrast(trace([fibonacci.fib(n) for n in numbers])).save(save))
    if race and race_file:
        files.append(race.save(race_file))
    fields = {"rows": list(map(asdict, rows)), "naive_calls_per_second": rate}
    print_result(fields, files, store)


def print_rows(
    rows: list[fibonacci.Row], rate: float, format_integer: Callable[[int], str] = shorten
) -> None:
    """Print a row for each n.

    rate: naive calls a second
    """
    lines = [
        (str(row.n), format_integer(row.value), format_integer(row.tree), str(row.dag),
         format_number(row.sharing), format_duration(row.seconds),
         "~" * row.predicted + format_duration(row.naive_seconds))
        for row in rows
    ]  # fmt: skip
    print_table(("n", "value", "tree tasks", "DAG", "sharing", "DAG time", "naive time"), lines)
    if any(row.predicted for row in rows):
        number = format_number(round(rate))
        print_text(f"~ predicted from {number} naive calls a second, measured just now")
