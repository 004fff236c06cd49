"""Arrays, bags and dataframes whose blocks are written into: random chains of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import dask.array as da
import dask.bag as db
import numpy as np
from dask import delayed
from hypothesis import strategies as st

from tests.isolation import pool

if TYPE_CHECKING:
    from collections.abc import Callable


def _array(n: int) -> Any:
    block = delayed(pool.ramp)(2 * n)
    row = [da.from_delayed(block, (2 * n, 2 * n), float), _own_array(n)]
    return da.concatenate(row, axis=1)


def _own_array(n: int) -> Any:
    return da.from_array(pool.ramp(2 * n), chunks=n, name=False)


def _bag(n: int) -> Any:
    return db.from_delayed([delayed(pool.rows)(n), delayed(pool.rows)(n), delayed(pool.rows)(1)])


def _frame(n: int) -> Any:
    import dask.dataframe as dd

    parts = [delayed(pool.frame)(number) for number in (n, n, 1)]
    return dd.from_delayed(parts, meta=pool.frame(1), verify_meta=False)


def _grown_all(rows: Any) -> Any:
    rows = list(rows)
    for row in rows:
        row.append(0)
    return rows


def _counted_rows(rows: Any) -> Any:
    return [len(row) for row in rows]


class Operation(NamedTuple):
    """One operation on a collection, by the name that a program shows."""

    name: str
    apply: Callable[[Any], Any]

    def __repr__(self) -> str:
        return self.name


def _blocks(function: Any) -> Operation:
    return Operation(f"map_blocks({function.__name__})",
                     lambda x: x.map_blocks(function, dtype=x.dtype))  # fmt: skip


def _items(function: Any) -> Operation:
    return Operation(f"map({function.__name__})", lambda x: x.map(function))


def _partitions(function: Any) -> Operation:
    return Operation(f"map_partitions({function.__name__})",
                     lambda x: x.map_partitions(function))  # fmt: skip


def _tables(function: Any) -> Operation:
    return Operation(f"map_partitions({function.__name__})",
                     lambda x: x.map_partitions(function, meta=x._meta))  # fmt: skip


_ARRAY = (
    *map(_blocks, (pool.filled, pool.set_flat, pool.set_by_flat, pool.out_of_add, pool.sorted_down,
                   pool.set_through_mask, pool.same, pool.doubled, np.negative)),
    Operation("T", lambda x: x.T), Operation("[::2]", lambda x: x[::2] if x.shape[0] > 1 else x),
    Operation("+ itself", lambda x: x + x), Operation("rechunk", lambda x: x.rechunk(x.shape)),
    Operation("cumsum", lambda x: x.cumsum(axis=0)),
)  # fmt: skip
_BAG = (
    *map(_items, (pool.grown, pool.sort_here, pool.same, sorted)),
    *map(_partitions, (_grown_all, pool.same, list, pool.iterated)),
    Operation("filter(len)", lambda x: x.filter(len)),
)
_FRAME = (
    *map(_tables, (pool.set_place, pool.sort_table, pool.with_attribute, pool.set_buffer,
                   pool.same)),
    Operation("[a > 1]", lambda x: x[x["a"] > 1]),
    Operation("assign", lambda x: x.assign(a=x["a"] + x["b"])),
)  # fmt: skip
_KINDS = {
    "array": (_array, _ARRAY, lambda x: x.sum()),
    "own array": (_own_array, _ARRAY, lambda x: x.max(axis=0)),
    "bag": (_bag, _BAG, lambda x: x.map_partitions(_counted_rows)),
    "frame": (_frame, _FRAME, lambda x: x["b"].sum()),
}


class Chain(NamedTuple):
    """A source of some kind, and what is done with it.

    is_reduced: whether a reduction comes last
    """

    kind: str
    n: int
    operations: tuple[Operation, ...]
    is_reduced: bool

    def build(self) -> Any:
        source, _, reduce = _KINDS[self.kind]
        collection = source(self.n)
        for operation in self.operations:
            collection = operation.apply(collection)
        reducing: Any = reduce
        return reducing(collection) if self.is_reduced else collection


@st.composite
def chains(draw: Any) -> list[Chain]:
    """Chains of one kind; each begins as the first does, so that much is equal."""
    kind = draw(st.sampled_from(sorted(_KINDS)))
    n = draw(st.integers(1, 2))
    operations = st.lists(st.sampled_from(_KINDS[kind][1]), max_size=3)
    first = draw(operations)
    found = [Chain(kind, n, tuple(first), draw(st.booleans()))]
    for _ in range(draw(st.integers(1, 2))):
        kept = draw(st.integers(0, len(first)))
        found.append(Chain(kind, n, (*first[:kept], *draw(operations)), draw(st.booleans())))
    return found
