"""Results that are files: a store keeps their content, and a hit puts them back."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import dask
import pandas as pd
import pytest
from dask import delayed

import pipeline
from pipeline import File, Store, pure, storable
from pipeline.store import checksum
from tests import command
from tests.programs.through import explained, through
from tests.programs.tracing import ran, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def stages() -> dict[str, list[Any]]:
    """The outputs of some runs of a pipeline of two stages."""
    file = delayed(make)("out.csv")
    total = delayed(summary)(file)
    return {"both": [file, total], "summary": [total], "file": [file]}


@pytest.mark.parametrize("then", ["deleted", "altered", "as it was"])
@pytest.mark.parametrize("outputs", stages())
def test_two_stages(folder: Path, outputs: str, then: str) -> None:
    """No task runs again; a file that is a requested result is back."""
    first = through(folder / "cache", *stages()[outputs])
    assert first.tasks == (1 if outputs == "file" else 2)
    if then == "deleted":
        Path("out.csv").unlink()
    elif then == "altered":
        Path("out.csv").write_text("x\n100\n")
    before = text("out.csv") if then != "deleted" else None
    again = through(folder / "cache", *stages()[outputs])
    assert again == first._replace(ran=set(), tasks=0)
    if outputs == "summary":
        assert (text("out.csv") if Path("out.csv").exists() else None) == before
    else:
        assert text("out.csv") == "x\n1\n2\n"


def test_two_stages_in_a_second_process(folder: Path) -> None:
    program = (
        "from tests.cache.test_file_results import stages, through\n"
        "done = through('../cache', *stages()['both'])\n"
        "print(done.tasks, done.value, done.warnings)"
    )
    assert through(folder / "cache", *stages()["both"]).tasks == 2
    Path("out.csv").unlink()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parent.parent)},
    )  # fmt: skip
    assert done.stdout == "0 [File('out.csv'), 3] []\n"
    assert text("out.csv") == "x\n1\n2\n"


def test_on_every_scheduler(folder: Path, scheduler: str) -> None:
    def run() -> Any:
        file = delayed(make)(str(folder / "work" / "out.csv"))
        return through(folder / "cache", file, delayed(summary)(file), scheduler=None)

    first = run()
    assert (first.value[1], first.warnings) == (3, [])
    Path("out.csv").unlink()
    again = run()
    assert (again.tasks, again.value, again.warnings) == (0, first.value, [])
    assert text("out.csv") == "x\n1\n2\n"
    Path("out.csv").unlink()
    path = str(folder / "work" / "out.csv")
    total = delayed(summary)(delayed(make)(path))
    other = through(folder / "cache", delayed(by_given_path)(total, path), scheduler=None)
    assert (other.tasks, other.value) == (1, "3 of 'x\\n1\\n2\\n'")


def test_in_a_store_in_memory(folder: Path) -> None:
    store = Store("memory://file-results")
    file = delayed(make)("out.csv")
    first = pipeline.compute(file, delayed(summary)(file), store=store, scheduler="sync")
    Path("out.csv").unlink()
    with pipeline.measure() as measured:
        assert (
            pipeline.compute(file, delayed(summary)(file), store=store, scheduler="sync") == first
        )
    assert [run for run in measured.runs if not run.is_loaded] == []
    assert text("out.csv") == "x\n1\n2\n"


def test_a_task_behind_may_open_the_file_by_its_path(folder: Path) -> None:
    """The file is put back although no task that runs has it as an argument."""
    total = delayed(summary)(delayed(make)("out.csv"))
    through(folder / "cache", total, keep=[summary])
    for change in (lambda: Path("out.csv").unlink(), lambda: Path("out.csv").write_text("!")):
        change()
        task = delayed(by_given_path)(total, "out.csv")
        last = through(folder / "cache", task, keep=[summary], skip=[by_given_path])
        assert (last.value, last.ran) == ("3 of 'x\\n1\\n2\\n'", {"by_given_path"})


def test_what_is_behind_an_evicted_file_is_computed_with_it(folder: Path) -> None:
    total = delayed(summary)(delayed(make)("out.csv"))
    through(folder / "cache", total, keep=[summary])
    store = Store(folder / "cache")
    [entry] = [entry for entry in store.entries() if entry.function == "make"]
    store.remove(entry.digest)
    Path("out.csv").unlink()
    assert through(folder / "cache", total, keep=[summary]).tasks == 0
    task = delayed(by_given_path)(total, "out.csv")
    last = through(folder / "cache", task, keep=[summary])
    assert (last.value, last.warnings) == ("3 of 'x\\n1\\n2\\n'", [])


def overwrites(_: Any, path: str) -> File:
    return make(path, "x\n7\n")


@pytest.mark.parametrize("between", [lambda file: file, delayed(summary)], ids=["next", "later"])
def test_a_file_that_a_later_task_overwrites(folder: Path, between: Any) -> None:
    """Only the first of the two is stored: a hit of both would leave the one or the other."""

    def run() -> Any:
        task = delayed(overwrites)(between(delayed(make)("out.csv")), "out.csv")
        return through(folder / "cache", task, keep=[summary, make])

    assert "overwrote out.csv" in " ".join(run().warnings) or between is not None
    for _ in range(2):
        assert run().ran == {"overwrites"}
        assert text("out.csv") == "x\n7\n"


def test_a_file_that_changed_before_its_consumer_read_it(folder: Path) -> None:
    """As without a store, the consumer has what it read; that is not stored."""

    def edits(file: File) -> File:
        Path(file).write_text("x\n100\n")
        return file

    def run(edit: Any) -> Any:
        file = delayed(make)("out.csv")
        return through(folder / "cache", delayed(summary)(edit(file)), keep=[summary])

    assert run(delayed(edits)).value == 100
    assert run(lambda file: file).value == 3
    assert run(delayed(edits)).value == 100


def test_a_file_that_is_passed_on(folder: Path) -> None:
    def checked(file: File) -> File:
        time.sleep(0.002)
        assert text(file)
        return file

    task = delayed(summary)(delayed(checked)(delayed(make)("out.csv")))
    assert through(folder / "cache", task, keep=[checked, make]).value == 3
    Path("out.csv").unlink()
    assert through(folder / "cache", task, keep=[checked, make]).tasks == 0
    task = delayed(checked)(delayed(make)("out.csv"))
    assert through(folder / "cache", task).tasks == 0
    assert text("out.csv") == "x\n1\n2\n"


@pure
def counts_in_c(file: File) -> int:
    import pyarrow.parquet

    time.sleep(0.002)
    return int(pyarrow.parquet.read_table(os.fspath(file)).num_rows)


def test_a_consumer_that_reads_in_c(folder: Path) -> None:
    task = delayed(counts_in_c)(delayed(by_arrow)("out.parquet"))
    assert through(folder / "cache", task, keep=[by_arrow]).value == 2
    Path("out.parquet").write_text("altered")
    assert through(folder / "cache", task, keep=[by_arrow]).tasks == 0


def test_early_cutoff_by_the_content_of_the_file(folder: Path) -> None:
    log = str(folder / "log")
    last = traced(log)(summary)

    def run(code: str) -> set[str]:
        names: dict[str, Any] = {"Path": Path, "File": File}
        exec(f"def write(path):\n    {code}\n    return File(path)", names)  # noqa: S102
        through(folder / "cache", delayed(last)(delayed(traced(log)(names["write"]))("out.csv")))
        return ran(log)

    first = "Path(path).write_text('x\\n1\\n2\\n')"
    assert run(first) == {"write", "summary"}
    assert run(f"x = 1; {first}") == {"write"}
    assert run(first.replace("2", "3")) == {"write", "summary"}


# Functions that are called without a graph


@pytest.mark.slow  # many runs, each with its files
@pytest.mark.parametrize("memory", [None, "10MB"])
def test_memoized_functions(folder: Path, memory: str | None) -> None:
    log = str(folder / "log")
    store = Store(folder / "cache", memory=memory)
    write, add = store.memoize(traced(log)(make)), store.memoize(traced(log)(summary))
    assert add(write("out.csv")) == 3
    assert ran(log) == {"make", "summary"}
    for change in (Path("out.csv").unlink, lambda: Path("out.csv").write_text("x\n7\n")):
        change()
        assert add(write("out.csv")) == 3
        assert text("out.csv") == "x\n1\n2\n"
    assert ran(log) == set()


# What a task loads itself


def test_a_run_within_a_task_has_written_its_files(folder: Path) -> None:
    """Whether the inner task runs or is loaded."""
    cache = folder / "cache"

    def outer(is_returning: bool) -> Any:
        [file] = pipeline.compute(delayed(make)("out.csv"), store=cache, scheduler="sync")
        return file if is_returning else 1

    through(folder / "cache", delayed(make)("out.csv"))
    for content in ("as it was", "x\n1\n2\n"):
        Path("out.csv").write_text(content)
        refused = through(folder / "outer", delayed(outer)(False))
        assert (refused.tasks, len(refused.warnings)) == (1, content == "as it was")
    assert through(folder / "outer", delayed(outer)(True)).tasks == 1
    Path("out.csv").unlink()
    assert through(folder / "outer", delayed(outer)(True)).tasks == 0
    assert text("out.csv") == "x\n1\n2\n"


# Failures


def test_a_file_that_cannot_be_put_back_is_computed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = delayed(summary)(delayed(make)("out.csv"))
    through(folder / "cache", total, delayed(make)("out.csv"))

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    Path("out.csv").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.store.formats.files.os.replace", fails)
        patch.setattr(Store, "put", lambda *_, **__: fails())
        outcome = through(folder / "cache", delayed(make)("out.csv"))
    assert outcome.ran == {"make"}
    assert "out.csv cannot be put back: No space left on device" in outcome.warnings[0]
    assert os.listdir() == ["out.csv"]
    assert through(folder / "cache", delayed(make)("out.csv")).tasks == 0


def test_a_folder_in_the_place_of_the_file(folder: Path) -> None:
    """The task runs, and fails as it would without a store."""
    through(folder / "cache", delayed(make)("out.csv"))
    Path("out.csv").unlink()
    Path("out.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        through(folder / "cache", delayed(make)("out.csv"))
    assert Path("out.csv").is_dir()


def test_a_file_that_may_not_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task runs: without a store it would fail, too, or not."""
    through(folder / "cache", delayed(make)("out.csv"))
    Path("out.csv").write_text("mine")
    monkeypatch.setattr("pipeline.store.formats.files.os.access", lambda *_: False)
    outcome = through(folder / "cache", delayed(make)("out.csv"))
    assert "out.csv cannot be put back: Permission denied" in outcome.warnings[0]
    assert outcome.ran == {"make"}


