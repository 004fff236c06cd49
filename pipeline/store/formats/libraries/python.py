"""Types of Python's standard library, and those of NumPy that are no plain arrays; what functions
of `numpy.linalg` and of `dask.dataframe` return; time zones of pytz, which pandas 2 makes."""

from __future__ import annotations

import array
import collections
import ipaddress
import math
import pathlib
import re
import time
import types
import uuid
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from random import Random
from typing import Any

import numpy as np

from pipeline.identity import library_name
from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, is_of, parts_of, refused

_FACTORIES_OF = ("builtins", "collections", "datetime", "decimal", "fractions", "numpy", "pandas")
_ITEM_CODES = "bBhHiIlLqQfd"
_MAX_POOL = 64  # numbers from which NumPy makes a seed: it uses 4


def _dump_dict(value: Any) -> Any:
    # A state dict of PyTorch has its versions in an attribute.
    return dict(value), vars(value)


def _loading_dict(kind: Any) -> Callable[[Any], Any]:
    def load(tree: Any) -> Any:
        items, attributes = parts_of(tree, dict, dict)
        made = kind(items)
        vars(made).update(attributes)
        return made

    return load


def _dump_default(value: collections.defaultdict[Any, Any]) -> Any:
    factory: Any = value.default_factory
    if factory is None:
        return None, dict(value)
    name = library_name(factory) or ""
    module = getattr(factory, "__module__", None) or ""
    path = f"{module}:{name.removeprefix(f'{module}.')}"
    if _factory_at(path) is not factory:
        why = (
            f"its default factory {factory!r:.100} is neither a type of Python nor a function of "
            "NumPy or pandas; return dict(value)"
        )
        raise UnstorableError("a defaultdict", why)
    return path, dict(value)


def _load_default(tree: Any) -> Any:
    path, items = parts_of(tree, (str, types.NoneType), dict)
    factory = None if path is None else _factory_at(path)
    if path is not None and factory is None:
        raise CodecError(f"a defaultdict of {path!r:.100}")
    return collections.defaultdict(factory, items)


def _factory_at(path: str) -> Any:
    """The default factory at a path; None where that is no type of Python, and of no library."""
    module, _, name = path.partition(":")
    if module.partition(".")[0] not in _FACTORIES_OF or "__" in path:
        return None
    found = getattr(import_module(module), name, None)
    is_known = isinstance(found, type) or (module != "builtins" and callable(found))
    return found if is_known else None


def _made_of(kind: Any, *types: type) -> Callable[[Any], Any]:
    """Makes a value of a type of parts."""
    return lambda tree: kind(*parts_of(tree, *types))


def _made_of_text(kind: Any) -> LibraryFormat:
    return LibraryFormat(lambda value: (str(value),), _made_of(kind, str))


def _load_array(tree: Any) -> Any:
    code, data = parts_of(tree, str, bytes)
    if len(code) != 1 or code not in _ITEM_CODES:
        raise CodecError(f"an array of {code!r:.20}")
    return array.array(code, data)


_COMPAT = "array_api_compat.numpy"
_NAMESPACES = ("numpy", f"scipy._lib.{_COMPAT}", f"scipy._external.{_COMPAT}")
"""Modules that results of `scipy.stats` hold; SciPy 1.18 has moved one."""


def _dump_module(value: types.ModuleType) -> str:
    if value.__name__ not in _NAMESPACES:
        raise UnstorableError(noun(value), f"no format for {value.__name__}; return its name")
    return value.__name__


def _load_module(name: Any) -> Any:
    if type(name) is not str or name not in _NAMESPACES:
        raise CodecError(f"a module {name!r:.100}")
    return import_module(name)


def _load_uuid(tree: Any) -> uuid.UUID:
    number, safe = parts_of(tree, int, (int, types.NoneType))
    return uuid.UUID(int=number, is_safe=uuid.SafeUUID(safe))


def _load_pattern(tree: Any) -> Any:
    pattern, flags = parts_of(tree, (str, bytes), int)
    if flags & re.DEBUG:
        raise CodecError("a regular expression that prints")
    return re.compile(pattern, flags)


_NUMBERS = (int, float, str, types.NoneType, np.ndarray, np.random.SeedSequence)


def _check_state(tree: Any) -> None:
    """Refuse lengths without bytes in the state of a generator, from which arrays would be made."""
    parts = list(tree.values()) if type(tree) is dict else tree
    if type(parts) in (list, tuple):
        for part in parts:
            _check_state(part)
    elif type(parts) not in _NUMBERS:
        raise CodecError(f"{noun(parts)} in the state of a generator")


def _load_random(tree: Any) -> Random:
    _check_state(tree)
    made = Random()  # noqa: S311 - its state is set
    made.setstate(tree)
    return made


