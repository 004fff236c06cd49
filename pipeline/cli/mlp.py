"""`pipeline mlp`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline import on
from pipeline.apps.mlp import NetworkError, counts, formula, gradient, network
from pipeline.apps.mlp.network import checked
from pipeline.apps.mlp.pictures import adjoints, diagram
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES
from pipeline.cli.screen import check_picture, print_table, scheduler
from pipeline.cli.stored import store, tell, through
from pipeline.units import size

if TYPE_CHECKING:
    from collections.abc import Callable


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


@click.command()
@click.argument("sizes", type=Sizes(), metavar="SIZES")
@click.option("--weight", "names", multiple=True, metavar="W", help="A weight or bias, like w1_11; "
              "may be given again.  [default: w1_11]")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="All weights and biases.")
@click.option("--activation", default="sigmoid", show_default=True, metavar="F",
              help=f"Of the hidden layers: {', '.join(ACTIVATIONS)}.")  # fmt: skip
@click.option("--loss", default="mse", show_default=True, metavar="F",
              help=f"{' or '.join(LOSSES)}.")  # fmt: skip
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
def mlp(
    sizes: tuple[int, ...], names: tuple[str, ...], everything: bool, activation: str, loss: str,
    seed: int, memoize: bool, words: bool, latex: bool, numbers: bool, save: Path | None,
    drawing: Path | None, scheduler: str, url: str | None,
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
    with on(scheduler), through(url) as used:
        found = gradient(net, asked, memoize=memoize).compute()
    lines = []
    for name in asked[:20]:
        layer = net[name].layer
        number = size(counts.paths(sizes, layer))
        lines.append((name, f"{found[name]:.6g}", number, *_works(sizes, layer)))
    if len(asked) > 20:
        lines.append(("…", *[""] * 5))
    if everything:
        lines.append(("all", "", "", *_works(sizes, None)))
    print_table(("weight", "∂L/∂w", "paths", "path sum × +", "recursion", "memoized"), lines)
    if words or latex:
        for name in asked:
            shown = formula(net, name)
            pair = (shown.expanded_latex, shown.factored_latex) if latex else (
                shown.expanded, shown.factored)  # fmt: skip
            click.echo("\n" + "\n\n".join(pair))
    if save is not None:
        chosen = None if everything else asked
        click.echo(f"saved {adjoints(net, chosen, numbers=numbers).save(save)}")
    if drawing is not None:
        click.echo(f"saved {diagram(net, asked[0], numbers=numbers).save(drawing)}")
    tell(used)


def _works(sizes: tuple[int, ...], layer: int | None) -> list[str]:
    """Multiplications + additions: written out, by recursion, and by recursion with memoization."""
    ways = (counts.expanded, counts.call_tree, counts.backpropagation)
    works = [way(sizes, layer) for way in ways]
    return [f"{size(work.multiplications)} + {size(work.additions)}" for work in works]
