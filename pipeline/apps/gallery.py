"""Other recurrences: each is a textbook's recursion, and each task of its DAG one table entry.

Top-down memoization runs a recursion and keeps what it computes. Bottom-up tabulation fills a table
in an order in which each entry comes after those that it needs. A DAG runs in such an order:
`run_in_order` returns it, and `tabulate` is the bottom-up loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial, reduce
from inspect import getdoc
from math import comb
from typing import Any

import numpy as np
from dask.typing import Key

from pipeline import Call, Recurrence, TaskGraph, measure, recurrence


@dataclass(frozen=True)
class Problem:
    """A recurrence, and how people know it.

    example: arguments whose tree is small enough to draw
    source: the origin of the recursion, and the number of its values in the OEIS
    table: the entries of a bottom-up table, and the order in which people fill it
    """

    name: str
    function: Recurrence
    example: tuple[Any, ...]
    source: str
    table: str

    @property
    def question(self) -> str:
        """The question that a call answers."""
        return (getdoc(self.function) or "").partition("\n")[0]

    def call(self, *arguments: Any) -> Call:
        """The call with some arguments, or with those of the example.

        >>> GALLERY["bell"].call(), GALLERY["bell"].call(10).compute()
        (bell(6), 115975)
        """
        call: Call = self.function(*(arguments or self.example))
        return call


def run_in_order(graph: TaskGraph) -> tuple[Any, list[Key]]:
    """The value of a graph, and its keys in the order in which Dask's sync scheduler ran them."""
    with measure() as measurement:
        value = graph.compute(scheduler="sync", fuse=False)
    return value, [run.key for run in measurement.runs]


def tabulate(graph: TaskGraph, order: Iterable[Key]) -> dict[Key, Any]:
    """Fill a table bottom-up: the recurrence computes each entry from entries before it.

    Raises `KeyError` if one of these is missing: no loop can fill the table in that order.

    >>> graph = catalan(4).graph()
    >>> value, order = run_in_order(graph)
    >>> value, list(tabulate(graph, order).values())
    (14, [1, 1, 2, 5, 14])
    """
    table: dict[Key, Any] = {}
    for key in order:
        table[key] = graph.tasks[key](table)
    return table


GALLERY: dict[str, Problem] = {}
"""The problems by their names."""


def _shown(
    *example: Any, source: str, table: str, name: str = ""
) -> Callable[[Callable[..., Any]], Recurrence]:
    """Make a function a recurrence, and put it into the gallery."""

    def enter(body: Callable[..., Any]) -> Recurrence:
        title = name or body.__name__.replace("_", "-")
        GALLERY[title] = Problem(title, recurrence(body), example, source, table)
        return GALLERY[title].function

    return enter


# `task(min)` would add a task to each entry. A NumPy function belongs to the task of the call whose
# body uses it, and on objects it keeps Python's integers, of any size.
def _least(*values: Any) -> Any:
    return reduce(partial(np.minimum, dtype=object), values)


def _greatest(*values: Any) -> Any:
    return reduce(partial(np.maximum, dtype=object), values)


@_shown(6, 3, source="B. Pascal 1654; Knuth, TAOCP 1, 1.2.6; OEIS A007318",
        table="rows are n, columns are k: Pascal's triangle, row by row")  # fmt: skip
def binomial(n: int, k: int) -> Any:
    """In how many ways can k of n things be chosen?"""
    if k == 0 or k >= n:
        return int(k <= n)
    return binomial(n - 1, k - 1) + binomial(n - 1, k)


@_shown(4, source="J. A. von Segner 1758; Knuth, TAOCP 4A, 7.2.1.6; OEIS A000108",
        table="one row, from 0 to n; each entry takes all those before it")  # fmt: skip
def catalan(n: int) -> Any:
    """How many binary trees have n nodes?"""
    if n == 0:
        return 1
    return sum(catalan(left) * catalan(n - 1 - left) for left in range(n))


@_shown(10, source="L. Euler 1748; Knuth, TAOCP 4A, 7.2.1.4; OEIS A000041, A026807",
        table="rows are n, columns are least parts; row by row, from the right")  # fmt: skip
def partitions(n: int, least: int = 1) -> Any:
    """In how many ways is n a sum, in any order?

    No part is below `least`: one of them is `least`, or all are above it.
    """
    if n < 2 * least:
        return int(n == 0 or n >= least)
    return partitions(n - least, least) + partitions(n, least + 1)


@_shown(3, 3, source="G. Pólya, Mathematical Discovery 1, 1962, ch. 3; OEIS A046899",
        table="the grid itself, with the paths to each crossing, row by row")  # fmt: skip