def test_others_who_can_write_to_a_store_cannot_replace_any_file(folder: Path) -> None:
    """In a place of several users a hit writes into named folders alone."""
    Path("out").mkdir()
    path, upstream = os.path.join("out", "x.csv"), folder / "team"
    through(folder / "first", delayed(make)(path), upstream=upstream)
    Path(path).unlink()
    refused = through(folder / "second", delayed(make)(path), upstream=upstream)
    assert refused.ran == {"make"}
    assert "allow its folder by Store(files=['out'])" in refused.warnings[0]
    for number, files in enumerate(["out", [folder / "work"], "/"]):
        Path(path).unlink()
        options: dict[str, Any] = {"upstream": upstream, "files": files}
        allowed = through(folder / f"third{number}", delayed(make)(path), **options)
        assert (allowed.tasks, text(path)) == (0, "x\n1\n2\n")
    there = through(folder / "fourth", delayed(make)(path), upstream=upstream)
    assert there.tasks == 0  # the file has the content


def test_a_link_does_not_lead_out_of_a_named_folder(folder: Path) -> None:
    Path("out").mkdir()
    path = os.path.join("out", "x.csv")
    options: dict[str, Any] = {"files": ["out"]}
    through(folder / "cache", delayed(make)(path), **options)
    Path("other.csv").write_text("mine")
    Path(path).unlink()
    Path(path).symlink_to("../other.csv")
    outcome = through(folder / "cache", delayed(make)(path), **options)
    assert "allow its folder" in outcome.warnings[0]
    assert outcome.ran == {"make"}


