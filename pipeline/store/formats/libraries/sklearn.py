"""Estimators, pipelines and splitters of scikit-learn, by skops, which makes no object of an
unknown type; its bunches.

A file of skops is a zip of a schema and arrays, with the addresses of objects for names. The tree
has the same schema and arrays under numbers, so equal estimators have equal bytes; the arrays are
checked by their own formats.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any
from zipfile import ZipFile

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, parts_of

_TREE = "sklearn.tree._tree.Tree"
_KERNELS = (
    "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Matern",
    "PairwiseKernel", "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
)  # fmt: skip
_TRUSTED = [
    _TREE,  # skops does not trust it, since its content may be wrong: `_check` reads that
    "numpy.dtype",
    "numpy.mean",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
]
"""Types that skops does not know: their objects hold attributes, and loading runs none of them."""

_TRUSTED_IN = (
    "sklearn._loss.link.", "sklearn._loss.loss.", "sklearn.feature_selection._mutual_info.",
    "sklearn.feature_selection._univariate_selection.", "sklearn.metrics._classification.",
    "sklearn.metrics._dist_metrics.", "sklearn.metrics._ranking.", "sklearn.metrics._regression.",
    "sklearn.metrics._scorer.", "sklearn.model_selection._split.",
)  # fmt: skip
"""Modules of splitters, scorers, distances, and functions that estimators have as parameters."""


_UNUSED = {
    "torch": "sklearn.externals.array_api_compat.torch",
    "cupy": "sklearn.externals.array_api_compat.cupy",
    "dask.array": "sklearn.externals.array_api_compat.dask",
}
"""Packages in scikit-learn by the library that they import, which takes seconds."""


@cache
def _skops() -> Any:
    """Import skops. It looks for estimators in all packages of scikit-learn, these included."""
    modules: dict[str, Any] = sys.modules
    skipped = [name for library, name in _UNUSED.items()
               if library not in modules and name not in modules]  # fmt: skip
    modules.update(dict.fromkeys(skipped))  # None: an import is an error, which is ignored
    try:
        return import_module("skops.io")
    finally:
        for name in skipped:
            if modules.get(name, skipped) is None:
                del modules[name]


def _trusted(data: bytes) -> list[str]:
    """The types in a file of skops that are trusted beside those that it knows."""
    skops = _skops()
    unknown = skops.get_untrusted_types(data=data)
    return [name for name in unknown if name in _TRUSTED or name.startswith(_TRUSTED_IN)]


def _dump(estimator: Any) -> Any:
    skops = _skops()
    try:
        data = skops.dumps(estimator)
    except Exception as error:
        raise UnstorableError(noun(estimator), f"skops cannot store it: {error}") from error
    if unknown := {*skops.get_untrusted_types(data=data)} - {*_trusted(data)}:
        raise UnstorableError(
            noun(estimator),
            f"skops knows no {', '.join(sorted(unknown))}; replace it, or use "
            f"Store(pickle=[{type(estimator).__name__}])",
        )
    try:
        _check(estimator)
    except CodecError as error:
        raise UnstorableError(noun(estimator), str(error)) from error
    return _unzipped(data)


def _unzipped(data: bytes) -> Any:
    """The schema as text, and its arrays; ids and names of files are numbers."""
    numbers: dict[Any, int] = {}
    with ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        files: list[Any] = []
        for node in _nodes(schema):
            # Which numbers and texts are one object is an accident.
            address = node.pop("__id__", None)
            if address and node["__loader__"] != "JsonNode":
                node["__id__"] = numbers.setdefault(address, 1 + len(numbers))
            if isinstance(node.get("file"), str):
                kind = node["file"].rpartition(".")[2]
                files.append((kind, _content(kind, archive.read(node["file"]))))
                node["file"] = f"{len(files) - 1}.{kind}"
    return json.dumps(schema), files


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """The objects of a schema, in order."""
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack += reversed(node.values())
        elif isinstance(node, list):
            stack += reversed(node)


def _content(kind: str, data: bytes) -> Any:
    if kind == "npy":
        array = np.load(io.BytesIO(data), allow_pickle=False)
        return array if array.dtype.names is None else _cleaned(array)
    if kind == "npz":
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    return data


def _cleaned(array: np.ndarray[Any, Any]) -> Any:
    """The same structures, with zeros between their fields."""
    made = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names or ():
        made[name] = array[name]
    return made


def _zipped(text: str, files: list[Any]) -> bytes:
    archive = io.BytesIO()
    with ZipFile(archive, "w") as made:
        made.writestr("schema.json", text)
        for place, item in enumerate(files):
            kind, content = parts_of(item, str, (np.ndarray, dict, bytes))
            file = io.BytesIO()
            if kind == "npy":
                np.save(file, content, allow_pickle=False)
            elif kind == "npz":
                np.savez(file, **content)
            else:
                file.write(content)
            made.writestr(f"{place}.{kind}", file.getvalue())
    return archive.getvalue()


@cache
def _protocol() -> int:
    """The version of what skops writes: its readers of older ones are not needed."""
    skops = _skops()

    return int(json.loads(_unzipped(skops.dumps(0))[0])["protocol"])


def _load(tree: Any) -> Any:
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit

    skops = _skops()

    text, files = parts_of(tree, str, list)
    if json.loads(text)["protocol"] != _protocol():
        raise CodecError("an estimator by another version of skops")
    data = _zipped(text, files)
    made = skops.loads(data, trusted=_trusted(data))
    if not isinstance(made, BaseEstimator | BaseCrossValidator | BaseShuffleSplit):
        raise CodecError(f"{noun(made)} that should be an estimator")
    _check(made)
    return made


def _check(estimator: Any) -> None:
    """Refuse places outside: the loops of scikit-learn, which are in C, would read there."""
    from scipy import sparse

    features: set[int] = set()
    for value in _reached(estimator):
        name = type(value).__name__
        if f"{type(value).__module__}.{name}" == _TREE:
            _check_tree(value)
            features.add(value.n_features)
        elif name == "TreePredictor":
            _check_predictor(value, getattr(estimator, "n_features_in_", 0))
        elif name in ("KDTree", "BallTree"):
            _check_places(*value.__getstate__()[:7])
        elif sparse.issparse(value) and value.format in ("csr", "csc", "bsr"):
            value.check_format(full_check=True)
    if features and features != {getattr(estimator, "n_features_in_", None)}:
        raise CodecError("trees of other features than the estimator; store them one by one")


def _reached(value: Any) -> Iterator[Any]:
    """A value and those that it consists of."""
    seen: dict[int, Any] = {}
    stack = [value]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        yield value
        if isinstance(value, dict):
            stack += [*value, *value.values()]
        elif isinstance(value, list | tuple | set):
            stack += value
        elif isinstance(value, np.ndarray):
            stack += value.reshape(-1).tolist() if value.dtype.hasobject else []
        else:
            stack.append(getattr(value, "__dict__", None))


def _check_tree(tree: Any) -> None:
    """Children come after their parents, and features are those of the tree."""
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = np.flatnonzero(left != -1)
    for children in (left[inner], right[inner]):
        if not ((inner < children) & (children < tree.node_count)).all():
            raise CodecError("a tree with children that come before their parents, or nowhere")
    if not ((feature[inner] >= 0) & (feature[inner] < tree.n_features)).all():
        raise CodecError("a tree with features outside")


def _check_predictor(tree: Any, features: int) -> None:
    """The same of a tree of the gradient boosting by histograms."""
    places, nodes = np.arange(len(tree.nodes)), tree.nodes
    inner = nodes["is_leaf"] == 0
    by_set = inner & (nodes["is_categorical"] != 0)
    for children in (nodes["left"], nodes["right"]):
        if not ((places < children) & (children < len(nodes)))[inner].all():
            raise CodecError("a tree with children that come before their parents, or nowhere")
    for indexes, number in (
        (nodes["feature_idx"][inner], features),
        (nodes["bitset_idx"][by_set], len(tree.raw_left_cat_bitsets)),
        (nodes["bitset_idx"][by_set], len(tree.binned_left_cat_bitsets)),
    ):
        if not ((indexes >= 0) & (indexes < number)).all():
            raise CodecError("a tree with features or categories outside")


def _check_places(
    data: Any, places: Any, nodes: Any, bounds: Any, _: Any, levels: int, number: int
) -> None:
    """The nodes of a tree of neighbours are all there, and hold places of its data."""
    many, ends = len(data), nodes["idx_end"]
    leaves = np.flatnonzero(nodes["is_leaf"] == 0) * 2 + 2
    are_known = (
        number == len(nodes) == 2**levels - 1 == bounds.shape[1]
        and bounds.shape[2] == data.shape[1]
        and ((places >= 0) & (places < many)).all()
        and ((nodes["idx_start"] >= 0) & (nodes["idx_start"] <= ends) & (ends <= many)).all()
        and (leaves < number).all()
        and len(places) == many
    )
    if not are_known:
        raise CodecError("a tree of neighbours with places outside")


def _load_bunch(tree: Any) -> Any:
    from sklearn.utils import Bunch

    items, attributes = parts_of(tree, dict, dict)
    made = Bunch()
    made.update(items)
    vars(made).update(attributes)
    return made


_ESTIMATOR = LibraryFormat(
    _dump, _load, is_family=True, remedy="store its parts, or use Store(pickle=[its class])"
)
FORMATS = {
    "sklearn.base.BaseEstimator": _ESTIMATOR,
    "sklearn.model_selection.BaseCrossValidator": _ESTIMATOR,
    "sklearn.model_selection.BaseShuffleSplit": _ESTIMATOR,
    "sklearn.utils.Bunch": LibraryFormat(
        lambda value: (dict(value), dict(vars(value))), _load_bunch
    ),
}
