"""Activations, losses and their derivatives, and optimizers: one table of each.

Activations and losses are written with operators and NumPy's functions alone. So they hold for
numbers, arrays and lazy values alike, and all but cross-entropy for complex numbers, too. A
derivative may use the value, which is known already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np


class Activation(NamedTuple):
    """φ(z), and its derivative φ'(z), given z and a = φ(z)."""

    value: Callable[[Any], Any]
    derivative: Callable[[Any, Any], Any]


ACTIVATIONS: dict[str, Activation] = {
    # (1 + tanh(z/2)) / 2 is 1 / (1 + exp(-z)), and no z is too large for it.
    "sigmoid": Activation(lambda z: 0.5 * np.tanh(0.5 * z) + 0.5, lambda _, a: a * (1 - a)),
    "tanh": Activation(np.tanh, lambda _, a: 1 - a * a),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda _, a: np.sign(a)),
    "identity": Activation(lambda z: z, lambda *_: 1.0),
}


class Loss(NamedTuple):
    """L of some outputs ŷ and their targets y, and ∂L/∂ŷ of the output at a place."""

    value: Callable[[Sequence[Any], Sequence[Any]], Any]
    derivative: Callable[[Sequence[Any], Sequence[Any], int], Any]


def _mean_square(outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
    errors = [output - target for output, target in zip(outputs, targets, strict=True)]
    return reduce(add, [error * error for error in errors]) / len(errors)


def _mean_square_derivative(outputs: Sequence[Any], targets: Sequence[Any], place: int) -> Any:
    return (outputs[place] - targets[place]) * (2 / len(outputs))


def _cross_entropy(outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
    taken = reduce(add, [output * y for output, y in zip(outputs, targets, strict=True)])
    return reduce(np.logaddexp, outputs) * sum(targets) - taken


def _cross_entropy_derivative(outputs: Sequence[Any], targets: Sequence[Any], place: int) -> Any:
    softmax = np.exp(outputs[place] - reduce(np.logaddexp, outputs))
    return softmax * sum(targets) - targets[place]


LOSSES: dict[str, Loss] = {
    "mse": Loss(_mean_square, _mean_square_derivative),
    "cross-entropy": Loss(_cross_entropy, _cross_entropy_derivative),
}
"""Mean squared error, Σ (ŷ - y)² / n; and softmax cross-entropy, of outputs that are logits."""


Array = np.ndarray[Any, Any]
Slots = tuple[Array, ...]


class Optimizer(NamedTuple):
    """One step of a parameter against its gradient.

    slots: arrays of the parameter's shape that it keeps from step to step, from 0
    update: of parameter, gradient, slots, rate and the number of the step, from 1: the new
        parameter and slots
    """

    slots: int
    update: Callable[[Array, Array, Slots, float, int], tuple[Array, Slots]]


def _momentum(w: Array, g: Array, slots: Slots, rate: float, _: int) -> tuple[Array, Slots]:
    velocity = 0.9 * slots[0] + g
    return w - rate * velocity, (velocity,)


def _adam(w: Array, g: Array, slots: Slots, rate: float, step: int) -> tuple[Array, Slots]:
    mean, square = 0.9 * slots[0] + 0.1 * g, 0.999 * slots[1] + 0.001 * g * g
    root = np.sqrt(square / (1 - 0.999**step)) + 1e-8
    return w - rate / (1 - 0.9**step) * mean / root, (mean, square)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(0, lambda w, g, _, rate, __: (w - rate * g, ())),
    "momentum": Optimizer(1, _momentum),  # Polyak, 1964
    "adam": Optimizer(2, _adam),  # Kingma and Ba, 2015
}
