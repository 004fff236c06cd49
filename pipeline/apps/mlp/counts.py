"""How much work a gradient is: closed forms, exact for any network.

They count the products and sums of the chain rule, given the local derivatives ∂c/∂v: neither these
nor the forward pass. A path from a weight to the loss with k steps is a product of k local
derivatives, k - 1 multiplications. There is one example, and biases count as weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple


class Work(NamedTuple):
    """Multiplications and additions."""

    multiplications: int
    additions: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.multiplications + self.additions


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
    multiplications = additions = 0  # of an adjoint of the last layer
    for size in reversed(sizes[layer + 1 :]):
        multiplications = size * (multiplications + 1)
        additions = size * additions + size - 1
    return Work(multiplications + 1, additions)


def backpropagation(sizes: Sequence[int], layer: int | None = None) -> Work:
    """The recursion with memoization: each adjoint is computed once.

    >>> backpropagation((2, 2, 2, 1))
    Work(multiplications=21, additions=2)
    """
    lowest, last = layer or 1, len(sizes) - 1
    weights = 1 if layer else sum(sizes[n] * (sizes[n - 1] + 1) for n in range(1, last + 1))
    # One weight needs one adjoint of its layer, and all adjoints of later layers.
    nodes = [1 if n == layer else sizes[n] for n in range(lowest, last)]
    after = sizes[lowest + 1 :]
    products = sum(number * size for number, size in zip(nodes, after, strict=True))
    return Work(weights + products, products - sum(nodes))


def _all(sizes: Sequence[int], one: Callable[[Sequence[int], int], Work]) -> Work:
    """The work for all weights and biases, from that of one of each layer."""
    layers = range(1, len(sizes))
    works = [(one(sizes, layer), sizes[layer] * (sizes[layer - 1] + 1)) for layer in layers]
    return Work(
        sum(number * work.multiplications for work, number in works),
        sum(number * work.additions for work, number in works),
    )