_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def _load_bits(tree: Any) -> Any:
    _check_state(tree)
    state, seed = parts_of(tree, dict, (np.random.SeedSequence, types.NoneType))
    name, inner = state["bit_generator"], state["state"]
    if name not in _BIT_GENERATORS:
        raise CodecError(f"a bit generator {name!r:.100}")
    # NumPy's loops, which are in C, would read there.
    if not (0 <= inner.get("pos", 0) <= 624 and 0 <= state.get("buffer_pos", 0) <= 4):
        raise CodecError("a bit generator with a place outside")
    made = getattr(np.random, name)(seed)
    made.state = state
    return made


def _load_seed(tree: Any) -> np.random.SeedSequence:
    _check_state(tree)
    if type(tree) is not dict or not 4 <= tree["pool_size"] <= _MAX_POOL:
        raise CodecError("a SeedSequence with another pool")
    return np.random.SeedSequence(**tree)


_RANDOM_STATE = ("has_gauss", "gauss")


def _dump_random_state(value: np.random.RandomState) -> Any:
    state: Any = value.get_state(legacy=False)
    bits: Any = getattr(value, "_bit_generator")  # noqa: B009 - no part of NumPy's types
    return bits, *(state[name] for name in _RANDOM_STATE)


def _load_random_state(tree: Any) -> np.random.RandomState:
    bits, *gauss = parts_of(tree, _BITS, int, float)
    made = np.random.RandomState(bits)
    made.set_state(made.get_state(legacy=False) | dict(zip(_RANDOM_STATE, gauss, strict=True)))
    return made


_BITS = tuple(getattr(np.random, name) for name in _BIT_GENERATORS)


def _viewed(kind: type) -> LibraryFormat:
    """The format of a class whose arrays are plain arrays, seen in another way."""

    def load(tree: Any) -> Any:
        if type(tree) is not np.ndarray or (tree.dtype.names is None) == (kind is np.recarray):
            raise CodecError(f"{noun(tree)} that should be an array")
        return tree.view(kind)

    def dump(value: Any) -> Any:
        dtype = value.dtype
        if dtype.type is np.record:
            dtype = np.dtype((np.void, dtype))
        return np.asarray(value).view(dtype)

    return LibraryFormat(dump, load)


def _polynomial(kind: Any) -> LibraryFormat:
    parts = attrgetter("coef", "domain", "window", "symbol")
    return LibraryFormat(parts, _made_of(kind, np.ndarray, np.ndarray, np.ndarray, str))


