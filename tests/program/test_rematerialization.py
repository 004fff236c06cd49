"""Memory as a budget: values are dropped and computed again, and stay equal."""

from __future__ import annotations

import operator
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from dask.task_spec import TaskRef
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import PipelineError, TaskGraph, recurrence, task, trace
from pipeline.apps.mlp.layers import Layers, gradients, initial, value_of
from pipeline.graph import CallTask
from pipeline.program import BudgetError, CompiledGraph, Program
from pipeline.program.flow import Flow
from pipeline.program.rematerialization import MAX_WORK, budget_bytes, run_within
from tests.functions import fib
from tests.graphs import graphs, values_of

VALUE = 32 * 32 * 8


@recurrence
def x(n: int) -> Any:
    return 0


def kept_bytes(program: Program, arguments: tuple[Any, ...]) -> int:
    """The most bytes of arrays that the slots of a running program hold above its arguments."""
    slots: dict[int, Any] = {-1 - place: value for place, value in enumerate(program.constants)}
    slots.update(zip(program.inputs, arguments, strict=True))
    given = {id(memory(value)) for value in slots.values()}
    most = 0
    for _, function, operands, result in program.instructions():
        value = operands[0] if function is None else function(*[slots[slot] for slot in operands])
        held = {id(memory(value)): memory(value) for value in (*slots.values(), value)}
        sizes = [getattr(held[name], "nbytes", 0) for name in held.keys() - given]
        most = max(most, sum(sizes))
        slots[result] = value
    return most


def memory(value: Any) -> Any:
    while isinstance(value, np.ndarray) and value.base is not None:
        value = value.base
    return value


