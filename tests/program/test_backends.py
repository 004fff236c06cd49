"""The same program on NumPy's arrays, JAX's and PyTorch's."""

from __future__ import annotations

import math
import pickle
import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pipeline import GraphError, maximum, minimum, recurrence, task, trace, where
from pipeline.graph import CallTask
from pipeline.program.backends import BACKENDS, TORCH_SAME, TORCH_UFUNCS, load_backend
from pipeline.program.program import program_of

Array = np.ndarray[Any, Any]


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"an extra: pip install 'dask-memo[{name}]'")


others = pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])


def wide(backend: str) -> AbstractContextManager[Any]:
    """JAX computes in 32 bits unless it is set."""
    context: AbstractContextManager[Any] = nullcontext()
    return library("jax").enable_x64(True) if backend == "jax" else context


@recurrence
def x(n: int) -> Any:
    return None


@recurrence
def power(n: int) -> Any:
    return x(0) if n == 1 else power(n // 2) * power(n - n // 2)


A = np.random.default_rng(0).normal(size=(5, 5))
B = np.random.default_rng(1).normal(size=(5, 5))

PAIR = np.array([1, 2], "float32")

STEPS: list[Any] = [
    lambda a, b: np.tanh(a) - b,
    lambda a, b: 0.1 * (a @ np.transpose(b)),
    lambda a, b: np.maximum(a, 0) + np.sum(b, axis=1, keepdims=True),
    lambda a, b: np.where(a > b, a, 0.5) / (1 + b * b),
    lambda a, b: a - np.max(b, axis=0) * np.std(a),
    lambda a, b: np.reshape(a, -1)[3] + -(abs(b) ** 2),
    lambda a, b: np.logaddexp(a, 0.25) * np.sign(b[1]),
]


def drawn(seed: int, first: Array | None = None, second: Array | None = None) -> Any:
    """A recurrence of twelve steps drawn at random, each of the value before it and of another."""
    rng = random.Random(seed)  # noqa: S311 - a test's
    steps = [(rng.choice(STEPS), n - 1, rng.randrange(n)) for n in range(2, 14)]

    @recurrence
    def value(n: int) -> Any:
        if n < 2:
            return (first, second)[n]
        step, left, right = steps[n - 2]
        return step(value(left), value(right))

    return value


@others
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(2))
def test_tree_dag_fused_compiled_and_each_backend_agree(
    backend: str, dtype: str, seed: int
) -> None:
    library(backend)
    arrays = A.astype(dtype), B.astype(dtype)
    given = drawn(seed, *arrays)
    tree = (given(13) + given(0)).graph(memoize=False)
    dag = (given(13) + given(0)).graph()
    expected = tree.compute(scheduler="sync", fuse=False)
    np.testing.assert_array_equal(dag.compute(scheduler="sync", fuse=False), expected)
    np.testing.assert_array_equal(dag.compute(scheduler="sync"), expected)
    np.testing.assert_array_equal(dag.compile()(), expected)
    value = drawn(seed)
    graph = (value(13) + value(0)).graph()
    program = graph.compile([value(0), value(1)], backend=backend)
    with wide(backend):
        results = [program(*arrays), program(*arrays), dag.compile(backend=backend)()]
    for result in map(np.asarray, results):
        assert result.dtype == expected.dtype == dtype
        rounding = 1e3 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(result, expected, rtol=rounding, atol=rounding)


@others
def test_results_are_the_librarys_arrays_nested_as_the_graph_is(backend: str) -> None:
    kind = library("jax").Array if backend == "jax" else library("torch").Tensor
    graph = trace({"b": power(2), 1: [power(3), (x(0), "text")], "a": slice(power(2), 4)})
    for outputs, slices in ((graph, True), (trace([power(2), {"b": (power(3),), 2: []}]), False)):
        program = pickle.loads(pickle.dumps(outputs.compile([x(0)], backend)))  # noqa: S301
        result = program(PAIR)
        first = result["b"] if slices else result[0]
        assert isinstance(first, kind)
        assert np.asarray(first).tolist() == [1, 4]
        if slices:
            assert list(result) == ["b", 1, "a"]
            assert result[1][1][1] == "text"
            assert np.asarray(result["a"].start).tolist() == [1, 4]
        else:
            assert np.asarray(result[1]["b"][0]).tolist() == [1, 8]
            assert result[1][2] == []


