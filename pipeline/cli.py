"""The `pipeline` command: the only file that prints."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pipeline import SchedulerError, contrast, on, trace
from pipeline.apps import fibonacci
from pipeline.picture import FORMATS
from pipeline.unfold import LIMIT
from pipeline.units import duration, shorten, size, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Commands(click.Group):
    """Commands whose expected errors are one line each."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            kwargs["standalone_mode"] = False
            sys.exit(super().main(*args, **kwargs) or 0)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except SchedulerError as error:
            _fail(str(error), 2)
        except OSError as error:
            place = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            _fail(place, 1)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", 130)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"pipeline: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(
    cls=_Commands,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
@click.version_option(version("dask-memo"), prog_name="pipeline")
def main(context: click.Context) -> None:
    """Explicit memoization on Dask task graphs.

    \b
    pipeline run             the whole job, into the folder outputs
    pipeline fib 38 40 100   Fibonacci: the naive recursion beside the DAG
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_scheduler = click.option(
    "--scheduler",
    default="threads",
    show_default=True,
    metavar="S",
    help="sync, threads, processes, distributed, or the address of a running one, tcp://host:port.",
)


class _Number(click.ParamType[int]):
    name = "N"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if str(value).startswith("--"):
            self.fail(f"no such option: {value}; see pipeline fib --help", param, ctx)
        try:
            number: int = fibonacci.fibonacci(int(value)).args[0]
        except ValueError:
            self.fail(f"fib({value}): n must be a whole number from 0 on, like 6", param, ctx)
        if number >= LIMIT:
            self.fail(f"fib({value}) has over {LIMIT:,} subproblems, the most that are traced here")
        return number


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("numbers", nargs=-1, required=True, type=_Number(), metavar="N [N ...]")
@_scheduler
@click.option("--save", type=click.Path(path_type=Path), metavar="PATH.svg|png|pdf|dot",
              help="Draw the tree beside the DAG, of all N together.")  # fmt: skip
@click.option("--full", is_flag=True, help="Print long integers whole.")
def fib(numbers: tuple[int, ...], scheduler: str, save: Path | None, full: bool) -> None:
    """Fibonacci numbers: tasks and seconds of the tree and of the DAG.

    \b
    pipeline fib 38 40 100 2000
    pipeline fib 6 --save fib.svg
    """
    if save is not None:
        _check_picture(save)
    rate = fibonacci.naive_rate()
    with on(scheduler):
        fibonacci.fib(2).compute()  # so that no row pays for the workers' start
        rows = fibonacci.table(numbers, rate)
    _print_rows(rows, whole if full else shorten, rate)
    if save is not None:
        graph = trace([fibonacci.fib(n) for n in numbers])
        click.echo(f"saved {contrast(graph).save(save)}")


@main.command()
@click.option(
    "--out",
    default="outputs",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files go.",
)
@_scheduler
def run(out: Path, scheduler: str) -> None:
    """The whole job: pictures, and a summary.json of what was counted and measured.

    \b
    pipeline run --out outputs --scheduler distributed
    """
    out.mkdir(parents=True, exist_ok=True)
    rate = fibonacci.naive_rate()
    with on(scheduler):
        fibonacci.fib(2).compute()
        rows = fibonacci.table((10, 20, 38, 100), rate)
        points = fibonacci.growth()
    plot = out / "fib-growth.svg"
    bases = fibonacci.plot_growth(points, plot)
    files = [*fibonacci.pictures(out), plot]
    summary = {
        "pipeline": version("dask-memo"),
        "python": platform.python_version(),
        "scheduler": scheduler,
        "fibonacci": {
            "rows": [row.summary() for row in rows],
            "growth": [dataclasses.asdict(point) for point in points],
            "fitted_bases": bases,
            "naive_calls_per_second": rate,
            "files": [path.name for path in files],
        },
    }
    path = out / "summary.json"
    path.write_text(json.dumps(summary, indent=2) + "\n")
    _print_rows(rows, shorten, rate)
    click.echo(
        f"the tree's tasks grow as {bases['tasks']:.3f}ⁿ, its seconds as {bases['seconds']:.2f}ⁿ"
    )
    for each in (*files, path):
        click.echo(f"saved {each}")


def _print_rows(rows: list[fibonacci.Row], show: Callable[[int], str], rate: float) -> None:
    lines = [
        (
            str(row.n),
            show(row.value),
            show(row.tree),
            str(row.dag),
            size(row.sharing),
            duration(row.seconds),
            "~" * row.predicted + duration(row.naive_seconds),
        )
        for row in rows
    ]
    _print_table(("n", "value", "tree tasks", "DAG", "sharing", "DAG time", "naive time"), lines)
    if any(row.predicted for row in rows):
        click.echo(f"~ predicted from {size(round(rate))} naive calls a second, measured just now")


def _print_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    for line in (head, *lines):
        click.echo("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))


def _check_picture(path: Path) -> None:
    """Say that a picture cannot be saved before the work is done, not after."""
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        raise click.UsageError(
            f"cannot draw {str(path)!r}: the file name ends in .{', .'.join(FORMATS)}"
        )
    if not path.parent.is_dir():
        raise click.UsageError(f"cannot save {path}: there is no folder {path.parent}")
