"""The observer: what a block reads and does, and what is Python's own affair."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import glob
import gzip
import importlib.util
import inspect
import json
import linecache
import logging
import multiprocessing
import os
import pickle
import random
import runpy
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import dask
import numpy as np
import pandas as pd
import pytest
from dask.sizeof import sizeof
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cache.saving import Save
from pipeline.cache.tracking import Input, Observer, add_inputs, callers, changed, observing
from pipeline.cache.tracking.draws import states
from pipeline.cache.tracking.inputs import pattern_input

OLD = 1_600_000_000_000_000_000

context: ContextVar[object] = ContextVar("context", default=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("a,b\n1,2\n")
    os.utime("data.csv", ns=(OLD, OLD))
    return tmp_path


def observed(function: Callable[[], object], **options: Any) -> Observer:
    with observing(**options) as observer:
        function()
    return observer


def names(observer: Observer, kind: str = "file") -> list[str]:
    return [found.name for found in observer.inputs if found.kind == kind]


def effects(function: Callable[[], object], **options: Any) -> list[str]:
    return observed(function, **options).effects


# Reads


def read_json() -> None:
    Path("data.csv").write_text("{}")
    with open("data.csv") as file:
        json.load(file)


READS: dict[str, Callable[[str], object]] = {
    "open": lambda path: open(path).close(),
    "bytes": lambda path: open(path.encode()).close(),
    "binary": lambda path: open(path, "rb").close(),
    "os.open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "pathlib": lambda path: Path(path).read_text(),
    "Path.open": lambda path: Path(path).open().close(),
    "np.fromfile": lambda path: np.fromfile(path, dtype=np.uint8),
    "np.loadtxt": lambda path: np.loadtxt(path, delimiter=",", skiprows=1),
    "np.genfromtxt": lambda path: np.genfromtxt(path, delimiter=","),
    "np.memmap": lambda path: np.memmap(path, dtype=np.uint8, mode="r"),
    "read_csv": lambda path: pd.read_csv(path),
    "read_csv, python": lambda path: pd.read_csv(path, engine="python"),
    "read_csv, mapped": lambda path: pd.read_csv(path, memory_map=True),
    "read_table": lambda path: pd.read_table(path),
    "copy": lambda path: shutil.copyfile(path, os.devnull),
    "io.open_code": lambda path: __import__("io").open_code(os.path.abspath(path)).close(),
}


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("how", READS)
def test_a_file_that_is_read_is_an_input(how: str, folder: Path) -> None:
    observer = observed(lambda: READS[how]("data.csv"))
    path = str(folder / "data.csv") if how == "io.open_code" else "data.csv"
    assert names(observer) == [path]
    assert observer.effects == []
    assert changed(observer.inputs, {}) == ""
    Path("data.csv").write_text("c,d\n1,2\n")
    assert changed(observer.inputs, {}).endswith("data.csv changed")


def test_array_files_are_inputs() -> None:
    np.save("a.npy", np.arange(3))
    np.savez("a.npz", x=np.arange(3))
    assert names(observed(lambda: np.load("a.npy"))) == ["a.npy"]
    assert names(observed(lambda: np.load("a.npy", mmap_mode="r"))) == ["a.npy"]
    assert names(observed(lambda: np.load("a.npz")["x"])) == ["a.npz"]


def test_files_of_the_standard_library_are_inputs() -> None:
    with gzip.open("data.gz", "wt") as file:
        file.write("x")
    Path("data.pickle").write_bytes(pickle.dumps(1))
    Path("data.json").write_text("{}")
    Path("data.ini").write_text("[a]\nb = 1\n")
    Path("data.toml").write_text("a = 1\n")

    def task() -> None:
        with gzip.open("data.gz", "rt") as file:
            file.read()
        with open("data.pickle", "rb") as binary:
            pickle.load(binary)  # noqa: S301 # written above
        json.loads(Path("data.json").read_text())
        configparser.ConfigParser().read(["data.ini", "missing.ini"])
        with open("data.toml", "rb") as binary:
            tomllib.load(binary)

    observer = observed(task)
    expected = ["data.gz", "data.ini", "data.json", "data.pickle", "data.toml", "missing.ini"]
    assert names(observer) == expected
    assert observer.effects == []


def test_a_pickled_frame_is_an_input() -> None:
    pd.DataFrame({"a": [1]}).to_pickle("a.pkl")
    assert names(observed(lambda: pd.read_pickle("a.pkl"))) == ["a.pkl"]  # noqa: S301 # written above


def test_a_missing_file_is_an_input() -> None:
    def task() -> None:
        with pytest.raises(FileNotFoundError):
            Path("missing").read_text()

    observer = observed(task)
    assert observer.inputs == [Input("file", "missing", "")]
    Path("missing").write_text("")
    assert changed(observer.inputs, {}) == "missing is there now"


def test_a_file_is_one_input_however_often_it_is_read() -> None:
    observer = observed(lambda: [Path("data.csv").read_text() for _ in range(3)])
    assert names(observer) == ["data.csv"]


def test_inputs_are_sorted() -> None:
    for name in ("b", "a", "c"):
        Path(name).write_text(name)
    assert names(observed(lambda: [Path(x).read_text() for x in "bac"])) == ["a", "b", "c"]


def test_folders_that_are_listed_are_inputs(folder: Path) -> None:
    Path("inner").mkdir()
    Path("inner/a.txt").write_text("")
    listings: list[tuple[Callable[[], object], list[str]]] = [
        (lambda: os.listdir("inner"), ["inner"]),
        (lambda: os.listdir(b"inner"), ["inner"]),
        (os.listdir, ["."]),
        (lambda: list(os.scandir("inner")), ["inner"]),
        (lambda: list(Path("inner").iterdir()), ["inner"]),
        (lambda: glob.glob("**/*.csv", recursive=True), [".", "inner"]),
        (lambda: list(Path().rglob("*.txt")), [".", "inner"]),
        (lambda: list(os.walk(".")), [".", "./inner"]),
    ]
    for listing, expected in listings:
        found = {os.path.normpath(name) for name in names(observed(listing), "folder")}
        assert found == {os.path.normpath(name) for name in expected}


@pytest.mark.parametrize(
    "look",
    [lambda: glob.glob("in*/*.txt"), lambda: list(Path().glob("in*/*.txt"))],
    ids=["glob", "Path.glob"],
)
def test_a_pattern_counts_by_the_paths_that_match_it(look: Callable[[], object]) -> None:
    Path("inner").mkdir()
    Path("inner/a.txt").write_text("")
    observer = observed(look)
    assert names(observer, "pattern") == ["in*/*.txt"]
    Path("inner/a.txt").write_text("1")
    if sys.version_info < (3, 12):  # later versions list folders in another way
        assert names(observer, "folder") == []
        Path("inner/out.csv").write_text("")
        assert changed(observer.inputs, {}) == ""
    Path("inner/b.txt").write_text("")
    assert changed(observer.inputs[-1:], {}) == "in*/*.txt matches other files"


def test_a_pattern_in_one_old_folder_counts_by_its_stamp(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns
    monkeypatch.setattr("pipeline.identity.files.time.time_ns", lambda: now() + 10**10)
    [tracked] = observed(lambda: glob.glob("*.csv")).inputs
    assert tracked.stamp
    assert changed([tracked._replace(content="of another")], {}) == ""
    Path("new.csv").write_text("")
    assert changed([tracked], {}) == "*.csv matches other files"
    Path("new.csv").unlink()
    assert changed([tracked], {}) == ""


def test_a_file_that_is_looked_up_by_glob_may_be_missing() -> None:
    [tracked] = observed(lambda: glob.glob("missing.csv")).inputs
    assert changed([tracked], {}) == ""
    Path("missing.csv").write_text("")
    assert changed([tracked], {}) == "missing.csv matches other files"


def test_a_folder_that_is_listed_by_its_descriptor_is_an_input(folder: Path) -> None:
    def task() -> None:
        number = os.open(".", os.O_RDONLY)
        os.listdir(number)
        os.close(number)

    assert names(observed(task), "folder") == [str(folder)]


def test_an_absolute_path_near_the_current_folder_depends_on_it(folder: Path) -> None:
    path = str(folder / "data.csv")
    assert names(observed(lambda: Path(path).resolve().read_text()), "cwd") == [""]
    for known in (path, str(folder), f"{folder}/", str(folder.parent)):
        observer = observed(lambda: Path(path).read_text(), given={known})
        assert names(observer, "cwd") == []
        assert names(observer) == [path]


def test_an_absolute_path_elsewhere_does_not_depend_on_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a/b/c").mkdir(parents=True)
    monkeypatch.chdir(folder / "a/b/c")
    assert names(observed(lambda: (folder / "data.csv").read_text()), "cwd") == []


def test_after_a_change_of_folder_paths_are_absolute(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner/x").write_text("")
    (folder / "x").write_text("")

    def task() -> None:
        Path("data.csv").read_text()
        Path("x").read_text()
        os.chdir("inner")
        Path("x").read_text()
        os.chdir("..")

    observer = observed(task)
    assert observer.effects == []
    assert names(observer) == [str(folder / "inner/x"), "data.csv", "x"]
    assert Input("cwd", "", str(folder)) in observer.inputs


def test_a_pipe_cannot_be_read_again(folder: Path) -> None:
    os.mkfifo("pipe")

    def task() -> None:
        os.close(os.open("pipe", os.O_RDONLY | os.O_NONBLOCK))

    assert effects(task) == ["it read from pipe, which is no file"]


# What is no input


def test_modules_that_are_imported_are_no_inputs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "observed_module.py").write_text("from pathlib import Path\nx = 1\n")
    monkeypatch.syspath_prepend(folder)
    observer = observed(lambda: __import__("observed_module"))
    assert (observer.inputs, observer.effects) == ([], [])


def test_a_file_that_a_module_of_the_project_reads_on_import_is_an_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "reading_module.py").write_text("x = open('data.csv').read()\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.warns(ResourceWarning):
        observer = observed(lambda: __import__("reading_module"))
    assert names(observer) == ["data.csv"]


@pytest.mark.slow
def test_what_a_library_does_on_import_does_not_count() -> None:
    program = """
