"""`pipeline mlp` and `pipeline train`: gradients of a network, and a network that learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from dask.callbacks import Callback
from threadpoolctl import threadpool_limits

from pipeline import Store, TaskGraph, count, scheduler
from pipeline.apps.mlp import counts, formula, gradient, network
from pipeline.apps.mlp.data import DataError, Examples, digits, load
from pipeline.apps.mlp.epochs import Plan, State, predicted, training
from pipeline.apps.mlp.layers import Layers
from pipeline.apps.mlp.networks import Network, checked
from pipeline.apps.mlp.pictures import (
    adjoints,
    confusion,
    diagram,
    plot_confusion,
    plot_curves,
    plot_mistaken,
)
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES, OPTIMIZERS
from pipeline.cli.options import (
    choice_option,
    computing_options,
    layer_sizes,
    out_option,
    picture_option,
)
from pipeline.cli.screen import (
    Bar,
    counted,
    fail,
    print_result,
    print_table,
    print_text,
    save_figure,
    task_bar,
)
from pipeline.draw import atomic_write
from pipeline.graph import MAX_TASKS
from pipeline.identity import format_number
from pipeline.program import BACKENDS

LISTED = 20
"""Weights of a table."""

WAYS = {
    "path_sum": counts.expanded,
    "recursion": counts.call_tree,
    "memoized": counts.backpropagation,
}
"""The work of a gradient: written out, by recursion, and by recursion with memoization."""


@click.command()
@click.argument("sizes", type=layer_sizes, metavar="SIZES")
@click.option("--weight", "names", multiple=True, metavar="W",
              help="A weight or bias, like w1_11; may be repeated.  [default: w1_11]")  # fmt: skip
@click.option("--all", "is_all", is_flag=True, help="All weights and biases.")
@choice_option("--activation", ACTIVATIONS, "sigmoid", "Of the hidden layers.")
@choice_option("--loss", LOSSES, "mse", "Of the example.")
@click.option("--seed", default=0, show_default=True, help="Of the weights and the example.")
@click.option("--memoize/--no-memoize", default=True, show_default=True,
              help="Compute each adjoint once, or once for each path.")  # fmt: skip
@click.option("--formula", "is_text", is_flag=True,
              help="Print the chain rule, expanded and factored.")  # fmt: skip
@click.option("--latex", is_flag=True, help="Print it as LaTeX.")
@click.option("--numbers", is_flag=True, help="Show values in the pictures.")
@picture_option("--save", text="Draw the sum over all paths beside backpropagation.")
@picture_option("--network", "drawing", text="Draw the network and the weight's paths to the loss.")
@computing_options()
def mlp(
    sizes: tuple[int, ...], names: tuple[str, ...], is_all: bool, activation: str, loss: str,
    seed: int, memoize: bool, is_text: bool, latex: bool, numbers: bool, save: Path | None,
    drawing: Path | None, scheduler_name: str, store: Store | None,
) -> None:  # fmt: skip
    """Gradients of a multilayer perceptron: the sum over all paths beside backpropagation.

    \b
    pipeline mlp 2-2-2-1 --formula
    pipeline mlp 2-2-2-1 --weight w1_11 --save w1_11.svg --numbers
    pipeline mlp 784-256-128-10 --activation relu --loss cross-entropy
    pipeline mlp 784-256-128-10 --store cache
    """
    net = network(sizes, activation, loss, seed=seed)
    weights = net.parameters if is_all else checked(net, names or net.parameters[:1])
    with Bar("trace"):
        graph = _graph(net, weights, memoize)
    with scheduler(scheduler_name), store or nullcontext(), task_bar():
        gradients = graph.compute()
    rows = [_weight_fields(net, name, float(gradients[name])) for name in weights]
    total = _work(sizes) if is_all else None
    _print_gradients(rows, total)
    formulas = {name: _formula(net, name, latex) for name in weights if is_text or latex}
    for texts in formulas.values():
        print_text("\n" + "\n\n".join(texts.values()))
    files = []
    with Bar("draw"):
        if save:
            shown = None if is_all else weights
            files.append(adjoints(net, shown, numbers=numbers).save(save))
        if drawing:
            files.append(diagram(net, weights[0], numbers=numbers).save(drawing))
    fields = {"sizes": sizes, "weights": rows, "all": total, "formulas": formulas}
    print_result(fields, files, store)


def _graph(net: Network, weights: Sequence[str], memoize: bool) -> TaskGraph:
    graph = gradient(net, weights)
    if memoize:
        return graph
    if (tasks := count(graph).tree) > MAX_TASKS:
        fail(f"the tree of {net} has {tasks:,} tasks, and at most {MAX_TASKS:,} are run: leave out "
             "--no-memoize", 1)  # fmt: skip
    return gradient(net, weights, memoize=False)


def _formula(net: Network, name: str, latex: bool) -> dict[str, str]:
    shown, suffix = formula(net, name), "_latex" if latex else ""
    return {kind: getattr(shown, kind + suffix) for kind in ("expanded", "factored")}


def _weight_fields(net: Network, name: str, value: float) -> dict[str, Any]:
    """A weight in JSON's types."""
    layer = net[name].layer
    paths = counts.paths(net.sizes, layer)
    return {"weight": name, "gradient": value, "paths": paths, **_work(net.sizes, layer)}


