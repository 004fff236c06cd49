"""`pipeline run`: the whole job."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import click

from pipeline import scheduler as on
from pipeline.apps import fibonacci
from pipeline.apps.growth import (
    FibonacciGrowth,
    GradientGrowth,
    fitted_base,
    measure_fibonacci,
    measure_gradients,
    plot_fibonacci,
    plot_gradients,
)
from pipeline.apps.mlp import network
from pipeline.apps.mlp.data import digits
from pipeline.apps.mlp.epochs import Plan
from pipeline.apps.mlp.layers import Layers
from pipeline.apps.mlp.pictures import adjoints, diagram
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.cli.fib import print_rows
from pipeline.cli.progress import Bar
from pipeline.cli.screen import as_json, as_text, print_json, save_figure, say, scheduler
from pipeline.cli.stored import as_told, store, tell, through
from pipeline.cli.train import KEPT, train_into
from pipeline.draw import atomic_write
from pipeline.identity import shorten
from pipeline.page import store_section
from pipeline.store import Counts

_NET = network((2, 2, 2, 1))


class _Measured(NamedTuple):
    """What is counted and measured.

    rate: calls a second of the naive recursion
    """

    rate: float
    rows: list[fibonacci.Row]
    points: list[FibonacciGrowth]
    mlp: list[GradientGrowth]


@click.command(short_help="the whole job, into the folder outputs")
@click.option(
    "--out",
    default="outputs",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files go.",
)
@scheduler
@store
@as_json
def run(out: Path, scheduler: str, url: str | None, is_json: bool) -> None:
    """The whole job: pictures, a page, and a summary.json of what was counted and measured.

    With --store, training goes on from what is stored; what is measured is computed each time.

    \b
    pipeline run
    pipeline run --out outputs --scheduler distributed
    pipeline run --store cache
    """
    out.mkdir(parents=True, exist_ok=True)
    with Bar("run", 5) as bar:
        found = _measured(scheduler, bar)
        bar.begin("pictures")
        bases, files = _drawn(found, out)
    with through(url, KEPT) as used:
        before = Counts() if used is None else used.done
        trained = train_into(Plan(Layers((64, 64, 32, 10))), digits(), 20, out, scheduler)
        more = [] if used is None else [store_section(used, before, name="training-store")]
    with Bar("page"), on("sync"):  # one step after the other, and in the same order each time
        pages = fibonacci_page(6, found.rate, found.points), mlp_page(_NET, points=found.mlp)
        page = tour(*pages, more).save(out / "report.html")
    files += [*trained.files, page]
    summary = _summary(found, bases, scheduler) | {
        "training": trained.fields() | {"files": [path.name for path in trained.files]},
        "files": [path.name for path in files],
    }
    path = out / "summary.json"
    with atomic_write(path) as file:
        file.write(f"{as_text(summary)}\n".encode())
    if is_json:
        print_json({**summary, "folder": str(out), "store": as_told(used)})
        return
    trained.tell()
    print_rows(found.rows, shorten, found.rate)
    say(f"the tree's tasks grow as {bases['tasks']:.3f}ⁿ, its seconds as {bases['seconds']:.2f}ⁿ")
    for each in (*files, path):
        say(f"saved {each}")
    say(f"to see it all, open {page} in a browser")
    tell(used)


def _measured(scheduler: str, bar: Bar) -> _Measured:
    bar.begin("naive recursion")
    rate = fibonacci.naive_rate()
    with on(scheduler):
        fibonacci.fib(2).compute()
        bar.begin("Fibonacci")
        rows = fibonacci.table((10, 20, 38, 100), rate)
        bar.begin("trees and DAGs")
        points = measure_fibonacci()
        bar.begin("gradients")
        return _Measured(rate, rows, points, measure_gradients())


def _drawn(found: _Measured, out: Path) -> tuple[dict[str, float], list[Path]]:
    """The bases of the tree's growth, and the pictures."""
    bases = {
        "tasks": fitted_base([(point.n, point.tree_tasks) for point in found.points]),
        "seconds": fitted_base([(point.n, point.tree_seconds) for point in found.points]),
    }
    return bases, [
        *fibonacci.pictures(out),
        save_figure(plot_fibonacci(found.points), out / "fib-growth.svg"),
        adjoints(_NET, "w3_11").save(out / "mlp-w3_11.svg"),
        adjoints(_NET, "w1_11", numbers=True).save(out / "mlp-w1_11.svg"),
        adjoints(_NET).save(out / "mlp-all.svg"),
        diagram(_NET, "w1_11", numbers=True).save(out / "mlp-paths.svg"),
        save_figure(plot_gradients(found.mlp), out / "mlp-growth.svg"),
    ]


def _summary(found: _Measured, bases: dict[str, float], scheduler: str) -> dict[str, Any]:
    return {
        "pipeline": version("dask-memo"),
        "python": platform.python_version(),
        "scheduler": scheduler,
        "fibonacci": {
            "rows": list(map(asdict, found.rows)),
            "growth": list(map(asdict, found.points)),
            "fitted_bases": bases,
            "naive_calls_per_second": found.rate,
        },
        "mlp": {"growth": list(map(asdict, found.mlp))},
    }
