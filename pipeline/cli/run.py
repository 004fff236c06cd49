"""`pipeline run`: the whole job."""

from __future__ import annotations

import dataclasses
import json
import platform
from importlib.metadata import version
from pathlib import Path

import click

from pipeline import on
from pipeline.apps import fibonacci
from pipeline.apps.mlp import network
from pipeline.apps.mlp.data import digits
from pipeline.apps.mlp.growth import growth as mlp_growth
from pipeline.apps.mlp.growth import plot_growth
from pipeline.apps.mlp.layers import Layers
from pipeline.apps.mlp.pictures import adjoints, diagram
from pipeline.apps.mlp.training import Plan
from pipeline.cli.fib import print_rows
from pipeline.cli.screen import scheduler
from pipeline.cli.stored import store, tell, through
from pipeline.cli.train import KEPT, train_into
from pipeline.units import shorten


@click.command()
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
def run(out: Path, scheduler: str, url: str | None) -> None:
    """The whole job: pictures, and a summary.json of what was counted and measured.

    With --store, training goes on from what is stored; what is measured is computed each time.

    \b
    pipeline run --out outputs --scheduler distributed
    pipeline run --store cache
    """
    out.mkdir(parents=True, exist_ok=True)
    rate = fibonacci.naive_rate()
    with on(scheduler):
        fibonacci.fib(2).compute()
        rows = fibonacci.table((10, 20, 38, 100), rate)
        points = fibonacci.growth()
        mlp_points = mlp_growth()
    plot = out / "fib-growth.svg"
    bases = fibonacci.plot_growth(points, plot)
    net = network((2, 2, 2, 1))
    files = [
        *fibonacci.pictures(out),
        plot,
        adjoints(net, "w3_11").save(out / "mlp-w3_11.svg"),
        adjoints(net, "w1_11", numbers=True).save(out / "mlp-w1_11.svg"),
        adjoints(net).save(out / "mlp-all.svg"),
        diagram(net, "w1_11", numbers=True).save(out / "mlp-paths.svg"),
        plot_growth(mlp_points, out / "mlp-growth.svg"),
    ]
    summary = {
        "pipeline": version("dask-memo"),
        "python": platform.python_version(),
        "scheduler": scheduler,
        "fibonacci": {
            "rows": [row.summary() for row in rows],
            "growth": [dataclasses.asdict(point) for point in points],
            "fitted_bases": bases,
            "naive_calls_per_second": rate,
        },
        "mlp": {"growth": [dataclasses.asdict(point) for point in mlp_points]},
    }
    with through(url, KEPT) as used:
        files += train_into(Plan(Layers((64, 64, 32, 10))), digits(), 20, out, scheduler)
    summary["files"] = [path.name for path in files]
    path = out / "summary.json"
    path.write_text(json.dumps(summary, indent=2) + "\n")
    print_rows(rows, shorten, rate)
    click.echo(
        f"the tree's tasks grow as {bases['tasks']:.3f}ⁿ, its seconds as {bases['seconds']:.2f}ⁿ"
    )
    for each in (*files, path):
        click.echo(f"saved {each}")
    tell(used)