def traced_peak(program: CompiledGraph, *arguments: Any) -> int:
    """The most bytes that Python and NumPy allocate in a run."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        program(*arguments)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def within(budget: int, program: Program, arguments: tuple[Any, ...]) -> tuple[Any, int]:
    """What `run_within` returns, with the least budget if this one is too small."""
    try:
        return run_within(budget, Flow(program), arguments), budget
    except BudgetError as error:
        least = error.least
    assert least is not None
    return run_within(least, Flow(program), arguments), least


class Network:
    """The gradient of a deep network: its graph, inputs and arguments."""

    def __init__(self, hidden: int, width: int, rows: int) -> None:
        layers = Layers((width,) * (hidden + 2), "tanh", "mse")
        rng = np.random.default_rng(0)
        self.graph = gradients(layers)
        self.inputs = [value_of(layers)(name) for name in layers.inputs]
        data = rng.normal(size=(2, rows, width))
        self.arguments = [*initial(layers, 0).values(), *data, 1 / rows]

    def compile(self, memory: Any) -> CompiledGraph:
        program: CompiledGraph = self.graph.compile(self.inputs, memory=memory)
        return program


@pytest.mark.slow
def test_first_and_later_runs_of_a_gradient_keep_to_each_budget() -> None:
    network = Network(hidden=6, width=16, rows=20_000)  # values outweigh Python's objects
    expected = network.compile(None)(*network.arguments)
    full = network.compile("1GB")
    full(*network.arguments)
    most = traced_peak(full, *network.arguments)
    with pytest.raises(BudgetError) as caught:
        network.compile(1)(*network.arguments)
    least = caught.value.least
    assert least is not None
    for budget in (int(0.5 * most), least):
        # Other threads may allocate, too.
        programs = [network.compile(budget) for _ in range(3)]
        first = min(traced_peak(program, *network.arguments) for program in programs)
        assert first <= 1.05 * budget
        program = programs[0]
        later = min(traced_peak(program, *network.arguments) for _ in range(3))
        assert later <= 1.05 * budget
        for value in (program(*network.arguments), program(*network.arguments)):
            for name, gradient in expected.items():
                np.testing.assert_array_equal(value[name], gradient)


SIDE = 250
ARRAY_BYTES = SIDE * SIDE * 8
OWN = 8 * np.getbufsize()
"""NumPy adds an array to its transpose by way of such a buffer: what a step takes while it runs."""


def product(a: Any, b: Any) -> Any:
    out = a @ b
    return np.tanh(out, out=out)


def rolled(a: Any) -> Any:
    return np.roll(a, 1, axis=0)


def first_rows(a: Any, b: Any) -> Any:
    """A view of twice the memory."""
    return np.concatenate((a, b))[:SIDE]


UNARY = operator.neg, np.transpose, np.tanh, rolled
BINARY = operator.add, operator.mul, product, first_rows


@st.composite
def array_graphs(draw: st.DrawFn) -> TaskGraph:
    """Up to 15 tasks that make arrays of the arrays before them."""
    tasks: dict[Any, Any] = {("n", 0): CallTask(("n", 0), float, ())}
    for number in range(1, draw(st.integers(1, 15)) + 1):
        function = draw(st.sampled_from((*UNARY, *BINARY)))
        arity = 1 if function in UNARY else 2
        sources = tuple(("n", draw(st.integers(0, number - 1))) for _ in range(arity))
        tasks["n", number] = CallTask(("n", number), function, sources)
    places = draw(st.lists(st.integers(0, len(tasks) - 1), min_size=1, max_size=3))
    return TaskGraph(tasks, [TaskRef(("n", place)) for place in (*places, len(tasks) - 1)])


@settings(max_examples=15)
@given(array_graphs(), st.floats(0, 1))
def test_all_runs_keep_to_each_budget_from_the_least_on(graph: TaskGraph, share: float) -> None:
    array = np.linspace(-1, 1, SIDE * SIDE).reshape(SIDE, SIDE)

    def compiled(memory: Any) -> CompiledGraph:
        program: CompiledGraph = graph.compile([("n", 0)], memory=memory)
        return program

    expected = compiled(None)(array)
    least, full = 1, 2 * ARRAY_BYTES * len(graph)
    try:
        compiled(1)(array)
    except BudgetError as error:
        least = error.least or 0
    assert least
    budget = int(least + share * (full - least))
    bound = 1.05 * max(budget, ARRAY_BYTES) + OWN
    # Other threads may allocate, too.
    assert min(traced_peak(compiled(budget), array) for _ in range(3)) <= bound
    program = compiled(budget)
    program(array)
    assert min(traced_peak(program, array) for _ in range(3)) <= bound
    for used in (compiled(budget), program):
        for value, other in zip(used(array), expected, strict=True):
            np.testing.assert_array_equal(value, other)


def test_the_order_of_the_outputs_does_not_matter() -> None:
    """Gradients run as soon as they free an adjoint, the last layer's first."""
    network = Network(hidden=8, width=16, rows=500)
    plain = network.graph.compile(network.inputs).program
    arguments = tuple(network.arguments)
    _, program = run_within(10**9, Flow(plain), arguments)
    assert kept_bytes(program, arguments) < 0.6 * kept_bytes(plain, arguments)
    assert run_counts(program) == run_counts(plain)  # none runs twice
    assert {*program.keys} == {*plain.keys}


def run_counts(program: Program) -> int:
    return sum(step.function is not None for step in program.instructions())


def chain(length: int) -> TaskGraph:
    """Values that a forward pass makes and a backward pass uses, in the opposite order."""

    @recurrence
    def forward(n: int) -> Any:
        return x(0) if n == 0 else forward(n - 1) * 1.5

    @recurrence
    def backward(n: int) -> Any:
        return forward(n) if n == length else backward(n + 1) + forward(n)

    graph: TaskGraph = backward(0).graph()
    return graph


@given(st.integers(1, 24), st.floats(0.05, 1.2))
def test_a_chain_keeps_to_a_budget_or_the_error_states_one_that_it_keeps(
    length: int, share: float
) -> None:
    compiled = chain(length).compile([x(0)])
    array = np.linspace(-1, 1, 32 * 32).reshape(32, 32)
    least = int(share * (length + 1) * VALUE) + 1
    (value, program), budget = within(least, compiled.program, (array,))
    assert budget >= least
    np.testing.assert_array_equal(value, compiled(array))
    np.testing.assert_array_equal(program(array), value)
    assert kept_bytes(program, (array,)) <= budget
    assert run_counts(program) <= MAX_WORK * len(Flow(compiled.program).order)


