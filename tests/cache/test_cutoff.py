"""Early cutoff: what is behind a result that stays as it was is loaded, and does not run.

And a program as people write it: twelve edits, and after each exactly what depends on it runs.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dask.dataframe as dd
import pandas as pd
import pytest
from dask import delayed

from tests.programs import sales
from tests.programs.through import explained, through

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = ["load", "clean", "fit", "score", "settings", "ordered", "counted"]
clock = itertools.count(1)


def write(path: Path, text: str) -> None:
    """A new content, with another time of change, some days ago."""
    path.write_text(text)
    moment = 1_700_000_000 + 60 * next(clock)
    os.utime(path, (moment, moment))


SOURCE = """
import tomllib

import pandas as pd


def rows(text):
    return [float(x) for x in text.split()]


def load(path):
    return rows(open(path).read())


def clean(values):
    return [x for x in values if x > 0]


def fit(values, rate):
    return sum(values) * rate


def settings(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def score(model, options):
    return model + options["offset"]


def ordered(values, parts):
    chunks = [values[start::parts] for start in range(parts)]
    return sorted(x for chunk in chunks for x in chunk)
"""


class Program:
    """The functions of a program, with an edit, as a new process would import them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def functions(self, old: str = "", new: str = "") -> dict[str, Any]:
        assert not old or SOURCE.count(old) == 1
        names: dict[str, Any] = {"__name__": "program"}
        exec(compile(SOURCE.replace(old, new) if old else SOURCE, "program.py", "exec"), names)  # noqa: S102
        return names

    def build(self, old: str = "", new: str = "", parts: int = 2) -> Any:
        f = self.functions(old, new)
        data, config = str(self.folder / "data.txt"), str(self.folder / "config.toml")
        values = delayed(f["ordered"])(delayed(f["clean"])(delayed(f["load"])(data)), parts)
        return delayed(f["score"])(delayed(f["fit"])(values, 0.5), delayed(f["settings"])(config))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    write(tmp_path / "data.txt", "3 1 -2 4")
    write(tmp_path / "config.toml", "offset = 1\n")
    return Program(tmp_path)


class Edit(NamedTuple):
    """An edit, and the functions that run after it.

    files: new contents by name
    """

    name: str
    ran: set[str]
    old: str = ""
    new: str = ""
    parts: int = 2
    files: dict[str, str] = {}  # noqa: RUF012 - never changed


EDITS = [
    Edit("nothing", set()),
    Edit("a helper without effect", {"load"}, "float(x) for x", "1.0 * float(x) for x"),
    Edit("a step without effect", {"clean"}, "if x > 0", "if not x <= 0"),
    Edit("a comment in a config file", {"settings"}, files={"config.toml": "# \noffset = 1\n"}),
    Edit("a blank in a file", {"load"}, files={"data.txt": "3  1 -2 4\n"}),
    Edit("a row that is dropped", {"load", "clean"}, files={"data.txt": "3 1 -7 4"}),
    Edit("other parts, sorted to the same", {"ordered"}, parts=3),
    Edit("rows in another order", {"load", "clean", "ordered"}, files={"data.txt": "4 1 -2 3"}),
    Edit("one more row", {"load", "clean", "ordered", "fit", "score"},
         files={"data.txt": "3 1 -2 4 9"}),
    Edit("another offset", {"settings", "score"}, files={"config.toml": "offset = 2\n"}),
    Edit("a helper with effect", {"load", "clean", "ordered", "fit", "score"},
         "float(x) for x", "2.0 * float(x) for x"),
]  # fmt: skip


def check(program: Program, edit: Edit, scheduler: str | None) -> None:
    """Before the edit all is stored; after it exactly `ran` runs; undone, nothing does."""
    cache = program.folder / "cache"
    before = {name: (program.folder / name).read_text() for name in edit.files}
    options: dict[str, Any] = {"scheduler": scheduler, "keep": ALL, "fuse": False}
    first = through(cache, program.build(), **options)
    for name, text in edit.files.items():
        write(program.folder / name, text)
    edited = (edit.old, edit.new, edit.parts)
    outcome = through(cache, program.build(*edited), **options)
    assert outcome.ran == edit.ran
    assert outcome.value == program.build(*edited).compute(scheduler="sync")
    assert through(cache, program.build(*edited), **options).ran == set()
    for name, text in before.items():
        write(program.folder / name, text)
    undone = through(cache, program.build(), **options)
    assert (undone.ran, undone.value) == (set(), first.value)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: str(edit.name))
def test_what_is_behind_an_equal_result_is_loaded(program: Program, edit: Edit) -> None:
    check(program, edit, "sync")


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: str(edit.name))
def test_what_is_behind_an_equal_result_is_loaded_on_each_scheduler(
    program: Program, edit: Edit, scheduler: str
) -> None:
    check(program, edit, None)


@pytest.mark.parametrize("edit", EDITS[1:5:2], ids=lambda edit: str(edit.name))
def test_a_cutoff_on_each_scheduler(program: Program, edit: Edit, scheduler: str) -> None:
    check(program, edit, None)


