"""`pipeline report`."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline import Store, scheduler
from pipeline import report as report_of
from pipeline.apps.fibonacci import naive_rate
from pipeline.apps.mlp import network
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.cli.fib import traceable
from pipeline.cli.options import (
    computing_options,
    layer_sizes,
    load_tasks,
    output_file,
    user_code,
)
from pipeline.cli.screen import Bar, print_result, task_bar
from pipeline.page import Page


@click.command()
@click.argument("what", nargs=-1, metavar="[fib N | mlp SIZES | SCRIPT.py:COLLECTION]")
@click.option("--out", type=output_file("html"), metavar="PATH.html",
              help="Where the page goes.  [default: outputs/report.html]")  # fmt: skip
@click.option("--weight", "weights", multiple=True, metavar="W",
              help="Of a network: offer this weight first; may be repeated.")  # fmt: skip
@computing_options("sync")
def report(
    what: tuple[str, ...], out: Path | None, weights: tuple[str, ...], scheduler_name: str,
    store: Store | None,
) -> None:  # fmt: skip
    """Make one HTML page that shows, step by step, why memoization works.

    By default it is about fib(6) and the network 2-2-2-1. A collection in a script is run twice,
    as it was built and as it is shared. With --store it is run once, and the page shows what was
    loaded, and why the rest was computed.

    \b
    pipeline report
    pipeline report fib 40 --out fib40.html
    pipeline report mlp 4-4-4-4-4-2 --weight w2_11
    pipeline report model.py:result --store cache
    """
    if weights and what[:1] not in ((), ("mlp",)):
        raise click.UsageError("--weight names a weight of a network: pipeline report mlp 2-2-2-1")
    if out is None:
        out = Path("outputs/report.html")
        out.parent.mkdir(exist_ok=True)
    with scheduler(scheduler_name):
        page = _page(what, weights, store)
        with Bar("page"):
            page.save(out)
    sections = [section.title for section in page.sections]
    print_result({"title": page.title, "sections": sections}, [out], store)


def _page(what: tuple[str, ...], weights: tuple[str, ...], store: Store | None) -> Page:
    if len(what) == 1 and ":" in (place := what[0]):
        collection = load_tasks(place)
        with task_bar(), user_code(place):
            return report_of(collection, title=place, store=store)
    with Bar("measure"):
        match what:
            case ():
                return tour(
                    fibonacci_page(6, naive_rate(), store=store),
                    mlp_page(network((2, 2, 2, 1)), weights, store=store),
                )
            case ("fib", number):
                return fibonacci_page(traceable(number), naive_rate(), store=store)
            case ("mlp", sizes):
                return mlp_page(network(layer_sizes(sizes)), weights, store=store)
    raise click.UsageError(
        f"cannot report on {' '.join(what)!r}: give fib and a number, mlp and the nodes of its "
        "layers, or a script and a collection in it, like fib 6, mlp 2-2-2-1 or model.py:result"
    )
