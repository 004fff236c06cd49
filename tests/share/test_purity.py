"""What is a function of its arguments alone, as far as anybody can tell."""

from __future__ import annotations

import builtins
import collections
import datetime
import functools
import importlib
import itertools
import logging
import operator
import os
import pathlib
import random
import secrets
import sys
import textwrap
import time
import urllib.request
import uuid
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from dask.task_spec import TaskRef
from dask.utils import methodcaller

from pipeline import File, impure, pure
from pipeline.identity import Library
from pipeline.share import call_impurity
from pipeline.share.impurities import CLOCK, EFFECT, FILE, NETWORK, RANDOM, TABLE, UNSEEDED, WORLD
from pipeline.share.purity import is_used_up, mark_of, method_impurity, method_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYTHONS = random.Random(0)  # noqa: S311 - what is looked for
GENERATOR = np.random.default_rng(0)
CLOCKS = {"wall": time.time}
LOGGER = logging.getLogger(__name__)


def clock() -> float:
    return time.time()


def calls_clock(x: float) -> float:
    return x + clock()


def imports_clock() -> Any:
    from datetime import datetime as dt

    return dt.now()


def looks_clock_up() -> float:
    return CLOCKS["wall"]()


def unseeded() -> float:
    return float(np.random.default_rng().normal())


def seeded(seed: int) -> float:
    return float(np.random.default_rng(seed).normal())


def draws_from_a_global() -> float:
    return float(GENERATOR.normal())


def environment() -> str:
    return os.environ["HOME"]


def reads(path: Any) -> Any:
    return pd.read_csv(path)


def reads_a_path() -> str:
    return pathlib.Path("x").read_text()


def fetches() -> Any:
    return urllib.request.urlopen("http://localhost")


def writes(x: Any) -> None:
    np.save("x.npy", x)


def talks(x: float) -> float:
    print(x)
    LOGGER.info("x = %s", x)
    time.sleep(0)
    return x


def argument_named_time(time: Any) -> Any:
    return time.time()


class Station:
    def read(self) -> float:
        return time.time()

    def __call__(self) -> float:
        return self.read()


def closed() -> Callable[[], float]:
    inner = time.time
    return lambda: inner()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (random.random, RANDOM), (PYTHONS.random, RANDOM), (np.random.rand, RANDOM),
        (np.random.default_rng(0).normal, RANDOM), (np.random.RandomState(0).rand, RANDOM),
        (uuid.uuid4, RANDOM), (uuid.uuid1, RANDOM), (os.urandom, RANDOM),
        (secrets.token_hex, RANDOM), (secrets.choice, RANDOM), (time.time, CLOCK),
        (time.perf_counter, CLOCK), (datetime.datetime.now, CLOCK), (datetime.date.today, CLOCK),
        (pd.Timestamp.now, CLOCK), (input, WORLD), (os.getenv, WORLD), (os.listdir, WORLD),
        (urllib.request.urlopen, NETWORK), (print, EFFECT), (np.save, EFFECT), (open, FILE),
        (pd.read_csv, FILE), (np.load, FILE), (np.random.default_rng, UNSEEDED), (clock, CLOCK),
        (calls_clock, CLOCK), (imports_clock, CLOCK), (looks_clock_up, CLOCK),
        (unseeded, UNSEEDED), (draws_from_a_global, RANDOM), (environment, WORLD), (reads, FILE),
        (reads_a_path, FILE), (fetches, NETWORK), (writes, EFFECT), (Station, CLOCK),
        (Station().read, CLOCK), (Station(), CLOCK), (closed(), CLOCK),
        (functools.partial(calls_clock, 1), CLOCK), (functools.lru_cache(clock), CLOCK),
        (pathlib.Path("x").read_bytes, FILE), (pd.DataFrame({"a": [1]}).to_csv, EFFECT),
    ],
)  # fmt: skip
def test_what_is_impure(function: Any, reason: str) -> None:
    found = call_impurity(function)
    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize(
    "function",
    [
        seeded, talks, argument_named_time, len, sorted, np.sin, np.mean, pd.concat, np.add.reduce,
        functools.partial(max, 1), str.upper, dict, collections.Counter, Station.__init__,
        lambda x: x + 1, pd.DataFrame({"a": [1]}).sum, datetime.datetime.fromtimestamp,
    ],
)  # fmt: skip
def test_what_is_not(function: Any) -> None:
    assert call_impurity(function) is None


def test_a_seed_makes_it_pure() -> None:
    assert call_impurity(np.random.default_rng, (3,)) is None
    assert call_impurity(np.random.default_rng, (None,)) is not None
    assert call_impurity(pd.DataFrame.sample, (pd.DataFrame(), 3)) is not None
    assert call_impurity(pd.DataFrame.sample, (pd.DataFrame(), 3, 7), ("n", "random_state")) is None


