"""`pipeline report`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import Call, PipelineError, Recurrence, Store, scheduler
from pipeline import report as report_of
from pipeline.apps.fibonacci import naive_rate
from pipeline.apps.mlp import network
from pipeline.apps.pages import fibonacci_page, mlp_page, tour
from pipeline.cli.fib import traceable
from pipeline.cli.options import (
    computing_options,
    layer_sizes,
    load_value,
    output_file,
    tasks_of,
    user_code,
)
from pipeline.cli.screen import Bar, fail, print_result, task_bar
from pipeline.graph import label
from pipeline.identity import short_repr
from pipeline.page import Page

_TITLE_WIDTH = 40
"""Characters of an argument in the title of a call's page."""


@click.command()
@click.argument("what", nargs=-1, metavar="[fib N | mlp SIZES | SCRIPT.py:NAME]")
@click.option("--args", "texts", multiple=True, metavar="ARGS",
              help="Of a recurrence in a script: its arguments, as Python writes them, "
              "separated by commas. A word is a text.")  # fmt: skip
@click.option("--out", type=output_file("html"), metavar="PATH.html",
              help="Where the page goes.  [default: outputs/report.html]")  # fmt: skip
@click.option("--weight", "weights", multiple=True, metavar="W",
              help="Of a network: offer this weight first; may be repeated.")  # fmt: skip
@computing_options("sync")
def report(
    what: tuple[str, ...], texts: tuple[str, ...], out: Path | None, weights: tuple[str, ...],
    scheduler_name: str, store: Store | None,
) -> None:  # fmt: skip
    """Make one HTML page that shows, step by step, why memoization works.

    By default it is about fib(6) and the network 2-2-2-1. A collection in a script is run twice,
    as it was built and as it is shared. A recurrence there is called with --args. With --store it
    is run once, and the page shows what was loaded, and why the rest was computed. It also shows
    what ran where and when: in parallel with --scheduler threads.

    \b
    pipeline report
    pipeline report fib 40 --out fib40.html
    pipeline report mlp 4-4-4-4-4-2 --weight w2_11
    pipeline report model.py:result --store cache
    pipeline report my.py:fib --args 6
    pipeline report my.py:distance --args kitten,sitting
    """
    if weights and what[:1] not in ((), ("mlp",)):
        raise click.UsageError("--weight names a weight of a network: pipeline report mlp 2-2-2-1")
    if texts and not _is_place(what):
        raise click.UsageError(f"--args are those of a recurrence in a script: {_EXAMPLE}")
    if out is None:
        out = Path("outputs/report.html")
        out.parent.mkdir(exist_ok=True)
    with scheduler(scheduler_name):
        page = _page(what, texts, weights, store)
        with Bar("page"):
            page.save(out)
    sections = [section.title for section in page.sections]
    print_result({"title": page.title, "sections": sections}, [out], store)


_EXAMPLE = "pipeline report my.py:fib --args 6"


def _is_place(what: Sequence[str]) -> bool:
    """Whether this is a name in a script: `model.py:result`."""
    return len(what) == 1 and ":" in what[0]


def _page(
    what: tuple[str, ...], texts: Sequence[str], weights: tuple[str, ...], store: Store | None
) -> Page:
    if _is_place(what):
        (place,) = what
        collection = _collection(place, texts)
        title = label(collection.key, _TITLE_WIDTH) if isinstance(collection, Call) else place
        with task_bar(), user_code(place):
            return report_of(collection, title=title, store=store)
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
        "layers, or a script and a name in it, like fib 6, mlp 2-2-2-1 or model.py:result; "
        "arguments of a recurrence in a script follow --args"
    )


def _collection(place: str, texts: Sequence[str]) -> Any:
    """The collection that a script has under a name, or a call of the recurrence there."""
    value = load_value(place)
    if not isinstance(value, Recurrence):
        if texts:
            fail(
                f"{place} is {short_repr(value)}, and --args are those of a recurrence: "
                "write @recurrence above its def, or leave out --args",
                2,
            )
        return tasks_of(place, value)
    positional, named = _arguments(texts)
    try:
        return value(*positional, **named)
    except (TypeError, PipelineError) as error:
        shown = f"{value.__name__}{value.signature}"
        fail(f"{place} is {shown}: {error}; give its arguments, like {_EXAMPLE}", 2)


def _arguments(texts: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments as Python writes them in a call; a word without quotes is a text.

    Raises `click.BadParameter` for what is no value.

    >>> _arguments(["6", "kitten, (1, 2.5), n=None"])
    ([6, 'kitten', (1, 2.5)], {'n': None})
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for text in texts:
        try:
            match ast.parse(f"f({text})", mode="eval").body:
                case ast.Call(ast.Name("f"), arguments, keywords):
                    positional += map(_value, arguments)
                    named |= {str(keyword.arg): _value(keyword.value) for keyword in keywords}
                case _:
                    raise ValueError(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise click.BadParameter(
                f"--args {short_repr(text)} are no values of Python: separate them by commas, and "
                "put texts with other signs than letters into quotes, like --args \"6, 'a-b'\""
            ) from None
    return positional, named


def _value(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
