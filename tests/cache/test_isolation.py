"""Equal tasks stay apart: no consumer sees what another writes, and no such write is stored."""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from dask.task_spec import Task, TaskRef

import pipeline
from pipeline import Store, StoreWarning, measure
from pipeline.cache.isolating import with_copies
from pipeline.cache.plan import make_plan
from pipeline.cache.replacing import tasks_to_run
from pipeline.graph import inputs_of
from tests.store_workers import logged

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def ones(n: int) -> Any:
    return np.ones((n, n))


def numbers(n: int) -> list[int]:
    return list(range(n, 0, -1))


def table(n: int) -> Any:
    return pd.DataFrame({"a": np.arange(float(n)), "b": 1.0})


def names(n: int) -> dict[str, int]:
    return {str(x): x for x in range(n)}


def total(a: Any) -> float:
    return float(a.sum())


def zero(a: Any) -> float:
    np.fill_diagonal(a, 0)
    return float(a.sum())


def flattened(a: Any) -> float:
    flat = a.ravel()
    flat[0] = -100
    return float(a.sum())


def negated(a: Any) -> Any:
    return np.negative(a, out=a)


def rows(a: Any) -> Any:
    part = a[1:]
    part += 1
    return part


def sizes(xs: Any) -> tuple[int, int]:
    return len(xs), sum(xs)


def pushed(xs: list[int]) -> int:
    heapq.heappush(xs, 100)
    return xs[0]


def first_set(xs: list[int]) -> list[int]:
    xs.__setitem__(0, 50)
    return xs


def column_set(frame: Any) -> float:
    frame.loc[0, "a"] = 40.0
    frame["b"] *= 2
    return float(frame.sum().sum())


def sums(frame: Any) -> list[float]:
    return [float(x) for x in frame.sum()]


def updated(values: dict[str, int]) -> dict[str, int]:
    values.update(x=9)
    return values


def items(values: dict[str, int]) -> list[Any]:
    return sorted(values.items())


CASES: dict[Callable[..., Any], list[Callable[..., Any]]] = {
    ones: [total, zero, flattened, negated, rows],
    numbers: [sizes, pushed, first_set],
    table: [sums, column_set],
    names: [items, updated],
}
"""Functions that make a value, and functions that read it, change it, or return it changed."""


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def consumers(order: Any, make: Callable[..., Any]) -> list[Any]:
    """The consumers of equal tasks, one task for each."""
    return [delayed(use)(delayed(make)(3)) for use in order]


def computed(collections: list[Any], store: Any = None) -> list[Any]:
    if store is None:
        return list(map(plain, dask.compute(*collections)))
    return list(map(plain, pipeline.compute(*collections, store=store)))


@pytest.mark.parametrize("keep", [(), tuple(CASES)], ids=["quick", "kept"])
@pytest.mark.parametrize("make", CASES)
def test_a_write_reaches_no_equal_task(tmp_path: Path, make: Callable[..., Any], keep: Any) -> None:
    """In each order: stored by the same run, by another order, and with one result missing."""
    with dask.config.set(scheduler="sync"):
        for place, order in enumerate((CASES[make], CASES[make][::-1])):
            expected = computed(consumers(order, make))
            store = Store(tmp_path / str(place), keep=keep, durable=False)
            for collections in (consumers(order, make), consumers(order[::-1], make)[::-1]):
                assert computed(collections, store) == expected
            for use, value in zip(order, expected, strict=True):
                assert computed(consumers([use], make), store) == [value]
            partial = Store(tmp_path / f"{place}-partial", keep=keep, durable=False)
            assert computed(consumers(order[:1], make), partial) == expected[:1]
            assert computed(consumers(order, make), partial) == expected


def test_a_write_reaches_no_equal_task_on_any_scheduler(tmp_path: Path, scheduler: str) -> None:
    store = Store(tmp_path, keep=tuple(CASES))
    every = [pair for make, order in CASES.items() for pair in consumers(order, make)]
    expected = computed(every)
    for _ in range(2):
        assert computed(every, store) == expected
    assert computed(every[::-1], store) == expected[::-1]
    with Store(tmp_path / "context", keep=tuple(CASES)):
        for _ in range(2):
            assert computed(every) == expected


