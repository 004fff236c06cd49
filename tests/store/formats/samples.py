"""Values of libraries that have formats, when two of them are the same, and values without one."""

from __future__ import annotations

import array
import collections
import datetime
import io
import ipaddress
import os
import pathlib
import random
import re
import time
import types
import uuid
from decimal import Decimal
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.fuzz import same

NEEDS = {
    "arrow": ("pyarrow",), "jax": ("jax", "ml_dtypes"), "pillow": ("PIL",), "polars": ("polars",),
    "python": (), "scipy": ("scipy",), "sklearn": ("skops", "sklearn"),
    "torch": ("safetensors", "torch"), "xarray": ("xarray", "zarr"),
}  # fmt: skip
"""The libraries that a file of formats needs."""


def need(library: str) -> None:
    """Skip a test where a library is not installed, unless all of them should be."""
    for name in NEEDS[library]:
        if "PIPELINE_NEEDS_FORMATS" in os.environ:
            import_module(name)
        pytest.importorskip(name, reason=f"the extra `formats` or `bench` has {name}")


def arrow_values() -> list[Any]:
    import pyarrow as pa

    table = pa.table({
        "n": [1, None, 3], "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "l": [[1], None, []], "s": [{"a": 1, "b": [None]}, None, {"a": None, "b": []}],
        "z": pa.nulls(3), "m": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int8())),
        "f": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
        "t": pa.array([1, 2, None], pa.timestamp("us", "Europe/Paris")),
        "x": pa.array([b"ab", None, b"cd"], pa.binary(2)),
        "v": pa.array(["a"] * 3, pa.string_view()),
    }).replace_schema_metadata({"k": "v"})  # fmt: skip
    return [
        table, table.to_batches()[0], table.slice(1), pa.concat_tables([table, table]), table["l"],
        table["d"], table["d"].chunk(0), pa.array([1.5, None]), table.schema, pa.table({}),
        table.schema.empty_table(), pa.array([{"a": [1]}]), pa.array([Decimal("1.10")]),
        pa.table({"a": [1]}, pa.schema([pa.field("a", pa.int8(), False, {"u": "m"})])),
        pa.chunked_array([pa.array(list(word)).dictionary_encode() for word in ("ab", "c")]),
        pa.chunked_array([], pa.int8()), pa.DictionaryArray.from_arrays([0], ["a"], ordered=True),
    ]  # fmt: skip


def polars_values() -> list[Any]:
    import polars as pl

    frame = pl.DataFrame({
        "i": [1, 2, None], "f": [1.5, float("nan"), None], "s": ["a", None, "c"],
        "b": [True, None, False], "bin": [b"a", None, b""], "day": [datetime.date(2020, 1, 1)] * 3,
        "at": pl.Series([datetime.datetime(2020, 1, 1)] * 3,
                        dtype=pl.Datetime("ms", "Europe/Paris")),
        "d": pl.Series([1, 2, 3], dtype=pl.Duration("us")),
        "t": pl.Series([datetime.time(1, 2)] * 3),
        "c": pl.Series(["a", "b", None], dtype=pl.Categorical),
        "e": pl.Series(["a", "b", None], dtype=pl.Enum(["b", "a"])), "l": [[1], None, [2, 3]],
        "a": pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.Int8, 2)),
        "st": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}], "z": [None, None, None],
        "dec": pl.Series([Decimal("1.10"), None, None], dtype=pl.Decimal(9, 2)),
        "le": pl.Series([["a"], ["b"], []], dtype=pl.List(pl.Enum(["a", "b"]))),
    })  # fmt: skip
    return [
        frame, frame[1:], frame["e"], frame["st"], pl.Series([1, 2], dtype=pl.UInt8), frame[:0],
        pl.DataFrame(), pl.DataFrame(height=3), pl.DataFrame({"": [1]}), pl.concat([frame, frame]),
    ]  # fmt: skip


