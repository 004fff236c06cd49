"""Nothing that people write is refused, and nothing that may be wrong is stored.

What a task does is declared, or observed while it runs, or in a short table.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.dataframe as dd
import h5py  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pyarrow.csv
import pytest
import xarray
from dask import delayed
from dask.multiprocessing import get_context

from pipeline import Store, impure, pure
from tests.programs import steps
from tests.programs.steps import REFUSED, STORED
from tests.programs.through import explained, plain, through

if TYPE_CHECKING:
    from collections.abc import Callable

    Builder = Callable[[], Any]

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


def names_remedy(text: str) -> bool:
    """Whether a reason says what to do."""
    return "@pure" in text or "pass a seed" in text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the steps read."""
    steps.fill(tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def name_of(build: Builder) -> str:
    return build.__name__


def value_of(build: Builder) -> Any:
    with pytest.warns() if build is steps.talk else dask.config.set():
        return plain(dask.compute(build(), scheduler="sync")[0])


@pytest.mark.parametrize("build", STORED, ids=name_of)
def test_what_people_write_is_stored(folder: Path, build: Builder) -> None:
    value = value_of(build)
    first = through(folder / "cache", build())
    assert (first.value, first.warnings) == (value, [])
    assert first.ran
    assert explained(folder / "cache", build()).count("miss") == 0
    second = through(folder / "cache", build())
    assert (second.value, second.ran, second.warnings) == (value, set(), [])


@pytest.mark.parametrize("build", REFUSED, ids=name_of)
def test_what_may_differ_the_next_time_is_not_stored(folder: Path, build: Builder) -> None:
    """One warning per function and process names it, the reason and the remedy; so does explain."""
    last = build()
    first = through(folder / "cache", build())
    steps.fill(folder / "work")
    second = through(folder / "cache", build())
    assert first.ran - {"load"}
    assert second.ran - {"load"}, "it was loaded"
    [line] = [x for x in explained(folder / "cache", last).lines if x.key == last.key]
    assert line.status != "hit"
    [warning] = first.warnings
    for text in (line.why, warning):
        assert REFUSED[build] in text
        assert names_remedy(text)
    assert line.function in warning
    assert second.warnings == []


def test_one_warning_for_several_functions(folder: Path) -> None:
    def first_writer(n: int) -> int:
        Path("out.csv").write_text(str(n))
        return n

    def second_writer(n: int) -> int:
        os.rename("data.csv", "moved.csv")
        os.rename("moved.csv", "data.csv")
        return n

    def innocent(n: int) -> int:
        return n

    tasks = [delayed(first_writer)(1), delayed(first_writer)(2), delayed(second_writer)(3)]
    [warning] = through(folder / "cache", *tasks, delayed(innocent)(3)).warnings
    assert "first_writer" in warning
    assert "it wrote out.csv" in warning
    assert "second_writer" in warning
    assert "innocent" not in warning


def test_the_cause_is_named_where_it_is_in_an_inner_task(folder: Path) -> None:
    def now() -> float:
        return time.time()

    def behind(x: float) -> float:
        return x * 0

    [warning] = through(folder / "cache", delayed(behind)(delayed(now)())).warnings
    assert "now" in warning
    assert names_remedy(warning)


def test_each_step_of_columns_in_place_is_stored(folder: Path) -> None:
    names = ["load", "features", "fit", "score"]
    through(folder / "cache", steps.columns_in_place(), keep=names)
    frame = delayed(steps.features)(delayed(steps.load)(12))
    model = delayed(steps.fit)(frame)
    for step in (frame, model, delayed(steps.load)(12), delayed(steps.score)(model, frame)):
        assert through(folder / "cache", step, keep=names).ran == set()


def test_the_remedy_of_an_observed_effect_works(folder: Path) -> None:
    """Explain names the reason and the remedy in these words; the remedy is final."""

    def writes(n: int) -> int:
        with open("out.csv", "w") as file:
            file.write("1")
        return n

    through(folder / "cache", delayed(writes)(3))
    remedy = (
        "not stored: it wrote out.csv; return File(path) to store the file, too, "
        "or declare it @pure to store it anyway"
    )
    assert remedy in " ".join(str(explained(folder / "cache", delayed(writes)(3))).split())
    pure(writes)
    assert through(folder / "cache", delayed(writes)(3)).warnings == []
    assert through(folder / "cache", delayed(writes)(3)).ran == set()


def throw() -> float:
    return random.random() + float(np.random.rand()) + time.time()  # noqa: S311


def fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function, without the marks that a test gives it."""
    from types import FunctionType

    return FunctionType(function.__code__, function.__globals__, function.__name__)


def kept(folder: Path, function: Callable[..., Any], *args: Any, **options: Any) -> bool:
    """Whether the second run loads the result of a function."""
    through(folder / "cache", delayed(function)(*args), **options)
    return through(folder / "cache", delayed(function)(*args), **options).ran == set()


def connects() -> int:
    import socket

    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.fileno() * 0


def runs_a_program() -> int:
    return subprocess.run(["true"], check=True).returncode  # noqa: S607


def writes() -> int:
    Path("out.csv").write_text("1")
    return 1


VERDICTS = [throw, connects, runs_a_program, writes]


@pytest.mark.parametrize("function", VERDICTS, ids=name_of)
def test_pure_is_final_for_each_verdict(folder: Path, function: Callable[..., Any]) -> None:
    assert not kept(folder, fresh(function))
    assert kept(folder, pure(fresh(function)))


@pytest.mark.parametrize("function", VERDICTS, ids=name_of)
def test_a_store_may_trust_all_functions(folder: Path, function: Callable[..., Any]) -> None:
    assert kept(folder, fresh(function), purity="declared")
    assert not kept(folder, impure(fresh(function)), purity="declared")


def test_impure_is_final(folder: Path) -> None:
    @impure
    def sensor(x: int) -> int:
        return x

    assert not kept(folder, sensor, 1)
    outcome = explained(folder / "cache", delayed(sensor)(1))
    assert "impure" in str(outcome)


def test_a_store_that_trusts_still_tracks_what_is_read(folder: Path) -> None:
    """Purity is one question, and what a result depends on is another."""
    build = delayed(steps.summed)("data.csv")
    before = through(folder / "cache", build, purity="declared").value
    Path("data.csv").write_text("data,seed\n1,1\n")
    after = through(folder / "cache", build, purity="declared").value
    assert (before, after) == (780, 1)


def test_an_unknown_purity_is_an_error(tmp_path: Path) -> None:
    from pipeline import Store, StoreError

    with pytest.raises(StoreError, match=r"purity='none'.*declared"):
        Store(tmp_path, purity="none")


@pytest.mark.parametrize("draw", [random.random, np.random.rand], ids=["python", "numpy"])
def test_a_library_that_draws_global_numbers_is_observed(
    folder: Path, draw: Callable[[], float]
) -> None:
    """No name gives it away: the draws are behind an attribute, and the task takes a while."""
    hidden = {"key": [draw]}

    def draws(n: int) -> float:
        time.sleep(0.02)
        return float(sum(function() for function in hidden["key"])) * n

    assert not kept(folder, draws, 3)


def makes_frame(n: int) -> Any:
    return pd.DataFrame({"a": range(n)})


def writes_parquet(frame: Any) -> None:
    frame.to_parquet(f"{len(frame)}.out")


def writes_hdf5(frame: Any) -> None:
    with h5py.File(f"{len(frame)}.out", "w") as file:
        file["a"] = frame.a.to_numpy()


def writes_netcdf(frame: Any) -> None:
    xarray.Dataset(frame).to_netcdf(f"{len(frame)}.out", engine="h5netcdf")


def writes_table(frame: Any) -> None:
    pyarrow.csv.write_csv(pyarrow.Table.from_pandas(frame), f"{len(frame)}.out")


@pytest.mark.parametrize("write", [writes_parquet, writes_hdf5, writes_netcdf, writes_table])
def test_what_a_library_writes_in_c_is_written_in_each_run(
    folder: Path, write: Callable[..., None]
) -> None:
    """Neither the arguments nor the code have the path."""
    written = folder / "work" / "3.out"
    for _ in range(2):
        written.unlink(missing_ok=True)
        through(folder / "cache", delayed(write)(delayed(makes_frame)(3)))
        assert written.exists()


def test_what_dask_itself_writes_on_a_cluster_is_written_in_each_run(folder: Path) -> None:
    """No code of the program is on the stack: only that of Dask and of the worker."""
    distributed = pytest.importorskip("distributed")
    frame = dd.from_pandas(pd.DataFrame({"a": range(6)}), npartitions=2)
    options = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.Client(n_workers=1, threads_per_worker=1, **options):
        for _ in range(2):
            with Store(folder / "cache"):
                frame.to_parquet("out", write_index=False)
            assert len(list((folder / "work" / "out").iterdir())) == 2
            shutil.rmtree("out")


def test_an_effect_of_another_thread_is_not_one_of_this_task(folder: Path) -> None:
    import threading

    is_done = threading.Event()

    def writer() -> None:
        while not is_done.is_set():
            Path("other.txt").write_text("1")

    def waits(n: int) -> int:
        time.sleep(0.05)
        return n

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        assert kept(folder, waits, 3)
    finally:
        is_done.set()
        thread.join()


@pytest.mark.slow
def test_effects_are_observed_on_each_scheduler(folder: Path, scheduler: str) -> None:
    path = str(folder / "out.csv")

    def writes_there(n: int) -> int:
        with open(path, "w") as file:
            file.write(str(n))
        return n

    def reads(n: int) -> int:
        return n + len(Path(path).read_text())

    Path(path).write_text("1")
    both = [delayed(writes_there)(3), delayed(reads)(3)]
    for collection, is_stored in zip(both, (False, True), strict=True):
        through(folder / "cache", collection, scheduler=None)
        again = through(folder / "cache", collection, scheduler=None)
        assert (again.tasks == 0) == is_stored
    [line] = explained(folder / "cache", both[0]).lines
    assert "it wrote" in line.why


@pytest.mark.slow
def test_what_people_write_is_stored_on_each_scheduler(folder: Path, scheduler: str) -> None:
    """Workers run in other folders; the current one is set for them, too."""
    from distributed import default_client

    work, before = str(folder / "work"), {}
    if scheduler == "distributed":
        before = default_client().run(os.getcwd)
        default_client().run(os.chdir, work)
    with ProcessPoolExecutor(
        2, mp_context=get_context(), initializer=os.chdir, initargs=(work,)
    ) as pool, dask.config.set(pool=pool if scheduler == "processes" else None):  # fmt: skip
        for build in STORED:
            value = value_of(build)
            first = through(folder / "cache", build(), scheduler=None)
            assert (build, first.value, first.warnings) == (build, value, [])
            second = through(folder / "cache", build(), scheduler=None)
            assert (build, second.value, second.tasks) == (build, value, 0)
    for worker, path in before.items():
        default_client().run(os.chdir, path, workers=[worker])


@pytest.mark.slow
def test_a_program_starts_again_and_runs_nothing(tmp_path: Path) -> None:
    """All steps, in two processes one after the other."""
    steps.fill(tmp_path / "work")
    runs = []
    for _ in range(2):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.programs.steps",
             str(tmp_path / "cache"), str(tmp_path / "work")],
            check=False, capture_output=True, text=True, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        runs.append(json.loads(done.stderr.splitlines()[-1]))
    first, second = runs
    # A path and a `File` of it are one input.
    equal = {"dask_csv_of_file", "dask_parquet_of_file"}
    assert {name for name, (tasks, _, _) in first.items() if tasks == 0} == equal
    assert {name: tasks for name, (tasks, _, _) in second.items() if tasks != 0} == {}
    for name, (_, value, warned) in second.items():
        assert (name, value, warned) == (name, first[name][1], [])


def test_a_frame_that_is_edited_in_place_stays_correct(folder: Path) -> None:
    frame = delayed(steps.load)(6)
    edited, plain_sum = delayed(steps.features)(frame), delayed(pd.DataFrame.sum)(frame)
    expected = [plain(x) for x in dask.compute(edited, plain_sum, scheduler="sync")]
    for _ in range(2):
        outcome = through(folder / "cache", edited, plain_sum, keep=["load"])
        assert outcome.value[0] == expected[0]
