"""Estimators and pipelines of scikit-learn, by skops, which makes no object of an unknown type.

A file of skops is a zip of a schema and arrays, with the addresses of objects for names. The tree
has the same schema and arrays under numbers, so equal estimators have equal bytes; the arrays are
checked by their own formats.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
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
    "scipy.sparse._csr.csr_matrix",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
]
"""Types that skops does not know: their objects hold attributes, and loading runs none of them."""


def _dump(estimator: Any) -> Any:
    from skops import io as skops

    try:
        data = skops.dumps(estimator)
    except Exception as error:
        raise UnstorableError(noun(estimator), f"skops cannot store it: {error}") from error
    if unknown := {*skops.get_untrusted_types(data=data)} - {*_TRUSTED}:
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
    from skops import io as skops

    return int(json.loads(_unzipped(skops.dumps(0))[0])["protocol"])


def _load(tree: Any) -> Any:
    from sklearn.base import BaseEstimator
    from skops import io as skops

    text, files = parts_of(tree, str, list)
    if json.loads(text)["protocol"] != _protocol():
        raise CodecError("an estimator by another version of skops")
    made = skops.loads(_zipped(text, files), trusted=_TRUSTED)
    if not isinstance(made, BaseEstimator):
        raise CodecError(f"{noun(made)} that should be an estimator")
    _check(made)
    return made


def _check(estimator: Any) -> None:
    """Refuse places outside: the loops of scikit-learn, which are in C, would read there."""
    from scipy import sparse

    features: set[int] = set()
    for value in _reached(estimator):
        if f"{type(value).__module__}.{type(value).__name__}" == _TREE:
            _check_tree(value)
            features.add(value.n_features)
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


FORMATS = {
    "sklearn.base.BaseEstimator": LibraryFormat(
        _dump, _load, is_family=True, remedy="store its parts, or use Store(pickle=[its class])"
    ),
}