@given(graphs(), st.integers(1, 1500))
def test_each_budget_of_any_graph_gives_equal_values_or_is_an_error(
    graph: TaskGraph, budget: int
) -> None:
    (values, program), _ = within(budget, graph.compile().program, ())
    expected = dict(zip(graph.keys, values_of(graph), strict=True))
    for found in (values, program()):
        results = found if len(program.outputs) > 1 else (found,)
        assert dict(zip(program.outputs, results, strict=True)) == expected


def test_errors_name_the_call_in_every_run() -> None:
    @task
    def failing(value: Any) -> Any:
        return 1 / value

    call = failing(x(0)) + failing(x(1)) * 2
    program = call.graph().compile([x(0), x(1)], memory=10_000)
    for good in (1, 2):
        assert program(good, 1) == 1 / good + 2
        with pytest.raises(ZeroDivisionError) as caught:
            program(good, 0)
        assert caught.value.__notes__ == ["while computing failing(x(1))"]


def test_views_count_once_and_keep_their_array() -> None:
    def double(n: int) -> Any:
        return x(0) * float(n)

    first = recurrence(double)
    rows = first(2)
    graph = trace([np.sum(np.transpose(rows) @ first(3)), np.sum(rows[0]) + np.sum(rows)])
    array = np.ones((64, 64))
    compiled = graph.compile([x(0)])
    expected = compiled(array)
    value, program = run_within(3 * array.nbytes + 1_000, Flow(compiled.program), (array,))
    assert list(value) == list(program(array)) == expected
    assert kept_bytes(program, (array,)) <= 3 * array.nbytes + 1_000
    with pytest.raises(BudgetError):
        run_within(2 * array.nbytes, Flow(compiled.program), (array,))


def test_inputs_and_outputs_of_any_kind() -> None:
    program = trace([fib(3), fib(4)]).compile([fib(4), fib(3)], memory=1)
    assert program("four", "three") == ["three", "four"] == program("four", "three")
    program = fib(30).graph().compile([fib(1)], memory="1kB")
    assert program(1) == program(1) == fib(30).compute()
    assert pickle.loads(pickle.dumps(program))(1) == 832040  # noqa: S301 - our own


def test_a_budget_is_planned_for_each_kind_of_arguments() -> None:
    program = chain(20).compile([x(0)], memory=8 * VALUE)
    for side in (16, 32, 16):
        array = np.ones((side, side))
        assert program(array).shape == (side, side)
    with pytest.raises(BudgetError, match=r"memory=65,536 bytes: .* give as much"):
        program(np.ones((320, 320)))


@pytest.mark.parametrize(
    "memory", ["many", "64 horses", "-5MB", 0, -1, True, [1], float("nan"), float("inf"), b"5"]
)
def test_what_is_no_number_of_bytes_is_an_error(memory: Any) -> None:
    with pytest.raises(BudgetError, match=r"memory=.*: give a number of bytes above 0") as caught:
        fib(3).graph().compile(memory=memory)
    assert isinstance(caught.value, PipelineError)


def test_another_backend_manages_its_memory_itself() -> None:
    with pytest.raises(BudgetError, match="backend='jax': the library manages its memory itself"):
        fib(3).graph().compile(backend="jax", memory="1MB")


def test_a_budget_is_parsed_as_dask_parses_bytes() -> None:
    texts = ["64MB", "64 MiB", "1e3", 10_000, "5 kB", 2.5]
    assert [budget_bytes(text) for text in texts] == [64 * 10**6, 64 * 2**20, 1000, 10000, 5000, 2]


def test_a_task_of_constants_alone_runs_within_a_budget() -> None:
    outputs = [x(0), x(1), task(operator.add)(0.25, True) - 0]
    program = trace(lambda: outputs).compile(outputs[:2], memory="1GB")
    assert program(1, 2) == program(1, 2) == [1, 2, 1.25]