from contextlib import suppress
from importlib import import_module
from pipeline.cache.tracking import observing
with observing() as observer:
    import matplotlib.pyplot, distributed
    for name in "sklearn.ensemble", "xarray", "tqdm":
        with suppress(ImportError):
            import_module(name)
    with suppress(ImportError):
        from tqdm import tqdm
        list(tqdm(range(2)))
print(observer.inputs, observer.effects)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[] []"


def test_data_of_a_package_are_inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.resources
    import pkgutil

    (folder / "observed_package").mkdir()
    (folder / "observed_package/__init__.py").write_text("")
    data = folder / "observed_package/data.txt"
    data.write_text("x")
    monkeypatch.syspath_prepend(folder)
    __import__("observed_package")
    assert names(observed(lambda: pkgutil.get_data("observed_package", "data.txt"))) == [str(data)]
    resource = importlib.resources.files("observed_package") / "data.txt"
    assert names(observed(resource.read_text)) == [str(data)]


def test_source_code_for_a_message_is_no_input(folder: Path) -> None:
    Path("code.py").write_text("x = 1\n")
    linecache.clearcache()
    assert names(observed(lambda: linecache.getline("code.py", 1))) == []
    assert names(observed(lambda: linecache.getline("data.csv", 1))) == ["data.csv"]