def _work(sizes: tuple[int, ...], layer: int | None = None) -> dict[str, dict[str, int]]:
    """Multiplications and additions of each way: for a weight of a layer, or for all weights."""
    return {name: work(sizes, layer)._asdict() for name, work in WAYS.items()}


def _print_gradients(weights: list[dict[str, Any]], total: dict[str, Any] | None) -> None:
    rows = [
        (fields["weight"], f"{fields['gradient']:.6g}", format_number(fields["paths"]),
         *_work_cells(fields))
        for fields in weights[:LISTED]
    ]  # fmt: skip
    if len(weights) > LISTED:
        rows.append(("…", *[""] * 5))
    if total is not None:
        rows.append(("all", "", "", *_work_cells(total)))
    print_table(("weight", "∂L/∂w", "paths", "path sum × +", "recursion", "memoized"), rows)


def _work_cells(fields: dict[str, Any]) -> list[str]:
    return [" + ".join(map(format_number, fields[name].values())) for name in WAYS]


EPOCHS = 10_000
"""The most epochs of one training."""

LARGEST = 10**8
"""The most weights of a network that is trained."""

KEPT = ("epoch", "step")
"""Functions whose results are stored however quick they are: training continues from the last."""


@click.command()
@click.option("--layers", "sizes", type=layer_sizes, default="64-64-32-10", show_default=True,
              metavar="SIZES", help="Nodes of each layer.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE.npz|csv",
              help="Arrays x and y, or a column label.  [default: handwritten digits]")  # fmt: skip
@choice_option("--activation", ACTIVATIONS, "relu", "Of the hidden layers.")
@choice_option("--loss", LOSSES, "cross-entropy", "Of each example.")
@choice_option("--optimizer", OPTIMIZERS, "adam", "The rule of a step.")
@click.option("--rate", default=0.003, show_default=True, help="Learning rate.")
@click.option("--batch", default=32, show_default=True, help="Examples per step; 0 for all.")
@click.option("--shards", default=1, show_default=True, help="Parallel parts of a batch of all.")
@click.option("--epochs", default=40, show_default=True, type=click.IntRange(1, EPOCHS),
              help="Passes over the examples.")  # fmt: skip
@click.option("--seed", default=0, show_default=True,
              help="Of the weights, the batches, and the test examples.")  # fmt: skip