@pytest.mark.parametrize(
    "source", [GENERATOR, np.random.RandomState(0), PYTHONS, np.random.PCG64(0)]
)
def test_a_source_of_randomness_as_an_argument_makes_a_call_impure(source: Any) -> None:
    found = call_impurity(np.sum, (source,))
    assert found is not None
    assert found.reason == RANDOM


def test_a_reader_is_pure_if_its_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a\n1\n")
    for function in (pd.read_csv, reads, open):
        assert call_impurity(function, (str(path),)) is not None
        assert call_impurity(function, (path,)) is not None
        assert call_impurity(function, (File(path),)) is None
        assert call_impurity(function, (File(path), ";")) is None
        assert call_impurity(function, (File(path), str(path))) is not None
        assert call_impurity(function, (File(path), "s3://bucket/f.csv")) is not None


def test_the_user_has_the_last_word() -> None:
    def sensor() -> float:
        return 20.5

    def timed(x: float) -> float:
        return x + 0 * time.time()

    def consumer(x: float) -> float:
        return sensor() + x

    def outer(x: float) -> float:
        return timed(x)

    assert impure(sensor) is sensor
    assert str(call_impurity(consumer)) == "consumer, by sensor: it is marked impure"
    assert pure(timed) is timed
    assert call_impurity(timed) is None
    assert call_impurity(outer) is None


def test_builtins_can_be_marked() -> None:
    assert call_impurity(os.cpu_count) is not None
    pure(os.cpu_count)
    try:
        assert call_impurity(os.cpu_count) is None
    finally:
        impure(os.cpu_count)
    assert call_impurity(os.cpu_count) is not None


def test_only_functions_are_marked() -> None:
    with pytest.raises(TypeError, match="3 cannot be marked"):
        impure(3)  # type: ignore[type-var] # what is refused


def test_the_table_has_a_reason_for_each_name_and_no_name_twice() -> None:
    listed = [name for names in TABLE.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    assert all(TABLE)


def monte_carlo(n: int, seed: int | None = None) -> float:
    return float(np.random.default_rng(seed).random(n).mean())


def bootstrap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=0.5)


def seeded_bootstrap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=0.5, random_state=0)


def test_a_seed_that_is_left_out_is_noticed_wherever_it_is_left_out() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    assert call_impurity(monte_carlo, (5,)) is not None
    assert call_impurity(monte_carlo, (5, 3)) is None
    assert call_impurity(monte_carlo, (5, 3), ("seed",)) is None
    assert call_impurity(bootstrap, (frame,)) is not None
    assert call_impurity(seeded_bootstrap, (frame,)) is None
    assert call_impurity(frame.sample, (1,)) is not None
    assert call_impurity(frame.sample, (1, 0), ("random_state",)) is None


COUNT = {"n": 0}
CACHE: dict[int, int] = {}


def counts() -> int:
    COUNT["n"] += 1
    return COUNT["n"]


def counts_under_another_name() -> int:
    mine = COUNT
    mine["n"] += 1
    return mine["n"]


def remembers(x: int) -> int:
    if x not in CACHE:
        CACHE[x] = 2 * x
    return CACHE[x]


def counts_its_own(x: int) -> int:
    own = {"n": 0}
    own["n"] += x
    return own["n"]


def test_what_counts_up_outside_is_impure_and_a_cache_is_not() -> None:
    assert str(call_impurity(counts)).endswith("it sets a variable outside of it")
    assert call_impurity(counts_under_another_name) is not None
    assert call_impurity(remembers) is None
    assert call_impurity(counts_its_own) is None


def reads_two(path: Any) -> Any:
    return open(path), open("rates.txt")


def test_one_named_file_does_not_excuse_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call_impurity(reads_two, [File("a.csv")]) is None  # there is no other
    (tmp_path / "rates.txt").write_text("1")
    assert call_impurity(reads_two, [File("a.csv")]) is not None


@pytest.mark.parametrize("function", [time.localtime, time.strftime, hash, id, globals])
def test_more_that_is_impure(function: Any) -> None:
    assert call_impurity(function) is not None


def in_class(body: str, **names: Any) -> Any:
    names |= {"__name__": "__main__", "time": time}
    exec("class A:\n" + textwrap.indent(body, "    "), names)  # noqa: S102 - each is a class
    return names["A"]