def test_system_and_library_files_are_no_inputs() -> None:
    def task() -> None:
        Path("/proc/self/status").read_text()
        Path(os.devnull).read_text()
        Path(np.__file__).read_text()
        Path(os.__file__).read_text()

    assert observed(task).inputs == []


def test_logs_are_no_effects(folder: Path) -> None:
    def task() -> None:
        handler = logging.FileHandler("run.log")
        logger = logging.Logger("observed")
        logger.addHandler(handler)
        logger.warning("done")
        handler.close()

    observer = observed(task)
    assert (observer.inputs, observer.effects) == ([], [])
    assert Path("run.log").read_text()


def test_timing_printing_and_folders_are_no_effects(folder: Path) -> None:
    import warnings

    def task() -> None:
        time.perf_counter()
        print("done")
        with pytest.warns(UserWarning, match="careful"):
            warnings.warn("careful", stacklevel=1)
        os.makedirs("a/b", exist_ok=True)
        os.makedirs("a/b", exist_ok=True)

    observer = observed(task)
    assert (observer.inputs, observer.effects) == ([], [])


def test_temporary_files_are_neither_inputs_nor_effects() -> None:
    def task() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
            file.flush()
            Path(file.name).read_text()
        with tempfile.TemporaryDirectory() as place:
            inner = Path(place) / "a/b"
            inner.mkdir(parents=True)
            (inner / "x").write_text("x")
            (inner / "x").rename(inner / "y")
            (inner / "y").read_text()
            list(inner.iterdir())
            shutil.rmtree(Path(place) / "a")
        Path("scratch").write_text("x")
        Path("scratch").unlink()

    observer = observed(task)
    assert (observer.inputs, observer.effects) == ([], [])


def test_a_file_that_the_task_wrote_is_no_input() -> None:
    def task() -> None:
        Path("out.csv").write_text("1")
        Path("out.csv").read_text()

    observer = observed(task)
    assert (observer.inputs, observer.effects) == ([], ["it wrote out.csv"])


# Effects


def append() -> None:
    with open("data.csv", "a") as file:
        file.write("x")