def _of_zarr() -> Any:
    """What is read from zarr: its encoding has codecs."""
    import xarray as xr
    from numcodecs import Zlib  # type: ignore[import-untyped]
    from zarr.codecs import BytesCodec, ZstdCodec

    encoding = {"compressors": (ZstdCodec(level=3),), "serializer": BytesCodec()}
    made = xr.DataArray(np.zeros(2), {"x": [1.5, 2]}, "x")
    made.encoding = {**encoding, "filters": [Zlib(2)]}
    return made


def xarray_values() -> list[Any]:
    import pandas as pd
    import xarray as xr
    from xarray.core.indexing import PandasIndexingAdapter

    wide = {"unit": "K", "n": [1]}
    dataset = xr.Dataset(
        {"t": (("x", "time"), np.arange(6.0).reshape(2, 3), wide, {"dtype": np.dtype("f4")}),
         "s": ("x", np.array(["a", "b"])), "n": ((), 1), "o": ("x", np.array([1, "a"], object))},
        {"x": ("x", ["p", "q"], {"long": "x"}), "time": pd.date_range("2020", periods=3, freq="D"),
         "lon": ("x", [1.5, 2]), "ref": 5}, {"a": [1]},
    )  # fmt: skip
    dataset.encoding["source"] = "a.nc"
    stacked = dataset[["t"]].stack(k=("x", "time"))
    kinds = xr.Dataset({"c": ("x", pd.Categorical(["a", "b"]))}, {"i": ("x", pd.array([1, None]))})
    periods = pd.period_range("2020", periods=3, freq="M")
    return [
        dataset, dataset.t, stacked, stacked.t, stacked.t[0], dataset.t.T, dataset.t.variable,
        xr.DataArray(np.zeros((2, 2))), xr.DataArray([1], dims="a", name=("n", 1)), kinds, kinds.c,
        dataset.drop_indexes("x"), dataset.set_index(x="lon"), dataset.x, xr.Dataset(),
        dataset.assign_coords(time=periods), xr.Dataset(coords={"x": [1]}), _of_zarr(),
        PandasIndexingAdapter(pd.Index([1, 2])), PandasIndexingAdapter(periods),
        PandasIndexingAdapter(pd.Index(["a"]), np.dtype("U1")),
    ]  # fmt: skip


def scipy_values() -> list[Any]:
    from scipy import sparse

    matrix = sparse.random(5, 8, 0.4, format="csr", random_state=0)
    wide = matrix.copy()
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    made = [
        getattr(sparse, f"{form}_{kind}")(matrix.astype(dtype))
        for form in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
        for kind in ("array", "matrix")
        for dtype in ("f8", "f4", "i1", "c16", "?")
    ]
    return [
        *made, wide, sparse.csr_matrix(([1, 2, 3], [1, 0, 1], [0, 3]), shape=(1, 3)),
        sparse.csr_array((3, 4)), sparse.coo_array(([1, 2], ([0, 3],))), sparse.eye_array(3),
        sparse.csr_array(np.array([0, 1, 2])),
        sparse.bsr_array(np.kron(np.eye(2), np.ones((2, 3)))),
        sparse.coo_matrix(([1, 2], ([0, 0], [1, 1])), shape=(2, 2)), *_of_scipy_functions(),
    ]  # fmt: skip


def _of_scipy_functions() -> list[Any]:
    from scipy import optimize, stats

    one, other = [1.0, 2.0, 3.0, 5.0], [2.0, 4.0, 5.0, 5.5]
    return [
        optimize.minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(2)),
        optimize.minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(2), bounds=[(0, 9)] * 2),
        stats.linregress(one, other), stats.ttest_ind(one, other), stats.pearsonr(one, other),
        stats.describe(one), stats.chi2_contingency([[1, 2], [3, 4]]), stats.ks_2samp(one, other),
    ]  # fmt: skip


