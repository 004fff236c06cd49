"""Consumers of a merged task: which get a handle, and what they see."""

from __future__ import annotations

import functools
import operator
from typing import Any

import dask
import numpy as np
import pytest
from dask.task_spec import Alias, DataNode, List, Task, TaskRef
from dask.utils import methodcaller

from pipeline.share.isolation import Trust, is_arithmetic, is_reading, is_trusted
from pipeline.share.merging import Merged
from tests.functions import fib, square
from tests.names import shown

READING = (
    "all", "any", "amax", "amin", "argmax", "argmin", "argsort", "average", "bincount", "corrcoef",
    "count_nonzero", "cov", "cumprod", "cumsum", "max", "mean", "median", "min", "nanmax",
    "nanmean", "nanmedian", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "prod", "sort",
    "std", "sum", "trace", "unique", "var",
)  # fmt: skip
WITH_A_MATRIX = ("dot", "inner", "matmul", "outer", "tensordot", "vdot")
WITH_A_PART = ("nanpercentile", "nanquantile", "percentile", "quantile")
METHODS = (
    "all", "any", "argmax", "argmin", "cumprod", "cumsum", "max", "mean", "min", "prod", "std",
    "sum", "tobytes", "tolist", "var",
)  # fmt: skip


def node(function: Any, *arguments: Any, **named: Any) -> Task:
    return Task("x", function, *arguments, **named)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        *((name, ()) for name in READING), *((name, (0.5,)) for name in WITH_A_PART),
        *((name, (np.eye(3, dtype=int),)) for name in WITH_A_MATRIX),
        ("digitize", (np.arange(3),)), ("searchsorted", (2,)), ("histogram", (2,)),
    ],
)  # fmt: skip
def test_a_function_that_only_reads_gets_a_view(name: str, others: Any) -> None:
    assert is_reading(node(getattr(np, name), TaskRef("a"), *others))
    is_flat = name in ("bincount", "digitize", "searchsorted")
    array = np.arange(9) if is_flat else np.arange(9).reshape(3, 3)
    before = array.copy()
    values = getattr(np, name)(array, *others)
    for value in values if isinstance(values, tuple) else [values]:
        assert not np.shares_memory(value, array)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_only_reads_gets_a_view(name: str) -> None:
    assert is_reading(node(methodcaller(name), TaskRef("a")))
    array = np.arange(9).reshape(3, 3)
    before = array.copy()
    value = getattr(array, name)()
    assert not isinstance(value, np.ndarray) or not np.shares_memory(value, array)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("consumer", "is_it"),
    [
        (node(np.sum, TaskRef("a")), True), (node(np.sum, TaskRef("a"), axis=0), True),
        (node(np.sum, TaskRef("a"), out=1), False), (node(np.sum, TaskRef("a"), 0, None), False),
        (node(np.median, TaskRef("a"), overwrite_input=True), False),
        (node(functools.partial(np.sum, axis=0), TaskRef("a")), True),
        (node(functools.partial(np.sum, out=1), TaskRef("a")), False),
        (node(functools.partial(np.median, overwrite_input=True), TaskRef("a")), False),
        (node(functools.partial(np.sum, 1), TaskRef("a")), False),
        (node(functools.partial(functools.partial(np.sum), axis=0), TaskRef("a")), True),
        (node(np.sin, TaskRef("a")), True), (node(np.sin, TaskRef("a"), TaskRef("b")), False),
        (node(np.add, TaskRef("a"), TaskRef("b")), True), (node(np.add, 1, 2, 3), False),
        (node(np.sin, TaskRef("a"), out=TaskRef("b")), False),
        (node(np.ravel, TaskRef("a")), False),
        (node(np.asarray, TaskRef("a")), False), (node(np.reshape, TaskRef("a"), -1), False),
        (node(np.fill_diagonal, TaskRef("a"), 0), False), (node(np.transpose, TaskRef("a")), False),
        (node(np.random.shuffle, TaskRef("a")), False), (node(np.linalg.norm, TaskRef("a")), False),
        (node(sum, TaskRef("a")), False), (node(lambda x: x, TaskRef("a")), False),
        (node(methodcaller("sort"), TaskRef("a")), False),
        (node(methodcaller("ravel"), TaskRef("a")), False),
        (node(len, TaskRef("a")), False), (DataNode("x", 1), False), (Alias("x", "a"), False),
    ],
    ids=shown,
)  # fmt: skip
def test_who_only_reads(consumer: Any, is_it: bool) -> None:
    assert is_reading(consumer) is is_it


def test_what_is_known_of_one_task_holds_for_others_of_its_function() -> None:
    trust = Trust()
    consumers = [
        node(np.sum, TaskRef("a")), node(np.sum, TaskRef("a"), 0, None), node(np.sum, 1),
        node(np.sin, TaskRef("a")), node(np.sin, TaskRef("a"), TaskRef("b")),
        node(np.sum, TaskRef("a"), out=1), node(operator.getitem, TaskRef("a"), (slice(1),)),
        node(map, lambda x: x, TaskRef("a")), node(operator.getitem, TaskRef("a"), 0),
        node(np.apply_along_axis, np.sum, 0, TaskRef("a")),
        node(np.apply_along_axis, np.sort, 0, TaskRef("a")),
        node(np.ravel, node(np.sum, TaskRef("a"))), DataNode("x", 1), Alias("x", "a"),
    ]  # fmt: skip
    for consumer in consumers * 2:
        assert trust(consumer) == (is_trusted(consumer), is_reading(consumer))


OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "pos", "abs", "invert",
    "lshift", "rshift", "and_", "or_", "xor", "eq", "ne", "lt", "le", "gt", "ge", "not_", "truth",
)  # fmt: skip


BUILT_IN: tuple[Any, ...] = (
    abs, bool, chr, complex, divmod, float, hash, int, len, max, min, ord, pow, repr, round, str,
    sum,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    sorted, list, iter, operator.iadd, operator.getitem, operator.setitem, np.add, print, next,
    dict, id, functools.partial(abs), operator.itemgetter(0), [].append,
)  # fmt: skip


@pytest.mark.parametrize(
    ("function", "is_it"),
    [
        *((getattr(operator, name), True) for name in OPERATORS),
        *((built_in, True) for built_in in BUILT_IN), *((other, False) for other in OTHERS),
    ],
    ids=shown,
)  # fmt: skip
def test_who_does_arithmetic(function: Any, is_it: bool) -> None:
    assert is_arithmetic(node(function, 1)) is is_it
    assert is_arithmetic(node(function, 1, key=1)) is False


@pytest.mark.parametrize(
    ("call", "is_it"),
    [(fib(4), True), (square(2), False), (square(2) + 1, False), (fib(2) - fib(3) * 2, True)],
    ids=shown,
)
def test_calls_do_arithmetic_if_all_their_operations_do(call: Any, is_it: bool) -> None:
    assert all(map(is_arithmetic, call.graph().tasks.values())) is is_it


# What consumers see: as in the graph before tasks were merged.


def made(*items: int) -> list[int]:
    return [*items]


def array(*items: float) -> Any:
    return np.array(items)


def grown(items: list[int], number: int = 9) -> list[int]:
    items.append(number)
    return items


def zeroed(values: Any) -> Any:
    values[0] = 0
    return values


def both(one: list[int], other: list[int]) -> list[int]:
    one.append(7)
    return [*other]


A, B, C = (Task(key, made, 1, 2) for key in "abc")
R, S = (Task(key, array, 1.0, 2.0) for key in "rs")
N, M = (Task(key, abs, -1) for key in "nm")


def ref(key: str) -> TaskRef:
    return TaskRef(key)


GRAPHS: dict[str, list[Any]] = {
    "two writers": [A, B, Task("x", grown, ref("a")), Task("y", grown, ref("b"))],
    "a writer and a reader": [A, B, Task("x", grown, ref("a")), Task("y", len, ref("b"))],
    "one writer twice": [A, B, Task("x", both, ref("a"), ref("b"))],
    "one object twice": [A, B, Task("x", both, ref("a"), ref("a")),
        Task("y", both, ref("b"), ref("c")), C],
    "three": [A, B, C, Task("x", both, ref("a"), ref("b")), Task("y", grown, ref("c"))],
    "an alias": [A, B, Alias("p", "b"), Task("x", grown, ref("a")), Task("y", len, ref("p"))],
    "an output": [A, B, Task("x", grown, ref("a")), Alias("y", "b")],
    "outputs": [A, B, Alias("x", "a"), Alias("y", "b")],
    "arrays": [R, S, Task("x", zeroed, ref("r")), Task("y", np.sum, ref("s"))],
    "views": [R, S, Task("v", np.ravel, ref("r")), Task("x", zeroed, ref("v")),
        Task("y", np.sum, ref("s"))],
    "readers": [R, S, Task("x", np.sum, ref("r")), Task("y", np.max, ref("s"))],
    "nested": [A, B, Task("x", grown, ref("a")), Task("y", made, List(ref("b"), ref("b")))],
    "by name": [A, B, Task("x", grown, items=ref("a")), Task("y", grown, items=ref("b"), number=3)],
    "numbers": [N, M, Task("x", operator.add, ref("n"), ref("m")), Task("y", abs, ref("m"))],
    "longer": [A, B, Task("d", grown, ref("a")), Task("e", grown, ref("b")),
               Task("x", grown, ref("d")), Task("y", len, ref("e"))],
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_consumers_see_what_they_see_without_merging(name: str) -> None:
    tasks = {entry.key: entry for entry in GRAPHS[name]}
    outputs = [key for key in ("x", "y") if key in tasks]
    merged = dask.get(Merged(tasks, outputs).tasks, outputs)
    assert repr(merged) == repr(dask.get(dict(tasks), outputs))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a writer and a reader", 3), ("numbers", 3), ("readers", 3),
        ("arrays", 3), ("longer", 4), ("three", 3),
    ],
)  # fmt: skip
def test_how_many_tasks_are_left(name: str, count: int) -> None:
    tasks = {entry.key: entry for entry in GRAPHS[name]}
    outputs = [key for key in ("x", "y") if key in tasks]
    assert len(Merged(tasks, outputs).tasks) == count


def test_only_those_who_used_different_tasks_get_handles() -> None:
    consumers = [Task("x", len, ref("a")), Task("y", sum, ref("a"))]
    tasks = {entry.key: entry for entry in [A, B, *consumers]}
    assert not Merged(tasks, ["x", "y"]).handles  # one of them is not used
    tasks["z"] = Task("z", min, ref("b"))
    [handles] = Merged(tasks, ["x", "y", "z"]).handles.values()
    assert [sorted(handle.originals) for handle in handles] == [["a"], ["b"]]