def open_as_new() -> None:
    with pytest.raises(FileExistsError), open("data.csv", "x"):
        pass


def rename_a_folder() -> None:
    Path("new").mkdir()
    Path("new/x").write_text("")
    Path("new").rename("out")


TRUE = shutil.which("true") or ""

EFFECTS: dict[str, tuple[Callable[[], object], list[str]]] = {
    "open": (lambda: Path("out.csv").write_text("1"), ["it wrote out.csv"]),
    "again": (lambda: [Path("out.csv").write_text(x) for x in "12"], ["it wrote out.csv"]),
    "append": (append, ["it wrote data.csv"]),
    "np.save": (lambda: np.save("out.npy", np.arange(2)), ["it wrote out.npy"]),
    "to_csv": (lambda: pd.DataFrame({"a": [1]}).to_csv("out.csv"), ["it wrote out.csv"]),
    "remove": (lambda: os.remove("data.csv"), ["it removed data.csv"]),
    "truncate": (lambda: os.truncate("data.csv", 1), ["it changed data.csv"]),
    "touch": (lambda: Path("data.csv").touch(), ["it changed data.csv"]),
    "rename": (
        lambda: os.rename("data.csv", "out.csv"),
        ["it renamed data.csv", "it wrote out.csv"],
    ),
    "symlink": (lambda: os.symlink("data.csv", "link"), ["it wrote link"]),
    "link": (lambda: os.link("data.csv", "link"), ["it wrote link"]),
    "copy": (lambda: shutil.copy("data.csv", "out.csv"), ["it wrote out.csv"]),
    "missing": (lambda: Path("out.csv").unlink(missing_ok=True), []),
    "there already": (open_as_new, []),
    "a folder": (rename_a_folder, ["it wrote out"]),
    "memmap": (lambda: np.memmap("data.csv", dtype=np.uint8), ["it wrote data.csv"]),
    "memory": (lambda: sqlite3.connect(":memory:").close(), []),
    "run": (lambda: subprocess.run([TRUE, "secret"]), ["it started a program: true"]),
    "system": (lambda: os.system(f"{TRUE} 1"), ["it started a program: true"]),  # noqa: S605
    "lookup": (
        lambda: socket.getaddrinfo("127.0.0.1", 80),
        ["it looked up the address of 127.0.0.1"],
    ),
    "variable": (lambda: os.environ.update(SEEN="1"), ["it set the environment variable SEEN"]),
    "signal": (lambda: os.kill(os.getpid(), 0), ["it sent a signal"]),
    "chdir": (lambda: os.chdir("/"), ["it changed the current folder"]),
}  # fmt: skip


