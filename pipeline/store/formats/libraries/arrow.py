"""Tables, batches, columns and schemas of PyArrow, as streams of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, noun
from pipeline.store.formats.libraries import LibraryFormat
from pipeline.store.formats.streams import read_batches, stream_of


def dump_table(table: Any) -> Any:
    return _dump(table.schema, table.to_batches())


def _dump(schema: Any, batches: Sequence[Any]) -> Any:
    return np.frombuffer(stream_of(schema, batches), np.uint8)


def _read(tree: Any) -> tuple[Any, list[Any]]:
    if type(tree) is not np.ndarray:
        raise CodecError(f"{noun(tree)} that should be a stream of Arrow")
    return read_batches(tree.data.cast("B"))


def load_table(tree: Any) -> Any:
    import pyarrow

    schema, batches = _read(tree)
    return pyarrow.Table.from_batches(batches, schema)


def _load_batch(tree: Any) -> Any:
    _, [batch] = _read(tree)
    return batch


def _dump_array(array: Any) -> Any:
    import pyarrow

    batch = pyarrow.RecordBatch.from_arrays([array], [""])
    return _dump(batch.schema, [batch])


def _column(table: Any) -> Any:
    if table.num_columns != 1:
        raise CodecError("a column of Arrow that is several")
    return table.column(0)


def _dump_chunks(array: Any) -> Any:
    import pyarrow

    return dump_table(pyarrow.table([array], [""]))


FORMATS = {
    "pyarrow.Table": LibraryFormat(dump_table, load_table),
    "pyarrow.RecordBatch": LibraryFormat(lambda batch: _dump(batch.schema, [batch]), _load_batch),
    "pyarrow.ChunkedArray": LibraryFormat(_dump_chunks, lambda tree: _column(load_table(tree))),
    "pyarrow.Array": LibraryFormat(
        _dump_array, lambda tree: _column(_load_batch(tree)), is_family=True
    ),
    "pyarrow.Schema": LibraryFormat(
        lambda schema: _dump(schema, []), lambda tree: load_table(tree).schema
    ),
}
