"""`pipeline report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import report as report_of
from pipeline import scheduler
from pipeline.apps.fibonacci import naive_rate
from pipeline.apps.mlp import network
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.cli.fib import Number
from pipeline.cli.options import (
    OutputFile,
    Sizes,
    json_option,
    load_tasks,
    run_user_code,
    scheduler_option,
    store_option,
)
from pipeline.cli.screen import Bar, Tasks, print_result

if TYPE_CHECKING:
    from pipeline import Page, Store


@click.command()
@click.argument("what", nargs=-1, metavar="[fib N | mlp SIZES | SCRIPT.py:COLLECTION]")
@click.option("--out", type=OutputFile("html"), metavar="PATH.html",
              help="Where the page goes.  [default: outputs/report.html]")  # fmt: skip
@click.option("--weight", "weights", multiple=True, metavar="W",
              help="Of a network: offer this weight first; may be repeated.")  # fmt: skip
@scheduler_option("sync")
@store_option()
@json_option
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
    match what:
        case (place,) if ":" in place:
            collection = load_tasks(place)
            with Tasks():
                page: Page = run_user_code(
                    place, lambda: report_of(collection, title=place, store=store)
                )
            return page
        case ():
            with Bar("measure"):
                return tour(
                    fibonacci_page(6, naive_rate(), store=store),
                    mlp_page(network((2, 2, 2, 1)), weights, store=store),
                )
        case ("fib", number):
            n = Number().convert(number, None, None)
            with Bar("measure"):
                return fibonacci_page(n, naive_rate(), store=store)
        case ("mlp", sizes):
            net = network(Sizes().convert(sizes, None, None))
            with Bar("measure"):
                return mlp_page(net, weights, store=store)
    raise click.UsageError(
        f"cannot report on {' '.join(what)!r}: give fib and a number, mlp and the nodes of its "
        "layers, or a script and a collection in it, like fib 6, mlp 2-2-2-1 or model.py:result"
    )
