"""What is written into memory that is there already, and what never is."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph import CallTask
from pipeline.program import Named
from pipeline.program.buffers import MIN_BYTES, SHAPED, UFUNCS, run_and_plan
from pipeline.program.program import program_of
from tests.graphs import body

if TYPE_CHECKING:
    from pipeline.program import Program

SIDE = 64  # 64 × 64 float64 are over the limit
A = np.linspace(-1, 1, SIDE * SIDE).reshape(SIDE, SIDE)


def program_for(outputs: str, **tasks: tuple[Any, str]) -> Program:
    nodes: dict[Any, Any] = {
        key: CallTask(key, f, tuple(inputs)) for key, (f, inputs) in tasks.items()
    }
    program, _ = program_of(nodes, list(nodes), list(outputs))
    return program


def buffers(program: Program) -> list[np.ndarray[Any, Any]]:
    return [value for value in program.constants if isinstance(value, np.ndarray)]


def with_constant(function: Any, constant: Any) -> Program:
    return body(1, (constant,), (function, 0, -1))


@pytest.mark.parametrize("function", UFUNCS, ids=lambda function: function.__name__)
def test_an_operator_and_its_ufunc_make_the_same_bits(function: Any) -> None:
    bits = function in (operator.lshift, operator.rshift, operator.and_, operator.or_,
                        operator.xor, operator.invert)  # fmt: skip
    left: Any = np.arange(1, SIDE * SIDE + 1).reshape(SIDE, SIDE) if bits else A
    right: Any = left % 7 + 1 if bits else A[::-1] + 3
    operands = (left, right)[: UFUNCS[function].nin]
    expected = function(*operands)
    out = np.empty_like(expected)
    assert UFUNCS[function](*operands, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == expected.dtype


def test_what_stays_inside_gets_a_buffer_and_elementwise_steps_share_it() -> None:
    program = program_for("d", b=(np.tanh, "a"), c=(operator.mul, "ba"), d=(np.sum, "c"))
    first, planned = run_and_plan(program, (A,))
    assert [buffer.shape for buffer in buffers(planned)] == [(SIDE, SIDE)]
    assert planned(A) == first == np.sum(np.tanh(A) * A)


def test_a_product_does_not_write_into_its_operands() -> None:
    program = program_for("d", b=(np.tanh, "a"), c=(operator.matmul, "bb"), d=(np.sum, "c"))
    first, planned = run_and_plan(program, (A,))
    assert len(buffers(planned)) == 2
    assert planned(A) == first


def test_outputs_are_never_written_again_nor_what_they_show() -> None:
    program = program_for(
        "cdf", b=(np.tanh, "a"), c=(operator.neg, "b"), e=(operator.neg, "c"),
        d=(np.transpose, "e"), f=(with_constant(operator.getitem, slice(3)), "b"),
    )  # fmt: skip
    _, planned = run_and_plan(program, (A,))
    assert buffers(planned) == []
    first = planned(A)
    kept = [array.copy() for array in first]
    planned(A * 2)
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_buffer_lives_as_long_as_a_view_of_it() -> None:
    program = program_for(
        "z", b=(np.tanh, "a"), v=(np.transpose, "b"), c=(np.cos, "a"), d=(np.sin, "c"),
        e=(operator.add, "dv"), z=(np.sum, "e"),
    )  # fmt: skip
    first, planned = run_and_plan(program, (A,))
    assert planned(A) == first == np.sum(np.sin(np.cos(A)) + np.tanh(A).T)


def test_what_a_function_of_the_user_was_given_may_be_kept() -> None:
    kept: list[Any] = []

    def keep(value: Any) -> float:
        kept.append(value)
        return float(value[0, 0])

    program = program_for("d", b=(np.tanh, "a"), c=(keep, "b"), d=(operator.neg, "c"))
    _, planned = run_and_plan(program, (A,))
    planned(A)
    planned(A * 2)
    np.testing.assert_array_equal(kept[1], np.tanh(A))


def test_shapes_that_depend_on_values_get_no_buffer() -> None:
    def positive(x: Any) -> Any:
        return x[x > 0]

    own = program_for("d", b=(positive, "a"), c=(np.tanh, "b"), d=(np.sum, "c"))
    mask = program_for("d", m=(with_constant(operator.gt, 0), "a"), b=(operator.getitem, "am"),
                   c=(np.tanh, "b"), d=(np.sum, "c"))  # fmt: skip
    for program in (own, mask):
        _, planned = run_and_plan(program, (A,))
        for shifted in (A + 0.5, A - 0.5):
            expected = np.sum(np.tanh(shifted[shifted > 0]))
            assert planned(shifted) == expected


RAGGED = np.empty(1, object)
RAGGED[0] = np.ones((100, 200))
RAGGED_TOO = np.empty(1, object)
RAGGED_TOO[0] = np.ones((1, 200))


class Quantity(float):
    """A number that NumPy's functions refuse, and operators take."""

    __array_ufunc__ = None

    def __rmul__(self, other: Any) -> Any:
        return np.asarray(other) * float(self)