def sklearn_values() -> list[Any]:
    from sklearn.compose import ColumnTransformer
    from sklearn.datasets import load_iris
    from sklearn.ensemble import (
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.feature_selection import SelectKBest
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, TimeSeriesSplit
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    random = np.random.default_rng(0)
    x, y = random.random((40, 3)), np.arange(40) % 3
    columns = ColumnTransformer([
        ("a", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]), ("b", OneHotEncoder(), [2])
    ])  # fmt: skip
    return [
        LogisticRegression(C=2.5), LogisticRegression().fit(x, y), StandardScaler().fit(x),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y), columns.fit(x.round(1)),
        RandomForestClassifier(3, random_state=np.random.RandomState(3)).fit(x, y),
        GradientBoostingRegressor(n_estimators=2, random_state=1).fit(x, y),
        DecisionTreeClassifier(max_depth=2, random_state=0).fit(x, y), SVC().fit(x, y),
        FunctionTransformer(np.log), TfidfVectorizer().fit(["a few words", "few other words"]),
        MLPClassifier((2,), tol=1.0, random_state=0).fit(x, y), load_iris(),
        GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=KFold(2), scoring="f1_macro"),
        SelectKBest(k=2).fit(x, y), KNeighborsClassifier().fit(x, y), KFold(3), TimeSeriesSplit(2),
        KNeighborsRegressor(algorithm="ball_tree").fit(x, y), ShuffleSplit(2, random_state=0),
        HistGradientBoostingClassifier(max_iter=2, random_state=0).fit(x, y),
    ]  # fmt: skip


def torch_values() -> list[Any]:
    import torch

    kinds = [
        torch.float64, torch.float16, torch.bfloat16, torch.float8_e5m2, torch.bool, torch.int8,
        torch.uint16, torch.uint64, torch.complex64, torch.complex128,
    ]  # fmt: skip
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    return [
        *(torch.ones(2, 3).to(kind) for kind in kinds), torch.arange(3), torch.tensor(1.5),
        torch.zeros(0, 2), torch.arange(6).reshape(2, 3).T, torch.ones(2, requires_grad=True),
        torch.zeros(1, 3, 4, 4).to(memory_format=torch.channels_last),
        torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), requires_grad=False),
        net.state_dict(), [net.state_dict(), {"epoch": 3}],
    ]  # fmt: skip


def jax_values() -> list[Any]:
    from jax import numpy as jnp

    kinds = (
        "float32",
        "bfloat16",
        "float16",
        "float8_e4m3fn",
        "int4",
        "bool",
        "uint8",
        "complex64",
    )
    arrays = [jnp.arange(6).reshape(2, 3).astype(kind) for kind in kinds]
    return [*arrays, jnp.zeros(()), jnp.zeros((0, 2)), jnp.zeros((), "bfloat16")]


def pillow_values() -> list[Any]:
    from PIL import Image

    modes = (
        "1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX",
        "RGBa", "La", "I;16", "I;16B", "I;16L",
    )  # fmt: skip
    images = [Image.new(mode, (5, 3)) for mode in modes]
    for image in images:
        pixels = len(image.tobytes())
        image.frombytes(np.random.default_rng(0).bytes(pixels))
    few = Image.new("RGB", (9, 9), "red").quantize(4)
    few.info |= {"transparency": 1, "dpi": (72, 72)}
    clear = Image.new("RGBA", (9, 9), (1, 2, 3, 4)).quantize(4)
    return [*images, few, clear, Image.new("RGB", (0, 5))]