@pytest.mark.parametrize("how", EFFECTS)
def test_an_effect_is_reported(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEN", "0")
    function, expected = EFFECTS[how]
    assert effects(function) == expected


def test_a_socket_is_an_effect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()

        def task() -> None:
            socket.create_connection((host, port)).close()

        assert f"it opened a socket to 127.0.0.1:{port}" in effects(task)


def test_a_socket_that_is_bound_is_an_effect() -> None:
    with socket.socket() as server:
        assert effects(lambda: server.bind(("127.0.0.1", 0))) == [
            "it opened a socket to 127.0.0.1:0"
        ]


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, if another test has imported it
def test_a_fork_is_an_effect() -> None:
    def task() -> None:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

    assert effects(task) == ["it started a process"]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_is_an_effect(method: str) -> None:
    def task() -> None:
        context: Any = multiprocessing.get_context(method)
        process = context.Process(target=int)
        process.start()
        process.join()

    assert "it started a process" in effects(task)


def test_processes_of_joblib_are_an_effect() -> None:
    """Also where they were started before: what they read is not observed."""

    def task() -> None:
        joblib.Parallel(2)(joblib.delayed(abs)(number) for number in range(2))

    joblib = pytest.importorskip("joblib")
    for _ in range(2):
        assert effects(task) == ["it started a process"]


@pytest.mark.slow
def test_processes_that_scikit_learn_uses_are_no_effect() -> None:
    """They compute what it would compute itself."""
    trees = pytest.importorskip("sklearn.tree")
    selection = pytest.importorskip("sklearn.model_selection")
    x = np.random.default_rng(0).random((400_000, 4))  # arrays go through files

    def task() -> None:
        tree = trees.DecisionTreeClassifier(max_depth=1, random_state=0)
        selection.cross_val_score(tree, x, x[:, 0] > 0.5, cv=2, n_jobs=2)

    for _ in range(2):
        observer = observed(task)
        assert (observer.inputs, observer.effects) == ([], [])


def query(path: str, *commands: str, is_uri: bool = False) -> list[Any]:
    connection = sqlite3.connect(path, uri=is_uri)
    with contextlib.closing(connection), connection:
        return [row for command in commands for row in connection.execute(command)]


def test_a_database_that_is_read_is_an_input(folder: Path) -> None:
    query("a.db", "create table t (x)", "insert into t values (1)")
    observer = observed(lambda: query("a.db", "select * from t"))
    assert names(observer) == ["a.db", "a.db-journal", "a.db-wal"]
    assert observer.effects == []
    uri = observed(lambda: query(f"file:{folder}/a.db?mode=ro", "select * from t", is_uri=True))
    assert names(uri)[0] == str(folder / "a.db")
    query("a.db", "insert into t values (2)")
    assert changed(observer.inputs, {}) == "a.db changed"


def test_a_database_that_is_written_is_an_effect() -> None:
    for command in ("create table t (x)", "insert into t values (1)"):
        observer = observed(partial(query, "a.db", command))
        assert (observer.effects, observer.changes) == (["it wrote a.db"], [])


def test_a_file_that_is_run_as_a_module_is_an_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its compiled file is read instead of it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    Path("settings_of_test.py").write_text("x = 1\n")
    os.utime("settings_of_test.py", (1e9, 1e9))

    def task() -> None:
        path = folder / "settings_of_test.py"
        spec = importlib.util.spec_from_file_location("settings_of_test", path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    for _ in range(2):
        observer = observed(task, given={str(folder)})
        assert names(observer) == [str(folder / "settings_of_test.py")]
        assert observer.effects == []
    assert list(Path("__pycache__").iterdir())


def test_a_program_that_is_run_by_its_path_is_an_input(folder: Path) -> None:
    Path("program.py").write_text("x = 1\n")
    observer = observed(lambda: runpy.run_path("program.py"))
    assert names(observer) == [str(folder / "program.py")]
    assert names(observer, "cwd") == [""]


def test_a_name_that_is_no_text_is_an_effect() -> None:
    Path(os.fsdecode(b"data\xff.csv")).write_text("")
    found = effects(lambda: read(os.fsdecode(b"data\xff.csv")))
    assert found == ["it read 'data\\udcff.csv', whose name is no text"]


def test_a_path_through_a_link_is_the_file_behind_it(folder: Path) -> None:
    """`link/..` is not the folder that the link is in."""
    (folder / "far/inner").mkdir(parents=True)
    (folder / "far/data.csv").write_text("far")
    Path("link").symlink_to("far/inner")
    observer = observed(lambda: read("link/../data.csv"))
    [found], [there] = observer.inputs, observed(lambda: read("far/data.csv")).inputs
    assert found == there._replace(name="link/../data.csv")


def test_a_removed_folder_is_an_effect() -> None:
    Path("old/inner").mkdir(parents=True)
    Path("old/inner/x").write_text("")
    observer = observed(lambda: shutil.rmtree("old"))
    assert "it removed old" in observer.effects


def test_a_variable_that_is_set_back_is_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBSERVED", raising=False)

    def task() -> None:
        os.environ["OBSERVED"] = "1"
        del os.environ["OBSERVED"]

    assert effects(task) == []


def test_long_paths_are_cut_in_messages(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "out.csv"
    assert effects(lambda: path.write_text("1")) == [f"it wrote …/{path.parent.name}/out.csv"]


# Files that change while a task runs


def in_thread(function: Callable[[], object]) -> None:
    """Runs a function as another program would: in a thread that no observer watches."""
    done = threading.Event()
    WORK.append((function, done))
    READY.release()
    assert done.wait(10)


WORK: list[tuple[Callable[[], object], threading.Event]] = []
READY = threading.Semaphore(0)


@pytest.fixture(autouse=True, scope="module")
def stranger() -> None:
    def loop() -> None:
        while READY.acquire():
            function, done = WORK.pop()
            function()
            done.set()

    threading.Thread(target=loop, daemon=True).start()


@pytest.mark.parametrize("content", ["a,b\n3,4\n", "longer than before"])
@pytest.mark.parametrize("is_old", [True, False])
def test_a_file_that_changes_while_the_task_runs_is_reported(content: str, is_old: bool) -> None:
    if not is_old:
        os.utime("data.csv")
    before = Path("data.csv").stat().st_mtime_ns

    def change() -> None:
        Path("data.csv").write_text(content)
        if not is_old:  # as if both edits came within one tick of the clock
            os.utime("data.csv", ns=(before, before))

    def task() -> None:
        Path("data.csv").read_text()
        in_thread(change)

    observer = observed(task)
    assert observer.effects == ["data.csv changed while it ran"]
    assert observer.changes == ["data.csv"]
    assert names(observer) == []


def test_a_folder_that_changes_while_the_task_runs_is_reported() -> None:
    def task() -> None:
        os.listdir()
        in_thread(lambda: Path("new").write_text(""))

    assert effects(task) == ["folder . changed while it ran"]


def test_a_new_file_is_an_input_by_its_content() -> None:
    Path("new.csv").write_text("1")
    observer = observed(lambda: Path("new.csv").read_text())
    assert [(found.name, found.stamp) for found in observer.inputs] == [("new.csv", 0)]


# Laws

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "write", "append", "remove", "rename", "copy", "scratch"]),
        st.sampled_from(["a", "b", "c", "inner/d"]),
        st.sampled_from(["a", "b", "inner/e"]),
    ),
    max_size=8,
)


