"""What a task reads is part of its key: files, folders, environment and context variables."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import dask.local
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import File, Store, compute
from tests.programs.through import Outcome, explained, plain, through

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = ["read", "between", "behind", "both", "total", "column"]
"""Functions of which every result is stored."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stores; `work` in it is the current one."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


clock = itertools.count(1)


def write(path: str | Path, text: str) -> None:
    """A new content, with another time of change, some days ago."""
    Path(path).write_text(text)
    touch(path)


def touch(path: str | Path) -> None:
    """Another time of change."""
    moment = 1_700_000_000 + 60 * next(clock)
    os.utime(path, (moment, moment))


# Tasks that read, in several ways


def read(path: Any) -> list[int]:
    with open(path) as lines:
        return [int(line) for line in lines]


def between(values: list[int]) -> list[int]:
    return [value % 100 for value in values]


def behind(values: list[int]) -> int:
    return sum(values)


def by_pathlib(path: str) -> Any:
    return Path(path).read_text()


def by_os(path: str) -> Any:
    number = os.open(path, os.O_RDONLY)
    try:
        return os.read(number, 100)
    finally:
        os.close(number)


def by_pandas(path: str) -> Any:
    return pd.read_csv(path, header=None)


def by_pandas_python_engine(path: str) -> Any:
    return pd.read_csv(path, header=None, engine="python")


def by_arrow_engine(path: str) -> Any:
    return pd.read_csv(path, header=None, engine="pyarrow")


def by_numpy(path: str) -> Any:
    return np.loadtxt(path)


def from_bytes(path: str) -> Any:
    return np.fromfile(path, dtype="uint8")


def mapped(path: str) -> Any:
    return np.array(np.memmap(path, dtype="uint8", mode="r"))


READERS: list[Callable[[str], Any]] = [
    read, by_pathlib, by_os, by_pandas, by_pandas_python_engine, by_arrow_engine, by_numpy,
    from_bytes, mapped,
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader.__name__))
def test_edited_touched_reverted_and_deleted(folder: Path, reader: Callable[[str], Any]) -> None:
    """Edited is a miss, touched a hit, reverted a hit, deleted a miss, for each way to read."""

    def run() -> Outcome:
        return through(folder / "cache", delayed(reader)("data.csv"))

    def why() -> str:
        [line] = explained(folder / "cache", delayed(reader)("data.csv")).lines
        return f"{line.status}: {line.why}"

    write("data.csv", "1\n2\n")
    first = run()
    assert first.tasks == 1
    assert first.warnings == []
    assert run() == first._replace(ran=set(), tasks=0)
    touch("data.csv")
    assert why().startswith("hit")
    assert run() == first._replace(ran=set(), tasks=0)
    write("data.csv", "1\n3\n")  # of the same size
    assert why() == "miss: data.csv changed"
    edited = run()
    assert edited.tasks == 1
    assert edited.value == plain(reader("data.csv")) != first.value
    assert run() == edited._replace(ran=set(), tasks=0)
    write("data.csv", "1\n2\n")
    assert why().startswith("hit")
    assert run() == first._replace(ran=set(), tasks=0)
    os.remove("data.csv")
    assert why().startswith("miss: data.csv")
    with pytest.raises(FileNotFoundError):
        run()
    write("data.csv", "1\n3\n")
    assert run() == edited._replace(ran=set(), tasks=0)