def test_a_folder_of_a_group_is_no_private_store(folder: Path) -> None:
    through(folder / "cache", delayed(make)("out.csv"), shared=True)
    Path("out.csv").unlink()
    assert through(folder / "cache", delayed(make)("out.csv")).tasks == 1
    Path("out.csv").unlink()
    assert through(folder / "cache", delayed(make)("out.csv"), files=".").tasks == 0


def test_what_a_link_points_to_is_written(folder: Path) -> None:
    Path("real.csv").write_text("before")
    Path("out.csv").symlink_to("real.csv")
    through(folder / "cache", delayed(make)("out.csv"))
    Path("real.csv").write_text("x\n9\n9\n")
    assert through(folder / "cache", delayed(make)("out.csv")).tasks == 0
    assert Path("out.csv").is_symlink()
    assert text("real.csv") == "x\n1\n2\n"


@pytest.mark.parametrize("later", ["longer", "shorter", "of the same size"])
def test_a_file_that_changes_while_it_is_stored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    content = os.urandom(1 << 20)
    other = {"longer": 2 * content, "shorter": content[:-1]}.get(later, content[::-1])

    def large() -> File:
        Path("out").write_bytes(content)
        return File("out")

    def edited(buffers: list[Any]) -> bytes:
        found = checksum(buffers)
        Path("out").write_bytes(other)
        return found

    monkeypatch.setattr("pipeline.store.store.checksum", edited)
    outcome = through(folder / "cache", delayed(large)())
    if later == "longer":  # what was there is stored
        assert outcome.warnings == []
    else:
        assert "it changed while it was stored" in outcome.warnings[0]
        assert len(Store(folder / "cache")) == 0