@others
def test_numbers_and_inputs_that_nothing_needs(backend: str) -> None:
    library(backend)
    program = (power(3) + 1).graph().compile([x(0)], backend)
    assert [float(program(2)), float(program(0.5))] == [9, 1.125]
    graph = trace([power(2), power(5)])
    program = graph.compile([power(2), power(3), x(0)], backend)
    assert [float(value) for value in program(3.0, 2.0, None)] == [3, 6]
    with pytest.raises(TypeError, match="1 values for 3 inputs"):
        program(1)


@others
def test_a_recurrence_of_numbers(backend: str) -> None:
    """Edit distance: the least of three values, which JAX would refuse to compare."""
    library(backend)

    @recurrence
    def distance(i: int, j: int) -> Any:
        if not i or not j:
            return i + j
        changed = distance(i - 1, j - 1) + ("kitten"[i - 1] != "sitting"[j - 1]) * x(0)
        return minimum(distance(i - 1, j) + 1, distance(i, j - 1) + 1, changed)

    program = distance(6, 7).graph().compile([x(0)], backend)
    assert [int(program(1)), int(program(2))] == [3, 5]


NAN = float("nan")
CHOICES: list[tuple[Any, tuple[Any, Any]]] = [
    (lambda a, b: minimum(a, b, 2), (3, 1)),
    (lambda a, b: maximum(2, a, b), (3, 1)),
    (lambda a, b: [minimum(a, b), minimum(b, a), maximum(a, b), maximum(b, a)], (NAN, 1.0)),
    (lambda a, b: task(min, cheap=True)([a, b]), (3, 1)),
    (lambda a, b: where(a > b, a, b - a), (3, 1)),
    (lambda a, b: where(a > 3, b, -b), (3, A)),
    (lambda a, b: where(a > b, a, 0.5), (A, B)),
    (lambda a, b: where(a, b, -1.0), (A > 0, 2.0)),
    (lambda a, b: where(np.array([True, False, True, True, False]), a, b), (A, B)),
    (lambda a, b: where(True, a, 0) + b, (A, B)),
    (lambda a, b: np.where(a, a, b), (np.eye(5), B)),
    (lambda a, b: [(a > b) + (b < a), -(a == b), (a != b) * 3], (3, 1)),
    (lambda a, b: [np.tanh(a) / 3, np.divide(b, a), np.add(a, b)], (3, np.arange(2))),
    (lambda a, b: task(sum, cheap=True)([A, B]) * a + b, (3, B)),
    (lambda a, b: [math.floor(a), math.ceil(b), math.trunc(b)], (3.7, -1.2)),
]


@others
@pytest.mark.parametrize("number", range(len(CHOICES)))
def test_numbers_and_choices_are_pythons(backend: str, number: int) -> None:
    """`min` depends on the order where a value is not a number, and truth values are integers."""
    library(backend)
    choose, operands = CHOICES[number]
    graph = trace(lambda: [choose(x(0), x(1))])
    with wide(backend):
        (result,) = graph.compile([x(0), x(1)], backend)(*operands)
    (expected,) = graph.compile([x(0), x(1)])(*operands)
    pairs = zip(result, expected, strict=True) if type(expected) is list else [(result, expected)]
    for value, right in pairs:
        np.testing.assert_allclose(value, right, rtol=1e-15)


