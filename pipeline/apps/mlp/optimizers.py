"""How parameters follow their gradients, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

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