def perform(step: str, name: str, other: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        match step:
            case "read":
                read(name)
            case "write":
                Path(name).write_text("written")
            case "append":
                with open(name, "a") as file:
                    file.write("more")
            case "remove":
                os.remove(name)
            case "rename":
                os.rename(name, other)
            case "copy" if name != other:
                shutil.copy(name, other)
            case "scratch":
                with tempfile.TemporaryDirectory(dir=".") as place:
                    shutil.copy(name, f"{place}/x")
                    os.replace(f"{place}/x", f"{place}/y")


def contents(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def reads_before_writes(steps: list[tuple[str, str, str]], there: set[str]) -> set[str]:
    """The files that steps read, or find missing, before they write them."""
    reads, written = set[str](), set[str]()
    for step, name, other in steps:
        if step == "copy" and name == other:
            continue
        if step in ("read", "copy", "scratch") and name not in written:
            reads.add(name)
        targets = {"write": {name}, "append": {name}}.get(step, set())
        if name in there:
            targets = {"remove": {name}, "rename": {name, other}, "copy": {other}}.get(
                step, targets
            )
        written |= targets
        there = there - targets | ({other} if other in targets and step != "remove" else set())
        there |= {name} if step in ("write", "append") else set()
    return reads


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_law_a_task_without_effects_leaves_all_files_as_they_were(
    folder: Path, steps: list[tuple[str, str, str]]
) -> None:
    """And what it read before it wrote it is an input, with the content of before."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    (folder / "inner").mkdir(exist_ok=True)
    Path("a").write_text("first")
    Path("inner/d").write_text("second")
    before = contents(folder)

    def task() -> None:
        for step in steps:
            perform(*step)

    observer = observed(task)
    assert observer.effects or contents(folder) == before
    expected = reads_before_writes(steps, set(before))
    found = {tracked.name: tracked.content for tracked in observer.inputs}
    if not observer.effects:
        assert set(found) == expected
        assert changed(observer.inputs, {}) == ""
        assert {name for name, content in found.items() if content} == expected & set(before)


def test_many_threads_see_their_own_files(folder: Path) -> None:
    for number in range(8):
        Path(f"{number}.csv").write_text(str(number))

    def task(number: int) -> list[str]:
        with observing() as observer:
            for _ in range(50):
                read(f"{number}.csv")
                threading.Thread(target=read, args=(f"{number}.csv",)).start()
        return names(observer)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(task, range(8))) == [[f"{number}.csv"] for number in range(8)]


# Threads, nesting, errors


def test_a_thread_that_outlives_its_task_disturbs_no_observer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = observing()

    def slow(pattern: str) -> Input:
        seen.match(f"{pattern}x")  # as of a thread that the task has left behind
        seen.effect(f"late {pattern}")
        return pattern_input(pattern)

    monkeypatch.setattr("pipeline.cache.tracking.observer.pattern_input", slow)
    with seen:
        for name in "ab":
            seen.match(os.fspath(tmp_path / f"{name}*"))
    assert {item.kind for item in seen.inputs} >= {"pattern"}


def read(name: str) -> str:
    return Path(name).read_text()


def test_threads_that_the_task_starts_count() -> None:
    def task() -> None:
        thread = threading.Thread(target=read, args=("data.csv",))
        thread.start()
        thread.join()

    assert names(observed(task)) == ["data.csv"]


def test_pools_that_the_task_starts_count() -> None:
    def task() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(read, ["data.csv", "data.csv"]))
            pool.submit(np.loadtxt, "other.csv").result()

    Path("other.csv").write_text("1")
    assert names(observed(task)) == ["data.csv", "other.csv"]


def test_threads_of_threads_count() -> None:
    def outer() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(read, "data.csv").result()

    def task() -> None:
        thread = threading.Thread(target=outer)
        thread.start()
        thread.join()

    assert names(observed(task)) == ["data.csv"]


def test_a_pool_that_a_task_leaves_counts_for_the_next_task_of_its_thread() -> None:
    pools: list[ThreadPoolExecutor] = []

    def first() -> None:
        pools.append(ThreadPoolExecutor(1))
        pools[0].submit(int).result()

    assert names(observed(first)) == []
    assert names(observed(lambda: pools[0].submit(read, "data.csv").result())) == ["data.csv"]
    pools[0].shutdown()


def test_work_for_a_pool_counts_for_the_task_that_hands_it_over() -> None:
    with ThreadPoolExecutor(1) as pool:
        in_thread(
            lambda: pool.submit(int).result()
        )  # another program starts the thread of the pool
        assert names(observed(lambda: pool.submit(read, "data.csv").result())) == ["data.csv"]
        observer = observed(lambda: in_thread(lambda: pool.submit(read, "data.csv").result()))
        assert names(observer) == []


def test_work_in_an_event_loop_counts_for_the_task_that_handed_it_over() -> None:
    """As fsspec and Zarr do, which have one loop in a thread for the whole process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def work() -> None:
        read("data.csv")
        await asyncio.to_thread(read, "data.csv.gz")

    Path("data.csv.gz").write_text("")

    def task() -> None:
        asyncio.run_coroutine_threadsafe(work(), loop).result()

    observer = observed(task)
    task()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert names(observer) == ["data.csv", "data.csv.gz"]


def test_arrays_of_zarr_are_read_by_python() -> None:
    zarr = pytest.importorskip("zarr")
    zarr.save("a.zarr", np.arange(3))
    for _ in range(2):
        observer = observed(lambda: zarr.load("a.zarr"))
        assert [name for name in names(observer) if name.endswith("a.zarr/c/0")]
        assert observer.effects == []


def test_threads_that_were_there_before_do_not_count() -> None:
    observer = observed(lambda: in_thread(lambda: read("data.csv")))
    assert (observer.inputs, observer.effects) == ([], [])


def test_a_task_on_a_cluster_is_observed_in_its_worker(client: Any, folder: Path) -> None:
    path = str(folder / "data.csv")

    def task() -> str:
        dask.delayed(read)(path).compute(scheduler="threads")
        Path(path).with_name("out.csv").write_text("1")
        return read(path)

    observer = client.submit(observe_path, task, pure=False).result()
    assert observer == ([path], [f"it wrote …/{folder.name}/out.csv"])


def observe_path(function: Callable[[], object]) -> tuple[list[str], list[str]]:
    observer = observed(function)
    return names(observer), observer.effects


def test_observers_in_two_threads_see_their_own_thread() -> None:
    Path("other.csv").write_text("1")
    both = threading.Barrier(2)

    def task(name: str) -> list[str]:
        with observing() as observer:
            both.wait()
            read(name)
            both.wait()
        return names(observer)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(task, ["data.csv", "other.csv"]))
    assert found == [["data.csv"], ["other.csv"]]


def test_an_outer_observer_sees_what_an_inner_one_sees() -> None:
    Path("other.csv").write_text("1")
    found: list[Observer] = []

    def task() -> None:
        read("other.csv")
        found.append(observed(lambda: read("data.csv")))
        Path("out.csv").write_text("1")

    observer = observed(task)
    assert names(found[0]) == ["data.csv"]
    assert found[0].effects == []
    assert names(observer) == ["data.csv", "other.csv"]
    assert observer.effects == ["it wrote out.csv"]


def test_inputs_of_results_that_a_task_loads_are_its_own() -> None:
    kept = Input("file", "data.csv", "1")
    add_inputs([kept])
    found: list[Observer] = []
    observer = observed(lambda: found.append(observed(lambda: add_inputs([kept]))))
    assert observer.inputs == found[0].inputs == [kept]


def test_lists_are_complete_after_an_error() -> None:
    observer = observing()

    def task() -> None:
        with observer:
            read("data.csv")
            Path("out.csv").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        task()
    assert names(observer) == ["data.csv"]
    assert observer.effects == ["it wrote out.csv"]


def test_nothing_counts_after_the_block() -> None:
    observer = observed(lambda: None)
    read("data.csv")
    assert observer.inputs == []


def test_an_error_of_the_observer_is_no_error_of_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Observer, "read", fail)
    assert effects(lambda: read("data.csv")) == ["open could not be observed: no"]


