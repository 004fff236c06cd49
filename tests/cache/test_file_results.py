"""Results that are files: a store keeps their content, and a hit puts them back."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pytest
from dask import delayed

import pipeline
from pipeline import File, Store, pure, storable
from tests.programs.through import through

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stores; `work` in it is the current one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def text(path: Any) -> str:
    return Path(path).read_text()


# Tasks that write a file, in several ways


def make(path: str, rows: str = "x\n1\n2\n") -> File:
    Path(path).write_text(rows)
    return File(path)


def by_rename(path: str) -> File:
    Path("out.tmp").write_text("new")
    os.replace("out.tmp", path)
    return File(path)


def by_move(path: str) -> File:
    (Path(path).parent / "inner").mkdir()
    (Path(path).parent / "inner" / "x").write_text("new")
    shutil.move(Path(path).parent / "inner" / "x", path)
    return File(path)


def anew(path: str) -> File:
    Path(path).unlink(missing_ok=True)
    Path(path).write_text("new")
    return File(path)


def in_a_new_folder(path: str) -> File:
    place = Path(path).parent / "a" / "b"
    place.mkdir(parents=True)
    (place / "c.txt").write_text("new")
    return File(place / "c.txt")


def by_pandas(path: str) -> File:
    pd.DataFrame({"x": [1, 2]}).to_csv(path)
    return File(path)


@pure
def by_arrow(path: str) -> File:
    """In C: no event is raised."""
    import pyarrow.parquet

    time.sleep(0.02)
    pyarrow.parquet.write_table(pyarrow.table({"x": [1, 2]}), path)
    return File(path)


WRITERS = [make, by_rename, by_move, anew, in_a_new_folder, by_pandas, by_arrow]


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "there before"])
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: str(writer.__name__))
def test_a_file_is_put_back(folder: Path, writer: Callable[[str], File], is_there: bool) -> None:
    if is_there:
        Path("out").write_text("before")
    task = delayed(writer)("out")
    first = through(folder / "cache", task)
    assert (first.tasks, first.warnings) == (1, [])
    path = Path(first.value)
    content = path.read_bytes()
    path.unlink()
    if path.parent.name == "b":
        shutil.rmtree("a")
    again = through(folder / "cache", task)
    assert again == first._replace(ran=set(), tasks=0)
    assert path.read_bytes() == content
    path.write_text("edited")
    assert through(folder / "cache", task) == again
    assert path.read_bytes() == content
    names = {name for _, _, names in os.walk(".") for name in names}
    assert names - {"out"} == {path.name} - {"out"}  # no other file is left


def test_a_file_that_is_there_is_not_touched(folder: Path) -> None:
    task = delayed(make)("out.csv")
    through(folder / "cache", task)
    before = os.stat("out.csv")
    assert through(folder / "cache", task).tasks == 0
    assert os.stat("out.csv") == before


def test_an_edit_in_place_does_not_change_what_is_stored(folder: Path) -> None:
    task = delayed(make)("out.csv")
    through(folder / "cache", task)
    for _ in range(2):
        with open("out.csv", "r+") as file:
            file.write("y")
        assert through(folder / "cache", task).tasks == 0
        assert text("out.csv") == "x\n1\n2\n"
    assert Store(folder / "cache").verify().is_sound


@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 3000])
def test_any_content_comes_back(folder: Path, content: bytes) -> None:
    def write() -> File:
        Path("out").write_bytes(content)
        return File("out")

    through(folder / "cache", delayed(write)())
    Path("out").unlink()
    assert through(folder / "cache", delayed(write)()).tasks == 0
    assert Path("out").read_bytes() == content


@storable
class Report(NamedTuple):
    name: str
    files: list[File]


def report() -> Any:
    names = ["a", "b", "c", "d"]
    for name in names:
        Path(name).write_text(name)
    a, b, c, d = map(File, names)
    return {"report": Report("r", [a]), "all": (b, {c}), d: 1.5}


def test_files_in_containers(folder: Path) -> None:
    [first] = pipeline.compute(delayed(report)(), store=folder / "cache", scheduler="sync")
    for name in "abcd":
        Path(name).unlink()
    again = through(folder / "cache", delayed(report)())
    assert (again.tasks, again.warnings) == (0, [])
    assert [text(name) for name in "abcd"] == list("abcd")
    [value] = pipeline.compute(delayed(report)(), store=folder / "cache", scheduler="sync")
    assert value == first


def script(path: str) -> File:
    Path(path).write_text("#!/bin/sh\necho hello\n")
    os.chmod(path, 0o700)
    return File(path)


def test_a_program_may_be_executed_again(folder: Path) -> None:
    task = delayed(script)("run.sh")
    through(folder / "cache", task)
    os.chmod("run.sh", 0o644)
    before = os.stat("run.sh").st_mtime_ns
    assert through(folder / "cache", task).tasks == 0
    assert os.stat("run.sh").st_mtime_ns == before
    assert os.stat("run.sh").st_mode & stat.S_IXUSR
    os.unlink("run.sh")
    assert through(folder / "cache", task).tasks == 0
    assert subprocess.run(["./run.sh"], capture_output=True, check=True).stdout == b"hello\n"


def test_a_relative_path_is_that_of_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = delayed(make)("out.csv")
    through(folder / "cache", task)
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    again = through(folder / "cache", task)
    assert (again.tasks, again.value) == (0, File("out.csv"))
    assert text(folder / "other" / "out.csv") == text(folder / "work" / "out.csv")


# What a task does besides


def writes_more(path: str) -> File:
    Path("log.txt").write_text("more")
    return make(path)


def removes_another(path: str) -> File:
    Path("other.txt").unlink(missing_ok=True)
    return make(path)


def appends(path: str) -> File:
    with open(path, "a") as file:
        file.write("more")
    return File(path)


def reads_and_writes(path: str) -> File:
    rows = text(path)
    Path(path).write_text(rows + "more")
    return File(path)


def patches(path: str) -> File:
    with open(path, "r+") as file:
        file.write("X")
    return File(path)


REFUSED = [
    (writes_more, "it wrote log.txt"),
    (removes_another, "it removed other.txt"),
    (appends, "it changed out.csv in place"),
    (reads_and_writes, "it changed out.csv in place"),
    (patches, "it changed out.csv in place"),
]


@pytest.mark.parametrize(("writer", "why"), REFUSED, ids=[one.__name__ for one, _ in REFUSED])
def test_other_effects_keep_a_result_from_being_stored(
    folder: Path, writer: Callable[[str], File], why: str
) -> None:
    Path("out.csv").write_text("before")
    Path("other.txt").write_text("before")
    outcome = through(folder / "cache", delayed(writer)("out.csv"))
    assert why in " ".join(outcome.warnings)
    Path("out.csv").write_text("before, too")
    assert through(folder / "cache", delayed(writer)("out.csv")).tasks == 1


def test_a_new_file_may_be_appended_to(folder: Path) -> None:
    assert through(folder / "cache", delayed(appends)("out.csv")).warnings == []
    Path("out.csv").unlink()
    assert through(folder / "cache", delayed(appends)("out.csv")).tasks == 0
    assert text("out.csv") == "more"


def source() -> File:
    return File("data.csv")


def test_a_file_that_a_task_did_not_write_is_its_input(folder: Path) -> None:
    """A later edit is a miss, and stays."""
    Path("data.csv").write_text("1")
    assert through(folder / "cache", delayed(source)()).tasks == 1
    assert through(folder / "cache", delayed(source)()).tasks == 0
    Path("data.csv").write_text("2")
    assert through(folder / "cache", delayed(source)()).tasks == 1
    assert text("data.csv") == "2"
    total = delayed(text)(delayed(source)())
    assert through(folder / "cache", total).value == "2"
    Path("data.csv").write_text("3")
    assert through(folder / "cache", total).value == "3"


def a_folder() -> File:
    Path("out").mkdir()
    return File("out")


def missing() -> File:
    return File("missing")


@pure
def a_pipe() -> File:
    os.mkfifo("pipe")
    return File("pipe")


@pytest.mark.parametrize(
    ("writer", "why"),
    [
        (a_folder, "it is a folder; return the files in it"),
        (missing, "the file does not exist"),
        (a_pipe, "it is no regular file"),
    ],
)
def test_what_is_no_file_is_not_stored(folder: Path, writer: Callable[[], File], why: str) -> None:
    assert why in " ".join(through(folder / "cache", delayed(writer)()).warnings)
    assert len(Store(folder / "cache")) == 0


def test_a_pickle_holds_no_file(folder: Path) -> None:
    def opaque() -> Any:
        return [make("out.csv"), object()]

    outcome = through(folder / "cache", delayed(opaque)(), pickle=True)
    assert "a pickle has no content of the File in it" in " ".join(outcome.warnings)


# Pipelines


def summary(file: Any) -> int:
    time.sleep(0.002)
    return int(pd.read_csv(os.fspath(file))["x"].sum())


def by_given_path(total: int, path: str) -> str:
    time.sleep(0.002)
    return f"{total} of {text(path)!r}"


@pytest.mark.parametrize("then", ["deleted", "altered", "as it was"])
@pytest.mark.parametrize("outputs", ["both", "summary", "file"])
def test_two_stages_of_a_second_process(folder: Path, outputs: str, then: str) -> None:
    """No task runs; a file that is a requested result is back."""
    program = (
        "import sys; from dask import delayed; from tests.cache import test_file_results as t\n"
        "from tests.programs.through import through\n"
        "file = delayed(t.make)('out.csv'); total = delayed(t.summary)(file)\n"
        "made = {'both': [file, total], 'summary': [total], 'file': [file]}[sys.argv[1]]\n"
        "done = through('../cache', *made); print(done.tasks, len(done.warnings), done.value)"
    )

    def run() -> str:
        return subprocess.run(
            [sys.executable, "-c", program, outputs], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parent.parent)},
        ).stdout  # fmt: skip

    assert run()[0] == ("1" if outputs == "file" else "2")
    if then == "deleted":
        Path("out.csv").unlink()
    elif then == "altered":
        Path("out.csv").write_text("x\n100\n")
    first = text("out.csv") if then != "deleted" else None
    assert run().startswith("0 0 ")
    if outputs == "summary":
        assert (text("out.csv") if Path("out.csv").exists() else None) == first
    else:
        assert text("out.csv") == "x\n1\n2\n"
