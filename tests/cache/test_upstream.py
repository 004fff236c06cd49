"""A team: what one computes, the others load through the upstream of their own stores."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, pure
from pipeline.cache.records import variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FUNCTIONS = ["read", "doubled", "total", "constant", "other_constant"]


def read(name: str) -> Any:
    return np.array([float(line) for line in Path("data", name).read_text().split()])


def doubled(values: Any) -> Any:
    return 2 * values


def total(*parts: Any) -> float:
    return float(sum(part.sum() for part in parts))


def program(names: int = 3) -> Any:
    parts = [delayed(doubled)(delayed(read)(f"{number}.txt")) for number in range(names)]
    return delayed(total)(*parts)


def filled(folder: Path, number: int = 3, factor: int = 1) -> Path:
    """A folder with data of its own."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in range(number):
        (folder / "data" / f"{name}.txt").write_text(
            "\n".join(str((n + name) * factor) for n in range(5))
        )
    return folder


SLOW_CLUSTER = pytest.param("distributed", marks=pytest.mark.slow)
local_and_slow = pytest.mark.parametrize("go", ["threads", SLOW_CLUSTER], indirect=True)


@pytest.fixture(params=["sync", "threads", "distributed"])
def go(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Path], None]]:
    """Go to a folder, with the workers that there are."""
    if request.param != "distributed":
        with dask.config.set(scheduler=request.param):
            yield monkeypatch.chdir
        return
    client = request.getfixturevalue("client")

    def with_workers(folder: Path) -> None:
        monkeypatch.chdir(folder)
        client.run(os.chdir, folder)

    before = client.run(os.getcwd)
    yield with_workers
    client.run(os.chdir, next(iter(before.values())))


def person(folder: Path, upstream: Any, **options: Any) -> Store:
    return Store(folder / "cache", upstream=upstream, keep=FUNCTIONS, **options)


def run(store: Store, collection: Any) -> tuple[Any, int]:
    """The value, and how many results were computed and stored, in whichever process."""
    before = store.stats().stored
    [value] = pipeline.compute(collection, store=store)
    return value, store.stats().stored - before


def test_what_ann_computes_in_her_folder_bob_loads_in_his(
    go: Callable[[Path], None], tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    go(filled(tmp_path / "ann"))
    assert run(person(tmp_path / "ann", shared), program()) == (90.0, 7)
    go(filled(tmp_path / "bob"))
    bob = person(tmp_path / "bob", shared, readonly=True)
    assert bob.explain(program()).count("hit") == 1
    assert run(bob, program()) == (90.0, 0)
    parts = delayed(list)([delayed(doubled)(delayed(read)(f"{n}.txt")) for n in range(3)])
    assert run(bob, parts)[1] == 1
    assert run(Store(tmp_path / "bob" / "cache"), program()) == (90.0, 0)  # it is kept


@local_and_slow
def test_other_data_is_another_variant_for_all(go: Callable[[Path], None], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for name, factor in (("ann", 1), ("bob", 2), ("cy", 3)):
        go(filled(tmp_path / name, factor=factor))
        assert run(person(tmp_path / name, shared), program()) == (90.0 * factor, 7)
    for name, factor in (("dan", 2), ("eve", 3), ("fay", 1)):
        go(filled(tmp_path / name, factor=factor))
        assert run(person(tmp_path / name, shared), program()) == (90.0 * factor, 0)


@local_and_slow
def test_a_long_list_of_inputs_comes_with_its_result(
    go: Callable[[Path], None], tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    go(filled(tmp_path / "ann", 70))
    assert run(person(tmp_path / "ann", shared), program(70))[1] == 142  # with the list
    go(filled(tmp_path / "bob", 70))
    assert run(person(tmp_path / "bob", shared), program(70))[1] == 0
    (tmp_path / "bob" / "data" / "7.txt").write_text("800")
    assert run(person(tmp_path / "bob", shared), program(70))[1] == 4


def constant(values: Any) -> Any:
    return values * 0


def other_constant(values: Any) -> Any:
    return values - values


@local_and_slow
def test_a_result_is_found_by_the_content_of_inputs_that_a_colleague_made(
    go: Callable[[Path], None], tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    go(filled(tmp_path / "ann"))
    source = delayed(read)("0.txt")
    assert run(person(tmp_path / "ann", shared), delayed(total)(delayed(constant)(source)))[1] == 3
    go(filled(tmp_path / "bob"))
    bob = person(tmp_path / "bob", shared, readonly=True)
    edited = delayed(total)(delayed(other_constant)(source))
    # While it runs: the new function has the same result, so the last task is not run.
    assert run(bob, edited) == (0.0, 1)
    # Before it runs: the content of all inputs is known. The result is a link, which others follow.
    cy = person(tmp_path / "cy", shared)
    go(filled(tmp_path / "cy"))
    pipeline.compute(delayed(other_constant)(source), store=cy)
    assert "content of its inputs" in str(cy.explain(edited))
    assert run(cy, edited) == (0.0, 0)


@pure
def edited(n: int) -> int:
    return n + 1


def test_a_miss_is_explained_by_what_a_colleague_computed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    pipeline.compute(delayed(edited)(1), store=person(tmp_path / "ann", shared), scheduler="sync")
    bob = person(tmp_path / "bob", shared)
    assert "argument 1 was 1, is 2" in str(bob.explain(delayed(edited)(2)))
    assert len(bob) == 0


def test_a_variant_is_not_overwritten_by_one_who_has_not_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Large entries are not read for a plan that does not use them."""
    shared = tmp_path / "shared"
    large = delayed(np.tile)(delayed(read)("0.txt"), 10_000)
    for name, factor in (("ann", 1), ("bob", 2)):
        monkeypatch.chdir(filled(tmp_path / name, factor=factor))
        pipeline.compute(large, store=person(tmp_path / name, shared), scheduler="sync")
    stored = Store(shared)
    first = [digest for digest in stored.digests() if variant(digest, 1) in stored]
    assert len(first) == 2


@local_and_slow
def test_the_context_flushes(go: Callable[[Path], None], tmp_path: Path) -> None:
    go(filled(tmp_path / "ann"))
    with person(tmp_path / "ann", tmp_path / "shared"):
        assert program().compute() == 90.0
    assert len(Store(tmp_path / "shared")) == 7


def test_a_memoized_function_is_a_hit_of_a_colleague(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = []
    for name in ("ann", "bob"):
        store = person(tmp_path / name, tmp_path / "shared")
        monkeypatch.chdir(filled(tmp_path / name))
        reading = store.memoize(read)
        values.append(reading("1.txt"))
        store.flush()
        assert reading.is_stored("1.txt")
        assert (store.done.hits, store.done.misses) == ((0, 1) if name == "ann" else (1, 0))
    assert np.array_equal(*values)


@pytest.mark.slow
def test_a_pool_of_processes_writes_upstream(tmp_path: Path, pool: Any) -> None:
    with dask.config.set(scheduler="processes", pool=pool):
        for name, ran in (("ann", 3), ("bob", 0)):
            store = person(tmp_path / name, tmp_path / "shared")
            values = delayed(total)(*[delayed(doubled)(np.arange(float(n))) for n in (1, 2)])
            assert run(store, values) == (2.0, ran)