def _dump_objects(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.metadata is not None:
        raise UnstorableError("an array", "its dtype has metadata; convert it before")
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return list(array.shape), is_fortran, array.reshape(-1).tolist()


def _load_objects(tree: Any) -> np.ndarray[Any, Any]:
    shape, is_fortran, items = parts_of(tree, list, bool, list)
    if not is_of(shape, int) or math.prod(shape) != len(items):
        raise CodecError(f"an array {shape} of {len(items)} objects")
    array = np.fromiter(items, object, len(items)).reshape(shape)
    return np.asfortranarray(array) if is_fortran else array


def _dump_dtype(dtype: np.dtype[Any]) -> Any:
    if dtype.metadata is not None or (dtype.hasobject and dtype.names):
        raise UnstorableError(f"a dtype {dtype}", "it has fields of objects, or metadata")
    return None if dtype.char == "O" else np.empty(0, dtype)


def _load_dtype(tree: Any) -> np.dtype[Any]:
    if tree is not None and type(tree) is not np.ndarray:
        raise CodecError("a dtype without an array")
    return np.dtype(object) if tree is None else tree.dtype


def _dump_view(view: memoryview) -> Any:
    array = np.asarray(view)
    if array.data.format != view.format:
        raise UnstorableError("a memoryview", f"NumPy has no items {view.format!r}; cast it")
    return array, view.readonly


def _load_view(tree: Any) -> memoryview:
    array, is_readonly = parts_of(tree, np.ndarray, bool)
    return memoryview(array).toreadonly() if is_readonly else memoryview(array)


def _named_tuple(kind: Any) -> LibraryFormat:
    def load(tree: Any) -> Any:
        return kind(*parts_of(tree, *[np.ndarray] * len(kind._fields)))

    return LibraryFormat(tuple, load)


def _load_groups(tree: Any) -> Any:
    from dask.dataframe.backends import ShuffleGroupResult

    if type(tree) is not dict:
        raise CodecError("groups that are no dict")
    return ShuffleGroupResult(tree)


def _load_combined(tree: Any) -> Any:
    from dask.dataframe.rolling import CombinedOutput

    return CombinedOutput(*parts_of(tree, list))


_LINALG = {type(np.linalg.qr(np.eye(1))), type(np.linalg.svd(np.eye(1))),
           type(np.linalg.eigh(np.eye(1)))}  # fmt: skip
"""Their module is private: they are found by what returns them."""

_TEXTS = [
    getattr(ipaddress, f"IPv{version}{part}")
    for version in (4, 6)
    for part in ("Address", "Interface", "Network")
]
_PATHS = [pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath]
_POLYNOMIALS = ("Chebyshev", "Hermite", "HermiteE", "Laguerre", "Legendre", "Polynomial")


def _dump_zone(zone: Any) -> Any:
    import pytz

    if zone.zone not in pytz.all_timezones_set or pytz.timezone(zone.zone) is not zone:
        raise UnstorableError(noun(zone), "it is one offset of a time zone; use ZoneInfo(name)")
    return (zone.zone,)


def _load_zone(tree: Any) -> Any:
    import pytz

    [name] = parts_of(tree, str)
    if name not in pytz.all_timezones_set:
        raise CodecError(f"a time zone {name!r:.100}")
    return pytz.timezone(name)


FORMATS = {
    **{f"{kind.__module__}.{kind.__name__}": _named_tuple(kind) for kind in _LINALG},
    **{f"ipaddress.{kind.__name__}": _made_of_text(kind) for kind in _TEXTS},
    **{f"pathlib.{kind.__name__}": _made_of_text(kind) for kind in _PATHS},
    **{
        f"numpy.polynomial.{name}": _polynomial(getattr(np.polynomial, name))
        for name in _POLYNOMIALS
    },
    **dict.fromkeys(
        [f"numpy.random.{name}" for name in _BIT_GENERATORS],
        LibraryFormat(lambda bits: (bits.state, bits.seed_seq), _load_bits),
    ),
    "io.BytesIO": refused("it has a place to read from; return its getvalue()"),
    "io.StringIO": refused("it has a place to read from; return its getvalue()"),
    "_collections_abc.dict_items": LibraryFormat(
        lambda value: (dict(value),), lambda tree: parts_of(tree, dict)[0].items()
    ),
    "_collections_abc.dict_keys": LibraryFormat(
        lambda value: (dict.fromkeys(value),), lambda tree: parts_of(tree, dict)[0].keys()
    ),
    "_collections_abc.dict_values": LibraryFormat(
        lambda value: (dict(enumerate(value)),), lambda tree: parts_of(tree, dict)[0].values()
    ),
    "array.array": LibraryFormat(lambda value: (value.typecode, value.tobytes()), _load_array),
    "builtins.memoryview": LibraryFormat(_dump_view, _load_view),
    "collections.ChainMap": LibraryFormat(
        lambda value: (list(value.maps),),
        lambda tree: collections.ChainMap(*parts_of(tree, list)[0]),
    ),
    "collections.Counter": LibraryFormat(_dump_dict, _loading_dict(collections.Counter)),
    "collections.OrderedDict": LibraryFormat(_dump_dict, _loading_dict(collections.OrderedDict)),
    "collections.defaultdict": LibraryFormat(_dump_default, _load_default),
    "collections.deque": LibraryFormat(
        lambda value: (value.maxlen, list(value)),
        lambda tree: collections.deque(*parts_of(tree, (int, types.NoneType), list)[::-1]),
    ),
    "dask.dataframe.backends.ShuffleGroupResult": LibraryFormat(dict, _load_groups),
    "dask.dataframe.rolling.CombinedOutput": LibraryFormat(
        lambda value: (list(value),), _load_combined
    ),
    "pytz.tzinfo.BaseTzInfo": LibraryFormat(_dump_zone, _load_zone, is_family=True),
    "numpy.dtype": LibraryFormat(_dump_dtype, _load_dtype, is_family=True),
    "numpy.matrix": _viewed(np.matrix),
    "numpy.ndarray": LibraryFormat(_dump_objects, _load_objects),
    "numpy.poly1d": LibraryFormat(
        lambda value: (value.coeffs, value.variable),
        lambda tree: np.poly1d(parts_of(tree, np.ndarray, str)[0], variable=tree[1]),
    ),
    "numpy.random.Generator": LibraryFormat(
        lambda value: (value.bit_generator,),
        lambda tree: np.random.Generator(*parts_of(tree, _BITS)),
    ),
    "numpy.random.RandomState": LibraryFormat(_dump_random_state, _load_random_state),
    "numpy.random.SeedSequence": LibraryFormat(lambda value: value.state, _load_seed),
    "numpy.recarray": _viewed(np.recarray),
    "random.Random": LibraryFormat(lambda value: value.getstate(), _load_random),
    "re.Pattern": LibraryFormat(
        lambda value: (value.pattern, int(value.flags & ~re.DEBUG)), _load_pattern
    ),
    "time.struct_time": LibraryFormat(
        lambda value: value.__reduce__()[1], _made_of(time.struct_time, tuple, dict)
    ),
    "types.MappingProxyType": LibraryFormat(
        lambda value: (dict(value),), _made_of(types.MappingProxyType, dict)
    ),
    "types.ModuleType": LibraryFormat(_dump_module, _load_module),
    "types.SimpleNamespace": LibraryFormat(
        lambda value: (dict(vars(value)),),
        lambda tree: types.SimpleNamespace(**parts_of(tree, dict)[0]),
    ),
    "uuid.UUID": LibraryFormat(lambda value: (value.int, value.is_safe.value), _load_uuid),
}