def test_a_bound_counts_the_content(folder: Path) -> None:
    def large() -> File:
        Path("out").write_bytes(bytes(1 << 20))
        return File("out")

    outcome = through(folder / "cache", delayed(large)(), max_bytes=100_000)
    assert "exceed max_bytes" in outcome.warnings[0]
    total = delayed(os.path.getsize)(delayed(large)())
    assert through(folder / "cache", total, max_bytes=100_000).tasks == 2
    assert through(folder / "cache", delayed(large)(), max_bytes=2_000_000).warnings == []
    store = Store(folder / "cache")
    assert sum(store.sizes().values()) > 1 << 20
    store.gc(max_bytes=100)
    assert len(store) == 0


def test_a_store_that_is_only_read(folder: Path) -> None:
    through(folder / "cache", delayed(make)("out.csv"))
    Path("out.csv").unlink()
    again = through(folder / "cache", delayed(make)("out.csv"), readonly=True)
    assert (again.tasks, again.warnings, text("out.csv")) == (0, [], "x\n1\n2\n")
    new = through(folder / "cache", delayed(make)("new.csv"), readonly=True)
    assert (new.tasks, new.warnings) == (1, [])


# Reports


def test_reports(folder: Path) -> None:
    file = delayed(make)("out.csv")
    total = delayed(summary)(file)
    through(folder / "cache", file, total)
    Path("out.csv").unlink()
    explanation = explained(folder / "cache", file, total)
    assert explanation.statuses.keys() == {file.key, total.key}
    assert set(explanation.statuses.values()) == {"hit"}
    assert not Path("out.csv").exists()
    store = Store(folder / "cache")
    names = {entry.function: entry.digest for entry in store.entries()}
    _, shown, _ = command.run("cache", "show", names["make"], "--store", str(folder / "cache"))
    assert "file      out.csv, 6 bytes" in shown
    assert "value     File: File('out.csv')" in shown
    assert "depends on" not in shown
    assert not Path("out.csv").exists()
    assert Store(folder / "cache").verify(file, total, recompute=1.0).is_sound


def test_verify_reports_a_file_that_differs(folder: Path) -> None:
    def differs() -> File:
        return make("out.csv", f"x\n{time.perf_counter_ns()}\n")

    through(folder / "cache", delayed(differs)())
    found = Store(folder / "cache").verify(delayed(differs)(), recompute=1.0)
    assert [(run.outcome, run.why) for run in found.reruns] == [("differs", "its files differ")]


