"""Frames and series of Polars, as streams of Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, arrow, parts_of, refused

if TYPE_CHECKING:
    import polars


def _dump(value: Any, frame: polars.DataFrame) -> Any:
    import pyarrow

    names = frame.columns
    plain = frame.rename(dict(zip(names, map(str, range(len(names))), strict=True)))
    try:
        tree = names, frame.height, arrow.dump_table(plain.to_arrow())
        is_kept = _is_same(_load_frame(tree), frame)
    except pyarrow.ArrowException:
        is_kept = False
    if not is_kept:  # Arrow has no type for some of Polars'
        raise UnstorableError(noun(value), "it would come back changed; cast it to plain dtypes")
    return tree


def _is_same(one: polars.DataFrame, other: polars.DataFrame) -> bool:
    return bool(one.schema == other.schema and one.equals(other))


def _load_frame(tree: Any) -> polars.DataFrame:
    import polars

    names, height, data = parts_of(tree, list, int, np.ndarray)
    table = arrow.load_table(data)
    if not names:
        return polars.DataFrame(height=height)
    try:
        made = polars.from_arrow(table.rename_columns(list(map(str, range(len(names))))))
        return made.rename(dict(zip(made.columns, names, strict=True)))
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, Exception) or type(error).__name__ != "PanicException":
            raise
        raise CodecError(f"no frame of Polars: {error}") from error


def _load_series(tree: Any) -> polars.Series:
    frame = _load_frame(tree)
    if frame.width != 1:
        raise CodecError(f"a series of {frame.width} columns")
    return frame.to_series()


FORMATS = {
    "polars.DataFrame": LibraryFormat(lambda frame: _dump(frame, frame), _load_frame),
    "polars.Series": LibraryFormat(lambda series: _dump(series, series.to_frame()), _load_series),
    "polars.LazyFrame": refused("it is a plan, not its result; return frame.collect()"),
}
