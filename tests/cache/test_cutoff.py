"""Early cutoff: what is behind a result that stays as it was is loaded, and does not run.

And a program as people write it: twelve edits, and after each exactly what depends on it runs.
"""

from __future__ import annotations

import importlib
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

from pipeline import Store, compute
from pipeline.cache.records import find
from tests.programs import sales
from tests.programs.through import explained, through
from tests.programs.tracing import ran, traced

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = ["load", "clean", "fit", "score", "settings", "ordered"]
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
    with open(path) as file:
        return rows(file.read())


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
        self.folder, self.log = folder, str(folder / "log")

    def functions(self, old: str = "", new: str = "") -> dict[str, Any]:
        assert not old or SOURCE.count(old) == 1
        names: dict[str, Any] = {"__name__": "program"}
        exec(compile(SOURCE.replace(old, new) if old else SOURCE, "program.py", "exec"), names)  # noqa: S102
        return {name: traced(self.log)(names[name]) for name in ALL}

    def run(self, collection: Any, **options: Any) -> tuple[Any, set[str]]:
        """The value through a store, and which functions really ran."""
        ran(self.log)
        outcome = through(self.folder / "cache", collection, keep=ALL, **options)
        assert outcome.warnings == []
        return outcome.value, ran(self.log)

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
    before = {name: (program.folder / name).read_text() for name in edit.files}
    first, names = program.run(program.build(), scheduler=scheduler)
    assert names == set(ALL)
    for name, text in edit.files.items():
        write(program.folder / name, text)
    edited = (edit.old, edit.new, edit.parts)
    expected = program.build(*edited).compute(scheduler="sync")
    assert program.run(program.build(*edited), scheduler=scheduler) == (expected, edit.ran)
    assert program.run(program.build(*edited), scheduler=scheduler) == (expected, set())
    for name, text in before.items():
        write(program.folder / name, text)
    assert program.run(program.build(), scheduler=scheduler) == (first, set())


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
    """One result was changed to and fro: what is behind it is planned as a hit."""
    edit = EDITS[1]
    program.run(program.build())
    plan = explained(program.folder / "cache", program.build(edit.old, edit.new), keep=ALL)
    assert plan.count("miss") == 5, "nobody knows the result of the edited one"
    assert program.run(program.build(edit.old, edit.new))[1] == {"load"}
    again = explained(program.folder / "cache", program.build(edit.old, edit.new), keep=ALL)
    assert again.count("miss") == 0
    assert "by the content of its inputs" in " ".join(str(again).split())


def test_an_output_is_loaded_by_the_content_of_its_inputs(program: Program) -> None:
    """Nothing else is kept; its input runs, and its result is as before."""
    f, g = program.functions(), program.functions("if x > 0", "if not x <= 0")

    def build(functions: dict[str, Any]) -> Any:
        return delayed(f["fit"])(delayed(functions["clean"])([1.0, -2.0, 3.0]), 0.5)

    assert program.run(build(f)) == (2.0, {"clean", "fit"})
    assert program.run(build(g)) == (2.0, {"clean"})


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(n=len(frame))


def sorted_by_x(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts).sort_values("x", ignore_index=True)


def test_a_frame_that_is_partitioned_in_another_way(tmp_path: Path) -> None:
    """Sorted to one partition, it is the same frame."""
    frame = pd.DataFrame({"x": [5, 3, 9, 1, 7, 2]})
    log = str(tmp_path / "log")

    def build(parts: int) -> Any:
        ddf = dd.from_pandas(frame, npartitions=parts, sort=False)
        gathered = delayed(traced(log)(sorted_by_x))(*ddf.to_delayed())
        return delayed(traced(log)(counted))(gathered)

    values = []
    for parts, names in ((2, {"sorted_by_x", "counted"}), (3, {"sorted_by_x"}), (2, set())):
        values.append(through(tmp_path / "cache", build(parts), keep=["sorted_by_x"]).value)
        assert ran(log) == names
    assert values[0] == values[1] == values[2]


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

    log = str(tmp_path / "log")
    for function in (made, other):
        task = delayed(traced(log)(used))(delayed(function)(1))
        assert through(tmp_path / "cache", task).value == "object"
        assert ran(log) == {"used"}


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
        trace = traced(log)
        return delayed(sum)(delayed(trace(grown))(delayed(trace(function))(3)))

    log, keep = str(tmp_path / "log"), ["made", "also_made", "grown"]
    for function, names in ((made, {"made", "grown"}), (also_made, {"also_made"}), (made, set())):
        assert through(tmp_path / "cache", build(function), keep=keep).value == 103
        assert ran(log) == names


@pytest.mark.parametrize("is_evicted", [False, True])
def test_a_result_of_another_variant_is_not_the_result(tmp_path: Path, is_evicted: bool) -> None:
    """A file with more contents than there are variants, or variants that were evicted."""
    store = Store(tmp_path / "cache", keep=["load", "double"], durable=False)

    def load(path: str) -> str:
        return Path(path).read_text()

    def double(text: str) -> str:
        return 2 * text

    def run(text: str) -> str:
        write(tmp_path / "data", text)
        value: str = compute(delayed(double)(delayed(load)(str(tmp_path / "data"))), store=store)[0]
        return value

    first = run("a")
    for entry in list(store.entries()) if is_evicted else ():
        if entry.function == "double":
            store.remove(entry.digest)
    for text in "b" if is_evicted else "bcdefghij":
        assert run(text) == 2 * text
    assert run("a") == first == "aa"


def test_a_link_is_to_one_result(tmp_path: Path) -> None:
    """The entry that a link is to may be replaced by another variant."""
    store = Store(tmp_path)
    holder = store.put(32 * "a", 1)
    store.link(32 * "b", holder)
    assert store.get(32 * "b") == 1
    store.put(32 * "a", 2)
    assert find(store, 32 * "b", {}) == (None, "")
    with pytest.raises(KeyError):
        store.get(32 * "b")


MODEL = """
from dataclasses import dataclass

from pipeline import storable


@storable
@dataclass
class Model:
    weight: float

    def predict(self):
        return self.weight * 2


def fit():
    return {FIT}


def use(model):
    return {USE}
"""


@pytest.mark.parametrize(
    ("fit", "use"),
    [
        ("Model(3.0)", "model.predict()"),
        ("[{'best': Model(3.0)}]", "model[0]['best'].predict()"),
        ("Model(3.0).predict", "model()"),
        ("Model.predict", "model(Model(3.0))"),
    ],
)
def test_the_code_of_a_value_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: str, use: str
) -> None:
    """An object of equal content may have another method: what is behind runs."""
    monkeypatch.syspath_prepend(tmp_path)
    source = MODEL.replace("{FIT}", fit).replace("{USE}", use)
    for factor in (2, 5):
        write(tmp_path / "models_of_test.py", source.replace("* 2", f"* {factor}"))
        monkeypatch.delitem(sys.modules, "models_of_test", raising=False)
        importlib.invalidate_caches()
        module = importlib.import_module("models_of_test")
        graph = delayed(module.use)(delayed(module.fit)())
        keep = ["fit", "use"]
        assert through(tmp_path / "cache", graph, keep=keep, pickle=True).value == 3 * factor
    monkeypatch.delitem(sys.modules, "models_of_test")


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