def python_values() -> list[Any]:
    import pandas as pd
    from dask.dataframe.backends import ShuffleGroupResult
    from dask.dataframe.rolling import CombinedOutput

    items = np.array([[1, "a"], [None, (2,)]], object)
    return [
        np.linalg.qr(np.eye(2)), np.linalg.svd(np.eye(3)), np.linalg.eigh(np.eye(2)),
        CombinedOutput([pd.DataFrame({"a": [1]}), 1, None]), ShuffleGroupResult({0: [1], 1: []}),
        items, items.T, items[0, 1:], np.array(3, object), np.empty((0, 2), object),
        collections.OrderedDict(b=1, a=[2]), *_containers(), *_of_the_standard_library(),
        *_of_random_numbers(), np.eye(2).view(np.matrix), np.poly1d([1, 2], variable="y"),
        np.rec.array([(1, 2.5)], dtype=[("a", "i8"), ("b", "f8")]),
        np.polynomial.Polynomial.fit(np.arange(5), np.arange(5) ** 2, 2),
        np.polynomial.Chebyshev([1, 2], symbol="t"), np.dtype("f4"), np.dtype([("a", "i1")]),
        np.dtype(object), np.dtypes.StringDType(), memoryview(b"ab"), memoryview(bytearray(3)),
        np.arange(6.0).reshape(2, 3).data,
    ]  # fmt: skip


def _containers() -> list[Any]:
    return [
        collections.defaultdict(int, b=1, a=2), collections.defaultdict(list, a=[1]),
        collections.defaultdict(None, a=1), collections.defaultdict(np.float64),
        collections.defaultdict(collections.Counter, a=collections.Counter("aa")),
        collections.Counter("abca"), collections.deque([1, [2]], maxlen=4), collections.deque(),
        collections.ChainMap({"a": 1}, {"b": [2]}), {"a": 1}.keys(), {"a": 1}.values(),
        {"a": [1]}.items(), types.MappingProxyType({"a": 1}), types.SimpleNamespace(b=1, a=[2]),
    ]  # fmt: skip


def _of_the_standard_library() -> list[Any]:
    return [
        pathlib.Path("a/b.csv"), pathlib.PurePosixPath("/a"), pathlib.PureWindowsPath("c:/a"),
        re.compile("a+", re.IGNORECASE), re.compile(b"a"), uuid.uuid5(uuid.NAMESPACE_DNS, "a"),
        uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe), ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"), array.array("d", [1.5]),
        ipaddress.ip_interface("10.0.0.1/8"), array.array("i"), time.gmtime(0),
    ]  # fmt: skip


def _of_random_numbers() -> list[Any]:
    used, normal = np.random.default_rng(3), np.random.RandomState(3)
    used.random(5, dtype=np.float32)
    normal.normal()  # it keeps another one
    kinds = (np.random.MT19937, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64)
    return [
        np.random.default_rng(1), used, normal, np.random.RandomState(np.random.PCG64(1)),
        np.random.SeedSequence(1, spawn_key=(2,)), np.random.SeedSequence([1, 2]),
        *(np.random.Generator(kind(5)) for kind in kinds), np.random.Philox(1), random.Random(1),  # noqa: S311
    ]  # fmt: skip


VALUES = {name: globals()[f"{name}_values"] for name in NEEDS}
"""The values of each library; each has another type, dtype or layout."""


def other_values(library: str) -> list[tuple[Any, str]]:
    """Values without a format, and what their errors say."""
    return {
        "arrow": _others_of_arrow, "jax": _others_of_jax, "pillow": _others_of_pillow,
        "polars": _others_of_polars, "python": _others_of_python, "scipy": _others_of_scipy,
        "sklearn": _others_of_sklearn, "torch": _others_of_torch, "xarray": _others_of_xarray,
    }[library]()  # fmt: skip


def _others_of_arrow() -> list[tuple[Any, str]]:
    import pyarrow as pa

    named = pa.field("a", pa.int8(), metadata={"ARROW:extension:name": "other"})
    uuid = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16], pa.binary(16)))
    return [
        (uuid, "cast it"),
        (pa.RunEndEncodedArray.from_arrays([9], [1]), "cast it to a plain type"),
        (pa.table({"a": [1]}, pa.schema([named])), "extension types"),
        (pa.table({"z": pa.nulls(10**6)}), "2000000 elements in"),
        (pa.int8(), "no format"),
    ]  # fmt: skip


