"""Data arrays, datasets and variables of xarray: dimensions, coordinates, indexes, attributes.

What is read from zarr names codecs in its encoding, and what xarray maps has adapters of indexes.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, parts_of

if TYPE_CHECKING:
    import xarray


def _dump_variable(variable: xarray.Variable) -> Any:
    import pandas

    if variable.chunks is not None or not variable._in_memory:
        raise UnstorableError(noun(variable), "it is not loaded; return value.compute()")
    data = variable.data
    if type(data) is not np.ndarray and not isinstance(data, pandas.api.extensions.ExtensionArray):
        raise UnstorableError(noun(variable), f"it wraps {noun(data)}; return value.as_numpy()")
    return _described(variable, data)


_NAMES = {str, int, float, bool, bytes, tuple}


def _checked(dims: Any) -> Any:
    """Names of dimensions: of other types, a range say, one may have any length."""
    if not {*map(type, dims)} <= _NAMES:
        raise CodecError(f"dimensions {dims!r:.100}; name them by texts")
    return dims


def _described(variable: xarray.Variable, data: Any) -> Any:
    return list(_checked(variable.dims)), data, dict(variable.attrs), dict(variable.encoding)


def _load_variable(tree: Any) -> xarray.Variable:
    import pandas
    import xarray

    if type(tree) is not tuple or not isinstance(
        tree[1], np.ndarray | pandas.api.extensions.ExtensionArray
    ):
        raise CodecError("a variable without data")
    dims, data, attributes, encoding = parts_of(tree, list, type(tree[1]), dict, dict)
    made = xarray.Variable(_checked(dims), data, attributes, encoding)
    if made.dtype != data.dtype:
        raise CodecError(f"a variable of {made.dtype}, not of {data.dtype}")
    return made


def _dump_coordinates(value: Any) -> Any:
    """The indexes, each with its variables, and the other coordinates."""
    groups = []
    for index, variables in value.xindexes.group_by_index():
        described = [(name, _described(part, None)) for name, part in variables.items()]
        groups.append((*_dump_index(index), described))
    plain = {
        name: _dump_variable(part.variable)
        for name, part in value.coords.items() if name not in value.xindexes
    }  # fmt: skip
    return list(value.coords), groups, plain


def _dump_index(index: Any) -> Any:
    from xarray.core.indexes import PandasIndex, PandasMultiIndex

    if type(index) is PandasMultiIndex:
        return "multi", index.index, index.dim, dict(index.level_coords_dtype)
    if type(index) is PandasIndex:
        is_numpy = isinstance(index.coord_dtype, np.dtype)
        return "plain", index.index, index.dim, index.coord_dtype if is_numpy else None
    raise UnstorableError(noun(index), "this index has no format; drop it: value.drop_indexes")


def _load_coordinates(tree: Any) -> xarray.Coordinates:
    import xarray

    order, groups, plain = parts_of(tree, list, list, dict)
    indexes: dict[Any, Any] = {}
    variables = {name: _load_variable(part) for name, part in plain.items()}
    for group in groups:
        index, heads = _load_index(group)
        variables |= index.create_variables(heads)
        indexes |= dict.fromkeys(heads, index)
    if {*map(repr, order)} != {*map(repr, variables)}:
        raise CodecError("coordinates without a variable")
    return xarray.Coordinates({name: variables[name] for name in order}, indexes)


def _load_index(tree: Any) -> tuple[Any, dict[Any, xarray.Variable]]:
    """An index, and its variables with dimensions and attributes alone."""
    import pandas
    import xarray
    from xarray.core.indexes import PandasIndex, PandasMultiIndex

    if type(tree) is not tuple or len(tree) != 5 or not isinstance(tree[1], pandas.Index):
        raise CodecError("coordinates without an index")
    kind, labels, dim, dtype, described = tree
    if type(kind) is not str or type(described) is not list:
        raise CodecError("an index without variables")
    heads = {}
    for item in described:
        name, part = item
        dims, _, attributes, encoding = parts_of(part, list, NoneType, dict, dict)
        heads[name] = xarray.Variable(_checked(dims), labels, attributes, encoding)
    index: Any = PandasMultiIndex if kind == "multi" else PandasIndex
    return index(labels, *_checked([dim]), dtype), heads


def _dump_array(array: xarray.DataArray) -> Any:
    return array.name, _dump_variable(array.variable), _dump_coordinates(array)


def _load_array(tree: Any) -> xarray.DataArray:
    import xarray

    if type(tree) is not tuple:
        raise CodecError("an array without parts")
    name, described, coordinates = tree
    variable = _load_variable(described)
    made = xarray.DataArray(variable, coords=_load_coordinates(coordinates), name=name)
    made.encoding = variable.encoding
    return made


def _dump_dataset(dataset: xarray.Dataset) -> Any:
    data = {name: _dump_variable(part.variable) for name, part in dataset.data_vars.items()}
    return data, _dump_coordinates(dataset), dict(dataset.attrs), dict(dataset.encoding)


def _load_dataset(tree: Any) -> xarray.Dataset:
    import xarray

    data, coordinates, attributes, encoding = parts_of(tree, dict, tuple, dict, dict)
    variables = {name: _load_variable(part) for name, part in data.items()}
    made = xarray.Dataset(variables, coords=_load_coordinates(coordinates), attrs=attributes)
    made.encoding = encoding
    return made


def _dump_codec(codec: Any) -> Any:
    tree = type(codec).__name__, codec.to_dict()
    if _load_codec(tree) != codec:
        raise UnstorableError(noun(codec), "it would come back changed; delete value.encoding")
    return tree


def _load_codec(tree: Any) -> Any:
    from zarr import codecs
    from zarr.abc.codec import BaseCodec

    name, settings = parts_of(tree, str, dict)
    kind = getattr(codecs, name, None)
    if not isinstance(kind, type) or not issubclass(kind, BaseCodec):
        raise CodecError(f"a codec {name!r:.100}")
    return kind.from_dict(settings)


def _load_filter(tree: Any) -> Any:
    from numcodecs import registry  # type: ignore[import-untyped]

    [settings] = parts_of(tree, dict)
    if settings["id"] not in registry.codec_registry:  # another library would be imported
        raise UnreadableError(f"a codec {settings['id']!r:.100}: import what registers it")
    return registry.get_codec(settings)


def _dump_adapter(adapter: Any) -> Any:
    return adapter.array, adapter.dtype if isinstance(adapter.dtype, np.dtype) else None


def _load_adapter(tree: Any) -> Any:
    import pandas
    from xarray.core.indexing import PandasIndexingAdapter

    if type(tree) is not tuple or len(tree) != 2 or not isinstance(tree[0], pandas.Index):
        raise CodecError("an adapter without an index")
    return PandasIndexingAdapter(*tree)


FORMATS = {
    "numcodecs.abc.Codec": LibraryFormat(
        lambda codec: (codec.get_config(),), _load_filter, is_family=True
    ),
    "xarray.core.indexing.PandasIndexingAdapter": LibraryFormat(_dump_adapter, _load_adapter),
    "zarr.abc.codec.BaseCodec": LibraryFormat(_dump_codec, _load_codec, is_family=True),
    "xarray.Variable": LibraryFormat(_dump_variable, _load_variable),
    "xarray.DataArray": LibraryFormat(_dump_array, _load_array),
    "xarray.Dataset": LibraryFormat(_dump_dataset, _load_dataset),
}
