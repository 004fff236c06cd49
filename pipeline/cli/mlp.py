"""`pipeline mlp`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline import LimitError
from pipeline import scheduler as on
from pipeline.apps.mlp import NetworkError, counts, formula, gradient, network
from pipeline.apps.mlp.networks import checked
from pipeline.apps.mlp.pictures import adjoints, diagram
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES
from pipeline.cli.progress import Bar, Tasks
from pipeline.cli.screen import (
    as_json,
    check_picture,
    fail,
    one_of,
    print_json,
    print_table,
    say,
    scheduler,
)
from pipeline.cli.stored import as_told, store, tell, through
from pipeline.identity import format_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pipeline import TaskGraph
    from pipeline.apps.mlp.counts import Work
    from pipeline.apps.mlp.networks import Network

_MOST = 20
"""Weights that are listed."""

_Command = TypeVar("_Command", bound="Callable[..., Any] | click.Command")


class Sizes(click.ParamType[tuple[int, ...]]):
    """The nodes of each layer, like 2-2-2-1."""

    name = "SIZES"

    def convert(self, value: Any, *_: Any) -> tuple[int, ...]:
        try:
            return tuple(int(each) for each in str(value).split("-"))
        except ValueError:
            raise NetworkError(
                f"{value!r} is no network: give the nodes of each layer, like 2-2-2-1"
            ) from None


def _picture(*names: str, text: str) -> Callable[[_Command], _Command]:
    kind = click.Path(path_type=Path)
    return click.option(*names, type=kind, metavar="PATH.svg|png|pdf|dot", help=text)


def _graph(net: Network, asked: list[str], memoize: bool) -> TaskGraph:
    try:
        return gradient(net, asked, memoize=memoize)
    except LimitError as error:
        if memoize:
            raise
        text = str(error).partition(", over")[0]
        fail(f"{text}, too many to be run: leave out --no-memoize", 1)


@click.command(short_help="the path sum beside backpropagation")
@click.argument("sizes", type=Sizes(), metavar="SIZES")
@click.option("--weight", "names", multiple=True, metavar="W", help="A weight or bias, like w1_11; "
              "may be given again.  [default: w1_11]")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="All weights and biases.")
@click.option("--activation", default="sigmoid", show_default=True, metavar="F",
              shell_complete=one_of(ACTIVATIONS),
              help=f"Of the hidden layers: {', '.join(ACTIVATIONS)}.")  # fmt: skip
@click.option("--loss", default="mse", show_default=True, metavar="F",
              shell_complete=one_of(LOSSES), help=f"{' or '.join(LOSSES)}.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the weights and the example.")
@click.option("--memoize/--no-memoize", default=True, show_default=True,
              help="Compute each adjoint once, or once for each path.")  # fmt: skip
@click.option(
    "--formula", "words", is_flag=True, help="Print the chain rule, expanded and factored."
)
@click.option("--latex", is_flag=True, help="Print it as LaTeX.")
@click.option("--numbers", is_flag=True, help="Show values in the pictures.")
@_picture("--save", text="Draw the sum over all paths beside backpropagation.")
@_picture("--network", "drawing", text="Draw the network and the weight's paths to the loss.")
@scheduler
@store
@as_json
def mlp(
    sizes: tuple[int, ...], names: tuple[str, ...], everything: bool, activation: str, loss: str,
    seed: int, memoize: bool, words: bool, latex: bool, numbers: bool, save: Path | None,
    drawing: Path | None, scheduler: str, url: str | None, is_json: bool,
) -> None:  # fmt: skip
    """Gradients of a multilayer perceptron: the sum over all paths beside backpropagation.

    \b
    pipeline mlp 2-2-2-1 --formula
    pipeline mlp 2-2-2-1 --weight w1_11 --save w1_11.svg --numbers
    pipeline mlp 784-256-128-10 --activation relu --loss cross-entropy
    pipeline mlp 784-256-128-10 --store cache
    """
    for path in (save, drawing):
        if path is not None:
            check_picture(path)
    net = network(sizes, activation, loss, seed=seed)
    asked = net.parameters if everything else checked(net, names or net.parameters[:1])
    with Bar("trace"):
        graph = _graph(net, asked, memoize)
    with on(scheduler), through(url) as used, Tasks():
        found = graph.compute()
    formulas = {
        name: _formula(net, name, latex=latex) for name in (asked if words or latex else ())
    }
    if not is_json:
        _print(net, found, asked, everything)
        for pair in formulas.values():
            say("\n" + "\n\n".join(pair))
    with Bar("draw", 1):
        if save is not None:
            adjoints(net, None if everything else asked, numbers=numbers).save(save)
        if drawing is not None:
            diagram(net, asked[0], numbers=numbers).save(drawing)
    files = [str(path) for path in (save, drawing) if path is not None]
    if is_json:
        print_json({
            "sizes": sizes,
            "weights": [_fields(net, name, float(found[name])) for name in asked],
            "all": _fields_of(_works(sizes, None)) if everything else None,
            "formulas": {name: dict(zip(("expanded", "factored"), pair, strict=True))
                         for name, pair in formulas.items()},
            "files": files,
            "store": as_told(used),
        })  # fmt: skip
        return
    for file in files:
        say(f"saved {file}")
    tell(used)


def _formula(net: Network, name: str, *, latex: bool) -> tuple[str, str]:
    """The chain rule, expanded and factored."""
    shown = formula(net, name)
    if latex:
        return shown.expanded_latex, shown.factored_latex
    return shown.expanded, shown.factored


def _fields(net: Network, name: str, value: float) -> dict[str, Any]:
    """A weight in JSON's types."""
    layer = net[name].layer
    paths = counts.paths(net.sizes, layer)
    works = _fields_of(_works(net.sizes, layer))
    return {"weight": name, "gradient": value, "paths": paths, **works}


def _print(net: Network, found: Mapping[str, Any], asked: Sequence[str], everything: bool) -> None:
    lines = []
    for name in asked[:_MOST]:
        layer = net[name].layer
        number = format_number(counts.paths(net.sizes, layer))
        lines.append((name, f"{found[name]:.6g}", number, *_told(_works(net.sizes, layer))))
    if len(asked) > _MOST:
        lines.append(("…", *[""] * 5))
    if everything:
        lines.append(("all", "", "", *_told(_works(net.sizes, None))))
    print_table(("weight", "∂L/∂w", "paths", "path sum × +", "recursion", "memoized"), lines)


def _works(sizes: tuple[int, ...], layer: int | None) -> tuple[Work, ...]:
    """The work written out, by recursion, and by recursion with memoization."""
    ways = (counts.expanded, counts.call_tree, counts.backpropagation)
    return tuple(way(sizes, layer) for way in ways)


def _fields_of(works: Iterable[Work]) -> dict[str, dict[str, int]]:
    return {
        name: work._asdict()
        for name, work in zip(("path_sum", "recursion", "memoized"), works, strict=True)
    }


def _told(works: Iterable[Work]) -> list[str]:
    """Multiplications + additions."""
    return [
        f"{format_number(work.multiplications)} + {format_number(work.additions)}" for work in works
    ]
