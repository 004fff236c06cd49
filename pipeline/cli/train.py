"""`pipeline train`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from dask.callbacks import Callback
from threadpoolctl import threadpool_limits

from pipeline import scheduler as on
from pipeline.apps.mlp import NetworkError
from pipeline.apps.mlp.data import DataError, digits, load
from pipeline.apps.mlp.epochs import Plan, State, predicted, training
from pipeline.apps.mlp.layers import Layers
from pipeline.apps.mlp.pictures import confusion, plot_confusion, plot_curves, plot_mistaken
from pipeline.apps.mlp.rules import ACTIVATIONS, LOSSES, OPTIMIZERS
from pipeline.cli.mlp import Sizes
from pipeline.cli.progress import Bar
from pipeline.cli.screen import as_json, fail, one_of, print_json, save_figure, say, scheduler
from pipeline.cli.stored import as_told, store, tell, through
from pipeline.draw import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipeline.apps.mlp.data import Examples


_Command = TypeVar("_Command", bound="Callable[..., Any] | click.Command")

MOST = 10_000
"""Epochs that are trained at a time."""

KEPT = ("epoch", "step")
"""Functions whose results are stored however short they took: training goes on from the last."""

LARGEST = 10**8
"""Weights of a network that is trained."""


class _Epochs(Callback):  # type: ignore[misc] # Dask is untyped
    """Has a bar tell of each epoch as it ends."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self._bar = bar
        self._done = 0

    def _posttask(self, _: Any, value: Any, *__: Any) -> None:
        if isinstance(value, State) and len(value.history) > self._done:
            last = value.history[-1]
            told = f"loss {last.loss:.3g}, {last.accuracy:.1%}"
            self._bar.step(len(value.history) - self._done, told)
            self._done = len(value.history)


def _one_of(option: str, names: Iterable[str], default: str) -> Callable[[_Command], _Command]:
    *others, last = names
    return click.option(option, default=default, show_default=True, shell_complete=one_of(names),
                        help=f"{', '.join(others)} or {last}.")  # fmt: skip


@click.command(short_help="a network that learns handwritten digits")
@click.option("--layers", "sizes", type=Sizes(), default="64-64-32-10", show_default=True,
              metavar="SIZES", help="Nodes of each layer.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE.npz|csv",
              help="Arrays x and y, or a column label.  [default: handwritten digits]")  # fmt: skip
@_one_of("--activation", ACTIVATIONS, "relu")
@_one_of("--loss", LOSSES, "cross-entropy")
@_one_of("--optimizer", OPTIMIZERS, "adam")
@click.option("--rate", default=0.003, show_default=True, help="Of learning.")
@click.option("--batch", default=32, show_default=True, help="Examples a step; 0 for all.")
@click.option("--shards", default=1, show_default=True, help="Parallel parts of a batch of all.")
@click.option("--epochs", default=40, show_default=True, help="Passes over the examples.")
@click.option(
    "--seed", default=0, show_default=True, help="Of weights, batches and what is held out."
)
@_one_of("--dtype", ("float32", "float64"), "float64")
@click.option("--out", default="outputs", show_default=True, metavar="FOLDER",
              type=click.Path(file_okay=False, path_type=Path),
              help="Where the files go.")  # fmt: skip
@scheduler
@store
@as_json
def train(
    sizes: tuple[int, ...], data: Path | None, activation: str, loss: str, epochs: int, seed: int,
    out: Path, scheduler: str, url: str | None, is_json: bool, **plan: Any,
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
        trained = train_into(planned, examples, epochs, out, scheduler)
    if is_json:
        print_json({**trained.fields(), "store": as_told(used)})
    else:
        trained.tell()
        for path in trained.files:
            say(f"saved {path}")
    trained.fail_if_stopped()
    if not is_json:
        tell(used)


@dataclass(frozen=True)
class Trained:
    """What a training came to, and the files that tell of it, the weights first.

    held_out: examples that the accuracy is of
    """

    source: str
    held_out: int
    state: State
    files: list[Path]

    def fields(self) -> dict[str, Any]:
        """In JSON's types: loss and accuracy of the last epoch, and the epoch that was stopped."""
        last, stopped = self.state.history[-1:], self.state.stopped
        return {
            "data": self.source,
            "held_out": self.held_out,
            "epochs": len(self.state.history),
            "loss": last[0].loss if last else None,
            "accuracy": last[0].accuracy if last else None,
            "stopped": stopped.number if stopped else None,
            "files": list(map(str, self.files)),
        }

    def tell(self) -> None:
        """Say it in one line."""
        for last in self.state.history[-1:]:
            epochs = f"{last.number} epoch{'s' * (last.number != 1)}"
            say(f"{self.source}: {last.accuracy:.1%} of {self.held_out} held-out examples "
                f"after {epochs}, loss {last.loss:.4g}")  # fmt: skip

    def fail_if_stopped(self) -> None:
        """End the command if a loss was not finite."""
        if (stopped := self.state.stopped) is not None:
            fail(f"the loss of epoch {stopped.number} is {stopped.loss}: stopped, and kept the "
                 f"weights before it in {self.files[0]}; a smaller --rate may help", 1)  # fmt: skip


def train_into(plan: Plan, examples: Examples, epochs: int, out: Path, scheduler: str) -> Trained:
    """Train, and write the files."""
    # BLAS sums in another order with more threads, and Dask's workers have one.
    with threadpool_limits(1, "blas"), on(scheduler), _progress(epochs, scheduler):
        state = training(plan, examples)(epochs).compute()
    weights = out / "weights.npz"
    with atomic_write(weights) as file:
        np.savez(file, **state.parameters)
    files = [weights]
    if state.history:
        guessed = predicted(plan.layers, state.parameters, examples.test_x.astype(plan.dtype))
        found = confusion(examples.test_labels, guessed, plan.layers.sizes[-1])
        files += [
            save_figure(plot_curves(state.history), out / "training.svg"),
            save_figure(plot_confusion(found), out / "confusion.svg"),
        ]
        if examples.source == "digits":
            figure = plot_mistaken(examples.test_x, examples.test_labels, guessed)
            files.append(save_figure(figure, out / "mistaken.svg"))
    return Trained(examples.source, len(examples.test_labels), state, files)


@contextmanager
def _progress(epochs: int, scheduler: str) -> Iterator[None]:
    """A bar of epochs, where the scheduler tells of each task; a cluster does not."""
    if scheduler not in ("sync", "threads", "processes"):
        with Bar("epochs"):
            yield
        return
    with Bar("epochs", epochs) as bar, _Epochs(bar):
        yield