@pytest.mark.parametrize(
    "body",
    [
        *(f"def {name}(self, *args): return time.time()"
          for name in ("__init__", "__new__", "__post_init__", "__call__", "__enter__", "__iter__",
                       "__next__", "method", "_private")),
        "@property\ndef now(self): return time.time()",
        "@staticmethod\ndef now(): return time.time()",
        "@classmethod\ndef now(cls): return time.time()",
    ],
)  # fmt: skip
def test_a_class_is_as_impure_as_what_runs_when_it_is_used(body: str) -> None:
    found = call_impurity(in_class(body))
    assert found is not None
    assert found.reason == CLOCK


def test_a_class_is_as_impure_as_its_bases() -> None:
    base = in_class("def __init__(self): time.time()")
    assert call_impurity(type("B", (base,), {})) is not None
    assert call_impurity(type("B", (), {})) is None


@pytest.mark.parametrize("name", ["__repr__", "__del__", "__reduce__", "__format__"])
def test_methods_that_a_task_does_not_run_do_not_count(name: str) -> None:
    assert call_impurity(in_class(f"def {name}(self, *args): return time.time()")) is None


def with_default(now: Any = time.time) -> Any:
    return now()


def with_keyword_default(*, now: Any = time.time) -> Any:
    return now()


def under_another_name() -> float:
    mine = time
    return mine.time()


def of_a_class_under_another_name() -> Any:
    kind = datetime.datetime
    return kind.now()


class Holder:
    """An object that holds what it calls."""

    def __init__(self, now: Any) -> None:
        self.now = now
        self.inner = {"now": now}

    def call(self) -> Any:
        return self.now()

    def pass_on(self) -> Any:
        return self.call()


class Outer:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def call(self) -> Any:
        return self.inner.call()


HELD = {"deep": [(time.time,), {1}]}
HOLDER, STATION = Holder(time.time), Station()


def of_containers() -> Any:
    return HELD


def of_a_set() -> Any:
    return frozenset({time.time})


def of_a_global_object() -> Any:
    return STATION.read()


@pytest.mark.parametrize(
    "function",
    [
        with_default, with_keyword_default, under_another_name, of_a_class_under_another_name,
        of_containers, of_a_set, of_a_global_object, HOLDER, Outer(Station()).inner.read,
        Outer(HOLDER).call, HOLDER.call, HOLDER.pass_on, functools.partial(sorted, key=time.time),
        functools.partial(map, time.time), functools.partial(functools.partial(time.time)),
        [time.time], (time.time,), {"a": time.time}, {time.time},
    ],
)  # fmt: skip
def test_what_a_function_holds_may_be_called(function: Any) -> None:
    found = call_impurity(function)
    assert found is not None
    assert found.reason == CLOCK


@pytest.mark.parametrize(
    "function",
    [
        Holder(len), Holder(len).call, Outer(Holder(len)).call, functools.partial(sorted, key=len),
        [len], {"a": 3}, functools.wraps(len)(lambda: 1), STATION.__class__.__name__.upper,
    ],
)  # fmt: skip
def test_what_holds_only_pure_functions_is_pure(function: Any) -> None:
    assert call_impurity(function) is None


MODULES = {
    "numpy",
    "pandas",
    "pyarrow",
    "dask",
    "distributed",
    "builtins",
} | sys.stdlib_module_names


@pytest.mark.parametrize("reason", TABLE)
def test_the_table_names_what_exists(reason: str) -> None:
    for name in TABLE[reason].split():
        head, *rest = ("builtins", name) if hasattr(builtins, name) else name.split(".")
        if head in MODULES:
            value = importlib.import_module(head)
            for place, part in enumerate(rest, 1):
                if not hasattr(value, part):
                    importlib.import_module(".".join((head, *rest[:place])))
                value = getattr(value, part)


class Unnamed:
    """An object with a method that runs without being named."""