def _others_of_polars() -> list[tuple[Any, str]]:
    import polars as pl

    return [
        (pl.DataFrame({"a": [1]}).lazy(), r"frame.collect\(\)"),
        (pl.Series([object()]), "a Series: it would come back changed"),
        (pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128)}), "cast it"),
        (pl.col("a"), "no format for polars"),
    ]


def _others_of_xarray() -> list[tuple[Any, str]]:
    import xarray as xr

    array = xr.DataArray(np.zeros((2, 3)))
    with_function = array.assign_attrs(f=len)
    return [
        (array.chunk(), r"value.compute\(\)"),
        (array.to_dataset(name="a").chunk(), r"value.compute\(\)"),
        (with_function, "no format for builtin_function"),
        (xr.DataTree(), "no format for xarray"),
        (array.groupby("dim_0"), "no format for xarray"),
    ]


def _others_of_scipy() -> list[tuple[Any, str]]:
    from scipy import sparse

    class Derived(sparse.csr_array):  # type: ignore[misc]
        pass

    named = sparse.csr_array((2, 2))
    named.name = "a"
    return [
        (Derived((2, 2)), "no format"),
        (named, "attributes name"),
        (sparse.linalg.aslinearoperator(np.eye(2)), "no format"),
    ]


def _others_of_sklearn() -> list[tuple[Any, str]]:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    class Own(BaseEstimator):  # type: ignore[misc]
        pass

    return [
        (FunctionTransformer(lambda x: x), "skops knows no .*lambda"),
        (FunctionTransformer(len), "skops knows no builtins.len"),
        (make_pipeline(Own()), "skops knows no .*Own"),
        (Own(), "no format for .*Own"),
    ]


def _others_of_torch() -> list[tuple[Any, str]]:
    import torch

    named = torch.ones(2)
    named.name_of_mine = "a"

    hooked = torch.ones(2, requires_grad=True)
    hooked.register_hook(lambda gradient: gradient)

    class Net(torch.nn.Module):  # type: ignore[misc]
        pass

    return [
        (torch.nn.Linear(2, 3), r"module.state_dict\(\)"), (Net(), r"module.state_dict\(\)"),
        (torch.ones(2, requires_grad=True) * 2, r"tensor.detach\(\)"), (named, "name_of_mine"),
        (torch.eye(2).to_sparse(), r"tensor.to_dense\(\)"), (hooked, "or hooks"),
        (torch.ones(2, device="meta"), r"it is on meta; return tensor.cpu\(\)"),
    ]  # fmt: skip


def _others_of_jax() -> list[tuple[Any, str]]:
    import jax

    return [
        (jax.numpy.asarray(3.0), "its dtype is weak"),
        (jax.random.key(0), "jax.random.key_data"),
        (jax.jit(lambda x: x), "no format"),
    ]


def _others_of_pillow() -> list[tuple[Any, str]]:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    named = Image.new("RGB", (2, 2))
    named.title = "a"
    return [(Image.open(file), r"image.copy\(\)"), (named, "its attributes title")]


