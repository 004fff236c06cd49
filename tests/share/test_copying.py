"""Handles: equal to the value, and independent of it."""

from __future__ import annotations

import datetime
import decimal
import functools
import io
import pickle
import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask import delayed
from dask.task_spec import DataNode, Task, TaskRef

from pipeline import PipelineError
from pipeline.share.copying import Again, IsolationError, isolated, viewed
from tests.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOTHING = Again({}, "x", ())


@dataclass
class Model:
    weights: list[float] = field(default_factory=lambda: [1.0, 2.0])


def write(value: Any) -> None:  # noqa: C901 - a case for each type
    """Change a value in place, wherever that is possible."""
    match value:
        case np.ndarray():
            value.flat[0] = [9] if value.dtype.hasobject else 9
        case list() | deque():
            for item in value:
                write(item)
            value.append(9)
        case set():
            value.add(9)
        case bytearray():
            value[0] = 9
        case dict():
            for item in value.values():
                write(item)
            value["new"] = 9
        case pd.Series():
            value.array[0] = value.array[1]
            value.iloc[0] = value.iloc[1]
        case pd.DataFrame():
            value["new"] = 9
            value["a"].array[0] = value["a"].array[1]
            value.index.name = "changed"
        case xr.DataArray():
            value.values[0] = 9
            value.attrs["a"] = 9
        case Model():
            value.weights[0] = 9.0


@pytest.mark.parametrize(
    "value",
    [
        np.arange(4.0), np.arange(6.0).reshape(2, 3).T, np.asfortranarray(np.eye(3)),
        np.array([[1], "b", None], object), np.ma.masked_less(np.arange(4), 2),
        [1, 2, 3], [1, [2, [3]]], {"a": [1], "b": {"c": [2]}}, {1, 2}, deque([1, 2]),
        bytearray(b"ab"), Counter("aab"), OrderedDict(a=[1]), ([1], (2, [3])),
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pd.Series(["x", "y"]), pd.Series([1, 2]),
        pd.DataFrame({"a": pd.Series([[1], [2]], dtype=object)}),
        pd.Series(pd.Categorical(["a", "b"])), pd.Series(pd.array([1, None], "Int64")),
        xr.DataArray(np.arange(3), dims="x", attrs={"a": 1}), Model(),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:20]!r}",
)  # fmt: skip
def test_writing_into_a_handle_leaves_the_value(value: Any) -> None:
    before = repr(value)
    handle = isolated(value, NOTHING)
    assert type(handle) is type(value)
    assert repr(handle) == before
    write(handle)
    if isinstance(handle, tuple):
        write(handle[0])
        write(handle[1][1])
    assert repr(handle) != before
    assert repr(value) == before


def test_cells_of_frames_are_copied() -> None:
    frame = pd.DataFrame({"a": pd.Series([[1], [2]], dtype=object)})
    isolated(frame, NOTHING)["a"].iloc[0].append(9)
    assert frame["a"].tolist() == [[1], [2]]


def test_two_names_of_one_object_stay_one() -> None:
    inner = [1]
    one, other = isolated([inner, inner], NOTHING)
    assert one is other


@pytest.mark.parametrize(
    "value",
    [
        5, True, 1.5, "text", b"bytes", None, 2j, range(3), np.float64(1), np.int8(1),
        len, int, test_cells_of_frames_are_copied, np.sin, decimal.Decimal(1),
        datetime.datetime(2026, 11, 21), datetime.timedelta(1), np.datetime64(1, "s"),
        delayed(len)([1], dask_key_name="a"),
    ],
    ids=shown,
)  # fmt: skip
def test_what_nobody_can_change_is_not_copied(value: Any) -> None:
    assert isolated(value, NOTHING) is value


def test_a_function_with_a_state_and_a_bound_method_are_no_constants() -> None:
    items: list[int] = []

    def note(x: int) -> None:
        items.append(x)

    isolated(items.append, NOTHING)(1)
    assert items == []
    with pytest.raises(IsolationError):
        isolated([note], NOTHING)


def test_a_broadcast_block_stays_small() -> None:
    block = np.broadcast_to(np.float64(1), (1000, 1000))
    assert isolated(block, NOTHING) is block


def test_the_order_in_memory_is_kept() -> None:
    assert isolated(np.asfortranarray(np.eye(3)), NOTHING).flags.f_contiguous


def test_a_reader_gets_a_view_that_it_cannot_write_into() -> None:
    array = np.arange(3.0)
    view = viewed(array, NOTHING)
    assert np.shares_memory(view, array)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 9
    assert array.flags.writeable
    objects = viewed(np.array([[1], None], object), NOTHING)
    objects[0].append(2)
    handle = viewed([1], NOTHING)
    handle.append(2)


def numbers(n: int) -> Iterator[int]:
    return (i for i in range(n))


@pytest.mark.parametrize(
    "make", [numbers, lambda _: threading.Lock(), lambda _: io.FileIO(0, closefd=False)]
)
def test_what_cannot_be_copied_is_evaluated_again(make: Callable[[int], Any]) -> None:
    tasks = {"n": DataNode("n", 3), "x": Task("x", make, TaskRef("n"))}
    value = make(3)
    handle = isolated(value, Again(tasks, "x", ()))
    assert type(handle) is type(value)
    assert handle is not value


def test_or_the_error_names_the_remedy() -> None:
    tasks = {"x": Task("x", numbers, 3)}
    for again in (
        NOTHING,
        Again(tasks, "x", {"x"}),
        Again({"x": Task("x", len, TaskRef("y"))}, "x", ()),
    ):
        with pytest.raises(
            IsolationError, match="declare the function that returns it @impure"
        ) as caught:
            isolated(numbers(3), again)
        assert isinstance(caught.value, PipelineError)


def test_a_task_does_not_run_again_on_a_literal_that_it_may_have_changed() -> None:
    def note(items: list[int]) -> Iterator[int]:
        items.append(1)
        return iter(items)

    bound, constant = functools.partial(note, [0]), DataNode("d", [0])
    for tasks in (
        {"x": Task("x", note, [0])},
        {"x": Task("x", bound)},
        {"d": constant, "x": Task("x", note, TaskRef("d"))},
        {"x": Task("x", lambda: iter(bound.args))},
    ):
        with pytest.raises(IsolationError):
            isolated(numbers(3), Again(tasks, "x", ()))


def test_it_takes_what_it_needs_along_to_another_process() -> None:
    tasks = {"x": Task("x", numbers, 3), "y": Task("y", len, "abc")}
    again = pickle.loads(pickle.dumps(Again(tasks, "x", ())))  # noqa: S301 - our own
    assert again.tasks.keys() == {"x"}
    assert list(again(ValueError())) == [0, 1, 2]


def test_but_no_large_data() -> None:
    tasks = {"d": DataNode("d", np.ones(10**6)), "x": Task("x", iter, TaskRef("d"))}
    assert len(pickle.dumps(Again(tasks, "x", ()))) < 1000


def test_a_long_way_back_is_not_gone_again() -> None:
    tasks: dict[Any, Any] = {0: Task(0, numbers, 3)}
    tasks |= {i: Task(i, iter, TaskRef(i - 1)) for i in range(1, 100)}
    with pytest.raises(IsolationError):
        isolated(numbers(3), Again(tasks, 99, ()))
