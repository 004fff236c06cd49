"""Training, as a recurrence: the parameters of epoch t are an epoch's work on those of t - 1.

A run of 200 epochs contains the run of 100 of them, and its keys say so. An epoch is one heavy
task, in which a compiled program of the gradients runs for every batch; or, where the batch is all
examples, one heavy task for each shard of its rows, whose gradients are summed pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline import recurrence, storable, task
from pipeline.apps.mlp.layers import (
    Layers,
    gradient_program,
    initial,
    loss_program,
    output_program,
)  # fmt: skip
from pipeline.apps.mlp.rules import OPTIMIZERS, Array, Slots

if TYPE_CHECKING:
    from pipeline import Recurrence
    from pipeline.apps.mlp.data import Examples

Rows = tuple[Array, Array, Array, Array]
"""Inputs and one-hot targets to train on, inputs and labels that are held out."""
Found = dict[str, Any]
"""The loss and the gradients, by name."""


@storable
class Epoch(NamedTuple):
    """What an epoch came to: the loss of all examples, and the share of held-out labels hit."""

    number: int
    loss: float
    accuracy: float


@storable
@dataclass(frozen=True)
class State:
    """Parameters after some epochs, what the optimizer keeps, and what the epochs came to.

    stopped: the epoch whose loss was not finite; the parameters are those before it
    """

    parameters: dict[str, Array]
    slots: dict[str, Slots]
    steps: int
    history: tuple[Epoch, ...] = ()
    stopped: Epoch | None = None


@dataclass(frozen=True)
class Plan:
    """How a network is trained; the seed gives its first weights and the order of the batches.

    batch: examples a step; 0 for all of them
    shards: parts of the rows whose gradients are tasks of their own, where the batch is all of them
    """

    layers: Layers
    optimizer: str = "adam"
    rate: float = 0.003
    batch: int = 32
    seed: int = 0
    dtype: str = "float64"
    shards: int = 1

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"unknown optimizer {self.optimizer!r}: it is one of {', '.join(OPTIMIZERS)}"
            )
        whole = all(type(each) is int for each in (self.batch, self.shards, self.seed))
        if not whole or self.seed < 0:
            raise ValueError(
                f"batch={self.batch}, shards={self.shards}, seed={self.seed}: they are whole "
                "numbers, the seed from 0 on"
            )
        if not 0 < self.rate < np.inf or self.batch < 0 or self.dtype not in ("float32", "float64"):
            raise ValueError(
                f"rate={self.rate}, batch={self.batch}, dtype={self.dtype}: the rate is above 0, "
                "the batch at least 1, or 0 for all examples, the type float32 or float64"
            )
        if self.shards < 1 or (self.shards > 1 and self.batch):
            raise ValueError(
                f"shards={self.shards}, batch={self.batch}: shards are parts of a batch of all "
                "examples, batch=0"
            )


def training(plan: Plan, examples: Examples) -> Recurrence:  # noqa: C901 - they call one another
    """The recurrence `state(t)`: the `State` after t epochs.

    A plan gives the same bits on every scheduler, if BLAS has as many threads: Dask's workers have
    one, and `threadpoolctl.threadpool_limits(1)` gives one to a process of one's own.

    >>> from pipeline.apps.mlp.data import digits
    >>> state = training(Plan(Layers((64, 16, 10))), digits())
    >>> [each.number for each in state(3).compute().history]
    [1, 2, 3]
    """

    # A task's key covers what it reaches: each reaches no more than it needs, so that plans share
    # what they have in common.
    layers, classes, dtype, seed = plan.layers, plan.layers.sizes[-1], plan.dtype, plan.seed
    number = OPTIMIZERS[plan.optimizer].slots

    @task
    def data() -> Rows:
        hot = np.eye(classes, dtype=dtype)
        return (
            examples.x.astype(dtype), hot[examples.labels],
            examples.test_x.astype(dtype), examples.test_labels,
        )  # fmt: skip

    @task
    def start() -> State:
        parameters = initial(layers, seed, dtype)
        slots = {
            name: tuple(np.zeros_like(each) for _ in range(number))
            for name, each in parameters.items()
        }
        return State(parameters, slots, 0)

    @task
    def epoch(before: State, rows: Rows, number: int) -> State:
        return _epoch(plan, before, rows, number)

    @task
    def shard(before: State, rows: Rows, part: int) -> Found:
        x, y = (np.array_split(each, plan.shards)[part] for each in rows[:2])
        return _gradients(plan, before.parameters, x, y, len(rows[0]))

    @recurrence
    def summed(t: int, first: int, last: int) -> Any:
        if last - first == 1:
            return shard(state(t - 1), data(), first)
        middle = (first + last) // 2
        return task(_added, cheap=True)(summed(t, first, middle), summed(t, middle, last))

    @task
    def step(before: State, found: Found, rows: Rows, number: int) -> State:
        return _judged(plan, before, _stepped(plan, before, found), rows, number)

    @recurrence
    def state(t: int) -> Any:
        if t == 0:
            return start()
        if plan.shards == 1:
            return epoch(state(t - 1), data(), t)
        return step(state(t - 1), summed(t, 0, plan.shards), data(), t)

    return state


def _epoch(plan: Plan, before: State, rows: Rows, number: int) -> State:
    """The state after one more epoch, batch by batch."""
    if before.stopped is not None:
        return before
    x, y = rows[:2]
    order = np.random.default_rng([plan.seed, number]).permutation(len(x))
    size = plan.batch or len(x)
    state = before
    for first in range(0, len(x), size):
        chosen = order[first : first + size] if size < len(x) else slice(None)
        batch = x[chosen]
        found = _gradients(plan, state.parameters, batch, y[chosen], len(batch))
        state = _stepped(plan, state, found)
    return _judged(plan, before, state, rows, number)


def _gradients(plan: Plan, parameters: dict[str, Array], x: Array, y: Array, of: int) -> Found:
    """Loss and gradients of some examples, each of them one of so many."""
    arrays = map(_aligned, (*parameters.values(), x, y))
    # A loss that is not finite is told when the epoch is judged.
    with np.errstate(all="ignore"):
        found: Found = gradient_program(plan.layers)(*arrays, 1 / of)
    return found


def _aligned(array: Array) -> Array:
    """An array that BLAS takes: one from another worker may begin anywhere in a message, and NumPy
    would multiply it by itself, slowly and with other last bits.
    """
    return np.require(array, requirements="A")


def _added(one: Found, other: Found) -> Found:
    return {name: value + other[name] for name, value in one.items()}


def _stepped(plan: Plan, before: State, found: Found) -> State:
    update = OPTIMIZERS[plan.optimizer].update
    steps = before.steps + 1
    parameters, slots = {}, {}
    with np.errstate(all="ignore"):
        for name, w in before.parameters.items():
            parameters[name], slots[name] = update(
                w, found[name], before.slots[name], plan.rate, steps
            )
    return replace(before, parameters=parameters, slots=slots, steps=steps)


def _judged(plan: Plan, before: State, after: State, rows: Rows, number: int) -> State:
    """The state after an epoch, and what it came to; that before, if its loss is not finite."""
    if before.stopped is not None:
        return before
    arrays = map(_aligned, (*after.parameters.values(), *rows[:2]))
    with np.errstate(all="ignore"):
        loss = float(loss_program(plan.layers)(*arrays, 1 / len(rows[0])))
    hits = float((predicted(plan.layers, after.parameters, rows[2]) == rows[3]).mean())
    done = Epoch(number, loss, hits)
    if not np.isfinite(loss):
        return replace(before, stopped=done)
    return replace(after, history=(*before.history, done))


def predicted(layers: Layers, parameters: dict[str, Array], x: Array) -> Array:
    """The label of each row: the place of the largest output."""
    with np.errstate(all="ignore"):
        outputs: Array = output_program(layers)(*map(_aligned, (*parameters.values(), x)))
    labels: Array = outputs.argmax(axis=1)
    return labels