def test_explain_names_the_content_of_inputs(program: Program) -> None:
    """After the run, the result is known under its new digest, too."""
    cache = program.folder / "cache"
    through(cache, program.build(), keep=ALL)
    edit = EDITS[1]
    outcome = through(cache, program.build(edit.old, edit.new), keep=ALL, fuse=False)
    assert outcome.ran == {"load"}
    again = explained(cache, program.build(edit.old, edit.new), keep=ALL)
    assert again.count("miss") == 0
    assert "hit, by the content of its inputs" in str(again)


def test_an_output_is_loaded_by_the_content_of_its_inputs(program: Program) -> None:
    """Nothing is kept but the output; its input runs, and its result is as before."""
    cache = program.folder / "cache"
    f, g = program.functions(), program.functions("if x > 0", "if not x <= 0")

    def build(functions: dict[str, Any]) -> Any:
        return delayed(f["fit"])(delayed(functions["clean"])([1.0, -2.0, 3.0]), 0.5)

    through(cache, build(f), keep=["clean"])
    outcome = through(cache, build(g), keep=["clean"], fuse=False)
    assert (outcome.value, outcome.ran) == (2.0, {"clean"})


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(n=len(frame))


def test_a_frame_that_is_partitioned_in_another_way(tmp_path: Path) -> None:
    """Sorted to one partition, it is the same frame."""
    frame = pd.DataFrame({"x": [5, 3, 9, 1, 7, 2]})

    def build(parts: int) -> Any:
        ddf = dd.from_pandas(frame, npartitions=parts, sort=False)
        gathered = delayed(sorted_by_x)(*ddf.to_delayed())
        return delayed(counted)(gathered)

    first = through(tmp_path, build(2), keep=["sorted_by_x"])
    outcome = through(tmp_path, build(3), keep=["sorted_by_x"], fuse=False)
    assert outcome.value == first.value
    assert "counted" not in outcome.ran


def sorted_by_x(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts).sort_values("x", ignore_index=True)


def test_an_array_of_other_type_is_not_the_same_content(tmp_path: Path) -> None:
    """1, 1.0 and True are equal, and are other contents."""

    def kind(x: Any) -> str:
        return type(x).__name__

    values: list[Callable[[], Any]] = [lambda: 1, lambda: 1.0, lambda: True]
    for value, name in zip(values, ("int", "float", "bool"), strict=True):
        build = delayed(kind)(delayed(value)())
        assert through(tmp_path, build, keep=["<lambda>"]).value == name


def test_results_that_cannot_be_stored_cut_nothing_off(tmp_path: Path) -> None:
    """Their content is unknown: what is behind runs."""

    def made(n: int) -> Any:
        return object()

    def other(n: int) -> Any:
        return [object()][0]

    def used(x: Any) -> str:
        return type(x).__name__

    for function in (made, other):
        outcome = through(tmp_path, delayed(used)(delayed(function)(1)))
        assert outcome.value == "object"
        assert "used" in outcome.ran


def test_a_mutated_input_counts_by_its_content_before(tmp_path: Path) -> None:
    """A consumer writes into its input; the next run has the same inputs."""

    def made(n: int) -> list[int]:
        return list(range(n))

    def also_made(n: int) -> list[int]:
        return [*range(n)]

    def grown(values: list[int]) -> list[int]:
        values.append(100)
        return values

    def build(function: Any) -> Any:
        return delayed(sum)(delayed(grown)(delayed(function)(3)))

    keep = ["made", "also_made", "grown"]
    for function, ran in (
        (made, {"made", "grown", "sum"}),
        (also_made, {"also_made"}),
        (made, set()),
    ):
        outcome = through(tmp_path, build(function), keep=keep, fuse=False)
        assert (outcome.value, outcome.ran) == (103, ran)


# A program as people write it


def run_program(folder: Path, scheduler: str) -> dict[str, Any]:
    """Run the program in a new process; what it printed: its result, and what ran."""
    environment = {
        **os.environ, **sales.environment(folder), "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "drive.py", scheduler],
        cwd=folder, check=False, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "cluster"])
def test_twelve_edits_of_a_program(tmp_path: Path, scheduler: str) -> None:
    """A second process runs nothing; each edit runs exactly what depends on it."""
    pytest.importorskip("sklearn")
    sales.write(tmp_path)
    first = run_program(tmp_path, scheduler)
    assert set(first["ran"]) == sales.FUNCTIONS
    assert first["warnings"] == []
    second = run_program(tmp_path, scheduler)
    assert (second["value"], second["ran"]) == (first["value"], [])
    for edit in sales.EDITS:
        edit.apply(tmp_path)
        outcome = run_program(tmp_path, scheduler)
        assert (edit.name, set(outcome["ran"])) == (edit.name, edit.ran)
        assert (edit.name, outcome["value"]) == (edit.name, outcome["without"])
        assert (edit.name, outcome["warnings"]) == (edit.name, [])
        assert (edit.name, outcome["value"] == first["value"]) == (edit.name, edit.is_same)
        assert edit.why in " ".join(outcome["explained"].split())
    for edit in reversed(sales.EDITS):
        edit.undo(tmp_path)
    undone = run_program(tmp_path, scheduler)
    assert (undone["value"], undone["ran"]) == (first["value"], [])
