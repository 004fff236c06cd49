"""`pipeline train`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from dask.callbacks import Callback
from threadpoolctl import threadpool_limits

from pipeline import on
from pipeline.apps.mlp import NetworkError
from pipeline.apps.mlp.data import DataError, digits, load
from pipeline.apps.mlp.figures import confusion, plot_confusion, plot_curves, plot_mistaken
from pipeline.apps.mlp.layers import Layers
from pipeline.apps.mlp.optimizers import OPTIMIZERS
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES
from pipeline.apps.mlp.training import Plan, State, predicted, training
from pipeline.cli.mlp import Sizes
from pipeline.cli.screen import fail, scheduler
from pipeline.cli.stored import store, tell, through

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.apps.mlp.data import Examples


MOST = 10_000
"""Epochs that are trained at a time."""

KEPT = ("epoch", "step")
"""Functions whose results are stored however short they took: training goes on from the last."""

LARGEST = 10**8
"""Weights of a network that is trained."""


class _Progress(Callback):  # type: ignore[misc] # Dask is untyped
    """A line that tells of each epoch as it ends, where a scheduler of this machine tells of it."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.bar = click.progressbar(
            length=epochs, label="epochs", item_show_func=_told, show_pos=True, file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        )  # fmt: skip
        self.done = 0

    def _start(self, *_: Any) -> None:
        self.bar.__enter__()

    def _posttask(self, _: Any, value: Any, *__: Any) -> None:
        if isinstance(value, State) and len(value.history) > self.done:
            self.bar.update(len(value.history) - self.done, value)
            self.done = len(value.history)

    def _finish(self, *_: Any) -> None:
        self.bar.__exit__(None, None, None)


def _told(state: State | None) -> str:
    if state is None:
        return ""
    return f"loss {state.history[-1].loss:.4g}, accuracy {state.history[-1].accuracy:.1%}"


@click.command()
@click.option("--layers", "sizes", type=Sizes(), default="64-64-32-10", show_default=True,
              metavar="SIZES", help="Nodes of each layer.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE.npz|csv",
              help="Arrays x and y, or a column label.  [default: handwritten digits]")  # fmt: skip
@click.option("--activation", default="relu", show_default=True, help=f"{', '.join(ACTIVATIONS)}.")
@click.option("--loss", default="cross-entropy", show_default=True, help=f"{' or '.join(LOSSES)}.")
@click.option("--optimizer", default="adam", show_default=True, help=f"{', '.join(OPTIMIZERS)}.")
@click.option("--rate", default=0.003, show_default=True, help="Of learning.")
@click.option("--batch", default=32, show_default=True, help="Examples a step; 0 for all.")
@click.option("--shards", default=1, show_default=True, help="Parallel parts of a batch of all.")
@click.option("--epochs", default=40, show_default=True, help="Passes over the examples.")
@click.option(
    "--seed", default=0, show_default=True, help="Of weights, batches and what is held out."
)
@click.option("--dtype", default="float64", show_default=True, help="float32 or float64.")
@click.option("--out", default="outputs", show_default=True, metavar="FOLDER",
              type=click.Path(file_okay=False, path_type=Path),
              help="Where the files go.")  # fmt: skip
@scheduler
@store
def train(
    sizes: tuple[int, ...], data: Path | None, activation: str, loss: str, epochs: int, seed: int,
    out: Path, scheduler: str, url: str | None, **plan: Any,
) -> None:  # fmt: skip
    """Train a network, and draw what it came to. A fifth of the examples is held out.

    With --store, each epoch is stored: a run that was killed goes on from its last whole epoch,
    and one of 200 epochs from those of one of 100.

    \b
    pipeline train
    pipeline train --layers 4-16-3 --data iris.csv --epochs 100
    pipeline train --epochs 100 --store cache
    """
    if not 0 < epochs <= MOST:
        raise NetworkError(f"--epochs {epochs}: train for 1 to {MOST:,} of them")
    weights = sum(one * other for one, other in pairwise(sizes))
    if weights > LARGEST:
        raise NetworkError(
            f"{'-'.join(map(str, sizes))} has {weights:,} weights: give at most {LARGEST:,}"
        )
    try:
        planned = Plan(Layers(sizes, activation, loss), seed=seed, **plan)
        examples = digits(seed) if data is None else load(data, sizes[0], sizes[-1], seed)
    except (DataError, ValueError) as error:
        fail(str(error), 2)
    if sizes[0] != examples.x.shape[1] or examples.labels.max() >= sizes[-1]:
        fail(f"{examples.source} has {examples.x.shape[1]} inputs and {examples.labels.max() + 1} "
             f"labels: they do not fit the layers {'-'.join(map(str, sizes))}", 2)  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with through(url, KEPT) as used:
        files = train_into(planned, examples, epochs, out, scheduler)
    for path in files:
        click.echo(f"saved {path}")
    tell(used)


def train_into(
    plan: Plan, examples: Examples, epochs: int, out: Path, scheduler: str
) -> list[Path]:
    """Train, tell what it came to, and write the files; give their paths."""
    told = _Progress(epochs) if scheduler in ("sync", "threads", "processes") else nullcontext()
    # BLAS sums in another order with more threads, and Dask's workers have one.
    with threadpool_limits(1, "blas"), on(scheduler), told:
        state = training(plan, examples)(epochs).compute()
    weights = out / "weights.npz"
    _save(weights, state.parameters)
    files = [weights]
    if state.history:
        guessed = predicted(plan.layers, state.parameters, examples.test_x.astype(plan.dtype))
        found = confusion(examples.test_labels, guessed, plan.layers.sizes[-1])
        files += [
            plot_curves(state.history, out / "training.svg"),
            plot_confusion(found, out / "confusion.svg"),
        ]
        if examples.source == "digits":
            path = out / "mistaken.svg"
            files.append(plot_mistaken(examples.test_x, examples.test_labels, guessed, path))
        last = state.history[-1]
        click.echo(f"{examples.source}: {last.accuracy:.1%} of {len(guessed)} held-out examples "
                   f"after {last.number} epochs, loss {last.loss:.4g}")  # fmt: skip
    if state.stopped is not None:
        for path in files:
            click.echo(f"saved {path}")
        fail(f"the loss of epoch {state.stopped.number} is {state.stopped.loss}: stopped, and kept "
             f"the weights before it in {weights}; a smaller --rate may help", 1)  # fmt: skip
    return files


def _save(path: Path, parameters: Mapping[str, np.ndarray[Any, Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, **parameters)  # type: ignore[arg-type] # its stubs know of no names
