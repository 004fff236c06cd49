"""The laws of isolation: sharing and caching never change what a Dask program gives.

Random programs write into their arguments, return them, or return views of them. A value is
promised if plain Dask gives it in any order of tasks, and also with copies as between processes.
`share` and a store must give exactly that value, or raise an error that names the remedy.
"""

from __future__ import annotations

import heapq
import tempfile
import warnings
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Any

import dask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline import Call, PipelineError, Store, StoreWarning, TaskGraph, recurrence, share, task
from tests.isolation.chains import Chain, chains
from tests.isolation.clients import Clients, SendError
from tests.isolation.described import mutable_parts
from tests.isolation.pool import filled, ones, total
from tests.isolation.programs import Input, Line, Program, programs
from tests.isolation.reference import MANY_ORDERS, Reference, promised, promised_by, text_of
from tests.isolation.ways import (
    Keeping,
    check,
    in_order,
    shared,
    shared_dict,
    shared_in_part,
    through_store,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

keepings = st.builds(Keeping, st.sampled_from([0, 1, 2]), st.booleans())
seeds = st.integers(-1, 20)


def law(examples: int) -> settings:
    """Settings of a law: the fixtures are schedulers, which examples may share."""
    return settings(
        max_examples=examples,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@contextmanager
def folder() -> Iterator[str]:
    """A new folder for one example: a fixture would be one for all."""
    with tempfile.TemporaryDirectory(prefix="isolation-") as path:
        yield path


@pytest.fixture(scope="module")
def threads_of_a_cluster() -> Iterator[Any]:
    """A client whose workers are threads of this process: no value is copied."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


# Programs


def line(function: Any, *arguments: Any) -> Line:
    return Line("", function.__name__, function, arguments)


def test_a_value_that_depends_on_the_order_is_not_promised() -> None:
    lines = line(ones, 2), line(filled, Input(0)), line(total, Input(0))
    assert promised(Program(lines, (1,))) is not None
    assert promised(Program(lines, (1, 2))) is None


def test_a_program_is_written_as_python() -> None:
    program = Program((line(ones, 2), line(total, Input(0))), (1, 0))
    written = "# delayed\nv0 = delayed(ones)(2)\nv1 = delayed(total)(v0)\noutputs = [v1, v0]\n"
    assert repr(program) == written


def test_most_programs_promise_a_value_and_have_equal_tasks() -> None:
    """Else the laws would say little."""
    drawn: list[Program] = []

    @settings(max_examples=50, database=None)
    @given(programs())
    def draw(program: Program) -> None:
        drawn.append(program)

    draw()
    fitting = [program for program in drawn if promised(program) is not None]
    assert len(fitting) > len(drawn) / 2
    repeating = [p for p in fitting if len(set(map(repr, p.lines))) < len(p.lines)]
    assert len(repeating) > len(drawn) / 4


# The laws of `share`, of a store, and of both


def holds_shared(program: Program, seed: int) -> None:
    if (expected := promised(program)) is not None:
        check(expected, shared, program, "sync")
        check(expected, in_order, program, seed)
        check(expected, shared_in_part, program, seed)
        if program.style != "delayed":
            check(expected, shared_dict, program, seed)


def holds_stored(program: Program, keeping: Keeping, is_shared: bool) -> None:
    if (expected := promised(program)) is not None:
        with folder() as path:
            for _ in ("cold", "warm"):
                check(expected, through_store, program, path, keeping, "sync", is_shared)


@law(25)
@given(programs(), seeds)
def test_share_changes_no_value(program: Program, seed: int) -> None:
    holds_shared(program, seed)


@law(15)
@given(programs(), keepings, st.booleans())
def test_a_store_changes_no_value(program: Program, keeping: Keeping, is_shared: bool) -> None:
    holds_stored(program, keeping, is_shared)


@pytest.mark.slow
@law(300)
@given(programs(), seeds)
def test_share_changes_no_value_of_many(program: Program, seed: int) -> None:
    holds_shared(program, seed)


@pytest.mark.slow
@law(200)
@given(programs(), keepings)
def test_a_store_changes_no_value_of_many(program: Program, keeping: Keeping) -> None:
    holds_stored(program, keeping, is_shared=False)


@pytest.mark.slow
@law(120)
@given(programs(), keepings)
def test_share_and_a_store_change_no_value_of_many(program: Program, keeping: Keeping) -> None:
    holds_stored(program, keeping, is_shared=True)


@pytest.mark.slow
@law(100)
@given(programs(), keepings)
def test_outputs_one_by_one_are_those_of_one_run(program: Program, keeping: Keeping) -> None:
    with folder() as path:
        parts = [program._replace(outputs=(output,)) for output in program.outputs]
        for part in (*parts, program):
            if (expected := promised(part)) is not None:
                check(expected, through_store, part, path, keeping)


@pytest.mark.slow
@law(100)
@given(programs(), keepings)
def test_another_process_loads_what_this_one_gave(
    pool: Any, program: Program, keeping: Keeping
) -> None:
    def elsewhere(*arguments: Any) -> tuple[str, ...]:
        values: tuple[str, ...] = pool.submit(through_store, *arguments).result()
        return values

    if (expected := promised(program)) is not None:
        with folder() as path:
            check(expected, through_store, program, path, keeping)
            check(expected, elsewhere, program, path, keeping)


def holds_on(scheduler: str | None, program: Program, keeping: Keeping) -> None:
    """What plain Dask gives on a scheduler, if it can run the program there."""
    if (expected := promised(program)) is None:
        return
    try:
        values = text_of(dask.compute(*program.build(), scheduler=scheduler))
    except Exception:  # a generator or a lock does not go to another process
        return
    assert values == expected, "the reference differs from Dask"
    check(expected, shared, program, scheduler)
    with folder() as path:
        check(expected, through_store, program, path, keeping, scheduler)
        check(expected, through_store, program, path, keeping, scheduler)
        check(expected, through_store, program, path, keeping, scheduler, True)


@pytest.mark.slow
@law(200)
@given(programs(), keepings)
def test_threads_change_no_value(program: Program, keeping: Keeping) -> None:
    holds_on("threads", program, keeping)


@pytest.mark.slow
@law(40)
@given(programs(), keepings)
def test_processes_change_no_value(pool: Any, program: Program, keeping: Keeping) -> None:
    # Dask fuses old graphs here: a lock then stays in its process. With a store each task is alone.
    alone = {"optimization.fuse.active": False}
    with dask.config.set(alone, scheduler="processes", pool=pool):
        holds_on(None, program, keeping)


@pytest.mark.slow
@law(40)
@given(programs(), keepings)
def test_a_cluster_changes_no_value(
    threads_of_a_cluster: Any, program: Program, keeping: Keeping
) -> None:
    with threads_of_a_cluster.as_current():
        holds_on(None, program, keeping)


# Clients of one cluster


def holds_for_clients(program: Program, seed: int) -> None:
    """Several clients that share a program, or a part of it, see nothing of each other."""
    part = program._replace(outputs=program.outputs[:1])
    several = [program, part, program]
    expected = [promised(each) for each in several]
    if None in expected:
        return
    try:
        values = Clients(seed).run(several)
    except (PipelineError, SendError):
        return
    assert values == expected or [promised(each, MANY_ORDERS) for each in several] != expected


@law(10)
@given(programs(most=6), seeds)
def test_clients_change_no_value(program: Program, seed: int) -> None:
    holds_for_clients(program, seed)


@pytest.mark.slow
@law(120)
@given(programs(), st.integers(0))
def test_clients_change_no_value_of_many(program: Program, seed: int) -> None:
    holds_for_clients(program, seed)


# Outputs


def tied(values: tuple[Any, ...]) -> set[tuple[int, int]]:
    """The pairs of values that have an object or memory in common."""
    parts = list(map(mutable_parts, values))
    return {(one, other) for one, other in combinations(range(len(values)), 2)
            if parts[one] & parts[other]}  # fmt: skip


@pytest.mark.slow
@law(150)
@given(programs())
def test_outputs_that_dask_keeps_apart_stay_apart(program: Program) -> None:
    """Who writes into one result does not change another."""
    if promised(program) is None:
        return
    plain = tied(dask.compute(*program.build(), scheduler="sync"))
    assert tied(dask.compute(*share(program.build()), scheduler="sync")) <= plain
    with folder() as path, warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        for _ in ("cold", "warm"):
            store = Store(path, durable=False)
            assert tied(pipeline.compute(*program.build(), scheduler="sync", store=store)) <= plain


# Arrays, bags and dataframes


def build(drawn: list[Chain]) -> list[Any]:
    return [chain.build() for chain in drawn]


def holds_for_collections(drawn: list[Chain], seed: int) -> None:
    def plain(scheduler: Any) -> tuple[str, ...]:
        return text_of(dask.compute(*build(drawn), scheduler=scheduler))

    expected = promised_by(plain)
    if expected is None:
        return
    assert text_of(dask.compute(*share(build(drawn)), scheduler="sync")) == expected
    assert text_of(dask.compute(*share(build(drawn)), scheduler=Reference(seed))) == expected
    with folder() as path, warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        for is_shared in (False, False, True):
            values = pipeline.compute(
                *build(drawn), scheduler="sync", share=is_shared, store=Store(path, durable=False)
            )
            assert text_of(values) == expected


@law(5)
@given(chains(), seeds)
def test_collections_keep_their_values(drawn: list[Chain], seed: int) -> None:
    holds_for_collections(drawn, seed)


@pytest.mark.slow
@law(80)
@given(chains(), seeds)
def test_many_collections_keep_their_values(drawn: list[Chain], seed: int) -> None:
    holds_for_collections(drawn, seed)


# Recurrences


@task
def start(n: int) -> Any:
    return [n, 1]


@task
def pushed(values: Any, others: Any) -> Any:
    heapq.heappush(values, sum(others))
    return values


@task
def moved(values: Any, others: Any) -> Any:
    others.append(values.pop(0))
    return others


@task
def joined(values: Any, others: Any) -> Any:
    values += others
    others.clear()
    return values


WRITERS = (pushed, moved, joined)

shapes = st.integers(1, 5).flatmap(
    lambda size: st.tuples(
        *(
            st.lists(
                st.tuples(st.integers(0, max(place - 1, 0)), st.sampled_from(WRITERS)),
                max_size=2 if place else 0,
            )
            for place in range(size)
        )
    )
)
"""Of each subproblem: the subproblems before it, and what is done with their lists."""


def tree_of(shape: Any) -> TaskGraph:
    """The tree of a recurrence whose tasks write into the lists that they get."""

    @recurrence
    def f(place: int) -> Any:
        value = start(place)
        for inner, writer in shape[place]:
            value = writer(value, f(inner))
        return value

    call: Call = f(len(shape) - 1)
    return call.graph(memoize=False)


def holds_for_trees(shape: Any, seed: int) -> None:
    [expected] = dask.compute(tree_of(shape), scheduler="sync")
    shared_tree = share(tree_of(shape))
    assert dask.compute(shared_tree, scheduler="sync") == (expected,)
    assert dask.compute(share(tree_of(shape)), scheduler=Reference(seed)) == (expected,)
    with folder() as path:
        for _ in ("cold", "warm"):
            store = Store(path, durable=False)
            assert pipeline.compute(tree_of(shape), scheduler="sync", store=store) == (expected,)


@law(15)
@given(shapes, seeds)
def test_a_shared_tree_of_writers_has_the_value_of_the_tree(shape: Any, seed: int) -> None:
    holds_for_trees(shape, seed)


@pytest.mark.slow
@law(100)
@given(shapes, seeds)
def test_many_shared_trees_have_the_values_of_the_trees(shape: Any, seed: int) -> None:
    holds_for_trees(shape, seed)