def test_an_edit_that_keeps_size_and_time_of_a_recent_file_is_noticed(folder: Path) -> None:
    """A file that has just been written may be written again at one recorded time."""
    Path("data.csv").write_text("1\n")
    stat = os.stat("data.csv")
    task = delayed(read)("data.csv")
    assert through(folder / "cache", task).value == [1]
    Path("data.csv").write_text("2\n")
    os.utime("data.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert through(folder / "cache", task).value == [2]


@pytest.mark.parametrize("path", ["data.csv", File("data.csv")], ids=["path", "File"])
def test_a_file_edited_between_planning_and_reading(folder: Path, path: Any) -> None:
    """What is read then is never stored under the content that was planned with."""
    write("data.csv", "1\n")
    task = delayed(behind)(delayed(read)(path))

    def edits_and_runs(graph: Any, keys: Any, **options: Any) -> Any:
        write("data.csv", "2\n")
        return dask.local.get_sync(graph, keys, **options)

    with dask.config.set(scheduler=edits_and_runs):
        assert through(folder / "cache", task, scheduler=None, keep=ALL).value == 2
    task = delayed(behind)(delayed(read)(path))
    assert through(folder / "cache", task, keep=ALL).value == 2
    write("data.csv", "1\n")
    task = delayed(behind)(delayed(read)(path))
    assert through(folder / "cache", task, keep=ALL).value == 1


def test_a_file_that_changed_while_the_task_ran_is_not_stored(folder: Path) -> None:
    write("data.csv", "1\n2\n")
    path, is_done = folder / "work" / "data.csv", threading.Event()

    def edits() -> None:
        while not is_done.wait(0.002):
            write(path, f"1\n{next(clock)}\n")

    def slow(name: str) -> str:
        text = Path(name).read_text()
        time.sleep(0.1)
        return text

    editor = threading.Thread(target=edits)
    editor.start()
    try:
        [warning] = through(folder / "cache", delayed(slow)("data.csv")).warnings
    finally:
        is_done.set()
        editor.join()
    [line] = explained(folder / "cache", delayed(slow)("data.csv")).lines
    assert line.status == "miss"
    assert "data.csv changed while it ran" in line.why
    assert "data.csv changed while it ran" in warning
    assert through(folder / "cache", delayed(slow)("data.csv")).value == path.read_text()
    assert through(folder / "cache", delayed(slow)("data.csv")).tasks == 0


def quick_middle(values: list[int]) -> list[int]:
    return values[::-1]


@pytest.mark.parametrize("keep", [ALL, ["read"], ["between"], []], ids=str)
def test_what_is_behind_a_reading_task_depends_on_the_file(folder: Path, keep: list[str]) -> None:
    """Also where tasks between are quick, and not stored themselves."""

    def build() -> Any:
        return delayed(behind)(delayed(between)(delayed(quick_middle)(delayed(read)("data.csv"))))

    values = {"1\n2\n": 3, "5\n5\n": 10, "105\n5\n": 10}
    for text in [*values, *values]:
        write("data.csv", text)
        assert through(folder / "cache", build(), keep=keep).value == values[text]
    for text in values:
        write("data.csv", text)
        outcome = through(folder / "cache", build(), keep=keep)
        assert (outcome.value, outcome.tasks) == (values[text], 0)


def test_two_files_behind_one_task(folder: Path) -> None:
    """Only what depends on the edited file runs; each combination is kept."""

    def both(left: list[int], right: list[int]) -> int:
        return sum(left) * 1000 + sum(right)

    def run() -> Outcome:
        parts = [delayed(read)("left.csv"), delayed(read)("right.csv")]
        return through(folder / "cache", delayed(both)(*parts), keep=ALL)

    for left, right, tasks in [
        ("1", "1", 3), ("1", "1", 0), ("2", "1", 2), ("2", "2", 2), ("1", "2", 1), ("1", "1", 0),
        ("2", "2", 0), ("3", "3", 3),
    ]:  # fmt: skip
        write("left.csv", left)
        write("right.csv", right)
        outcome = run()
        assert (outcome.value, outcome.tasks) == (int(left) * 1000 + int(right), tasks)


def test_a_task_that_reads_more_the_next_time(folder: Path) -> None:
    """A file names the next one: each variant has inputs of its own."""

    def follow(path: str) -> str:
        text = Path(path).read_text()
        return Path(text).read_text() if text.endswith(".txt") else text

    def run() -> tuple[str, int]:
        outcome = through(folder / "cache", delayed(follow)("first"))
        return outcome.value, outcome.tasks

    write("a.txt", "a")
    write("b.txt", "b")
    write("first", "a.txt")
    assert [run(), run()] == [("a", 1), ("a", 0)]
    write("first", "b.txt")
    assert [run(), run()] == [("b", 1), ("b", 0)]
    write("a.txt", "A")
    assert run() == ("b", 0)
    write("first", "plain")
    assert [run(), run()] == [("plain", 1), ("plain", 0)]
    write("first", "a.txt")
    assert [run(), run()] == [("A", 1), ("A", 0)]
    write("a.txt", "a")
    assert run() == ("a", 0)


def test_a_missing_file_that_appears(folder: Path) -> None:
    def optional(path: str) -> str:
        try:
            return Path(path).read_text()
        except FileNotFoundError:
            return "missing"

    def run() -> tuple[str, int]:
        outcome = through(folder / "cache", delayed(optional)("extra.txt"))
        return outcome.value, outcome.tasks

    assert [run(), run()] == [("missing", 1), ("missing", 0)]
    write("extra.txt", "there")
    assert [run(), run()] == [("there", 1), ("there", 0)]
    os.remove("extra.txt")
    assert run() == ("missing", 0)


def listed(path: str) -> list[str]:
    return sorted(os.listdir(path))


def scanned(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries)


def globbed(path: str) -> list[str]:
    return sorted(each.name for each in Path(path).glob("*"))


def walked(path: str) -> list[str]:
    return sorted(name for _, _, names in os.walk(path) for name in names)


@pytest.mark.parametrize("lister", [listed, scanned, globbed, walked], ids=lambda f: f.__name__)
def test_a_folder_counts_by_the_names_in_it(folder: Path, lister: Callable[[str], Any]) -> None:
    def run() -> tuple[list[str], int]:
        outcome = through(folder / "cache", delayed(lister)("parts"))
        return outcome.value, outcome.tasks

    os.mkdir("parts")
    write("parts/a", "1")
    assert [run(), run()] == [(["a"], 1), (["a"], 0)]
    write("parts/b", "1")
    assert [run(), run()] == [(["a", "b"], 1), (["a", "b"], 0)]
    write("parts/b", "23")  # another content in a folder of the same names
    assert run()[0] == ["a", "b"]
    os.remove("parts/b")
    assert run() == (["a"], 0)


def all_of(pattern: str) -> list[str]:
    import glob

    return [Path(path).read_text() for path in sorted(glob.glob(pattern))]


def test_a_pattern_counts_by_the_files_that_match(folder: Path) -> None:
    def run() -> tuple[list[str], int]:
        outcome = through(folder / "cache", delayed(all_of)("parts/*.txt"))
        return outcome.value, outcome.tasks

    os.mkdir("parts")
    write("parts/a.txt", "1")
    assert [run(), run()] == [(["1"], 1), (["1"], 0)]
    write("parts/b.txt", "2")
    assert [run(), run()] == [(["1", "2"], 1), (["1", "2"], 0)]
    write("parts/a.txt", "3")
    assert [run(), run()] == [(["3", "2"], 1), (["3", "2"], 0)]
    os.remove("parts/b.txt")
    assert run() == (["3"], 1)
    write("parts/a.txt", "1")
    assert run() == (["1"], 0)


def test_relative_paths_follow_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder the same relative path is another file; equal content is a hit."""
    for name, text in (("one", "1"), ("two", "2"), ("three", "1")):
        os.makedirs(folder / name)
        write(folder / name / "data.csv", text)
    seen = []
    for name in ("one", "two", "three", "one", "two"):
        monkeypatch.chdir(folder / name)
        outcome = through(folder / "cache", delayed(read)("data.csv"))
        seen.append((outcome.value, outcome.tasks))
    assert seen == [([1], 1), ([2], 1), ([1], 0), ([1], 0), ([2], 0)]
    absolute = str(folder / "two" / "data.csv")
    assert through(folder / "cache", delayed(read)(absolute)).value == [2]
    write(absolute, "5")
    assert through(folder / "cache", delayed(read)(absolute)).value == [5]
    assert through(folder / "cache", delayed(read)("data.csv")).value == [5]


def test_the_current_folder_itself_counts_where_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here() -> str:
        return os.getcwd()

    values = []
    for name in ("one", "two", "one"):
        os.makedirs(folder / name, exist_ok=True)
        monkeypatch.chdir(folder / name)
        values.append(Path(through(folder / "cache", delayed(here)()).value).name)
    assert values == ["one", "two", "one"]


# Environment and context variables


def by_name() -> Any:
    return os.environ["PIPELINE_X"]


def by_get() -> Any:
    return os.environ.get("PIPELINE_X", "default")


def by_getenv() -> Any:
    return os.getenv("PIPELINE_X")


def by_membership() -> Any:
    return "PIPELINE_X" in os.environ


def inner_rate() -> float:
    return float(os.environ.get("PIPELINE_X", "0.5"))


def by_helper() -> Any:
    return inner_rate() * 2


@pytest.mark.parametrize(
    "reader", [by_name, by_get, by_getenv, by_membership, by_helper], ids=lambda f: f.__name__
)
def test_environment_variables_count_by_value(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[], Any]
) -> None:
    seen = []
    for value in ("1", "2", "1", "1"):
        monkeypatch.setenv("PIPELINE_X", value)
        outcome = through(folder / "cache", delayed(reader)())
        seen.append(outcome.tasks)
        assert outcome.value == reader()
        assert outcome.warnings == []
    assert seen[2:] == [0, 0]
    assert seen[:2] == [1, 1] or reader is by_membership
    monkeypatch.delenv("PIPELINE_X")
    if reader is by_name:
        with pytest.raises(KeyError):
            through(folder / "cache", delayed(reader)())
    else:
        assert through(folder / "cache", delayed(reader)()).value == reader()
    monkeypatch.setenv("PIPELINE_X", "9")
    [line] = explained(folder / "cache", delayed(reader)()).lines
    assert "PIPELINE_X changed" in line.why or reader is by_membership


def test_an_unrelated_variable_is_no_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_X", "1")
    through(folder / "cache", delayed(by_name)())
    monkeypatch.setenv("PIPELINE_Y", "1")
    assert through(folder / "cache", delayed(by_name)()).tasks == 0


rate: ContextVar[float] = ContextVar("rate", default=1.0)
unset: ContextVar[float] = ContextVar("unset")


def by_context(x: float) -> float:
    return x * rate.get()


def by_unset(x: float) -> float:
    return x * unset.get(3.0)


def test_context_variables_count_by_value(folder: Path) -> None:
    def run(function: Any) -> tuple[float, int]:
        outcome = through(folder / "cache", delayed(function)(2.0))
        return outcome.value, outcome.tasks

    assert [run(by_context), run(by_context)] == [(2.0, 1), (2.0, 0)]
    token = rate.set(5.0)
    try:
        assert [run(by_context), run(by_context)] == [(10.0, 1), (10.0, 0)]
    finally:
        rate.reset(token)
    assert run(by_context) == (2.0, 0)
    assert run(by_unset) == (6.0, 1)
    token = unset.set(7.0)
    try:
        assert run(by_unset)[0] == 14.0
    finally:
        unset.reset(token)
    assert run(by_unset) == (6.0, 0)


# Libraries whose code changes


class Library(NamedTuple):
    """How a library is installed: without a version, or from a folder that may change."""

    name: str
    version: str
    direct_url: str


LIBRARIES = [
    Library("without_a_version", "", ""),
    Library("from_a_checkout", "1.0", '{"dir_info": {"editable": true}, "url": "file:///x"}'),
    Library("from_a_folder", "1.0", '{"dir_info": {}, "url": "file:///x"}'),
]


def install(site: Path, library: Library, code: str) -> None:
    """Write a library into a folder `site-packages`, with one version for all codes."""
    package, info = site / library.name, site / f"{library.name}-{library.version}.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    write(package / "__init__.py", f"from {library.name}.inner import scale\n")
    write(package / "inner.py", code)
    if not library.version:
        return
    info.mkdir(exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: {library.name}\nVersion: {library.version}\n"
    write(info / "METADATA", text)
    write(info / "RECORD", f"{library.name}/__init__.py,,\n{library.name}/inner.py,,\n")
    if library.direct_url:
        write(info / "direct_url.json", library.direct_url)


USES = """
import json, sys
from pathlib import Path
from dask import delayed
from tests.programs.through import through

def without_a_version(x):
    import without_a_version
    return without_a_version.scale(x)

def from_a_checkout(x):
    import from_a_checkout
    return from_a_checkout.scale(x)

import from_a_folder as module

def from_a_folder(x):
    return module.scale(x)

for function in (without_a_version, from_a_checkout, from_a_folder):
    outcome = through(Path(sys.argv[1]), delayed(function)(3))
    print(json.dumps([function.__name__, outcome.value, outcome.tasks]))
"""


@pytest.mark.slow
def test_code_of_libraries_counts_by_files_where_no_version_names_it(tmp_path: Path) -> None:
    """Each time a new process: a program imports a library once."""
    write(tmp_path / "main.py", USES)
    site = tmp_path / "site-packages"
    seen = []
    for factor in (2, 2, 7, 7, 2):
        for library in LIBRARIES:
            install(site, library, f"def scale(x):\n    return {factor} * x\n")
        path = os.pathsep.join([*sys.path, str(site)])
        done = subprocess.run(
            [sys.executable, "-B", "main.py", str(tmp_path / "cache")], cwd=tmp_path, check=False,
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        seen.append([json.loads(line) for line in done.stdout.splitlines()])
    expected = [(6, 1), (6, 0), (21, 1), (21, 0), (6, 0)]
    for place, (value, tasks) in enumerate(expected):
        assert seen[place] == [[library.name, value, tasks] for library in LIBRARIES]


# On each scheduler


def total(*parts: int) -> int:
    return sum(parts)


def test_tracked_on_each_scheduler(folder: Path, scheduler: str) -> None:
    """Paths are observed, and resolved, where the task runs."""
    paths = [str(folder / "work" / f"{number}.csv") for number in range(4)]
    for number, path in enumerate(paths):
        write(path, str(number))

    def run() -> tuple[int, int]:
        parts = [delayed(behind)(delayed(between)(delayed(read)(path))) for path in paths]
        outcome = through(
            folder / "cache", delayed(total)(*parts), scheduler=None, keep=ALL, durable=False,
            fuse=False,  # in processes, a line of tasks would count as one
        )  # fmt: skip
        assert outcome.warnings == []
        return outcome.value, outcome.tasks

    value, _ = run()
    assert value == 6
    assert run() == (6, 0)
    write(paths[1], "11")
    explanation = explained(
        folder / "cache",
        delayed(total)(*[delayed(behind)(delayed(between)(delayed(read)(p))) for p in paths]),
        keep=ALL,
    )
    assert "1.csv changed" in " ".join(str(explanation).split())
    assert run() == (16, 4)
    touch(paths[2])
    assert run() == (16, 0)
    write(paths[1], "1")
    assert run() == (6, 0)


def test_paths_on_a_cluster_are_those_of_its_workers(folder: Path, client: Any) -> None:
    """A file of one name in the folder of the client is another file."""
    there = folder / "there"
    there.mkdir()
    before = client.run(os.getcwd)
    write("data.csv", "1")
    write(there / "data.csv", "1")
    client.run(os.chdir, str(there))

    def run() -> tuple[Any, int]:
        task = delayed(behind)(delayed(read)("data.csv"))
        outcome = through(folder / "cache", task, scheduler=None, keep=ALL)
        return outcome.value, outcome.tasks

    try:
        assert [run(), run()] == [(1, 2), (1, 0)]
        write(there / "data.csv", "2")
        assert run()[0] == 2
        write("data.csv", "3")
        assert run()[0] == 2
        write(there / "data.csv", "1")
        assert run()[0] == 1
        assert through(folder / "cache", delayed(read)("data.csv"), keep=ALL).value == [3]
    finally:
        for worker, path in before.items():
            client.run(os.chdir, path, workers=[worker])


def test_variables_on_a_cluster_are_those_of_its_workers(folder: Path, client: Any) -> None:
    def run() -> Any:
        return through(folder / "cache", delayed(by_get)(), scheduler=None).value

    def set_variable(value: str) -> None:
        os.environ["PIPELINE_X"] = value

    def unset_variable() -> None:
        del os.environ["PIPELINE_X"]

    try:
        values = []
        for value in ("1", "2", "1"):
            client.run(set_variable, value)
            values.append(run())
        assert values == ["1", "2", "1"]
    finally:
        client.run(unset_variable)


# Dask's own readers


def frame_of(part: int, rows: int = 5) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(rows) + 10 * part, "name": ["ab", "c"] * 2 + ["d"]})


def write_frame(frame: pd.DataFrame, name: str, is_parquet: bool) -> None:
    if is_parquet:
        frame.to_parquet(name)
    else:
        frame.to_csv(name, index=False)
    touch(name)


PARQUET = [
    {}, {"filesystem": "arrow"}, {"columns": ["x"]}, {"filters": [("x", ">", 3)]},
    {"dtype_backend": "numpy_nullable"}, {"dtype_backend": "pyarrow"}, {"is_pushed": True},
    {"is_object": True},
]  # fmt: skip
"""Options of `read_parquet`; whether Dask pushes a filter and a projection down to it; whether
strings are objects."""


def frames_of(kind: str, options: dict[str, Any]) -> Any:
    if kind == "csv":
        return dd.read_csv("part-*.csv", **options)
    if options == {"is_pushed": True}:
        frame = dd.read_parquet("parts")
        return frame[frame.x > 3][["x"]]
    if options == {"is_object": True}:
        with dask.config.set({"dataframe.convert-string": False}):
            return dd.read_parquet("parts").optimize()
    return dd.read_parquet(os.path.abspath("parts"), **options)  # Arrow takes no relative path


READS = [("csv", {}), *[("parquet", options) for options in PARQUET]]


@pytest.mark.parametrize(
    ("kind", "options"),
    [READS[1], *(pytest.param(*read, marks=pytest.mark.slow) for read in [READS[0], *READS[2:]])],
    ids=str,
)
def test_one_changed_file_reruns_one_partition(
    folder: Path, kind: str, options: dict[str, Any]
) -> None:
    """Also after it is put back; one more file adds one partition."""
    names = "part-{:02}.csv" if kind == "csv" else "parts/part.{:02}.parquet"
    os.makedirs("parts")
    for part in range(6):
        write_frame(frame_of(part), names.format(part), kind == "parquet")

    def column(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(y=frame["x"] * 2)

    def run() -> tuple[Any, int]:
        """The value, and how many tasks were to run."""
        mapped = frames_of(kind, options).map_partitions(column)
        plan = explained(folder / "cache", mapped, keep=["column"])
        outcome = through(folder / "cache", mapped, keep=["column"])
        assert outcome.warnings == []
        assert outcome.value == plain(mapped.compute(scheduler="sync"))
        assert (outcome.tasks == 0) == (plan.count("miss") == 0)
        return outcome.value, plan.count("miss") + plan.count("skipped")

    first, tasks = run()
    parts = 2 if "filesystem" in options else 6  # Dask puts small files together
    changed = (tasks - 1) // parts + 1  # the tasks of one part, and the one that joins them
    assert tasks == parts * (changed - 1) + 1 >= 5
    assert run() == (first, 0)
    touch(names.format(2))
    assert run() == (first, 0)
    write_frame(frame_of(7), names.format(2), kind == "parquet")
    second, tasks = run()
    assert second != first
    assert tasks == changed
    assert run() == (second, 0)
    write_frame(frame_of(6), names.format(6), kind == "parquet")
    third = run()[1]
    assert third == changed or "filesystem" in options  # it puts other files together
    os.remove(names.format(6))
    assert run() == (second, 0)
    write_frame(frame_of(2), names.format(2), kind == "parquet")
    assert run() == (first, 0)


def test_a_frame_is_found_whatever_else_is_computed(folder: Path) -> None:
    os.makedirs("parts")
    write_frame(frame_of(1).assign(z=1), "parts/a.parquet", True)

    def total(column: str) -> Any:
        return dd.read_parquet("parts")[column].sum()

    store = Store(folder / "cache")
    compute(total("x"), total("z"), store=store, scheduler="sync")
    assert not {"miss", "skipped"} & {line.status for line in store.explain(total("x")).lines}


ARROW = """
import sys, dask.dataframe as dd
from pipeline import Store
store = Store(sys.argv[1])
for number in range(3):
    print(store.explain(dd.read_parquet(sys.argv[2], filesystem="arrow")).totals)
    dd.read_parquet(sys.argv[2]).head().to_parquet(f"{sys.argv[2]}/{number}.parquet")
"""


@pytest.mark.slow
def test_statistics_of_parquet_leave_the_settings_of_dask(tmp_path: Path) -> None:
    """Dask loses them if it imports distributed meanwhile."""
    os.makedirs(tmp_path / "parts")
    write_frame(frame_of(1), str(tmp_path / "parts" / "a.parquet"), True)
    done = subprocess.run(
        [sys.executable, "-c", ARROW, str(tmp_path / "cache"), str(tmp_path / "parts")],
        check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 3


def test_lines_of_text_by_file(folder: Path) -> None:
    for number in range(4):
        write(f"{number}.txt", "a\nbb\n")

    def run() -> tuple[Any, int]:
        lengths = db.read_text("*.txt").map(str.strip).map(len)
        keep = ["lambda", "len", "strip", "bag-from-delayed"]
        plan = explained(folder / "cache", lengths, keep=keep)
        outcome = through(folder / "cache", lengths, keep=keep)
        return outcome.value, plan.count("miss") + plan.count("skipped")

    first, tasks = run()
    assert first == [1, 2] * 4
    assert run() == (first, 0)
    write("2.txt", "a\nccc\n")
    second, again = run()
    assert second == [1, 2, 1, 2, 1, 3, 1, 2]
    assert again == (tasks - 1) // 4 + 1  # the tasks of one part, and the one that joins them
    assert run() == (second, 0)


def test_arrays_in_files(folder: Path) -> None:
    pytest.importorskip("zarr")
    da.to_npy_stack("stack", da.arange(12, chunks=4))
    da.arange(12, chunks=4).to_zarr("array.zarr")

    def of_stack() -> Any:
        return da.from_npy_stack("stack")

    def of_zarr() -> Any:
        return da.from_zarr("array.zarr")

    for build in (of_stack, of_zarr):
        through(folder / "cache", build().sum())
        outcome = through(folder / "cache", build().sum())
        assert (outcome.value, outcome.tasks, outcome.warnings) == (66, 0, [])
    np.save("stack/1.npy", np.arange(4) + 100)
    assert through(folder / "cache", of_stack().sum()).value == 66 - 22 + 406
    shutil.rmtree("array.zarr")
    (da.arange(12, chunks=4) + 1).to_zarr("array.zarr")
    assert through(folder / "cache", of_zarr().sum()).value == 78


def test_datasets_with_chunks(folder: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    for number in range(3):
        values = xarray.Dataset(
            {"v": ("t", np.arange(4.0) + number)}, {"t": np.arange(4) + 4 * number}
        )
        values.to_netcdf(f"{number}.nc", engine="h5netcdf")

    def one() -> Any:
        return xarray.open_dataset("0.nc", chunks={"t": 2}, engine="h5netcdf")["v"].data.sum()

    def many() -> Any:
        return xarray.open_mfdataset("*.nc", engine="h5netcdf")["v"].data.sum()

    for build, value in ((one, 6.0), (many, 30.0)):
        through(folder / "cache", build())
        outcome = through(folder / "cache", build())
        assert (outcome.value, outcome.tasks, outcome.warnings) == (value, 0, [])
    changed = xarray.Dataset({"v": ("t", np.arange(4.0) + 10)}, {"t": np.arange(4)})
    changed.to_netcdf("0.nc", engine="h5netcdf")
    assert through(folder / "cache", many()).value == 70.0
    assert through(folder / "cache", one()).value == 46.0


def test_a_dataset_of_many_files_itself(folder: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    for number in range(2):
        times = {"t": np.arange(4) + 4 * number}
        values = xarray.Dataset({"v": ("t", np.arange(4.0) + number)}, times)
        values.to_netcdf(f"{number}.nc", engine="h5netcdf")

    def run() -> tuple[Any, int]:
        dataset = xarray.open_mfdataset("*.nc", engine="h5netcdf", chunks={"t": 2})
        outcome = through(folder / "cache", dataset.mean())
        assert outcome.warnings == []
        return outcome.value["data_vars"]["v"]["data"], outcome.tasks

    assert run()[0] == 2.0
    assert run() == (2.0, 0)


def test_a_store_as_context_tracks_too(folder: Path) -> None:
    write_frame(frame_of(1), "part-0.csv", False)
    write_frame(frame_of(2), "part-1.csv", False)
    sums = []
    for part in (1, 3, 1):
        write_frame(frame_of(part), "part-0.csv", False)
        with Store(folder / "cache", durable=False):
            sums.append(int(dd.read_csv("part-*.csv").x.sum().compute(scheduler="sync")))
    assert sums == [170, 270, 170]


def test_parallel_tasks_have_their_own_inputs(folder: Path) -> None:
    """They read at the same time, in threads of one process."""

    def waits(path: str) -> str:
        text = Path(path).read_text()
        time.sleep(0.03)
        return text + Path(path).read_text()

    for name in "ab":
        write(f"{name}.txt", name)

    def run() -> tuple[Any, int]:
        tasks = [delayed(waits)(f"{name}.txt") for name in "ab"]
        outcome = through(folder / "cache", *tasks, scheduler="threads")
        return outcome.value, outcome.tasks

    assert [run(), run()] == [(["aa", "bb"], 2), (["aa", "bb"], 0)]
    write("a.txt", "c")
    assert [run(), run()] == [(["cc", "bb"], 1), (["cc", "bb"], 0)]


def by_pool(names: list[str]) -> list[str]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(by_pathlib, names))


def by_thread(names: list[str]) -> list[str]:
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.extend(map(by_pathlib, names)))
    thread.start()
    thread.join()
    return texts


def by_dask(names: list[str]) -> list[str]:
    tasks = [delayed(by_pathlib)(name) for name in names]
    return list(dask.compute(*tasks, scheduler="threads"))


def by_dask_in_line(names: list[str]) -> list[str]:
    tasks = [delayed(by_pathlib)(name) for name in names]
    return list(dask.compute(*tasks, scheduler="sync"))


def by_joblib(names: list[str]) -> list[str]:
    joblib = pytest.importorskip("joblib")
    calls = [joblib.delayed(by_pathlib)(name) for name in names]
    return list(joblib.Parallel(n_jobs=2, prefer="threads")(calls))


def by_older_pool(names: list[str]) -> list[str]:
    return list(older.map(by_pathlib, names))


older = ThreadPoolExecutor(2)

INNER = [by_older_pool, by_pool, by_thread, by_dask, by_dask_in_line, by_joblib]


@pytest.mark.parametrize("reader", INNER, ids=lambda reader: str(reader.__name__))
def test_what_threads_of_a_task_read_is_never_stale(
    folder: Path, reader: Callable[[list[str]], list[str]]
) -> None:
    """Also those of a pool whose threads have been there before."""
    list(older.map(str, range(8)))
    for text in ("1", "2", "1", "1"):
        write("a.txt", text)
        write("b.txt", "b")
        outcome = through(folder / "cache", delayed(reader)(["a.txt", "b.txt"]))
        assert outcome.value == [text, "b"]


# Laws


FILES = ["a", "b", "c"]


class Program(NamedTuple):
    """A random graph of tasks that read files.

    reads: of each task, the files that it reads
    inputs: of each task, tasks before it
    kept: tasks whose results are stored although they are quick
    """

    reads: list[list[str]]
    inputs: list[list[int]]
    kept: list[bool]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    size = draw(st.integers(1, 6))
    reads = [draw(st.lists(st.sampled_from(FILES), max_size=2, unique=True)) for _ in range(size)]
    inputs = [
        draw(st.lists(st.integers(0, place - 1), max_size=2, unique=True)) if place else []
        for place in range(size)
    ]
    return Program(reads, inputs, [draw(st.booleans()) for _ in range(size)])


def kept_step(number: int, reads: list[str], lossy: bool, *values: Any) -> Any:
    return quick_step(number, reads, lossy, *values)


def quick_step(number: int, reads: list[str], lossy: bool, *values: Any) -> Any:
    """Reads files, also missing ones, and the first line of one may name another."""
    texts = []
    for name in reads:
        text = _text_of(name)
        texts += [text, _text_of(text)] if text in FILES else [text]
    result = [number, *texts, *values]
    # A lossy one gives one result for many contents: an early cutoff.
    return [number, len(str(texts)) % 2, *values] if lossy else result


def _text_of(name: str) -> str:
    try:
        return Path(name).read_text()
    except FileNotFoundError:
        return "gone"


edits = st.lists(
    st.tuples(
        st.sampled_from(["edit", "touch", "delete", "same"]),
        st.sampled_from(FILES),
        st.sampled_from(["x", "y", "xx", "a", "b"]),
    ),
    max_size=3,
)
histories = st.lists(st.tuples(edits, st.sampled_from(["sync", "threads"])), min_size=2, max_size=5)


def built(program: Program) -> Any:
    tasks: list[Any] = []
    for number, (reads, inputs) in enumerate(zip(program.reads, program.inputs, strict=True)):
        step = kept_step if program.kept[number] else quick_step
        values = [tasks[place] for place in inputs]
        tasks.append(delayed(step)(number, reads, number % 2 == 1, *values))
    return tasks[-1], tasks[len(tasks) // 2]


def apply(edit: tuple[str, str, str]) -> None:
    kind, name, text = edit
    if kind == "edit":
        write(name, text)
    elif kind == "delete":
        Path(name).unlink(missing_ok=True)
    elif kind == "touch" and Path(name).exists():
        touch(name)


def check_history(folder: Path, program: Program, history: Any) -> None:
    """Values through a store are those without one; a run repeated at once computes nothing."""
    store = folder / f"cache-{next(clock)}"
    for name in FILES:
        Path(name).unlink(missing_ok=True)
    write("a", "x")
    for edits_before, scheduler in history:
        for edit in edits_before:
            apply(edit)
        expected = plain(dask.compute(*built(program), scheduler="sync"))
        options: dict[str, Any] = {"scheduler": scheduler, "keep": ["kept_step"]}
        outcome = through(store, *built(program), **options)
        assert outcome.value == expected
        assert outcome.warnings == []
        again = through(store, *built(program), **options)
        assert (again.value, again.tasks) == (expected, 0)
    shutil.rmtree(store)


def law(examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=examples, suppress_health_check=checks)


@given(programs(), histories)
@law(25)
def test_values_through_a_store_are_those_without(
    folder: Path, program: Program, history: Any
) -> None:
    check_history(folder, program, history)


@pytest.mark.slow
@given(programs(), histories)
@law(400)
def test_values_through_a_store_are_those_without_in_more_programs(
    folder: Path, program: Program, history: Any
) -> None:
    check_history(folder, program, history)


# What people do between two runs


def test_a_file_that_is_replaced_by_a_rename(folder: Path) -> None:
    """Editors and tools write a new file and rename it."""
    write("data.csv", "1\n")
    task = delayed(read)("data.csv")
    through(folder / "cache", task)
    write("data.csv.new", "2\n")
    os.replace("data.csv.new", "data.csv")
    assert through(folder / "cache", task).value == [2]


def test_a_link_counts_by_the_file_behind_it(folder: Path) -> None:
    write("one.csv", "1\n")
    write("two.csv", "2\n")
    os.symlink("one.csv", "data.csv")
    task = delayed(read)("data.csv")
    assert through(folder / "cache", task).value == [1]
    os.remove("data.csv")
    os.symlink("two.csv", "data.csv")
    assert through(folder / "cache", task).value == [2]
    write("two.csv", "3\n")
    assert through(folder / "cache", task).value == [3]


def test_a_file_that_a_task_writes_and_another_reads(folder: Path) -> None:
    """The writer is not stored, so it runs; the reader is never stale."""

    def writer(n: int) -> str:
        write("made.csv", f"{n}\n")
        return "made.csv"

    for n in (1, 2, 1):
        outcome = through(folder / "cache", delayed(read)(delayed(writer)(n)))
        assert outcome.value == [n]


def test_text_in_memory_is_no_file(folder: Path) -> None:
    def parsed(text: str) -> Any:
        return pd.read_csv(io.StringIO(text))

    for _ in range(2):
        outcome = through(folder / "cache", delayed(parsed)("a,b\n1,2\n"))
        assert outcome.warnings == []
    assert outcome.tasks == 0


def test_a_pause_does_not_hide_an_edit(folder: Path) -> None:
    """The memory of looked-at files lasts for one plan."""
    task = delayed(read)("data.csv")
    values = []
    for number in range(4):
        Path("data.csv").write_text(f"{number}\n")
        values.append(through(folder / "cache", task).value)
        time.sleep(0.005)
    assert values == [[0], [1], [2], [3]]


@pytest.mark.parametrize("way", [os.path.realpath, lambda path: Path(path).resolve()])
def test_a_link_that_is_resolved_counts_by_where_it_points(tmp_path: Path, way: Any) -> None:
    """The task opens what it points to; another file may be current later."""

    def load(path: str) -> str:
        with open(way(path)) as file:
            return file.read()

    link = tmp_path / "current"
    for text in ("old", "new"):
        (tmp_path / text).write_text(text)
    for text in ("old", "old", "new", "old"):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / text)
        assert through(tmp_path / "cache", delayed(load)(str(link))).value == text
    link.unlink()
    link.symlink_to(tmp_path / "new")
    why = str(explained(tmp_path / "cache", delayed(load)(str(link))))
    assert through(tmp_path / "cache", delayed(load)(str(link))).tasks == 0, why


@pytest.mark.parametrize(
    "look",
    [
        os.path.lexists,
        os.path.islink,
        lambda path: Path(path).stat().st_size,
        lambda path: Path(path).is_symlink(),
        lambda path: [entry.stat().st_size for entry in os.scandir(Path(path).parent)],
    ],
)
def test_what_the_system_knows_of_a_file_is_not_stored(tmp_path: Path, look: Any) -> None:
    def ask(path: str) -> Any:
        return look(path)

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data").write_text("text")
    graph = delayed(ask)(str(tmp_path / "folder" / "data"))
    assert through(tmp_path / "cache", graph).tasks == 1
    assert through(tmp_path / "cache", graph).tasks == 1
