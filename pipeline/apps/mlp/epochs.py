"""Training, as a recurrence: epoch t continues from the parameters of epoch t - 1.

A run of 200 epochs contains the run of its first 100, and so do its keys. An epoch is one heavy
task, in which a compiled program of the gradients runs for every batch. If the batch is all
examples, each shard of their rows is a heavy task instead, and gradients are summed pair by pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from pipeline import CompiledGraph, Recurrence, recurrence, storable, task
from pipeline.apps.mlp.data import Examples
from pipeline.apps.mlp.layers import Layers, gradient_program, initial, loss_program, output_program
from pipeline.apps.mlp.rules import OPTIMIZERS, Array, Slots

Rows = tuple[Array, Array, Array, Array]
"""Inputs and one-hot targets to train on, held-out inputs and labels."""

Gradients = dict[str, Any]
"""The loss and the gradients, by name."""


@storable
class Epoch(NamedTuple):
    """The loss of all examples after an epoch, and the share of held-out labels predicted right."""

    number: int
    loss: float
    accuracy: float


@storable
@dataclass(frozen=True)
class State:
    """Parameters after some epochs, the arrays of the optimizer, and the history.

    stopped: the epoch whose loss was not finite; the parameters are those before it
    """

    parameters: dict[str, Array]
    slots: dict[str, Slots]
    steps: int
    history: tuple[Epoch, ...] = ()
    stopped: Epoch | None = None


@dataclass(frozen=True)
class Plan:
    """How a network is trained. The seed draws its first weights and the order of the batches.

    batch: examples for each step; 0 for all of them
    shards: parts of the rows whose gradients are separate tasks, if the batch is all of them
    backend: the library that computes gradients and outputs: numpy, jax or torch
    version: of that library, for the keys of tasks

    Raises `ValueError` for a wrong value, and `ImportError` if the backend is not installed.
    """

    layers: Layers
    optimizer: str = "adam"
    rate: float = 0.003
    batch: int = 32
    seed: int = 0
    dtype: str = "float64"
    shards: int = 1
    backend: str = "numpy"
    version: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        def must(is_right: bool, rule: str, *names: str) -> None:
            if not is_right:
                values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
                raise ValueError(f"{values}: {rule}")

        whole = all(type(number) is int for number in (self.batch, self.shards, self.seed))
        must(self.optimizer in OPTIMIZERS, f"it is one of {', '.join(OPTIMIZERS)}", "optimizer")
        must(whole, "they are whole numbers", "batch", "shards", "seed")
        must(self.seed >= 0, "the seed is 0 or more", "seed")
        must(0 < self.rate < np.inf, "the rate is finite and above 0", "rate")
        must(self.dtype in ("float32", "float64"), "it is float32 or float64", "dtype")
        must(self.batch >= 0, "it is at least 1, or 0 for all examples", "batch")
        must(self.shards == 1 or (self.shards > 1 and not self.batch),
             "shards are parts of a batch of all examples, batch=0", "shards", "batch")  # fmt: skip
        output_program(self.layers, self.backend)  # raises for a backend that cannot be used
        object.__setattr__(self, "version", import_module(self.backend).__version__)


def training(plan: Plan, examples: Examples) -> Recurrence:  # noqa: C901 - the tasks call one another
    """The recurrence `state(t)`: the `State` after t epochs.

    A plan gives the same bits on every scheduler if BLAS has as many threads: one on Dask's
    workers, and in any process after `threadpoolctl.threadpool_limits(1)`.

    >>> from pipeline.apps.mlp.data import digits
    >>> state = training(Plan(Layers((64, 16, 10))), digits())
    >>> [epoch.number for epoch in state(3).compute().history]
    [1, 2, 3]
    """
    # A task's key covers all that its function reaches. Each reaches only what it needs, so that
    # plans share tasks.
    layers, classes, dtype, seed = plan.layers, plan.layers.sizes[-1], plan.dtype, plan.seed
    slot_number = OPTIMIZERS[plan.optimizer].slots

    @task
    def data() -> Rows:
        hot = np.eye(classes, dtype=dtype)[examples.labels]
        x, test_x = examples.x.astype(dtype), examples.test_x.astype(dtype)
        return x, hot, test_x, examples.test_labels

    @task
    def start() -> State:
        parameters = initial(layers, seed, dtype)
        slots = {
            name: tuple(np.zeros_like(array) for _ in range(slot_number))
            for name, array in parameters.items()
        }
        return State(parameters, slots, 0)

    @task
    def epoch(before: State, rows: Rows, number: int) -> State:
        return _epoch(plan, before, rows, number)

    @task
    def shard(before: State, rows: Rows, part: int) -> Gradients:
        x, y = (np.array_split(array, plan.shards)[part] for array in rows[:2])
        return _gradients(plan, before.parameters, x, y, len(rows[0]))

    @recurrence
    def summed(t: int, first: int, last: int) -> Any:
        if last - first == 1:
            return shard(state(t - 1), data(), first)
        middle = (first + last) // 2
        return task(_added, cheap=True)(summed(t, first, middle), summed(t, middle, last))

    @task
    def step(before: State, gradients: Gradients, rows: Rows, number: int) -> State:
        return _evaluated(plan, before, _stepped(plan, before, gradients), rows, number)

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
        gradients = _gradients(plan, state.parameters, batch, y[chosen], len(batch))
        state = _stepped(plan, state, gradients)
    return _evaluated(plan, before, state, rows, number)


def _gradients(
    plan: Plan, parameters: dict[str, Array], x: Array, y: Array, total: int
) -> Gradients:
    """Loss and gradients of some examples, each with the weight 1 / total."""
    program = gradient_program(plan.layers, plan.backend)
    gradients = _run(program, parameters, x, y, share=1 / total)
    return {name: np.asarray(value) for name, value in gradients.items()}


def _run(
    program: CompiledGraph, parameters: dict[str, Array], *arrays: Array, **share: float
) -> Any:
    """What a program returns, without warnings: `_evaluated` reports a loss that is not finite.

    The arrays stand at addresses that BLAS accepts. One from another worker may begin anywhere in a
    message. NumPy would multiply it without BLAS, slowly and with other last bits.
    """
    aligned = (np.require(array, requirements="A") for array in (*parameters.values(), *arrays))
    with np.errstate(all="ignore"), program.in_64_bits():
        return program(*aligned, *share.values())


def _added(left: Gradients, right: Gradients) -> Gradients:
    return {name: value + right[name] for name, value in left.items()}


def _stepped(plan: Plan, before: State, gradients: Gradients) -> State:
    update = OPTIMIZERS[plan.optimizer].update
    steps = before.steps + 1
    parameters, slots = {}, {}
    with np.errstate(all="ignore"):
        for name, array in before.parameters.items():
            parameters[name], slots[name] = update(
                array, gradients[name], before.slots[name], plan.rate, steps
            )
    return replace(before, parameters=parameters, slots=slots, steps=steps)


def _evaluated(plan: Plan, before: State, after: State, rows: Rows, number: int) -> State:
    """The state after an epoch, with its history; the state before, if the loss is not finite."""
    if before.stopped is not None:
        return before
    program = loss_program(plan.layers, plan.backend)
    loss = float(_run(program, after.parameters, *rows[:2], share=1 / len(rows[0])))
    labels = predicted(plan.layers, after.parameters, rows[2], plan.backend)
    accuracy = float((labels == rows[3]).mean())
    done = Epoch(number, loss, accuracy)
    if not np.isfinite(loss):
        return replace(before, stopped=done)
    return replace(after, history=(*before.history, done))


def predicted(
    layers: Layers, parameters: dict[str, Array], x: Array, backend: str = "numpy"
) -> Array:
    """The label of each row: the place of the largest output."""
    outputs = _run(output_program(layers, backend), parameters, x)
    labels: Array = np.asarray(outputs).argmax(axis=1)
    return labels
