"""Variants of results, results by the content of inputs, and what tasks pass on."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import Store
from pipeline.cache.records import (
    MAX_VARIANTS,
    Run,
    content_key,
    find,
    find_by_content,
    free_variant,
    listed,
    note_content,
    variant,
)
from pipeline.cache.tracking import Input, Outcome, merged, path_input
from pipeline.identity import signature_of

if TYPE_CHECKING:
    from pathlib import Path

DIGEST, OTHER = 32 * "a", 32 * "b"
NAMES = map(str, itertools.count())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data.csv"


def read(file: Path, text: str) -> tuple[Input, ...]:
    """A file with a text, as a task read it."""
    file.write_text(text)
    item = path_input("file", "data.csv", str(file), signature_of(str(file)))
    assert item is not None
    return (item,)


def put(store: Store, value: Any, inputs: tuple[Input, ...], digest: str = DIGEST) -> str:
    name = free_variant(store, digest, inputs)
    store.put(name, value, inputs=listed(store, inputs))
    return name


def test_without_inputs_the_entry_has_the_digest(store: Store) -> None:
    assert find(store, DIGEST, {}) == (None, "")
    assert put(store, 1, ()) == DIGEST
    found, why = find(store, DIGEST, {})
    assert found is not None
    assert (found.entry.digest, found.inputs, found.is_by_content, why) == (DIGEST, (), False, "")


def test_each_content_of_a_file_has_a_variant(store: Store, file: Path) -> None:
    for text in ("1", "2", "3"):
        put(store, text, read(file, text))
    assert len(store) == 3
    for text in ("2", "1", "3"):
        read(file, text)
        found, _ = find(store, DIGEST, {})
        assert found is not None
        assert store.get(found.entry.digest) == text
    read(file, "4")
    assert find(store, DIGEST, {}) == (None, "data.csv changed")
    file.unlink()
    assert find(store, DIGEST, {})[1].startswith("data.csv")


def test_the_same_content_is_written_over_and_the_oldest_is_replaced(
    store: Store, file: Path
) -> None:
    assert put(store, 1, read(file, "a")) == put(store, 2, read(file, "a")) == DIGEST
    names = [put(store, text, read(file, text)) for text in map(str, range(MAX_VARIANTS))]
    assert len(store) == MAX_VARIANTS
    assert names[-1] == DIGEST


def test_a_variant_after_one_that_was_evicted_is_stored_again(store: Store, file: Path) -> None:
    put(store, 1, read(file, "1"))
    put(store, 2, read(file, "2"))
    store.remove(DIGEST)
    assert find(store, DIGEST, {})[0] is None
    assert put(store, 2, read(file, "2")) == DIGEST


def test_a_link_leads_to_the_entry_with_the_value(store: Store) -> None:
    store.link(DIGEST, store.put(OTHER, "value"))
    found, _ = find(store, DIGEST, {})
    assert found is not None
    assert (found.entry.digest, found.is_by_content) == (OTHER, True)
    assert store.get(DIGEST) == "value"
    store.remove(OTHER)
    assert find(store, DIGEST, {})[0] is None
    with pytest.raises(KeyError):
        store.get(DIGEST)


def test_a_long_list_of_inputs_is_an_entry_that_others_share(store: Store) -> None:
    inputs = tuple(Input("variable", f"MISSING_{place}", "") for place in range(100))
    put(store, 1, inputs)
    put(store, 2, inputs, OTHER)
    assert len(store) == 3
    found, _ = find(store, DIGEST, {})
    assert found is not None
    assert found.inputs == inputs
    [[_, name, *_]] = found.entry.inputs
    store.remove(name)
    assert find(Store(store.url), DIGEST, {}) == (None, "evicted")


def test_outcomes_are_merged() -> None:
    one, two = Input("file", "a", "1"), Input("file", "b", "2")
    together = merged([Outcome((two,), "x"), Outcome((one, two)), Outcome()])
    assert together == Outcome((one, two))
    assert merged([Outcome((one,)), Outcome(why="f: why"), Outcome(why="g")]).why == "f: why"
    other = Input("file", "a", "3")
    assert merged([Outcome((one,)), Outcome((other,))]).why == "a changed during the run"


def test_a_result_is_found_by_the_content_of_inputs(store: Store, file: Path) -> None:
    key = content_key("form", ["1", "2"], "minor")
    assert (
        content_key("form", ["2", "1"], "minor") != key != content_key("other", ["1", "2"], "minor")
    )
    assert find_by_content(store, key, {}) is None
    note_content(store, key, store.put(DIGEST, 5), read(file, "old"))
    found = find_by_content(store, key, {})
    assert found is not None
    assert (found.entry.digest, found.is_by_content) == (DIGEST, True)
    read(file, "new!")
    assert find_by_content(store, key, {}) is None
    note_content(store, key, store.put(OTHER, 6), ())
    store.remove(OTHER)
    assert find_by_content(store, key, {}) is None


@pytest.mark.parametrize(
    "line",
    ["", "[", "1", "[1, 2]", '["a", "b"]', json.dumps([json.dumps([OTHER, []]), "00"])],
)
def test_a_note_that_is_corrupt_finds_nothing(store: Store, line: str) -> None:
    key = content_key("form", [], "minor")
    store.put(OTHER, 5)
    store.backend.note(f"content-{key}", line)
    assert find_by_content(store, key, {}) is None


@pytest.mark.parametrize("is_local", [True, False])
def test_equal_tasks_pass_on_what_any_of_them_read(store: Store, is_local: bool) -> None:
    run = Run(next(NAMES), is_local, time.time())
    one, two = Input("file", "a", "1"), Input("file", "b", "2")
    assert run.passed_on(store, DIGEST) == Outcome()
    run.pass_on(store, DIGEST, Outcome((one,), "x"))
    run.pass_on(store, DIGEST, Outcome((two,), "x"))
    assert run.passed_on(store, DIGEST) == Outcome((one, two), "x")
    run.pass_on(store, DIGEST, Outcome(why="f: why"))
    assert run.passed_on(store, DIGEST).why == "f: why"
    assert Run(next(NAMES), is_local, time.time()).passed_on(store, DIGEST) == Outcome()


def test_another_process_finds_in_the_store_what_a_task_passed_on(store: Store) -> None:
    run = Run(next(NAMES), False, time.time())
    read = Outcome((Input("file", "a", "1", 5, 7),), "x", "")
    run.pass_on(store, DIGEST, read)
    with run:
        pass  # forgets what this process knows
    assert run.passed_on(store, DIGEST) == read._replace(content="")


def test_the_first_variant_has_the_digest_of_the_task() -> None:
    assert variant(DIGEST, 0) == DIGEST
    assert len({variant(DIGEST, place) for place in range(MAX_VARIANTS)}) == MAX_VARIANTS


def test_a_thread_that_outlives_a_failed_run_leaves_nothing_behind(store: Store) -> None:
    run = Run(next(NAMES), True, time.time())
    with pytest.raises(ValueError, match="a task"), run:
        raise ValueError("a task")
    run.pass_on(store, DIGEST, Outcome((), "content"))
    assert run.passed_on(store, DIGEST) == Outcome()