@pytest.mark.parametrize(
    "name", ["__getitem__", "__call__", "__iter__", "__next__", "__len__", "__array__", "read"]
)
def test_a_method_that_a_function_may_call_on_an_argument_counts(name: str) -> None:
    def uses(owner: Any) -> Any:
        return owner.read()

    owner = in_class(f"def {name}(self, *args): return time.time()")()
    found = method_impurity(uses, owner)
    assert str(found) == f"uses, by A.{name}, by time.time: it reads a clock"
    assert method_impurity(uses, in_class(f"def {name}(self): return 1")()) is None
    assert method_impurity(len, in_class("def other(self): return time.time()")()) is None


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (time.time, "time.time: it reads a clock"),
        (calls_clock, "calls_clock, by time.time: it reads a clock"),
        (functools.partial(calls_clock, 1), "calls_clock, by time.time: it reads a clock"),
        (unseeded, "unseeded, by numpy.random.default_rng: it is random without a seed"),
        (np.random.default_rng, "default_rng(seed=None): it is random without a seed"),
        (draws_from_a_global, "draws_from_a_global, by GENERATOR: it is random"),
        (PYTHONS.random, "random.Random.random: it is random"),
        (np.random.default_rng(0).normal, "numpy.random._generator.Generator.normal: it is random"),
        (counts, "counts, by COUNT: it sets a variable outside of it"),
        (pd.DataFrame({"a": [1]}).to_csv, "pandas.DataFrame.to_csv: it has a side effect"),
        (Station, "Station, by time.time: it reads a clock"),
        (Library("time", "time"), "time.time: it reads a clock"),
        (Library("secrets", "token_hex"), "secrets: it is random"),
        (Library("secrets"), "secrets: it is random"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_verdict_names_what_is_called(function: Any, text: str) -> None:
    assert str(call_impurity(function)) == text


def test_an_argument_that_draws_numbers_is_named() -> None:
    assert str(call_impurity(np.sum, (1, GENERATOR))) == "an argument, a Generator: it is random"


def iter_of(items: Any) -> Any:
    yield from items


@pytest.mark.parametrize(
    ("function", "is_it"),
    [
        (iter, True), (map, True), (zip, True), (filter, True), (enumerate, True),
        (reversed, True), (itertools.count, True), (itertools.chain, True), (open, False),
        (np.random.default_rng, True), (np.random.RandomState, True), (random.Random, True),
        (len, False), (list, False), (np.sum, False), (clock, False), (iter_of, True), (3, False),
    ],
)  # fmt: skip
def test_results_that_change_as_they_are_read(function: Any, is_it: bool) -> None:
    assert is_used_up(function) is is_it


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (operator.methodcaller("sum"), "sum"), (operator.methodcaller("sum", axis=1), "sum"),
        (operator.methodcaller("sum", 1), "sum"), (methodcaller("mean"), "mean"), (len, None),
    ],
)  # fmt: skip
def test_the_method_of_a_methodcaller(function: Any, name: str | None) -> None:
    assert method_name(function) == name


def test_a_method_of_an_argument_counts() -> None:
    frame = pd.DataFrame({"a": [1]})
    to_csv, read = operator.methodcaller("to_csv"), operator.methodcaller("read")
    assert call_impurity(to_csv, (frame,)) is not None
    assert call_impurity(operator.methodcaller("sum"), (frame,)) is None
    assert call_impurity(read, (Station(),)) is not None
    assert call_impurity(operator.methodcaller("time"), (time,)) is not None
    assert call_impurity(to_csv, (TaskRef("x"),)) is not None
    assert call_impurity(operator.methodcaller("sum"), (TaskRef("x"),)) is None
    assert call_impurity(operator.methodcaller("sample"), (TaskRef("x"),)) is not None
    seeded = operator.methodcaller("sample", random_state=0)
    assert call_impurity(seeded, (TaskRef("x"),), ()) is not None
    assert call_impurity(methodcaller("sample"), (TaskRef("x"), 0), ("random_state",)) is None


def test_marks_are_not_inherited_nor_copied() -> None:
    class Base:
        def __init__(self) -> None:
            time.time()

    class Derived(Base):
        pass

    pure(Base)
    assert call_impurity(Base) is None
    assert mark_of(Derived) is None

    @functools.wraps(impure(lambda: 1))
    def wrapper() -> int:
        return 2

    assert mark_of(wrapper) is None
    assert mark_of(pure(lambda: 1)) is True
    assert mark_of(impure(lambda: 1)) is False
    assert mark_of(3) is None


def test_a_marked_method_is_marked_when_bound() -> None:
    class Meter:
        @impure
        def read(self) -> float:
            return 1.0

    assert mark_of(Meter().read) is False
    assert str(call_impurity(Meter().read)) == "read: it is marked impure"


HELPERS = {
    "time_of_day": "import time\ndef g(x):\n    return time.time()\n",
    "by_name": "from time import time as now\ndef g(x):\n    return now()\n",
    "starred": "from time import *\ndef g(x):\n    return time()\n",
    "random_number": "import random\ndef g(x):\n    return random.random()\n",
    "reader": "def g(x):\n    return open(x).read()\n",
    "when_imported": "import os\nHOME = os.environ['HOME']\ndef g(x):\n    return x\n",
    "through": "import time_of_day\ndef g(x):\n    return time_of_day.g(x)\n",
    "counter": "N = [0]\ndef g(x):\n    N[0] += x\n    return N[0]\n",
    "setter": "N = 0\ndef g(x):\n    global N\n    N = N + x\n    return N\n",
    "nothing": "import math\ndef g(x):\n    return math.sqrt(x)\n",
}


