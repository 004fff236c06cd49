"""How much work a gradient is: closed forms, exact for any network.

What is counted is what the chain rule does with local derivatives that are known: the forward pass
and the ∂c/∂v themselves are not counted. A path from a weight to the loss with k steps is a product
of k local derivatives, k - 1 multiplications. One example, and biases count as weights do.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Work(NamedTuple):
    """Multiplications and additions."""

    multiplications: int
    additions: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.multiplications + self.additions

    def __add__(self, other: object) -> Work:
        if not isinstance(other, Work):
            return NotImplemented
        return Work(self.multiplications + other.multiplications, self.additions + other.additions)

    def times(self, number: int) -> Work:
        """The work of a number of such computations."""
        return Work(number * self.multiplications, number * self.additions)


def paths(sizes: Sequence[int], layer: int = 1) -> int:
    """Paths from one weight of a layer to the loss: the product of the sizes of later layers.

    >>> paths((2, 2, 2, 1)), paths((64, *(64,) * 20, 10))
    (2, 207691874341393105141219853168803840)
    """
    return prod(sizes[layer + 1 :])


def expanded(sizes: Sequence[int], layer: int | None = None) -> Work:
    """The sum over all paths, written out: for one weight of a layer, or for all weights.

    A path from layer l has len(sizes) - l + 1 local derivatives, one of them ∂L/∂ŷ.
    """
    if layer is None:
        return _all(sizes, expanded)
    number = paths(sizes, layer)
    return Work(number * (len(sizes) - layer), number - 1)


def call_tree(sizes: Sequence[int], layer: int | None = None) -> Work:
    """The recursion without memoization: factored, and every adjoint computed for each consumer."""
    if layer is None:
        return _all(sizes, call_tree)
    work = Work(0, 0)  # of an adjoint of the last layer
    for size in reversed(sizes[layer + 1 :]):
        work = work.times(size) + Work(size, size - 1)
    return work + Work(1, 0)


def backpropagation(sizes: Sequence[int], layer: int | None = None) -> Work:
    """The recursion with memoization: each adjoint is computed once.

    >>> backpropagation((2, 2, 2, 1))
    Work(multiplications=21, additions=2)
    """
    weights = range(1, len(sizes)) if layer is None else [layer]
    each = sum(sizes[n] * (sizes[n - 1] + 1) for n in weights) if layer is None else 1
    work = Work(each, 0)
    lowest = weights[0]
    for n in range(lowest, len(sizes) - 1):
        nodes = sizes[n] if layer is None or n > lowest else 1
        work += Work(nodes * sizes[n + 1], nodes * (sizes[n + 1] - 1))
    return work


def _all(sizes: Sequence[int], one: Callable[[Sequence[int], int], Work]) -> Work:
    work = Work(0, 0)
    for layer in range(1, len(sizes)):
        number = sizes[layer] * (sizes[layer - 1] + 1)
        work += one(sizes, layer).times(number)
    return work