def warm(folder: str) -> list[Any]:
    """What another process computes with a store that is filled."""
    store = Store(folder)
    with dask.config.set(scheduler="sync"):
        both = computed(consumers([total, zero], ones), store)
        return [both, computed(consumers([total], ones), store), store.done.misses]


def test_what_a_consumer_writes_is_not_stored(tmp_path: Path) -> None:
    """The case that gave 6.0 twice, and then for ever."""

    def both() -> Any:
        return pipeline.compute(
            delayed(total)(delayed(ones)(3)),
            delayed(zero)(delayed(ones)(3)),
            store=tmp_path,
            scheduler="sync",
        )

    assert both() == (9.0, 6.0)
    assert both() == (9.0, 6.0)
    assert pipeline.compute(delayed(total)(delayed(ones)(3)), store=tmp_path) == (9.0,)
    code = "import json, sys; from tests.cache.test_isolation import warm; "
    command = [sys.executable, "-c", code + "print(json.dumps(warm(sys.argv[1])))", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == [[9.0, 6.0], [9.0], 0]


def test_a_task_whose_consumer_writes_is_stored(tmp_path: Path) -> None:
    def blank(a: Any) -> float:
        a[:] = 0
        return float(a.sum())

    store = Store(tmp_path, keep=[ones])
    graph = delayed(blank)(delayed(ones)(3))
    assert pipeline.compute(graph, store=store, scheduler="sync") == (0.0,)
    assert sorted(entry.function for entry in store.entries()) == ["blank", "ones"]
    (value,) = pipeline.compute(delayed(ones)(3), store=store, scheduler="sync")
    assert value.sum() == 9


def test_verifying_changes_no_input_of_another_task(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[ones])
    x = delayed(ones)(3)
    for use in (total, zero, flattened):
        pipeline.compute(delayed(use)(x), store=store, scheduler="sync")
    with dask.config.set(scheduler="sync"):
        verified = store.verify(*[delayed(use)(x) for use in (zero, flattened, total)], recompute=1)
    assert (verified.hits, verified.differing) == (4, [])


def test_equal_outputs_are_two_objects(tmp_path: Path, scheduler: str) -> None:
    for make in CASES:
        for _ in range(2):
            one, other = pipeline.compute(delayed(make)(60), delayed(make)(60), store=tmp_path)
            assert one is not other
            before = repr(other)
            CASES[make][1](one)
            assert (repr(one) == before, repr(other)) == (False, before)


def test_one_task_has_one_value(tmp_path: Path) -> None:
    """As without a store: what Dask shares is shared."""
    x = delayed(ones)(3)
    for _ in range(2):
        one, [again] = pipeline.compute(x, [x], store=tmp_path, scheduler="sync")
        assert one is again


def test_a_long_task_runs_once_for_all_that_are_equal(tmp_path: Path, scheduler: str) -> None:
    """On each scheduler, also where they begin at the same time."""
    lines = tmp_path / "lines"
    store = Store(tmp_path / "store", keep=[logged])
    equal = [delayed(logged)(str(lines), 3) for _ in range(4)]
    graphs = [delayed(abs)(x) for x in equal[:2]] + [delayed(max)(x, 1) for x in equal]
    for _ in range(2):
        assert pipeline.compute(*graphs, store=store) == (9,) * 6
        assert lines.read_text().split() == ["3"]


def test_a_store_without_locks_has_equal_tasks_run_once_one_by_one(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    store = Store("memory://isolation", keep=[logged])
    graphs = [delayed(use)(delayed(logged)(str(lines), 3)) for use in (abs, float)]
    assert pipeline.compute(*graphs, store=store, scheduler="sync") == (9, 9.0)
    assert lines.read_text().split() == ["3"]


def test_a_long_task_runs_once_though_its_function_is_quick_at_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.store.costs.Costs.of", lambda *_: 0.0015
    )  # on a busy machine it may be any
    lines = tmp_path / "lines"
    store = Store(tmp_path / "store", durable=False)

    @pipeline.pure
    def work(n: int) -> int:
        return logged(str(lines), n) if n else n

    graphs = [delayed(abs)(delayed(work)(n)) for n in (5, 0, 5, 0, 5)]
    assert pipeline.compute(*graphs, store=store, scheduler="sync") == (25, 0, 25, 0, 25)
    assert lines.read_text().split() == ["5"]


def test_what_is_not_stored_is_computed_by_each(tmp_path: Path, scheduler: str) -> None:
    """An iterator has no format: each consumer has its own, and none is used up by another."""

    def endless(n: int) -> Any:
        return iter(range(n, n + 5))

    def two(values: Any) -> list[int]:
        return [next(values), next(values)]

    def run() -> Any:
        graphs = [delayed(two)(delayed(map)(abs, delayed(numbers)(3))) for _ in range(3)]
        return pipeline.compute(*graphs, store=store)

    store = Store(tmp_path, keep=[endless, "map"])
    assert run() == ([3, 2],) * 3
    assert run() == ([3, 2],) * 3


def test_locks_are_made_by_each(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.warns(StoreWarning, match="a lock"):
        one, other = pipeline.compute(
            delayed(threading.Lock)(), delayed(threading.Lock)(), store=store, scheduler="threads"
        )
    assert one is not other


def test_a_store_that_cannot_be_written_changes_no_value(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "store", keep=[ones])
    with pytest.warns(StoreWarning, match="could not be"):
        values = pipeline.compute(
            *consumers([total, zero, flattened], ones), store=store, scheduler="sync"
        )
    assert values == (9.0, 6.0, -92.0)


def test_a_run_has_the_dependencies_of_its_graph(tmp_path: Path) -> None:
    """More would have Dask keep results for longer: a block until an equal one is needed."""
    tasks: dict[Any, Any] = {}
    for name in ("x", "y"):
        tasks[name, 0] = Task((name, 0), ones, 3)
        tasks[name, 1] = Task((name, 1), total, TaskRef((name, 0)))
    outputs = [("x", 1), ("y", 1)]
    made = make_plan(Store(tmp_path, keep=[ones]), tasks, outputs)
    run = tasks_to_run(made, outputs)
    assert {key: list(inputs_of(node)) for key, node in run.items()} == {
        key: list(inputs_of(node)) for key, node in tasks.items()
    }


def test_an_output_that_another_task_had_is_not_stored_late(tmp_path: Path, client: Any) -> None:
    """No worker reaches the store, and one may have changed the value before it came back."""
    store = Store("memory://late")
    x = delayed(ones)(3)
    pipeline.compute(x, delayed(zero)(x), store=store)
    pipeline.compute(*[delayed(ones)(4), delayed(zero)(delayed(ones)(4))], store=store)
    kept = [entry.arguments[0][0] for entry in store.entries() if entry.function == "ones"]
    assert (kept, len(store)) == (["4"], 3)
    assert {line.why for line in store.explain(x).lines} == {
        "not stored: a task that had it may have changed it"
    }
    value, large = pipeline.compute(x, delayed(ones)(4), store=store)
    assert (value.sum(), large.sum()) == (9, 16)


def test_equal_tasks_that_are_loaded_are_hits(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[ones])
    graphs = consumers([total, zero, flattened], ones)
    with measure():
        pipeline.compute(*graphs, store=store, scheduler="sync")
    counts = store.stats()
    assert (counts.hits, counts.misses, counts.stored) == (2, 4, 4)
    pipeline.compute(*graphs, store=store, scheduler="sync")
    counts = store.stats()
    assert (counts.hits, counts.misses, counts.stored) == (5, 4, 4)


def test_an_explanation_names_equal_tasks(tmp_path: Path) -> None:
    store = Store(tmp_path)
    why = [line.why for line in store.explain(*consumers([total, zero], ones)).lines]
    repeated = "equal to another task: the later of them loads the result, if it is stored"
    assert sorted(why) == [repeated, "never computed", "never computed", "never computed"]


def test_a_collection_inside_another_is_no_cycle(tmp_path: Path) -> None:
    """Dask renames its tasks by tasks that are equal to them."""
    inner = da.random.default_rng(0).random(size=(4, 2), chunks=(2, 2)).astype("f4")
    outer = da.ones(4, chunks=2).map_blocks(_scaled, by=inner, dtype="f8")
    (expected,) = dask.compute(outer, scheduler="sync")
    for _ in range(2):
        (value,) = pipeline.compute(outer, store=tmp_path, scheduler="sync")
        assert np.array_equal(value, expected)


def _scaled(block: Any, by: Any) -> Any:
    return block * by.sum()


LITERAL = np.ones((3, 3))


def of_one_task() -> list[Any]:
    x = delayed(ones)(3)
    return [delayed(total)(x), delayed(zero)(x)]


def of_one_literal() -> list[Any]:
    return [delayed(total)(LITERAL), delayed(zero)(LITERAL)]


def of_a_part() -> list[Any]:
    x = delayed(ones)(4)
    return [delayed(total)(x), delayed(zero)(x[:3])]


def of_an_output() -> list[Any]:
    x = delayed(ones)(3)
    return [delayed(total)(x), delayed(zero)(x), x]


def into_the_first(one: Any, other: Any) -> float:
    one[0, 0] = 9
    return float(other.sum())


def of_one_object_twice() -> list[Any]:
    x = delayed(ones)(3)
    return [delayed(total)(x), delayed(into_the_first)(x, x)]


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (of_one_task, (9, 6)), (of_one_literal, (9, 6)), (of_a_part, (16, 9)),
        (of_an_output, (9, 6, 9)), (of_one_object_twice, (9, 17)),
    ],
)  # fmt: skip
def test_consumers_of_one_task_do_not_store_what_another_wrote(
    program: Callable[[], list[Any]], expected: tuple[float, ...], order: int, scheduler: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    """In Dask the order of the tasks decides; each alone has one value."""
    for _ in ("cold", "warm"):
        values = pipeline.compute(*program()[::order], store=tmp_path, scheduler=scheduler)
        sums = tuple(float(np.sum(value)) for value in values)
        assert sums == expected[::order]
    assert LITERAL.sum() == 9
    for collection, value in zip(program(), expected, strict=True):
        [alone] = pipeline.compute(collection, store=tmp_path, scheduler=scheduler)
        assert float(np.sum(alone)) == value


def test_what_cannot_be_copied_is_made_again_for_each(tmp_path: Path) -> None:
    def squares(n: int) -> Any:
        return (i * i for i in range(n))

    x = delayed(squares)(4)
    given = [delayed(sum)(x), delayed(list)(x)]
    for _ in ("cold", "warm"):
        values = pipeline.compute(*given, store=tmp_path, scheduler="sync")
        assert values == (14, [0, 1, 4, 9])


def test_dasks_own_functions_get_no_copies() -> None:
    x = da.ones((6, 6), chunks=3)
    y = (x - x.mean(axis=0)) / x.std(axis=0)
    tasks = dict(y.__dask_graph__())
    assert with_copies(tasks, [key for row in y.__dask_keys__() for key in row], ()) == {}


def first_written(one: Any, other: Any) -> float:
    one[0] = 9.0
    return float(other[0])


def test_a_constant_that_a_task_has_twice_stays_one_object(tmp_path: Path) -> None:
    """Also where another task has it: then both get copies."""
    constant, other = np.ones(2), np.ones(2)
    twice = [delayed(first_written)(constant, constant), delayed(first_written)(other, other)]
    reader = delayed(total)(constant)
    for _ in ("cold", "warm"):
        values = pipeline.compute(*twice, reader, scheduler="sync", store=Store(tmp_path))
        assert values == (9.0, 9.0, 2.0)


@pytest.mark.parametrize("times", [1, 2])
def test_a_result_of_what_cannot_be_copied_is_not_stored(times: int, tmp_path: Path) -> None:
    """It depends on which consumer comes first; too many tasks lead to it to make it again."""

    def squares(n: int) -> Any:
        return (i * i for i in range(n))

    def taken(*generators: Any) -> int:
        return sum(map(sum, generators))

    n = delayed(int)(4)
    for _ in range(40):
        n = delayed(abs)(n)
    x = delayed(squares)(n)
    pipeline.compute(
        delayed(taken)(*[x] * times), delayed(list)(x), store=tmp_path, scheduler="sync"
    )
    assert "taken" not in {entry.function for entry in Store(tmp_path).entries()}
