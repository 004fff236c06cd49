"""`pipeline fib`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline import scheduler
from pipeline.apps import fibonacci
from pipeline.cli.options import json_option, picture_option, scheduler_option, store_option
from pipeline.cli.screen import Bar, print_result, print_table, print_text
from pipeline.graph import MAX_TASKS
from pipeline.identity import all_digits, format_duration, format_number, shorten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline import Store


class Number(click.ParamType[int]):
    """An n whose fib(n) can be traced."""

    name = "N"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if str(value).startswith("--"):
            self.fail(f"no such option: {value}; see pipeline fib --help", param, ctx)
        try:
            number: int = fibonacci.fib_call(int(value)).args[0]
        except ValueError:
            self.fail(f"fib({value}): n must be a whole number from 0 on, like 6", param, ctx)
        if number >= MAX_TASKS:
            self.fail(
                f"fib({value}) has over {MAX_TASKS:,} subproblems: give a smaller n", param, ctx
            )
        return number


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("numbers", nargs=-1, required=True, type=Number(), metavar="N [N ...]")
@scheduler_option()
@store_option()
@picture_option("--save", text="Draw the tree beside the DAG, of all N together.")
@click.option("--full", is_flag=True, help="Print all digits of long integers.")
@json_option
def fib(
    numbers: tuple[int, ...],
    scheduler_name: str,
    store: Store | None,
    save: Path | None,
    full: bool,
) -> None:
    """Fibonacci numbers: tasks and seconds of the tree and of the DAG.

    With --store, the DAG's result is loaded, or computed and stored; its time includes that.

    \b
    pipeline fib 38 40 100 2000
    pipeline fib 6 --save fib.svg
    pipeline fib 2000 --store cache
    """
    rate = fibonacci.naive_rate()
    with scheduler(scheduler_name):
        fibonacci.fib(2).compute()  # so that no row pays for the workers' start
        with store or nullcontext(), Bar("fib", len(numbers)) as bar:
            rows = []
            for n in numbers:
                rows += fibonacci.table([n], rate)
                bar.step(item=f"fib({n})")
    print_rows(rows, rate, all_digits if full else shorten)
    files = [save] if save else []
    if save:
        from pipeline import contrast, trace  # which numbers alone do not need

        with Bar("draw"):
            contrast(trace([fibonacci.fib(n) for n in numbers])).save(save)
    fields = {"rows": list(map(asdict, rows)), "naive_calls_per_second": rate}
    print_result(fields, files, store)


def print_rows(
    rows: list[fibonacci.Row], rate: float, format_integer: Callable[[int], str] = shorten
) -> None:
    """Print a row for each n.

    rate: naive calls a second
    """
    lines = [
        (
            str(row.n),
            format_integer(row.value),
            format_integer(row.tree),
            str(row.dag),
            format_number(row.sharing),
            format_duration(row.seconds),
            "~" * row.predicted + format_duration(row.naive_seconds),
        )
        for row in rows
    ]
    print_table(("n", "value", "tree tasks", "DAG", "sharing", "DAG time", "naive time"), lines)
    if any(row.predicted for row in rows):
        print_text(
            f"~ predicted from {format_number(round(rate))} naive calls a second, measured just now"
        )
