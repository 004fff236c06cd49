"""What is noted beside the entries."""

from functools import partial
from pathlib import Path

import pytest

from pipeline import Store
from pipeline.store.backends import topic_of

DIGEST = 32 * "0"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_the_history_of_a_function_lists_its_computed_calls(store: Store) -> None:
    store.put(DIGEST, 1, function="f/../<lambda>", code="c", arguments=[["1", "h"]])
    store.put(32 * "b", 1)
    assert store.notes.history("f/../<lambda>") == [[DIGEST, "c", [["1", "h"]], ""]]
    assert store.notes.history("g") == []


def test_a_note_that_is_no_history_is_skipped(store: Store) -> None:
    for line in ("{", "3", "[]", "[1, 2, 3, 4]", '["a", "b", [1], ""]', '["a", "b", [["c"]], ""]',
                 100_000 * "[", '["a", "b", [["c", "d"]], ""]'):  # fmt: skip
        store.backend.note(topic_of("f"), line)
    assert store.notes.history("f") == [["a", "b", [["c", "d"]], ""]]


def test_a_note_omits_a_million_arguments(store: Store) -> None:
    store.put(DIGEST, 1, function="sum", arguments=[["x", "h"]] * 100_000)
    assert store.notes.history("sum") == [[DIGEST, "", [], ""]]


def test_the_first_description_of_a_topic_is_kept(store: Store) -> None:
    for text in ("one", "two"):
        store.notes.add_once("code-1", partial(str, text))
        Store(store.url).notes.add_once("code-1", partial(str, text))
    assert store.notes.on("code-1") == ["one"]
