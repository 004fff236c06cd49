"""Inputs: what is recorded of files, folders, variables, and when they count as changed."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cache.tracking import (
    Input,
    changed,
    context_input,
    path_input,
    variable_input,
)
from pipeline.identity import signature_of

if TYPE_CHECKING:
    from collections.abc import Iterable

OLD = 1_600_000_000_000_000_000

context: ContextVar[object] = ContextVar("context", default=1)
unset: ContextVar[int] = ContextVar("unset")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, content: str, age: int = OLD) -> None:
    Path(name).write_text(content)
    os.utime(name, ns=(age, age))


def recorded(name: str, kind: str = "file") -> Input:
    found = path_input(kind, name, name, signature_of(name))
    assert found is not None
    return found


def difference(*inputs: Input) -> str:
    return changed(inputs, {})


def test_an_unchanged_file_is_the_same() -> None:
    write("data.csv", "1")
    assert difference(recorded("data.csv")) == ""


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are written now count as old: the clock is ten seconds ahead."""
    now = time.time_ns
    monkeypatch.setattr("pipeline.identity.files.time.time_ns", lambda: now() + 10**10)


def test_the_time_of_a_new_file_proves_nothing() -> None:
    Path("data.csv").write_text("1")
    tracked = recorded("data.csv")
    assert tracked.stamp == 0
    assert difference(tracked) == ""


def test_an_old_file_of_unchanged_size_and_time_is_not_read(later: None) -> None:
    write("data.csv", "1")
    tracked = recorded("data.csv")._replace(content="another")
    assert difference(tracked) == ""
    os.utime("data.csv")
    assert difference(tracked) == "data.csv changed"


@pytest.mark.parametrize("how", ["link", "move", "copy"])
def test_another_file_of_equal_size_and_time_is_found(how: str, later: None) -> None:
    """As from an archive, which gives all its files one time."""
    write("a.csv", "1")
    write("b.csv", "2")
    Path("data.csv").symlink_to("a.csv")
    tracked = recorded("data.csv")
    assert tracked.stamp
    match how:
        case "link":
            Path("data.csv").unlink()
            Path("data.csv").symlink_to("b.csv")
        case "move":
            Path("b.csv").replace("data.csv")
        case "copy":
            shutil.copyfile("b.csv", "a.csv")
            shutil.copystat("b.csv", "a.csv")
    assert Path("data.csv").stat().st_mtime_ns == OLD
    assert difference(tracked) == "data.csv changed"


def test_a_file_that_changes_while_it_is_read_is_no_input() -> None:
    write("data.csv", "1")
    before = signature_of("data.csv")
    write("data.csv", "2")
    assert path_input("file", "data.csv", "data.csv", before) is None


def test_a_touched_file_is_the_same() -> None:
    write("data.csv", "1")
    tracked = recorded("data.csv")
    os.utime("data.csv")
    assert difference(tracked) == ""


def test_an_edited_file_has_changed_and_a_reverted_one_has_not() -> None:
    write("data.csv", "1")
    tracked = recorded("data.csv")
    Path("data.csv").write_text("2")
    assert difference(tracked) == "data.csv changed"
    Path("data.csv").write_text("1")
    assert difference(tracked) == ""


def test_a_deleted_file_is_gone() -> None:
    write("data.csv", "1")
    tracked = recorded("data.csv")
    Path("data.csv").unlink()
    assert difference(tracked) == "data.csv is gone"


def test_a_missing_file_counts_until_it_is_there() -> None:
    tracked = recorded("data.csv")
    assert tracked.content == ""
    assert difference(tracked) == ""
    Path("data.csv").write_text("")
    assert difference(tracked) == "data.csv is there now"


def test_an_edit_of_the_same_size_at_the_same_time_is_found() -> None:
    Path("data.csv").write_text("1")
    tracked = recorded("data.csv")
    now = Path("data.csv").stat().st_mtime_ns
    write("data.csv", "2", age=now)
    assert difference(tracked) == "data.csv changed"


def test_a_file_that_becomes_a_folder_has_changed() -> None:
    write("data", "1")
    tracked = recorded("data")
    Path("data").unlink()
    Path("data").mkdir()
    assert difference(tracked) == "data changed"


def test_a_relative_path_is_looked_up_in_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("data.csv", "1")
    tracked = recorded("data.csv")
    (folder / "inner").mkdir()
    monkeypatch.chdir("inner")
    assert difference(tracked) == "data.csv is gone"