def _others_of_python() -> list[tuple[Any, str]]:
    loop = np.array([None], object)
    loop[0] = loop
    return [
        (np.array([len], object), "no format for builtin_function"),
        (loop, "contains itself"),
        (np.dtype([("a", object)]), "fields of objects"),
        (memoryview(b"ab").cast("c"), "NumPy has no items 'c'"),
        (collections.OrderedDict(a=len), "no format for builtin_function"),
    ]


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same: type, dtype, layout, labels, attributes, elements."""
    if type(one) is not type(other):
        return False
    return same(described(one), described(other))


def described(value: Any) -> Any:
    """A value as plain values and arrays."""
    kind = type(value)
    describe: Any = _DESCRIBED.get(kind.__module__.partition(".")[0])
    if describe:
        return repr(kind), *describe(value)
    if isinstance(value, list | tuple):
        return [kind, *map(described, value)]
    if isinstance(value, dict):
        attributes = sorted(vars(value).items()) if hasattr(value, "__dict__") else ()
        return [kind, *map(described, [*value, *value.values(), *attributes])]
    return value


def _of_arrow(value: Any) -> tuple[Any, ...]:
    schema = getattr(value, "schema", value)
    fields = [(field, field.metadata) for field in getattr(schema, "names", []) and schema]
    content = value.to_pylist() if hasattr(value, "to_pylist") else None
    return repr(fields), repr(getattr(schema, "metadata", None)), str(schema), content


def _of_polars(value: Any) -> tuple[Any, ...]:
    if hasattr(value, "schema"):
        return repr(value.schema), value.shape, repr(value.to_dict(as_series=False))
    return repr(value.dtype), value.name, repr(value.to_list())


def _of_xarray(value: Any) -> tuple[Any, ...]:
    if type(value).__name__ == "PandasIndexingAdapter":
        return value.array, value.dtype
    if hasattr(value, "data_vars"):
        own = {name: described(part) for name, part in value.data_vars.items()}
        head = [own, sorted(value.variables, key=str), value.attrs, value.encoding]
    else:
        variable = getattr(value, "variable", value)
        head = [variable.dims, variable.data, variable.attrs, variable.encoding]
        head.append(getattr(value, "name", None))
    coords = getattr(value, "coords", {})
    parts = [(n, p.dims, p.data, p.attrs, p.encoding) for n, p in coords.items()]
    indexes = getattr(value, "xindexes", {})
    labels = [
        (n, repr(type(indexes[n])), indexes[n].to_pandas_index(), str(indexes[n].dim))
        for n in sorted(indexes)
    ]
    return head, parts, labels


def _of_scipy(value: Any) -> tuple[Any, ...]:
    if isinstance(value, dict):
        return (described(dict(value)),)
    if isinstance(value, tuple):
        return described(list(value)), described(getattr(value, "__dict__", {}))
    if hasattr(value, "sk"):
        return value.sk, value.yk
    names = ("data", "indices", "indptr", "coords", "offsets", "blocksize")
    arrays = {"lil": (), "dok": ()}.get(value.format, names)
    inner = [getattr(value, name, None) for name in arrays]
    return value.shape, value.dtype, value.toarray(), inner


def _of_sklearn(value: Any) -> tuple[Any, ...]:
    state = value.__getstate__() if hasattr(value, "__getstate__") else vars(value)
    return (described(state),)


def _of_numpy(value: Any) -> tuple[Any, ...]:
    if isinstance(value, np.random.RandomState):
        return type(value._bit_generator), described(value.get_state(legacy=False))
    if isinstance(value, np.random.Generator | np.random.BitGenerator):
        bits: Any = getattr(value, "bit_generator", value)
        return described(bits.state), described(bits.seed_seq)
    if isinstance(value, np.random.SeedSequence):
        return (value.state,)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.shape, described(value.tolist())
    if isinstance(value, np.ufunc):
        return (value.__name__,)
    return (value,)


def _of_torch(value: Any) -> tuple[Any, ...]:
    import torch

    plain = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return repr(value.dtype), [*value.shape], [*value.stride()], value.requires_grad, plain


def _of_jax(value: Any) -> tuple[Any, ...]:
    plain = np.asarray(value)
    return str(value.dtype), plain.shape, plain.tobytes(), value.weak_type, repr(value.sharding)


def _of_pillow(value: Any) -> tuple[Any, ...]:
    palette = value.palette and (value.palette.mode, bytes(value.palette.tobytes()))
    return value.mode, value.size, value.tobytes(), palette, value.info


_DESCRIBED = {
    "PIL": _of_pillow, "jax": _of_jax, "jaxlib": _of_jax, "numpy": _of_numpy, "polars": _of_polars,
    "pyarrow": _of_arrow, "scipy": _of_scipy, "sklearn": _of_sklearn, "_loss": _of_sklearn,
    "torch": _of_torch, "xarray": _of_xarray, "random": lambda value: value.getstate(),
}  # fmt: skip