@pytest.mark.slow
def test_a_large_file_needs_no_memory(folder: Path) -> None:
    """300 MB are stored, verified and put back by processes that may allocate 100 MB for it."""
    program = """
import os, resource, sys
from dask import delayed
from pipeline import File
from tests.programs.through import through

def large():
    with open("out.bin", "wb") as file:
        for number in range(300):
            file.write(number.to_bytes(2, "big") * (1 << 19))
    return File("out.bin")

through("../cache", delayed(len)("warm"))
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[1]),) * 2)
done = through("../cache", delayed(large)())
print(done.tasks, done.warnings, os.path.getsize("out.bin"))
"""

    def run(limit: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(limit)], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parent.parent)},
        ).stdout  # fmt: skip

    size = 300 << 20
    assert run(100 << 20) == f"1 [] {size}\n"
    first = Path("out.bin").read_bytes()
    Path("out.bin").unlink()
    # The private map of the entry counts, although nothing of it is written.
    assert run(size + (100 << 20)) == f"0 [] {size}\n"
    assert Path("out.bin").read_bytes() == first


# Any pipeline, whatever happens to the files


def doubled(file: File, path: str) -> File:
    time.sleep(0.0015)
    rows = pd.read_csv(file) * 2
    rows.to_csv(path, index=False)
    return File(path)


def report_on(total: int, path: str) -> str:
    time.sleep(0.0015)
    return f"{total} of {len(text(path))}"


def rest(report: str, files: list[Any]) -> Any:
    time.sleep(0.0015)
    return [report, *map(text, files)]


def pipeline_of_files(rows: int, factor: int) -> dict[str, Any]:
    """Some outputs of a pipeline: files of files, and a task that opens one by its path."""
    first = delayed(make)("a.csv", f"x\n1\n{rows}\n")
    second = delayed(doubled)(first, "b.csv")
    total = delayed(summary)(second)
    report = delayed(report_on)(total, "a.csv")
    last = delayed(rest)(report, [first, second])
    return {
        "first": first, "second": second, "total": total, "report": report, "last": last,
        "factor": delayed(pow)(total, factor),
    }  # fmt: skip


def contents(value: Any) -> Any:
    if isinstance(value, File):
        return value, text(value)
    return [contents(item) for item in value] if isinstance(value, list | tuple) else value


def scheduled() -> Iterator[Any]:
    for seed in range(50, 60):
        yield pytest.param(seed, ["sync", "threads"][seed % 2], marks=pytest.mark.slow)


@pytest.mark.parametrize(("seed", "scheduler"), [(0, "sync"), (23, "threads"), *scheduled()])
def test_a_store_changes_no_value_and_no_file(folder: Path, seed: int, scheduler: str) -> None:
    """Files are deleted, edited and swapped, entries are lost, inputs change."""
    random = Random(seed)  # noqa: S311 - choices of a test
    for step in range(25):
        arguments = random.choice([2, 3]), random.choice([1, 2])
        names = random.sample(sorted(pipeline_of_files(*arguments)), random.choice([1, 2, 3]))
        keep = random.sample(["make", "doubled", "summary", "report_on", "rest"], 3)
        store = Store(folder / "cache", durable=False, keep=keep)
        outputs = [pipeline_of_files(*arguments)[name] for name in names]
        found = contents(pipeline.compute(*outputs, store=store, scheduler=scheduler))
        (folder / "plain").mkdir(exist_ok=True)
        with contextlib.chdir(folder / "plain"):
            outputs = [pipeline_of_files(*arguments)[name] for name in names]
            expected = contents(dask.compute(*outputs, scheduler="sync"))
        assert found == expected, (step, arguments, names)
        for name in ("a.csv", "b.csv"):
            if random.random() < 0.5:
                Path(name).unlink(missing_ok=True)
            elif random.random() < 0.3:
                Path(name).write_text("x\n7\n")
        if random.random() < 0.2 and (digests := list(store.digests())):
            store.remove(random.choice(digests))