# Random numbers


DRAWS: dict[str, tuple[Callable[[], object], str]] = {
    "rand": (lambda: np.random.rand(), "NumPy's"),
    "randn": (lambda: np.random.randn(), "NumPy's"),
    "a whole state": (lambda: np.random.rand(312), "NumPy's"),
    "seed": (lambda: np.random.seed(), "NumPy's"),
    "random": (random.random, "Python's"),
    "gauss": (lambda: random.gauss(0, 1), "Python's"),
    "shuffle": (lambda: random.shuffle([1, 2, 3]), "Python's"),
    "sample": (lambda: pd.Series([1, 2, 3]).sample(2), "NumPy's"),
}


@pytest.mark.parametrize("how", DRAWS)
def test_a_draw_from_a_global_generator_is_an_effect(how: str) -> None:
    function, whose = DRAWS[how]
    for _ in range(2):  # a normal number is drawn with the next one, which is kept
        assert effects(function) == [f"it drew from {whose} global random numbers"]


def test_a_generator_of_the_task_is_no_effect() -> None:
    def task() -> None:
        np.random.default_rng(0).random()
        np.random.RandomState(0).randn()
        random.Random(0).random()  # noqa: S311 # no secret

    assert effects(task) == []


def test_a_generator_that_the_task_seeds_is_no_effect() -> None:
    assert effects(lambda: np.random.rand(), seeds={"numpy"}) == []
    assert effects(random.random, seeds={"random"}) == []
    assert effects(random.random, seeds={"numpy"}) == [
        "it drew from Python's global random numbers"
    ]


