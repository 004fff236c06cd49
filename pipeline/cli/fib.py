"""`pipeline fib`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import contrast, trace
from pipeline import scheduler as on
from pipeline.apps import fibonacci
from pipeline.cli.progress import Bar
from pipeline.cli.screen import as_json, check_picture, print_json, print_table, say, scheduler
from pipeline.cli.stored import as_told, store, tell, through
from pipeline.graph import MAX_TASKS
from pipeline.identity import all_digits, format_duration, format_number, shorten

if TYPE_CHECKING:
    from collections.abc import Callable


class Number(click.ParamType[int]):
    """An n of which fib(n) can be traced."""

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
                f"fib({value}) has over {MAX_TASKS:,} subproblems, the most that are traced here"
            )
        return number


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="the naive recursion beside the DAG",
)
@click.argument("numbers", nargs=-1, required=True, type=Number(), metavar="N [N ...]")
@scheduler
@store
@click.option("--save", type=click.Path(path_type=Path), metavar="PATH.svg|png|pdf|dot",
              help="Draw the tree beside the DAG, of all N together.")  # fmt: skip
@click.option("--full", is_flag=True, help="Print long integers whole.")
@as_json
def fib(
    numbers: tuple[int, ...], scheduler: str, url: str | None, save: Path | None, full: bool,
    is_json: bool,
) -> None:  # fmt: skip
    """Fibonacci numbers: tasks and seconds of the tree and of the DAG.

    With --store, the time of the DAG is that of loading its result, or of computing and storing it.

    \b
    pipeline fib 38 40 100 2000
    pipeline fib 6 --save fib.svg
    pipeline fib 2000 --store cache
    """
    if save is not None:
        check_picture(save)
    rate = fibonacci.naive_rate()
    with on(scheduler):
        fibonacci.fib(2).compute()  # so that no row pays for the workers' start
        with through(url) as used, Bar("fib", len(numbers)) as bar:
            rows = []
            for n in numbers:
                bar.begin(f"fib({n})")
                rows += fibonacci.table([n], rate)
    if not is_json:
        print_rows(rows, all_digits if full else shorten, rate)
    if save is not None:
        with Bar("draw", 1):
            contrast(trace([fibonacci.fib(n) for n in numbers])).save(save)
    if is_json:
        print_json({
            "rows": list(map(asdict, rows)),
            "naive_calls_per_second": rate,
            "files": [str(save)] if save else [],
            "store": as_told(used),
        })  # fmt: skip
        return
    if save is not None:
        say(f"saved {save}")
    tell(used)


def print_rows(rows: list[fibonacci.Row], show: Callable[[int], str], rate: float) -> None:
    """Print the table of some n."""
    lines = [
        (
            str(row.n),
            show(row.value),
            show(row.tree),
            str(row.dag),
            format_number(row.sharing),
            format_duration(row.seconds),
            "~" * row.predicted + format_duration(row.naive_seconds),
        )
        for row in rows
    ]
    print_table(("n", "value", "tree tasks", "DAG", "sharing", "DAG time", "naive time"), lines)
    if any(row.predicted for row in rows):
        say(
            f"~ predicted from {format_number(round(rate))} naive calls a second, measured just now"
        )
