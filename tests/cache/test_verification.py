"""A store can be checked: its entries are whole, and functions give stored results again."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreError, StoreWarning, measure
from pipeline.cache.verification import canonical, difference, verify_entries
from pipeline.store.backends.disk import Disk

NAMES = [f"{number:032x}" for number in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "cache")
    for number, name in enumerate(NAMES):
        store.put(name, [number] * 100, function="f")
    return store


def file_of(store: Store, name: str) -> Path:
    [path] = (Path(store.url) / "entries").glob(f"*/{name}")
    return path


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_an_intact_store_is_sound(store: Store) -> None:
    result = store.verify()
    assert (result.entries, result.corrupt, result.is_sound) == (5, [], True)
    assert str(result) == "5 entries read, 0 of them corrupt"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (flipped, "a corrupt entry: its checksum is wrong"),
        (lambda path: os.truncate(path, 0), "not an entry: 0 bytes"),
        (lambda path: os.truncate(path, 100), "a corrupt entry"),
        (lambda path: os.truncate(path, path.stat().st_size - 1), "bytes instead of"),
        (lambda path: path.write_bytes(b"foreign" * 40), "not an entry: it begins with"),
        (lambda path: path.write_bytes(path.with_name(NAMES[1]).read_bytes()), "of another task"),
    ],
)
def test_a_corrupt_entry_is_reported_and_removed(store: Store, harm: Any, why: str) -> None:
    path = file_of(store, NAMES[2])
    harm(path)
    kept = verify_entries(store, is_removing=False)
    assert path.exists()
    result = store.verify()
    assert result.corrupt == kept.corrupt
    [(name, reason)] = result.corrupt
    assert (name, result.is_sound) == (NAMES[2], False)
    assert why in reason
    assert not path.exists()
    assert len(store) == 4
    assert store.verify().is_sound


def test_an_entry_that_cannot_be_read_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "read", refused)
        result = verify_entries(store)
    assert result.corrupt == [(name, "it cannot be read: Permission denied") for name in NAMES]
    flipped(file_of(store, NAMES[0]))
    with monkeypatch.context() as patched:
        patched.setattr(Store, "remove", refused)
        [(_, why)] = verify_entries(store).corrupt
    assert why.endswith("its checksum is wrong; it cannot be removed: Permission denied")
    assert len(store) == 5


# Running again


def load(n: int) -> Any:
    return np.arange(n) / 2


def norm(array: Any) -> float:
    return float((array**2).sum())


def slow(n: int) -> int:
    time.sleep(0.02)
    return n


def unknown() -> float:
    return float("nan")


def setting() -> int:
    """What no digest covers: a setting of a library."""
    return len(str(np.array([1 / 3]))) - 4  # digits that numpy shows


def counted(n: int) -> int:
    return n + setting()


def noisy(n: int) -> Any:
    return np.arange(n) + setting() / 4


def fragile(n: int) -> int:
    if setting() == 2:
        raise ValueError(f"no data for {n}")
    return n


def test_pure_functions_give_equal_results(tmp_path: Path, scheduler: str) -> None:
    store = Store(tmp_path, skip=[load])
    collections = [delayed(norm)(delayed(load)(n)) for n in range(1, 9)] + [delayed(unknown)()]
    pipeline.compute(*collections, store=store)
    before = [(entry.digest, entry.created) for entry in store.entries()]
    result = store.verify(*collections, recompute=1)
    assert {run.outcome for run in result.reruns} == {"same"}
    assert (result.hits, len(result.reruns), result.is_sound) == (9, 9, True)
    assert str(result) == "9 of 9 hits run again: 9 same"
    assert [(entry.digest, entry.created) for entry in store.entries()] == before


def test_functions_whose_results_differ_are_named(tmp_path: Path, scheduler: str) -> None:
    store = Store(tmp_path)
    collections = [*(delayed(norm)(np.ones(n)) for n in range(1, 30)), delayed(counted)(7)]
    with np.printoptions(precision=3):
        pipeline.compute(*collections, store=store, scheduler="sync")
    with store:
        result = store.verify(*collections, recompute=0.01)
    assert result.differing == ["counted"]
    assert not result.is_sound
    assert result.hits == 30
    # At least one of each function, however small the share.
    assert sorted(run.function for run in result.reruns) == ["counted", "norm"]
    assert "differs  counted(7)  was 10, is 15" in str(result)
    assert len(store) == 30


def test_inputs_are_loaded_and_nothing_is_stored_or_counted(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[slow])
    parts = [delayed(slow)(n) for n in range(10)]
    total = delayed(sum)(parts)
    pipeline.compute(total, store=store)
    before, counts = len(store), store.stats()
    assert before == 11
    with measure() as measured:
        result = store.verify(total, recompute=0.1)
    assert sorted(run.function for run in result.reruns) == ["slow", "sum"]
    assert all(run.seconds >= 0.02 for run in result.reruns if run.function == "slow")
    assert "slow" not in measured.functions  # only the rerun itself
    assert measured.tasks == 3  # two that are compared, and the list of what was loaded
    assert (len(store), store.stats()) == (before, counts)


def test_a_missing_or_corrupt_input_is_computed_again(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=["slow"])
    total = delayed(sum)([delayed(slow)(1), delayed(slow)(2)])
    pipeline.compute(total, store=store)
    first, second = (entry for entry in store.entries() if entry.function == "slow")
    store.remove(first.digest)
    flipped(file_of(store, second.digest))
    with pytest.warns(StoreWarning, match=f"{second.digest} is removed"):
        result = store.verify(total, recompute=1)
    assert [(run.function, run.outcome) for run in result.reruns] == [
        ("slow", "not compared"),
        ("sum", "same"),
    ]
    assert len(store) == 1


def test_the_sample_is_a_share_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    collections = [delayed(norm)(np.ones(n)) for n in range(1, 41)]
    pipeline.compute(*collections, store=tmp_path)

    def chosen(seed: int) -> list[str]:
        result = Store(tmp_path).verify(*collections, recompute=0.25, seed=seed)
        return [run.digest for run in result.reruns]

    assert len(chosen(0)) == 10
    assert chosen(0) == chosen(0) != chosen(1)


def test_an_error_of_a_rerun_is_reported(tmp_path: Path) -> None:
    broken = delayed(fragile)(3)
    pipeline.compute(broken, store=tmp_path)
    with np.printoptions(precision=2), dask.config.set(scheduler="sync"):
        result = Store(tmp_path).verify(broken)
    assert [(run.outcome, run.why) for run in result.reruns] == [
        ("raised", "ValueError: no data for 3")
    ]
    assert result.differing == ["fragile"]


def test_pickled_results_are_compared_where_pickles_are_loaded(tmp_path: Path) -> None:
    collections = delayed(_Point)(3)
    pipeline.compute(collections, store=Store(tmp_path, pickle=True))
    with pytest.warns(StoreWarning, match="pickle=True"):
        result = Store(tmp_path).verify(collections)
    assert [run.outcome for run in result.reruns] == ["not compared"]
    assert result.is_sound
    assert "pickle=True" in result.reruns[0].why
    assert [run.outcome for run in Store(tmp_path, pickle=True).verify(collections).reruns] == [
        "same"
    ]


class _Point:
    def __init__(self, x: int) -> None:
        self.x = x


def test_results_that_are_not_stored_are_no_hits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    result = store.verify(delayed(norm)(np.ones(3)))
    assert (result.hits, result.reruns, result.is_sound) == (0, [], True)
    pipeline.compute(delayed(norm)(np.ones(3)), store=store)
    assert Store(tmp_path, skip=["norm"]).verify(delayed(norm)(np.ones(3))).hits == 0


@pytest.mark.parametrize("share", [0, -0.1, 1.5, math.nan])
def test_a_share_is_above_0_and_up_to_1(store: Store, share: float) -> None:
    with pytest.raises(StoreError, match="it is a share of hits, above 0 and up to 1"):
        store.verify(delayed(norm)(1), recompute=share)


def test_NaNs_of_any_bits_are_equal_and_zeros_are_not() -> None:  # noqa: N802
    one, other = np.array([1, np.nan]), np.array([1, -np.nan])
    same = pipeline.digest(canonical({"a": [one, (math.nan,)]}))
    assert pipeline.digest(canonical({"a": [other, (-math.nan,)]})) == same
    assert pipeline.digest(canonical(0.0)) != pipeline.digest(canonical(-0.0))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (1, 1.0, "was 1, a int, is 1.0, a float"),
        (np.zeros(3), np.full(3, 1e-16), "numbers differ by up to 1e-16"),
        (np.array([1.0, np.nan]), np.array([1.0, np.inf]), "NaNs or infinities differ"),
        (np.arange(4), np.array([0, 1, 3, 2]), "2 of 4 elements differ"),
        (np.zeros(1), np.zeros(2), "was array([0.]), is array([0., 0.])"),
    ],
)
def test_differences_are_described(before: Any, now: Any, expected: str) -> None:
    assert difference(before, now) == expected


def test_arrays_that_differ_report_by_how_much(tmp_path: Path) -> None:
    with np.printoptions(precision=7):
        pipeline.compute(delayed(noisy)(5), store=tmp_path, scheduler="sync")
    [rerun] = Store(tmp_path).verify(delayed(noisy)(5)).reruns
    assert (rerun.outcome, rerun.why) == ("differs", "numbers differ by up to 0.25")