def test_jax_names_choices_that_are_no_arrays_of_one_shape() -> None:
    library("jax")
    for choose, message in (
        (lambda a, b: minimum(a, b), r"^min compares numbers, not arrays: use numpy.minimum"),
        (lambda a, b: where(a[0] > 0, a, b[0]), r"^the shape, \(2,\) or \(\), depends on a value"),
    ):
        program = trace(lambda choose=choose: choose(x(0), x(1))).compile([x(0), x(1)], "jax")
        with pytest.raises(TypeError, match=message) as caught:
            program(PAIR, PAIR)
        assert "while computing " in caught.value.__notes__[0]


@dataclass
class Shift:
    """A function that cannot be hashed."""

    by: float

    def __call__(self, value: Any) -> Any:
        return value + self.by


@others
def test_a_function_without_hash_stays(backend: str) -> None:
    library(backend)
    shift = task(Shift(2), cheap=True)
    assert float(trace(lambda: shift(x(0))).compile([x(0)], backend)(1)) == 3


@others
def test_a_long_program_is_not_printed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library(backend)
    monkeypatch.setattr("pipeline.program.compiling.MAX_STEPS", 2)
    program = trace([power(12), power(5)]).compile([x(0)], backend)
    assert [np.asarray(value).tolist() for value in program(PAIR)] == [
        [1, 4096],
        [1, 32],
    ]


# Errors


def test_an_unknown_backend_is_an_error_that_lists_them() -> None:
    with pytest.raises(GraphError, match="unknown backend 'cupy': it is one of numpy, jax, torch"):
        power(2).graph().compile([x(0)], backend="cupy")


