"""`pipeline report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import Store
from pipeline import report as page_of
from pipeline import scheduler as on
from pipeline.apps.fibonacci import naive_rate
from pipeline.apps.mlp import network
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.cli.fib import Number
from pipeline.cli.mlp import Sizes
from pipeline.cli.progress import Bar, Tasks
from pipeline.cli.screen import as_json, check_file, print_json, say, scheduler_option
from pipeline.cli.script import ran, tasks_of
from pipeline.cli.stored import as_told, made, store, tell

if TYPE_CHECKING:
    from pipeline import Page

DEFAULT = Path("outputs/report.html")


@click.command(short_help="one page that shows it all")
@click.argument("what", nargs=-1, metavar="[fib N | mlp SIZES | SCRIPT.py:COLLECTION]")
@click.option("--out", default=DEFAULT, show_default=True, metavar="PATH.html",
              type=click.Path(path_type=Path), help="Where the page goes.")  # fmt: skip
@click.option("--weight", "names", multiple=True, metavar="W",
              help="Of a network: offer this weight first; may be given again.")  # fmt: skip
@scheduler_option("sync")
@store
@as_json
def report(
    what: tuple[str, ...], out: Path, names: tuple[str, ...], scheduler: str,
    url: str | None, is_json: bool,
) -> None:  # fmt: skip
    """Make one HTML page that shows why memoization works: to point at, and to step through.

    Without more it is about fib(6) and the network 2-2-2-1. Of a script, a collection is run
    twice, as it was built and as shared. With --store it is run once, and the page tells what was
    loaded, and why the rest was computed.

    \b
    pipeline report
    pipeline report fib 40 --out fib40.html
    pipeline report mlp 4-4-4-4-4-2 --weight w2_11
    pipeline report model.py:result --store cache
    """
    if out == DEFAULT:
        out.parent.mkdir(exist_ok=True)
    check_file(out, "html")
    if names and what[:1] not in ((), ("mlp",)):
        raise click.UsageError("--weight names a weight of a network: pipeline report mlp 2-2-2-1")
    used = made(url) if url else None
    with on(scheduler), Bar("report") as bar:
        bar.begin("runs and measurements")
        page = _page(what, names, used)
        bar.begin("page")
        page.save(out)
    if used is not None:
        used.emit_warnings()
    sections = [section.title for section in page.sections]
    if is_json:
        told = {"title": page.title, "sections": sections, "files": [str(out)]}
        print_json({**told, "store": as_told(used)})
        return
    say(f"saved {out}")
    tell(used)


def _page(what: tuple[str, ...], names: tuple[str, ...], used: Store | None) -> Page:
    options: dict[str, Any] = {"store": used}
    match what:
        case ():
            return tour(
                fibonacci_page(6, naive_rate(), **options),
                mlp_page(network((2, 2, 2, 1)), names, **options),
            )
        case ("fib", number):
            n = Number().convert(number, None, None)
            return fibonacci_page(n, naive_rate(), **options)
        case ("mlp", sizes):
            return mlp_page(network(Sizes().convert(sizes)), names, **options)
        case (place,) if ":" in place:
            collection = tasks_of(place)
            with Tasks():
                page: Page = ran(place, lambda: page_of(collection, title=place, **options))
            return page
    raise click.UsageError(
        f"cannot report on {' '.join(what)!r}: give fib and a number, mlp and the nodes of its "
        "layers, or a script and a collection in it, like fib 6, mlp 2-2-2-1 or model.py:result"
    )