def test_a_folder_counts_by_the_names_in_it() -> None:
    write("a.csv", "1")
    tracked = recorded(".", "folder")
    write("a.csv", "2")
    assert difference(tracked) == ""
    write("b.csv", "1")
    assert difference(tracked) == "folder . has other files"
    Path("b.csv").unlink()
    assert difference(tracked) == ""
    Path("a.csv").unlink()
    Path("a.csv").mkdir()
    assert difference(tracked) == "folder . has other files"


def test_a_file_is_looked_at_once_in_a_plan(later: None) -> None:
    write("data.csv", "1")
    tracked, memo = recorded("data.csv"), dict[object, object]()
    assert changed([tracked], memo) == ""
    Path("data.csv").unlink()
    assert changed([tracked, tracked._replace(content="of another variant")], memo) == ""
    assert difference(tracked) == "data.csv is gone"


def test_the_first_difference_is_reported() -> None:
    write("a.csv", "1")
    write("b.csv", "1")
    kept = recorded("a.csv"), recorded("b.csv")
    Path("b.csv").unlink()
    assert difference(*kept) == "b.csv is gone"


def test_a_variable_counts_by_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLACE", raising=False)
    missing = variable_input("PLACE")
    assert missing == Input("variable", "PLACE", "")
    monkeypatch.setenv("PLACE", "")
    empty = variable_input("PLACE")
    assert empty.content
    assert difference(missing) == "PLACE changed"
    assert difference(empty) == ""
    monkeypatch.setenv("PLACE", "here")
    assert difference(empty) == "PLACE changed"


def test_the_time_zone_counts_also_where_no_variable_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    unset = variable_input("TZ")
    assert unset.content
    monkeypatch.setattr(time, "timezone", time.timezone + 3600)
    assert difference(unset) == "TZ changed"


def test_equal_values_of_two_variables_have_different_contents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("B", "1")
    assert variable_input("A").content != variable_input("B").content


def test_a_context_variable_counts_by_its_value_in_this_thread() -> None:
    name = f"{__name__}:context"
    tracked = context_input(name)
    token = context.set(2)
    try:
        assert difference(tracked) == "context changed"
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(difference(tracked)))
        thread.start()
        thread.join()
        assert found == [""]
    finally:
        context.reset(token)
    assert difference(tracked) == ""


def test_a_context_variable_may_be_unset() -> None:
    tracked = context_input(f"{__name__}:unset")
    assert tracked.content == ""
    assert difference(tracked) == ""


def test_a_context_variable_that_is_not_found_has_changed() -> None:
    with pytest.raises(LookupError):
        context_input("no_such_module:context")
    assert difference(Input("context minor", "no_such_module:context", "1")) == "context changed"


def test_a_context_variable_without_content_has_changed() -> None:
    tracked = context_input(f"{__name__}:context")
    token = context.set(threading.Lock())
    try:
        with pytest.raises(TypeError):
            context_input(f"{__name__}:context")
        assert difference(tracked) == "context changed"
    finally:
        context.reset(token)


def test_the_current_folder_may_count(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    tracked = Input("cwd", "", str(folder))
    assert difference(tracked) == ""
    monkeypatch.chdir("..")
    assert difference(tracked) == f"the current folder is not {folder}"


EDITS = st.lists(
    st.sampled_from(["write 1", "write 2", "write longer", "touch", "age", "delete", "replace"]),
    max_size=6,
)


def edit(path: Path, step: str) -> None:
    match step.split():
        case ["write", text]:
            path.write_text(text)
        case ["replace"]:
            other = path.with_suffix(".tmp")
            other.write_text("3")
            other.replace(path)
        case ["delete"]:
            path.unlink(missing_ok=True)
        case _ if path.exists():
            os.utime(path, (OLD / 1e9, OLD / 1e9) if step == "age" else None)


def apply(path: Path, steps: Iterable[str]) -> str | None:
    for step in steps:
        edit(path, step)
    return path.read_text() if path.exists() else None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS, EDITS)
def test_law_a_file_has_changed_exactly_if_its_content_has(
    folder: Path, before: list[str], after: list[str]
) -> None:
    """Also where edits of one size follow each other within milliseconds."""
    path = folder / "data.csv"
    path.unlink(missing_ok=True)
    content = apply(path, before)
    tracked = recorded("data.csv")
    # A program that sets old times back hides its edits: Git and make do not see them either.
    later = [step for step in after if step != "age"]
    now = apply(path, later)
    assert (difference(tracked) == "") == (now == content)