FIRST = body(1, (0,), (operator.getitem, 0, -1))
WRONG: list[tuple[str, dict[str, Any], tuple[Any, ...], tuple[Any, ...]]] = [
    ("ragged", {"b": (FIRST, "a"), "c": (operator.add, "bb"), "z": (np.sum, "c")},
     (RAGGED,), (RAGGED_TOO,)),
    ("units", {"c": (operator.add, "ab"), "z": (np.max, "c")},
     (np.zeros(5000, "M8[D]"), np.timedelta64(1, "D")),
     (np.zeros(5000, "M8[D]"), np.timedelta64(36, "h"))),
    ("axes", {"c": (np.sum, "ab"), "d": (operator.add, "cc"), "z": (np.sum, "d")},
     (np.ones((1, 20000)), np.array(0)), (np.ones((1, 20000)), np.array(1))),
    ("shapes", {"c": (np.reshape, "ab"), "d": (operator.add, "cc"), "z": (np.ravel, "d")},
     (np.ones(20000), np.array([100, 200])), (np.ones(20000), np.array([200, 100]))),
    ("texts", {"c": (np.add, "ab"), "d": (np.add, "cb"), "z": (np.strings.str_len, "d")},
     (np.full(5000, "ab"), np.str_("c")), (np.full(5000, "ab"), np.str_("ccccc"))),
    ("numbers", {"c": (operator.mul, "ab"), "d": (operator.add, "cc"), "z": (np.sum, "d")},
     (np.ones(20000), Quantity(2)), (np.ones(20000), Quantity(3))),
]  # fmt: skip


@pytest.mark.parametrize(("tasks", "first", "other"), [case[1:] for case in WRONG],
                         ids=[case[0] for case in WRONG])  # fmt: skip
def test_what_shapes_and_types_do_not_say(tasks: Any, first: Any, other: Any) -> None:
    program = program_for("z", **tasks)
    expected = program(*other)
    _, planned = run_and_plan(program, first)
    for _ in range(2):
        np.testing.assert_array_equal(planned(*first), program(*first))
        np.testing.assert_array_equal(planned(*other), expected)


def test_the_order_of_axes_stays() -> None:
    program = program_for("d", b=(operator.add, "aa"), c=(np.tanh, "b"), d=(np.ravel, "c"))
    turned = np.asfortranarray(A)
    first, planned = run_and_plan(program, (turned,))
    np.testing.assert_array_equal(planned(turned), first)
    total = program_for("d", b=(operator.add, "aa"), d=(np.sum, "b"))
    first, planned = run_and_plan(total, (turned,))
    assert planned(turned) == first
    assert buffers(planned)[0].strides == turned.strides


def test_small_arrays_and_other_types_are_left_alone() -> None:
    program = program_for("c", b=(operator.add, "aa"), c=(np.sum, "b"))
    for value in (A[:2, :2], A.astype(object), np.ma.masked_array(A), 3):
        _, planned = run_and_plan(program, (value,))
        assert buffers(planned) == []
    assert A.nbytes >= MIN_BYTES > A[:2, :2].nbytes


def test_keywords_of_constants_are_shapes_too() -> None:
    summed = body(1, (0,), (Named(np.sum, ("axis",)), 0, -1))
    wide = np.tile(A, (1, SIDE))
    program = program_for("e", b=(summed, "a"), c=(operator.mul, "ab"), e=(np.sum, "c"))
    first, planned = run_and_plan(program, (wide,))
    assert len(buffers(planned)) == 1
    assert planned(wide) == first
    assert np.sum in SHAPED


FUNCTIONS: list[Any] = [
    (operator.add, 2), (operator.sub, 2), (operator.mul, 2), (operator.matmul, 2), (np.tanh, 1),
    (operator.neg, 1), (np.transpose, 1), (np.maximum, 2),
    (with_constant(operator.mul, 0.5), 1), (with_constant(operator.getitem, np.s_[::-1]), 1),
]  # fmt: skip


@given(st.data())
def test_a_planned_program_gives_the_same_bits_run_after_run(data: Any) -> None:
    tasks: dict[Any, Any] = {}
    for number in range(1, data.draw(st.integers(2, 14))):
        function, arity = data.draw(st.sampled_from(FUNCTIONS))
        inputs = tuple(data.draw(st.integers(0, number - 1)) for _ in range(arity))
        tasks[number] = CallTask(number, function, inputs)
    outputs = data.draw(st.lists(st.sampled_from(list(tasks)), min_size=1, max_size=3, unique=True))
    program, inputs = program_of(tasks, list(tasks), outputs)
    if inputs:
        with np.errstate(all="ignore"):
            _, planned = run_and_plan(program, (A,))
            results = [(program(array), planned(array)) for array in (A, A + 0.1, A)]
        for expected, results_with_buffers in results:
            for one, other in zip(expected, results_with_buffers, strict=True):
                assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
                assert np.asarray(one).strides == np.asarray(other).strides


@pytest.mark.parametrize("function", [np.max, np.min])
@pytest.mark.parametrize("axis", [1, -1, 0])
def test_extremes_of_many_short_rows(function: Any, axis: int) -> None:
    named = Named(function, ("axis", "keepdims"))
    task = body(1, (axis, True), (named, 0, -1, -2))
    program = program_for("c", b=(task, "a"), c=(operator.neg, "b"))
    for dtype in ("float32", "float64", "int16", "complex64"):
        rows = (np.random.default_rng(0).normal(size=(400, 10)) * 99).astype(dtype)
        if dtype != "int16":
            rows[3, 4] = rows[5, 0] = np.nan
        expected = -function(rows, axis=axis, keepdims=True)
        first, planned = run_and_plan(program, (rows,))
        for value in (first, planned(rows)):
            assert value.dtype == dtype
            np.testing.assert_array_equal(value, expected)
