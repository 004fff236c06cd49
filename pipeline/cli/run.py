"""`pipeline run`: the whole job."""

from __future__ import annotations

import platform
from contextlib import nullcontext
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import click

from pipeline import Store, scheduler
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
from pipeline.cli.mlp import KEPT, train_into
from pipeline.cli.options import computing_options, out_option
from pipeline.cli.screen import Bar, json_text, print_result, print_text, save_figure
from pipeline.draw import atomic_write
from pipeline.page import store_section
from pipeline.store import Counts

_NET = network((2, 2, 2, 1))


@click.command()
@out_option
@computing_options(keep=KEPT)
def run(out: Path, scheduler_name: str, store: Store | None) -> None:
    """The whole job: pictures, a page, and a summary.json of all counts and measurements.

    With --store, training continues from the stored epochs; measurements are always repeated.

    \b
    pipeline run
    pipeline run --out outputs --scheduler distributed
    pipeline run --store cache
    """
    out.mkdir(parents=True, exist_ok=True)
    with Bar("run", 5) as bar:
        rate = fibonacci.naive_rate()
        bar.step(item="naive recursion")
        with scheduler(scheduler_name):
            fibonacci.fib(2).compute()  # so that no row pays for the workers' start
            rows = fibonacci.table((10, 20, 38, 100), rate)
            bar.step(item="Fibonacci")
            points = measure_fibonacci()
            bar.step(item="trees and DAGs")
            gradients = measure_gradients()
            bar.step(item="gradients")
        files = _draw(points, gradients, out)
        bar.step(item="pictures")
    before = Counts() if store is None else store.done
    with store or nullcontext():
        trained = train_into(Plan(Layers((64, 64, 32, 10))), digits(), 20, out, scheduler_name)
    more = [] if store is None else [store_section(store, before, name="training-store")]
    with Bar("page"), scheduler("sync"):  # one step after the other, in the same order each time
        pages = fibonacci_page(6, rate, points), mlp_page(_NET, points=gradients)
        page = tour(*pages, more).save(out / "report.html")
    files += [*trained.files, page]
    bases = {
        "tasks": fitted_base([(point.n, point.tree_tasks) for point in points]),
        "seconds": fitted_base([(point.n, point.tree_seconds) for point in points]),
    }
    summary = {
        "pipeline": version("dask-memo"),
        "python": platform.python_version(),
        "scheduler": scheduler_name,
        "fibonacci": {
            "rows": list(map(asdict, rows)),
            "growth": list(map(asdict, points)),
            "fitted_bases": bases,
            "naive_calls_per_second": rate,
        },
        "mlp": {"growth": list(map(asdict, gradients))},
        "training": trained.fields() | {"files": [path.name for path in trained.files]},
        "files": [path.name for path in files],
    }
    path = out / "summary.json"
    with atomic_write(path) as file:
        file.write(f"{json_text(summary)}\n".encode())
    trained.print()
    print_rows(rows, rate)
    tasks, seconds = bases["tasks"], bases["seconds"]
    print_text(f"the tree's tasks grow as {tasks:.3f}ⁿ, its seconds as {seconds:.2f}ⁿ")
    print_text(f"to see it all, open {page} in a browser")
    print_result({**summary, "folder": str(out)}, [*files, path], store)


def _draw(points: list[FibonacciGrowth], gradients: list[GradientGrowth], out: Path) -> list[Path]:
    return [
        *fibonacci.pictures(out),
        save_figure(plot_fibonacci(points), out / "fib-growth.svg"),
        adjoints(_NET, "w3_11").save(out / "mlp-w3_11.svg"),
        adjoints(_NET, "w1_11", numbers=True).save(out / "mlp-w1_11.svg"),
        adjoints(_NET).save(out / "mlp-all.svg"),
        diagram(_NET, "w1_11", numbers=True).save(out / "mlp-paths.svg"),
        save_figure(plot_gradients(gradients), out / "mlp-growth.svg"),
    ]