def grid_paths(down: int, right: int) -> Any:
    """How many paths lead down and right through a grid?"""
    if down == 0 or right == 0:
        return 1
    return grid_paths(down - 1, right) + grid_paths(down, right - 1)


@_shown("ate", "tea", source="R. A. Wagner and M. J. Fischer, JACM 21, 1974, 168–173",
        table="rows are prefixes of one, columns those of the other; row by row")  # fmt: skip
def edit_distance(one: str, other: str) -> Any:
    """How few letters are put in, left out or replaced?

    An entry is the least of three: the one above, plus 1, as a letter of one is left out; the one
    to the left, plus 1, as a letter of other is put in; and the one before both, plus 1 if the last
    letters differ.
    """
    if not one or not other:
        return len(one) + len(other)
    return _least(
        edit_distance(one[:-1], other) + 1,
        edit_distance(one, other[:-1]) + 1,
        edit_distance(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    )


@_shown("ABCB", "BDCAB", source="Wagner and Fischer 1974; CLRS, 3rd edition, 15.4",
        table="rows are prefixes of one, columns those of the other; row by row")  # fmt: skip
def lcs(one: str, other: str) -> Any:
    """How long is the longest common subsequence?"""
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return lcs(one[:-1], other[:-1]) + 1
    return _greatest(lcs(one[:-1], other), lcs(one, other[:-1]))


@_shown(5, ((2, 12), (1, 10), (3, 20), (2, 15)), source="R. Bellman 1957; Levitin, Algorithms, 8.2",
        table="rows are numbers of items, columns are capacities; row by row")  # fmt: skip
def knapsack(capacity: int, items: tuple[tuple[int, int], ...]) -> Any:
    """What is the most value that a capacity holds of items, (weight, value) each?"""
    if not items:
        return 0
    *others, (weight, value) = items
    without = knapsack(capacity, tuple(others))
    if weight > capacity:
        return without
    return _greatest(without, knapsack(capacity - weight, tuple(others)) + value)


@_shown((30, 35, 15, 5, 10, 20), source="S. S. Godbole 1973; CLRS, 3rd edition, 15.2",
        table="rows are first matrices, columns last ones; short chains first")  # fmt: skip
def matrix_chain(sizes: tuple[int, ...]) -> Any:
    """How few multiplications does a matrix product take?

    sizes: rows of the first, then columns of each
    """
    if len(sizes) <= 2:
        return 0
    return _least(*(
        matrix_chain(sizes[: k + 1]) + matrix_chain(sizes[k:]) + sizes[0] * sizes[k] * sizes[-1]
        for k in range(1, len(sizes) - 1)
    ))  # fmt: skip


@_shown(11, (1, 5, 10), source="G. Pólya 1956; Abelson and Sussman, SICP, 1.2.2",
        table="rows are numbers of kinds, columns are amounts; row by row")  # fmt: skip
def coins(amount: int, kinds: tuple[int, ...]) -> Any:
    """In how many ways can an amount be paid in coins?"""
    if amount == 0:
        return 1
    if not kinds:
        return 0
    without = coins(amount, kinds[:-1])
    return without + coins(amount - kinds[-1], kinds) if kinds[-1] <= amount else without


_ALL = "F(n-1) is known only when the graph runs, so that both graphs have all M(k) it could be"


@_shown(3, name="hofstadter-female", table=f"by turns: M(0), F(0), …, M(n), F(n). {_ALL}",
        source="D. R. Hofstadter, Gödel, Escher, Bach, 1979, p. 137; OEIS A005378")  # fmt: skip
def female(n: int) -> Any:
    """What is F(n) = n − M(F(n−1)), F(0) = 1?"""
    if n == 0:
        return 1
    chosen = female(n - 1)
    return n - sum((chosen == k) * male(k) for k in range(n + 1))  # of which one is M(F(n-1))


@_shown(3, name="hofstadter-male", table=f"by turns: M(0), F(0), …, F(n - 1), M(n). {_ALL}",
        source="D. R. Hofstadter, Gödel, Escher, Bach, 1979, p. 137; OEIS A005379")  # fmt: skip
def male(n: int) -> Any:
    """What is M(n) = n − F(M(n−1)), M(0) = 0?"""
    if n == 0:
        return 0
    chosen = male(n - 1)
    return n - sum((chosen == k) * female(k) for k in range(n))


@_shown(6, source="Knuth, TAOCP 4A, 7.2.1.5; OEIS A000110",
        table="one row, from 0 to n; each entry takes all those before it")  # fmt: skip
def bell(n: int) -> Any:
    """In how many ways can n things be grouped?"""
    if n == 0:
        return 1
    return sum(comb(n - 1, others) * bell(others) for others in range(n))