@others
def test_a_missing_library_is_an_error_with_the_command(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (backend, f"{backend}.numpy"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'dask-memo\[{backend}\]'"):
        power(2).graph().compile([x(0)], backend)


@recurrence
def unusual(n: int) -> Any:
    return np.busday_count(x(0), x(1)) if n == 1 else np.tanh(unusual(n - 1))


@others
def test_a_function_without_counterpart_is_named_with_its_call(backend: str) -> None:
    library(backend)
    with pytest.raises(GraphError, match=rf"^unusual\(1\) calls busday_count, .* {backend}: use"):
        unusual(3).graph().compile([x(0), x(1)], backend)
    noise = task(np.random.default_rng(0).normal, cheap=True)
    graph = trace(lambda: x(0) + noise(0.0, 1.0))
    with pytest.raises(GraphError, match=r"calls random\._generator\.normal, which has no"):
        graph.compile([x(0)], backend)


@others
def test_a_task_of_a_function_of_numpy_has_its_counterpart(backend: str) -> None:
    library(backend)
    heavy, cheap = task(np.linalg.inv), task(np.sum, cheap=True)
    program = trace(lambda: cheap(heavy(x(0)), axis=0)).compile([x(0)], backend)
    narrow = A.astype("float32")
    np.testing.assert_allclose(program(narrow), np.linalg.inv(narrow).sum(axis=0), rtol=1e-4)


@others
def test_an_error_of_the_library_names_the_call(backend: str) -> None:
    library(backend)

    @task
    def chosen(value: Any) -> Any:
        return value if value.sum() > 0 and value.ndim == 2 else value @ np.ones((3, 3))

    program = (chosen(power(2)) + 1).graph().compile([x(0)], backend)
    for _ in range(2):
        with pytest.raises(Exception, match=r".") as caught:
            program(PAIR)
        notes = [note for note in caught.value.__notes__ if "chosen" in note]
        assert [note.partition("@")[0] for note in notes] == ["while computing chosen(power(2))"]


def test_jax_refuses_arrays_that_it_would_narrow() -> None:
    jax = library("jax")
    program = power(3).graph().compile([x(0)], backend="jax")
    with jax.enable_x64(False):
        with pytest.raises(TypeError, match=r"x\(0\) is an array of float64, and .*_enable_x64"):
            program(PAIR.astype("float64"))
        assert program(PAIR).dtype == "float32"
    with jax.enable_x64(True):
        assert program(PAIR.astype("float64")).dtype == "float64"
        assert program(PAIR).dtype == "float32"


# PyTorch


def test_pytorch_takes_arrays_of_every_layout_and_copies_none_that_it_can_view() -> None:
    torch = library("torch")
    program = trace([x(0), x(0) * 2]).compile([x(0)], "torch")
    array = np.arange(6.0).reshape(2, 3)
    read_only = array.copy()
    read_only.flags.writeable = False
    for values in (array, array.T, array[::-1, ::-1], read_only, np.float32(3)):
        same, twice = program(values)
        np.testing.assert_array_equal(same, values)
        np.testing.assert_array_equal(twice, values * 2)
    assert np.shares_memory(program(array)[0].numpy(), array)
    tensor = torch.arange(3)
    assert program(tensor)[0] is tensor


P = np.abs(A) / 4 + 0.1  # in the domain of every function of numbers
SYMMETRIC = A @ A.T + np.eye(5)
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "arccosh": ((P + 1,), {}),
    "broadcast_to": ((A, (2, 5, 5)), {}),
    "clip": ((A, -0.5, 0.5), {}),
    "concatenate": (([A, B],), {"axis": 1}),
    "dot": ((A, B), {}),
    "einsum": (("ij,kj->ik", A, B), {}),
    "expand_dims": ((A, 1), {}),
    "moveaxis": ((A, 0, 1), {}),
    "reshape": ((A, (1, -1)), {}),
    "stack": (([A, B],), {"axis": 1}),
    "swapaxes": ((A, 0, 1), {}),
    "transpose": ((A[None], (1, 2, 0)), {}),
    "where": ((A > 0, A, 0.1), {}),
    "linalg.cholesky": ((SYMMETRIC,), {}),
    "linalg.solve": ((A, B), {}),
    **{name: ((A,), {"axis": 1, "keepdims": True}) for name in ("max", "min", "mean", "sum")},
    **{name: ((A,), {"axis": 0, "ddof": 1}) for name in ("std", "var")},
    **{name: ((A > 0, B > 0), {}) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    **{name: ((A, B), {}) for name in ("kron",)},
    "outer": ((A[0], B[0]), {}),
}


@pytest.mark.parametrize("path", [*TORCH_SAME.split(), *TORCH_UFUNCS.split(), "max", "min", "dot",
                                  "equal", "expand_dims", "power", "reshape", "sign", "std",
                                  "transpose", "var", "where"])  # fmt: skip
def test_each_function_of_pytorchs_table_agrees_with_numpys(path: str) -> None:
    library("torch")
    backend = load_backend("torch")
    assert backend is not None
    function: Any = np
    for name in path.split("."):
        function = getattr(function, name)
    arity = function.nin if isinstance(function, np.ufunc) else 1
    args, named = CALLS.get(path, ((P, P.T)[:arity], {}))
    counterpart = backend.counterpart(function)
    tensors = [
        [*map(backend.constant, arg)] if type(arg) is list else backend.constant(arg)
        for arg in args
    ]
    result = counterpart(*tensors, **named)
    np.testing.assert_allclose(np.asarray(result), function(*args, **named), rtol=1e-12)


@pytest.mark.parametrize("function", [np.exp, np.maximum, np.where, np.sign, np.power])
def test_pytorchs_functions_take_numbers_in_full_precision(function: Any) -> None:
    library("torch")
    everything: tuple[Any, ...] = (A > 0, 0.1, A) if function is np.where else (0.1, A)
    operands = everything[: getattr(function, "nin", 3)]
    node = CallTask("y", function, tuple(f"a{n}" for n in range(len(operands))))
    program, _ = program_of({"y": node}, ["y"], ["y"])
    backend = load_backend("torch")
    assert backend is not None
    result = backend.guarded(backend.translated(program), ())(*operands)
    np.testing.assert_allclose(np.asarray(result), function(*operands), rtol=1e-15)


def test_pytorch_keeps_not_a_number() -> None:
    library("torch")
    program = np.sign(x(0)).graph().compile([x(0)], "torch")
    np.testing.assert_array_equal(program(np.array([np.nan, -2, 0, 3])), [np.nan, -1, 0, 1])
