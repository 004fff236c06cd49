"""Results by digest."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline import Store, StoreError, StoreWarning
from pipeline.store import UnstorableError

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST, OTHER = 32 * "a", 32 * "b"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_what_is_put_is_there_in_any_store_of_the_folder(store: Store) -> None:
    value: dict[str, Any] = {"a": [1, None, 2.5], "b": np.arange(100_000)}
    entry = store.put(DIGEST, value, function="f", seconds=2.0)
    assert (entry.function, entry.seconds, entry.bytes > 800_000) == ("f", 2.0, True)
    for each in (store, Store(store.url), Store(Path(store.url)), Store(f"file://{store.url}")):
        found = each.get(DIGEST)
        assert found["a"] == value["a"]
        assert np.array_equal(found["b"], value["b"])
        assert DIGEST in each
    assert store.known([DIGEST, OTHER]) == {DIGEST}
    assert store.stats().stored == 1


def test_none_is_a_value_and_what_is_missing_a_key_error(store: Store) -> None:
    store.put(DIGEST, None)
    assert store.get(DIGEST) is None
    with pytest.raises(KeyError, match=OTHER):
        store.get(OTHER)
    assert bool(Store("memory://nothing"))


def test_arrays_stay_when_their_entry_goes(store: Store) -> None:
    store.put(DIGEST, value := np.random.default_rng(0).random(100_000))
    found = store.get(DIGEST)
    store.put(DIGEST, 0)
    assert np.array_equal(found, value)
    store.remove(DIGEST)
    assert np.array_equal(found, value)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Store(""), "'' is no store: give a folder"),
        (lambda: Store("file://"), "is no store"),
        (lambda: Store(b"bytes"), "is no store"),  # type: ignore[arg-type]
        (lambda: Store(3), "3 is no store"),  # type: ignore[arg-type]
        (lambda: Store("x", max_bytes=0), "max_bytes=0: it is a number of bytes, 1 or more"),
        (lambda: Store("x", max_bytes=True), "max_bytes=True"),
        (lambda: Store("x", max_bytes=1e9), "max_bytes=1000000000.0"),  # type: ignore[arg-type]
        (lambda: Store("x", keep=[3]), "keep=3: it takes functions, or their names"),
        (lambda: Store("nothing://x"), "nothing"),
    ],
)
def test_what_is_asked_wrongly_is_told(make: Callable[[], Store], why: str) -> None:
    with pytest.raises(StoreError, match=why):
        make()


def test_functions_are_named_by_themselves_or_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=[abs, "f"], skip=[len])
    assert (store.keep, store.skip) == (frozenset({"abs", "f"}), frozenset({"len"}))
    assert Store(tmp_path, keep="f").keep == {"f"}


def test_nothing_is_made_before_something_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert DIGEST not in store
    with pytest.raises(KeyError):
        store.get(DIGEST)
    assert list(store.entries()) == []
    assert not store.stats()
    assert not list(tmp_path.iterdir())
    assert repr(store) == f"Store({os.fspath(tmp_path / 'store')!r})"


def test_in_a_worker_it_is_one_store_with_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here", max_bytes=100, pickle=True, durable=False, keep="f", skip="g")
    monkeypatch.chdir("/")
    one, other = (pickle.loads(pickle.dumps(store)) for _ in range(2))  # noqa: S301 - its own
    assert one is other
    assert one.backend.path == os.fspath(tmp_path / "here")
    for name in ("max_bytes", "pickle", "durable", "keep", "skip"):
        assert getattr(one, name) == getattr(store, name)


def test_a_value_without_a_format_is_refused_or_pickled(tmp_path: Path) -> None:
    with pytest.raises(UnstorableError):
        Store(tmp_path).put(DIGEST, Template("$x"))
    assert not (tmp_path / "entries").exists()
    Store(tmp_path, pickle=True).put(DIGEST, Template("$x"))
    assert Store(tmp_path, pickle=True).get(DIGEST).template == "$x"


def test_what_was_pickled_stays_where_it_is_for_those_who_do_not_load_it(store: Store) -> None:
    pickling = Store(store.url, pickle=True)
    pickling.put(DIGEST, Template("$x"))
    with pytest.warns(StoreWarning, match="pickle=True"), pytest.raises(KeyError):
        store.get(DIGEST)
    assert pickling.get(DIGEST).template == "$x"


def test_an_entry_whose_payload_is_no_value_is_removed(store: Store) -> None:
    from pipeline.store import Entry
    from pipeline.store.entry import packed

    entry = Entry(DIGEST, bytes=3)
    store.put_packed(entry, packed(entry, [b"abc"]))
    told = f"{DIGEST} is removed, and computed again"
    with pytest.warns(StoreWarning, match=told), pytest.raises(KeyError):
        store.get(DIGEST)
    assert DIGEST not in store


def test_what_has_taken_the_place_of_a_torn_entry_is_not_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DIGEST, 1)
    os.truncate(f"{store.url}/entries/aa/{DIGEST}", 50)
    original = store.backend.read

    def read(digest: str, most: int | None = None) -> Any:
        found = original(digest, most)
        Store(store.url, durable=False).put(DIGEST, "whole")
        return found

    monkeypatch.setattr(store.backend, "read", read)
    with pytest.warns(StoreWarning, match="corrupt"), pytest.raises(KeyError):
        store.get(DIGEST)
    assert Store(store.url).get(DIGEST) == "whole"


def test_a_use_is_noted_once_a_minute(store: Store) -> None:
    store.put(DIGEST, 1)
    path = f"{store.url}/entries/aa/{DIGEST}"
    for age, is_noted in ((30, False), (90, True)):
        then = time.time() - age
        os.utime(path, (then, then))
        store.get(DIGEST)
        assert (os.stat(path).st_mtime > time.time() - 10) is is_noted


def test_a_folder_that_only_root_may_write_to_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(DIGEST, 1)
    then = time.time() - 1000
    os.utime(f"{store.url}/entries/aa/{DIGEST}", (then, then))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("utime", "mkdir", "unlink", "replace", "write"):
        monkeypatch.setattr(os, name, refused)
    assert Store(store.url).get(DIGEST) == 1
    os.truncate(f"{store.url}/entries/aa/{DIGEST}", 50)
    told = r"cannot be removed \(Permission denied\): a corrupt entry"
    with pytest.warns(StoreWarning, match=told), pytest.raises(KeyError):
        Store(store.url).get(DIGEST)


def test_the_home_of_the_user_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for url in ("~/c", Path("~/c")):
        Store(url).put(DIGEST, 1)
    assert DIGEST in Store(tmp_path / "home" / "c")
    assert not (tmp_path / "~").exists()


def test_a_password_is_not_shown_and_not_lost() -> None:
    store = Store("ftp://ann:s3cr:e@t@127.0.0.1:1/x")
    assert repr(store) == "Store('ftp://ann:***@127.0.0.1:1/x')"
    assert repr(store.backend) == store.url == "ftp://ann:***@127.0.0.1:1/x"
    of_worker: Any = pickle.loads(pickle.dumps(store))  # noqa: S301 - its own
    assert of_worker.backend.bucket.url == "ftp://ann:s3cr:e@t@127.0.0.1:1/x"
    with pytest.raises(StoreError) as told:
        Store("nothing://ann:secret@host/x")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_is_changed_in_a_loaded_array_is_changed_nowhere_else(
    tmp_path: Path, size: int
) -> None:
    """A second run must not fail where the first did not."""
    store = Store(tmp_path)
    store.put(DIGEST, np.zeros(size))
    first, second = store.get(DIGEST), store.get(DIGEST)
    first += 1
    assert first.sum() == size
    assert second.sum() == store.get(DIGEST).sum() == Store(tmp_path).get(DIGEST).sum() == 0


def test_what_cannot_be_read_here_stays_for_those_who_can(tmp_path: Path) -> None:
    Store(tmp_path, pickle=True).put(DIGEST, Path)
    store = Store(tmp_path)
    assert DIGEST in store
    with pytest.warns(StoreWarning, match="pickle=True"), pytest.raises(KeyError):
        store.get(DIGEST)
    assert DIGEST not in store  # so that it is computed, not tried again
    assert Store(tmp_path, pickle=True).get(DIGEST) is Path
    store.put(DIGEST, 1)
    assert store.get(DIGEST) == 1