def test_random_numbers_may_be_left_out() -> None:
    assert effects(random.random, draws=False) == []


def test_numbers_that_dask_draws_in_another_thread_are_no_effect() -> None:
    from dask.sizeof import sizeof

    assert effects(lambda: in_thread(lambda: sizeof(list(range(100))))) == []
    assert effects(lambda: in_thread(random.random))  # it may be the task's: nobody knows


def test_another_generator_behind_numpy_is_compared_as_well() -> None:
    module: Any = np.random
    before = module.get_bit_generator()
    try:
        module.set_bit_generator(np.random.PCG64(1))
        assert effects(lambda: np.random.rand()) == ["it drew from NumPy's global random numbers"]
        assert effects(lambda: None) == []
    finally:
        module.set_bit_generator(before)


# What the code of a function needs


class Needed(NamedTuple):
    variables: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()


def test_variables_and_contexts_that_a_function_needs_are_inputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OBSERVED", "1")
    needs = Needed(("OBSERVED",), (f"{__name__}:context",))
    observer = observed(lambda: None, needs=needs)
    assert [(found.kind, found.name) for found in observer.inputs] == [
        ("context minor", f"{__name__}:context"),
        ("variable", "OBSERVED"),
    ]
    assert changed(observer.inputs, {}) == ""
    monkeypatch.setenv("OBSERVED", "2")
    assert changed(observer.inputs, {}) == "OBSERVED changed"


def test_a_context_without_content_is_an_effect() -> None:
    token = context.set(threading.Lock())
    try:
        assert effects(lambda: None, needs=Needed(contexts=(f"{__name__}:context",))) == [
            "the ContextVar context has a value without content"
        ]
    finally:
        context.reset(token)


def test_a_context_that_is_not_found_is_an_effect() -> None:
    assert effects(lambda: None, needs=Needed(contexts=("nowhere:context",))) == [
        "it reads the ContextVar context, which is not found as nowhere:context"
    ]


def test_the_files_of_this_engine_that_callers_are_compared_with_exist() -> None:
    assert inspect.getsourcefile(Save) == callers._SAVING
    assert all(os.path.exists(path) for path in callers._OWN)


def test_dask_guesses_sizes_with_numbers_of_its_own() -> None:
    """It draws 100 values of each column of objects, in any thread, while others are observed."""
    frame = pd.DataFrame({"a": pd.Series(["x", "yy"] * 50, dtype=object)})
    np.random.seed(3)
    before = states()
    assert sizeof(frame) > 100
    assert sizeof(frame.a) > 100
    assert states() == before
    assert np.random.randint(1000) == np.random.RandomState(3).randint(1000)


def test_an_import_of_the_tracking_draws_nothing() -> None:
    code = (
        "import random, sys; random.seed(1); first = random.random(); random.seed(1); "
        "import pipeline.cache; assert random.random() == first; "
        "assert 'rich.style' in sys.modules"  # it draws, and formats import it
    )
    subprocess.run([sys.executable, "-c", code], check=True)