@choice_option("--dtype", ("float32", "float64"), "float64", "Of all numbers.")
@choice_option("--backend", BACKENDS, "numpy", "The library that computes the gradients.")
@out_option
@computing_options(keep=KEPT)
def train(
    sizes: tuple[int, ...], data: Path | None, activation: str, loss: str, epochs: int, seed: int,
    out: Path, scheduler_name: str, store: Store | None, **options: Any,
) -> None:  # fmt: skip
    """Train a network, test it on a fifth of the examples, and draw the results.

    With --store, each epoch is stored. A run that was killed continues after its last stored
    epoch, and a run of 200 epochs continues one of 100.

    \b
    pipeline train
    pipeline train --layers 4-16-3 --data iris.csv --epochs 100
    pipeline train --epochs 100 --store cache
    """
    weights = sum(before * after for before, after in pairwise(sizes))
    if weights > LARGEST:
        raise click.UsageError(
            f"{'-'.join(map(str, sizes))} has {weights:,} weights: give at most {LARGEST:,}"
        )
    try:
        plan = Plan(Layers(sizes, activation, loss), seed=seed, **options)
        examples = digits(seed) if data is None else load(data, sizes[0], sizes[-1], seed)
    except (DataError, ValueError, ImportError) as error:
        raise click.UsageError(str(error)) from None
    inputs, labels = examples.x.shape[1], examples.labels.max() + 1
    if sizes[0] != inputs or sizes[-1] < labels:
        raise click.UsageError(f"{examples.source} has {inputs} inputs and {labels} labels: they "
                               f"do not fit the layers {'-'.join(map(str, sizes))}")  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with store or nullcontext():
        trained = train_into(plan, examples, epochs, out, scheduler_name)
    trained.print()
    print_result(trained.fields(), trained.files, store)
    if (stopped := trained.state.stopped) is not None:
        fail(f"the loss of epoch {stopped.number} is {stopped.loss}: stopped, and kept the weights "
             f"before it in {trained.files[0]}; a smaller --rate may help", 1)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """The result of a training, and its files, the weights first.

    tested: test examples
    """

    source: str
    tested: int
    state: State
    files: list[Path]

    def fields(self) -> dict[str, Any]:
        """In JSON's types: loss and accuracy of the last epoch, and the epoch that was stopped."""
        last, stopped = self.state.history[-1:], self.state.stopped
        return {
            "data": self.source,
            "held_out": self.tested,
            "epochs": len(self.state.history),
            "loss": last[0].loss if last else None,
            "accuracy": last[0].accuracy if last else None,
            "stopped": stopped.number if stopped else None,
        }

    def print(self) -> None:
        """Print the last epoch, if there is one, in one line."""
        for last in self.state.history[-1:]:
            print_text(f"{self.source}: {last.accuracy:.1%} of {self.tested} held-out examples "
                       f"after {counted(last.number, 'epoch')}, loss {last.loss:.4g}")  # fmt: skip


@contextmanager
def _epoch_bar(total: int | None) -> Iterator[None]:
    """A bar that advances at the end of each epoch."""
    done = 0

    def show(_: Any, value: Any, *__: Any) -> None:
        nonlocal done
        if isinstance(value, State) and len(value.history) > done:
            last = value.history[-1]
            bar.step(last.number - done, f"loss {last.loss:.3g}, {last.accuracy:.1%}")
            done = last.number

    with Bar("epochs", total) as bar, Callback(posttask=show):
        yield


def train_into(
    plan: Plan, examples: Examples, epochs: int, out: Path, scheduler_name: str
) -> Trained:
    """Train on a scheduler, and write the files into a folder."""
    # A cluster runs no callbacks here, so its bar has no end.
    total = epochs if scheduler_name in ("sync", "threads", "processes") else None
    # BLAS adds in another order with more threads, and Dask's workers have one.
    with threadpool_limits(1, "blas"), scheduler(scheduler_name), _epoch_bar(total):
        state = training(plan, examples)(epochs).compute()
    weights = out / "weights.npz"
    with atomic_write(weights) as file:
        np.savez(file, **state.parameters)
    files = [weights]
    if state.history:
        labels = predicted(plan.layers, state.parameters, examples.test_x.astype(plan.dtype),
                           plan.backend)  # fmt: skip
        matrix = confusion(examples.test_labels, labels, plan.layers.sizes[-1])
        files += [
            save_figure(plot_curves(state.history), out / "training.svg"),
            save_figure(plot_confusion(matrix), out / "confusion.svg"),
        ]
        if examples.source == "digits":
            figure = plot_mistaken(examples.test_x, examples.test_labels, labels)
            files.append(save_figure(figure, out / "mistaken.svg"))
    return Trained(examples.source, len(examples.test_labels), state, files)
