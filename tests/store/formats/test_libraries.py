"""One contract for the formats of all libraries: a value comes back as it was, or is refused."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline import digest
from pipeline.store import CodecError, Store, UnstorableError, encoded
from pipeline.store.entry import UnreadableError
from pipeline.store.formats import arrays
from pipeline.store.formats.codec import decoded
from tests.fuzz import mutated, packed, payload, survives, swollen, unpacked
from tests.store.formats.samples import NEEDS, VALUES, equal, need, other_values

if TYPE_CHECKING:
    from pathlib import Path


def back(value: Any) -> Any:
    """A value as it is loaded from a store: what may be written may be written."""
    return decoded(bytearray(payload(value)))  # type: ignore[arg-type]


EACH = pytest.mark.parametrize("library", NEEDS)


@EACH
def test_a_value_comes_back_through_a_store_as_it_was(library: str, tmp_path: Path) -> None:
    need(library)
    for store in (Store(tmp_path / "store"), Store(f"memory://formats-{library}")):
        for place, value in enumerate(VALUES[library]()):
            store.put(f"{place:032x}", value)
            made = store.get(f"{place:032x}")
            assert equal(made, value), (place, value, made)
            assert equal(value, value)


@EACH
def test_no_two_values_of_these_tests_are_the_same(library: str) -> None:
    need(library)
    values = VALUES[library]()
    for place, one in enumerate(values):
        for other in values[place + 1 :]:
            assert not equal(one, other), (one, other)


@EACH
def test_a_value_that_is_in_a_container_twice_comes_back_as_one(library: str) -> None:
    need(library)
    for value in VALUES[library]():
        first, [second], other = back([value, [value], VALUES[library]()[0]])
        assert first is second
        assert first is not other
        assert equal(first, value)


@EACH
def test_a_value_has_the_same_bytes_each_time(library: str) -> None:
    need(library)
    first, second = VALUES[library](), VALUES[library]()
    for one, other in zip(first, second, strict=True):
        assert payload(one) == payload(other), one


@EACH
def test_other_values_are_refused_with_a_reason(library: str) -> None:
    need(library)
    for value, why in other_values(library):
        with pytest.raises(UnstorableError, match=why):
            encoded([value])


@EACH
def test_corrupt_bytes_are_a_codec_error_or_a_value(library: str) -> None:
    need(library)
    chance = random.Random(1)  # noqa: S311 - repeatable
    for value in VALUES[library]()[:20]:
        data = payload(value)
        for _ in range(12):
            survives(mutated(data, chance))
            survives(swollen(data, chance))
        for length in range(0, len(data), len(data) // 6 + 1):
            assert not survives(data[:length])


@EACH
def test_another_tree_is_refused(library: str) -> None:
    """A tree of the wrong parts, under the name of each format."""
    need(library)
    names = {
        unpacked(payload(value))[0][1] for value in VALUES[library]() if type(value) is not list
    }
    wrong: list[Any] = [None, 1, "a", [20], [21], [31, 0, 10**15, 1], [20, 1, 2, 3], [21, [20], 1]]
    for name in filter(lambda name: type(name) is str, names):
        for tree in wrong:
            if (name, tree) != ("numpy.dtype", None):
                assert not survives(packed([60, name, tree])), (name, tree)


IMPORTS = """
import sys
from pipeline.store import encoded, decoded

def libraries():
    return {name.partition(".")[0] for name in sys.modules}

def new(*values):
    before = libraries()
    decoded(b"".join(encoded([*values])))
    print(*libraries() - before)