@pytest.mark.parametrize(
    ("helper", "reason"),
    [
        ("time_of_day", "f, by time.time: it reads a clock"),
        ("by_name", "f, by time.time: it reads a clock"),
        ("starred", "f, by time.time: it reads a clock"),
        ("random_number", "f, by random.Random.random: it is random"),
        ("reader", "f, by open: it reads a file that may change: name it by File(path)"),
        ("when_imported", "f, by os.environ: it reads more than its arguments"),
        ("through", "f, by time.time: it reads a clock"),
        ("counter", "f, by N: it sets a variable outside of it"),
        ("setter", "f, by N: it sets a variable outside of it"),
        ("nothing", "None"),
    ],
)
@pytest.mark.parametrize(
    "body", ["import {}\n    return {}.g(x)", "from {} import g\n    return g(x)"]
)
def test_a_function_is_as_impure_as_the_module_that_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: str, reason: str, body: str
) -> None:
    for name, source in HELPERS.items():
        (tmp_path / f"{name}.py").write_text(f"{source}raise RuntimeError('it ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {}
    exec(f"def f(x):\n    {body.format(helper, helper)}\n", names)  # noqa: S102 - made here
    assert str(call_impurity(names["f"], (4,))) == reason


def test_a_file_as_argument_excuses_a_module_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.txt"
    path.write_text("data")
    (tmp_path / "reads_argument.py").write_text("def g(x):\n    return open(x).read()\n")
    source = f"def g(x):\n    y = open({str(path)!r})\n    return open(x).read()\n"
    (tmp_path / "reads_another.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    def argument(x: Any) -> Any:
        import reads_argument  # type: ignore[import-not-found] # made above

        return reads_argument.g(x)

    def another(x: Any) -> Any:
        import reads_another  # type: ignore[import-not-found] # made above

        return reads_another.g(x)

    assert call_impurity(argument, (File(path),)) is None
    assert call_impurity(another, (File(path),)) is not None


def test_a_library_that_is_not_loaded_is_judged_by_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def f() -> Any:
        import glob as found

        return found.glob("*")

    monkeypatch.delitem(sys.modules, "glob", raising=False)
    assert str(call_impurity(f)) == "f, by glob.glob: it reads more than its arguments"
    assert "glob" not in sys.modules


@pytest.mark.parametrize("name", ["random_state", "seed", "rng", "random_seed"])
def test_a_seed_has_one_of_four_names(name: str) -> None:
    names: dict[str, Any] = {"np": np, "__name__": "__main__"}
    source = f"def draws(n, {name}=None): return np.random.default_rng({name}).random(n)"
    exec(f"{source}\ndef outer(n, **options): return draws(n, **options)", names)  # noqa: S102 - made here
    draws = names["draws"]
    assert str(call_impurity(draws, (3,))) == f"draws({name}=None): {UNSEEDED}"
    assert call_impurity(draws, (3, 7)) is None
    assert call_impurity(draws, (3, 7), (name,)) is None
    assert call_impurity(draws, (3, None), (name,)) is not None
    assert call_impurity(draws, (3, 7), ("other",)) is not None


METER = in_class("def read(self): return time.time()\ndef name(self): return 'm'")()


def reads_a_meter() -> Any:
    return METER.read()


def names_a_meter() -> Any:
    return METER.name()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (reads_a_meter, CLOCK), (names_a_meter, None), (METER.read, CLOCK), (METER.name, None),
        (functools.partial(np.random.default_rng), UNSEEDED), (MethodType(len, []), None),
        (functools.partial(np.random.default_rng, 3), None), (MethodType(input, []), WORLD),
        (functools.partial(np.random.default_rng, seed=3), None), (lambda: print, None),
        (MethodType(STATION, 1), CLOCK), (functools.partial(print), None), (print, EFFECT),
        (lambda: input, WORLD),
    ],
)  # fmt: skip
def test_more_verdicts(function: Any, reason: str | None) -> None:
    found = call_impurity(function)
    assert (found and found.reason) == reason


class Simulation:
    def run(self, n: int, seed: int | None = None) -> float:
        return float(np.random.default_rng(seed).random(n).sum())


def test_a_method_that_is_given_no_seed_is_random() -> None:
    run = Simulation().run
    assert str(call_impurity(run, (3,))) == f"run(seed=None): {UNSEEDED}"
    assert call_impurity(run, (3, None)) is not None
    assert call_impurity(run, (3, 7)) is None
    assert call_impurity(run, (3, 7), ("seed",)) is None