new(1, "a", {"b": None}, range(3))
import numpy as np, collections
new(np.arange(3), np.array([1, "a"], object), collections.OrderedDict(a=1))
import pandas as pd, pyarrow as pa
new(pd.DataFrame({"a": [1, 2]}), pd.Series([1], dtype="Int64"))
new(pa.table({"a": [1]}), pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int8()))))
import scipy.sparse
new(scipy.sparse.eye_array(3))
"""


def test_a_library_is_imported_when_its_values_are_met() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    libraries = {name for names in NEEDS.values() for name in names} | {"pandas"}
    lines = [libraries & set(line.split()) for line in done.stdout.splitlines()]
    assert lines == [set()] * 5


def test_an_entry_of_a_missing_library_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("polars", "pipeline.store.formats.libraries.polars")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UnreadableError, match="pip install polars"):
        decoded(packed([60, "polars.DataFrame", None]))


def test_an_entry_of_an_unknown_format_is_unreadable() -> None:
    for name in ("polars.Cube", "nowhere.Thing", "numpy.random"):
        with pytest.raises(UnreadableError, match=f"no format has the name '{name}'"):
            decoded(packed([60, name, None]))


@EACH
def test_an_equal_value_is_an_equal_argument(library: str) -> None:
    need(library)
    known = [
        (digest(one), digest(other))
        for one, other in zip(VALUES[library](), VALUES[library](), strict=True)
        if not isinstance(one, memoryview | KeysView | ValuesView | ItemsView)  # without digest
    ]
    assert [one for one, _ in known] == [other for _, other in known]
    assert len({*known}) == len(known)


def with_array(value: Any, mark: bytes, change: Any) -> bytes:
    """The payload of a value with one of its arrays changed: that with a mark in its bytes."""
    tree, buffers = unpacked(payload(value))
    place = next(place for place, buffer in enumerate(buffers) if mark in buffer)
    array = arrays.build_array(memoryview(bytearray(buffers[place])))
    change(array)
    buffers[place] = b"".join(arrays.array_parts(array)[0])
    return packed(tree, *buffers)


@pytest.mark.parametrize("wrong", [7, -1, 10**6])
def test_a_sparse_matrix_with_elements_outside_is_refused(wrong: int) -> None:
    """SciPy's loops are in C: they would write anywhere."""
    need("scipy")
    from scipy import sparse

    values = [sparse.csr_array((np.ones(2), ([0, 1], [5, 6])), shape=(2, 7)).asformat(form)
              for form in ("csr", "coo", "lil", "dok")]  # fmt: skip
    for value in values:
        marks = [np.array([5, 6], kind).tobytes() for kind in ("i4", "i8")]
        mark = next(mark for mark in marks if mark in payload(value))
        data = with_array(value, mark, lambda array: array.fill(wrong))
        with pytest.raises(CodecError):
            decoded(data)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("left_child", 0),
        ("left_child", 10**6),
        ("right_child", -2),
        ("feature", 3),
        ("feature", -1),
    ],
)  # fmt: skip
def test_a_tree_with_children_or_features_outside_is_refused(field: str, wrong: int) -> None:
    """The loops of scikit-learn are in C: they would read anywhere, or go round for ever."""
    need("sklearn")
    from sklearn.tree import DecisionTreeClassifier

    x = np.random.default_rng(0).random((40, 3))
    value = DecisionTreeClassifier(random_state=0).fit(x, np.arange(40) % 2)

    def change(nodes: Any) -> None:
        nodes[field][0] = wrong

    assert equal(decoded(with_array(value, b"left_child", lambda _: None)), value)
    with pytest.raises(CodecError, match="a tree with"):
        decoded(with_array(value, b"left_child", change))


def test_an_array_that_jax_would_narrow_is_unreadable() -> None:
    need("jax")
    with pytest.raises(UnreadableError, match="jax_enable_x64"):
        decoded(packed([60, "jax.Array", [1]], payload(np.arange(3))[64:]))


def test_a_large_image_without_pixels_takes_no_memory() -> None:
    need("pillow")
    tree = [60, "PIL.Image.Image", [21, "RGB", [20, 10**6, 10**6], b"", None, [22]]]
    with pytest.raises(CodecError, match="an image 1000000 x 1000000 of RGB in 0 bytes"):
        decoded(packed(tree))


def test_a_fitted_search_comes_back_as_it_was() -> None:
    need("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    x, y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    search = GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(x, y)
    assert equal(back(search), search)
    assert back(search).predict(x).tolist() == search.predict(x).tolist()


def test_the_format_of_estimators_imports_no_other_library() -> None:
    """skops imports all of scikit-learn, and that PyTorch: two seconds."""
    need("sklearn")
    code = (
        "import sys; from sklearn.linear_model import Ridge; from pipeline.store import encoded; "
        "encoded(Ridge()); assert not {'torch', 'dask.array'} & {*sys.modules}; "
        "import sklearn.externals.array_api_compat.dask"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
