"""What is a function of its arguments alone, as far as anybody can tell."""

from __future__ import annotations

import builtins
import collections
import contextvars
import datetime
import functools
import gzip
import importlib
import inspect
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
import types
import typing
import urllib.request
import uuid
import warnings
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.csv
import pytest
from dask.task_spec import TaskRef
from dask.utils import methodcaller

from pipeline import File, impure, pure
from pipeline.identity import Library
from pipeline.share import (
    DECLARED,
    MERGING,
    STORING,
    UNTRACKED,
    Needs,
    call_impurity,
    needs_of,
    register_reader,
)
from pipeline.share.purity.facts import mark_of
from pipeline.share.purity.impurities import (
    CLOCK,
    EFFECT,
    FILE,
    MAYBE_RANDOM,
    NETWORK,
    RANDOM,
    READERS,
    TABLE,
    UNSEEDED,
    VARIABLE,
    WORLD,
    WRITES,
)
from pipeline.share.purity.verdicts import is_used_up, method_impurity, method_name
from tests.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def verdict(function: Any, *args: Any) -> str:
    """The verdict on a call, without the remedy."""
    return str(call_impurity(function, *args)).partition(";")[0]


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


def bootstrap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=0.5)


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
        (datetime.datetime.now, CLOCK), (datetime.date.today, CLOCK),
        (pd.Timestamp.now, CLOCK), (input, WORLD), (os.getcwd, WORLD), (os.stat, WORLD),
        (urllib.request.urlopen, NETWORK), (print, EFFECT),
        (np.random.default_rng, UNSEEDED), (clock, CLOCK),
        (calls_clock, CLOCK), (imports_clock, CLOCK), (looks_clock_up, CLOCK),
        (unseeded, UNSEEDED), (draws_from_a_global, RANDOM), (fetches, NETWORK), (Station, CLOCK),
        (Station().read, CLOCK), (Station(), CLOCK), (closed(), CLOCK),
        (functools.partial(calls_clock, 1), CLOCK), (functools.lru_cache(clock), CLOCK),
        (pd.DataFrame({"a": [1]}).to_parquet, EFFECT),
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
        time.perf_counter, time.monotonic_ns, time.process_time, time.thread_time, time.sleep,
        logging.info, warnings.warn,
    ],
)  # fmt: skip
def test_what_is_not(function: Any) -> None:
    assert call_impurity(function) is None


@pytest.mark.parametrize(
    ("function", "is_merged", "reason"),
    [
        (open, True, FILE), (pd.read_csv, True, FILE), (np.load, True, FILE), (reads, True, FILE),
        (reads_a_path, True, FILE), (pathlib.Path("x").read_bytes, True, FILE),
        (os.listdir, True, FILE), (environment, True, VARIABLE), (np.save, False, WRITES),
        (writes, False, WRITES), (pd.DataFrame({"a": [1]}).to_csv, False, WRITES),
        (bootstrap, False, MAYBE_RANDOM),
    ],
)  # fmt: skip
def test_what_is_tracked_or_observed_is_stored(function: Any, is_merged: bool, reason: str) -> None:
    assert call_impurity(function, scope=STORING) is None
    assert (call_impurity(function, scope=MERGING) is None) is is_merged
    found = call_impurity(function, scope=UNTRACKED)
    assert found is not None
    assert found.reason == reason


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


def test_a_reader_is_pure_and_where_nothing_is_tracked_if_its_files_are_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a\n1\n")
    for function in (pd.read_csv, reads, open):
        for arguments, is_pure in (
            ((str(path),), False), ((path,), False), ((File(path),), True),
            ((File(path), ";"), True), ((File(path), str(path)), False),
            ((File(path), "s3://bucket/f.csv"), False),
        ):  # fmt: skip
            assert call_impurity(function, arguments) is None
            assert (call_impurity(function, arguments, scope=UNTRACKED) is None) is is_pure


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
    assert verdict(consumer) == "consumer, by sensor: it is marked impure"
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


def seeded_bootstrap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=0.5, random_state=0)


def test_a_seed_that_is_left_out_is_noticed_wherever_it_is_left_out() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    assert call_impurity(monte_carlo, (5,)) is not None
    assert call_impurity(monte_carlo, (5, 3)) is None
    assert call_impurity(monte_carlo, (5, 3), ("seed",)) is None
    assert call_impurity(bootstrap, (frame,), scope=MERGING) is not None
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
    assert verdict(counts).endswith("it sets a variable outside of it")
    assert call_impurity(counts_under_another_name) is not None
    assert call_impurity(remembers) is None
    assert call_impurity(counts_its_own) is None


def reads_two(path: Any) -> Any:
    return open(path), open("rates.txt")


def test_one_named_file_does_not_excuse_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [File("a.csv")]
    assert call_impurity(reads_two, named, scope=UNTRACKED) is None  # there is no other
    (tmp_path / "rates.txt").write_text("1")
    assert call_impurity(reads_two, named, scope=UNTRACKED) is not None
    assert call_impurity(reads_two, named) is None


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


def helped() -> int:
    """A comment that a task reads."""
    return 1


@pytest.mark.parametrize(
    "function",
    [lambda: helped.__doc__, lambda: inspect.getsource(helped),
     lambda: typing.get_type_hints(helped), lambda: sys._getframe().f_lineno],
    ids=range(4),
)  # fmt: skip
def test_what_reads_its_own_source_is_impure(function: Any) -> None:
    found = call_impurity(function)
    assert found is not None
    assert found.reason == WORLD


@pytest.mark.parametrize(
    "function",
    [lambda t: time.localtime(t), lambda t: datetime.datetime.fromtimestamp(t),
     lambda t: t.astimezone(), lambda t: t.timestamp(), lambda t: time.strftime("%H", t),
     lambda t: time.timezone, time.mktime, datetime.date.fromtimestamp],
    ids=range(8),
)  # fmt: skip
def test_the_local_time_zone_counts(function: Any) -> None:
    assert needs_of(function).variables == {"TZ"}
    assert needs_of(lambda t: datetime.UTC).variables == frozenset()


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
    assert found == (f"uses, by A.{name}, by time.time", CLOCK)
    assert method_impurity(uses, in_class(f"def {name}(self): return 1")()) is None
    assert method_impurity(len, in_class("def other(self): return time.time()")()) is None


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (time.time, "time.time: it reads the time of day"),
        (calls_clock, "calls_clock, by time.time: it reads the time of day"),
        (functools.partial(calls_clock, 1), "calls_clock, by time.time: it reads the time of day"),
        (unseeded, "unseeded, by default_rng(seed=None): it is random without a seed"),
        (np.random.default_rng, "default_rng(seed=None): it is random without a seed"),
        (draws_from_a_global, "draws_from_a_global, by GENERATOR: it is random"),
        (PYTHONS.random, "random.Random.random: it is random"),
        (np.random.default_rng(0).normal, "numpy.random._generator.Generator.normal: it is random"),
        (counts, "counts, by COUNT: it sets a variable outside of it"),
        (pd.DataFrame({"a": [1]}).to_parquet, "pandas.DataFrame.to_parquet: it has a side effect"),
        (Station, "Station, by time.time: it reads the time of day"),
        (Library("time", "time"), "time.time: it reads the time of day"),
        (Library("secrets", "token_hex"), "secrets: it is random"),
        (Library("secrets"), "secrets: it is random"),
    ],
    ids=shown,
)  # fmt: skip
def test_a_verdict_names_what_is_called(function: Any, text: str) -> None:
    assert verdict(function) == text


def test_an_argument_that_draws_numbers_is_named() -> None:
    assert verdict(np.sum, (1, GENERATOR)) == "an argument, a Generator: it is random"


def iter_of(items: Any) -> Any:
    yield from items


@pytest.mark.parametrize(
    ("function", "is_it"),
    [
        (iter, True), (map, True), (zip, True), (filter, True), (enumerate, True),
        (reversed, True), (itertools.count, True), (itertools.chain, True), (open, True),
        (gzip.open, True),
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
    assert call_impurity(to_csv, (frame,), scope=MERGING) is not None
    assert call_impurity(operator.methodcaller("sum"), (frame,)) is None
    assert call_impurity(read, (Station(),)) is not None
    assert call_impurity(operator.methodcaller("time"), (time,)) is not None
    assert call_impurity(to_csv, (TaskRef("x"),), scope=MERGING) is not None
    assert call_impurity(operator.methodcaller("sum"), (TaskRef("x"),)) is None
    sample = methodcaller("sample")
    assert call_impurity(sample, (TaskRef("x"),), scope=MERGING) is not None
    assert call_impurity(sample, (frame, 1)) is not None
    for caller in (sample, operator.methodcaller("sample", random_state=0)):
        names = ("random_state",) if caller is sample else ()
        for owner in (TaskRef("x"), frame):
            arguments = (owner, 0)[: 1 + len(names)]
            assert call_impurity(caller, arguments, names, MERGING) is None


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
    assert verdict(Meter().read) == "read: it is marked impure"


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
        ("time_of_day", "f, by time.time: it reads the time of day"),
        ("by_name", "f, by time.time: it reads the time of day"),
        ("starred", "f, by time.time: it reads the time of day"),
        ("random_number", "f, by random.Random.random: it is random"),
        ("reader", "None"),
        ("when_imported", "None"),
        ("through", "f, by time.time: it reads the time of day"),
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
    assert verdict(names["f"], (4,)) == reason


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

    for function, is_pure in ((argument, True), (another, False)):
        assert call_impurity(function, (File(path),)) is None
        assert (call_impurity(function, (File(path),), scope=UNTRACKED) is None) is is_pure


def test_a_library_that_is_not_loaded_is_judged_by_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def f() -> Any:
        import getpass as found

        return found.getuser()

    monkeypatch.delitem(sys.modules, "getpass", raising=False)
    assert verdict(f) == "f, by getpass.getuser: it reads more than its arguments"
    assert "getpass" not in sys.modules


@pytest.mark.parametrize("name", ["random_state", "seed", "rng", "random_seed"])
def test_a_seed_has_one_of_four_names(name: str) -> None:
    names: dict[str, Any] = {"np": np, "__name__": "__main__"}
    source = f"def draws(n, {name}=None): return np.random.default_rng({name}).random(n)"
    exec(f"{source}\ndef outer(n, **options): return draws(n, **options)", names)  # noqa: S102 - made here
    draws = names["draws"]
    assert verdict(draws, (3,)) == f"draws({name}=None): {UNSEEDED}"
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
        (MethodType(STATION, 1), CLOCK), (functools.partial(print), EFFECT), (print, EFFECT),
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
    assert verdict(run, (3,)) == f"run(seed=None): {UNSEEDED}"
    assert call_impurity(run, (3, None)) is not None
    assert call_impurity(run, (3, 7)) is None
    assert call_impurity(run, (3, 7), ("seed",)) is None


# Declared


def random_and_late(generator: Any, function: Any = time.time, seed: Any = None) -> float:
    return float(generator.normal() + function() + np.random.default_rng(seed).normal())


@pytest.mark.parametrize("scope", [MERGING, STORING, UNTRACKED])
def test_what_is_declared_pure_is_pure_whatever_it_is_called_with(scope: Any) -> None:
    declared = pure(functools.partial(random_and_late))
    assert call_impurity(declared, (GENERATOR, time.time, None), scope=scope) is None
    assert call_impurity(declared, (GENERATOR,), scope=scope) is None
    assert call_impurity(pure(lambda owner: owner.read()), (STATION,), scope=scope) is None


def test_only_declarations_hold_where_that_is_wanted() -> None:
    for function in (time.time, counts, random.random, fetches, print):
        assert call_impurity(function, scope=DECLARED) is None
    assert call_impurity(impure(lambda: 1), scope=DECLARED) is not None


def test_a_helper_that_is_declared_pure_ends_the_search() -> None:
    helper: Any = pure(lambda: uuid.uuid4().int + time.time())
    assert call_impurity(lambda: helper()) is None
    assert call_impurity(lambda: helper() + time.time()) is not None


# The time of day


@pytest.mark.parametrize(
    ("function", "arguments", "is_late"),
    [
        (pd.Timestamp, ("now",), True), (pd.Timestamp, ("today",), True),
        (pd.Timestamp, ("2020",), False), (np.datetime64, ("now",), True),
        (np.datetime64, ("today", "D"), True), (np.datetime64, ("2020",), False),
        (pd.to_datetime, ("now",), True), (pd.to_datetime, ("2020",), False),
        (time.localtime, (), True), (time.localtime, (0,), False), (time.gmtime, (None,), True),
        (time.strftime, ("%Y",), True), (time.strftime, ("%Y", (2020,) * 9), False),
        (time.ctime, (0,), False),
        (lambda: pd.Timestamp("now"), (), True), (lambda: pd.Timestamp("2020"), (), False),
        (lambda: np.datetime64("today"), (), True), (lambda: pd.Timestamp(NOW), (), True),
        (lambda: time.strftime("%Y"), (), True), (lambda x: time.strftime("%Y", x), (1,), False),
        (lambda: {"now": pd.Timestamp("2020")}, (), False),
    ],
)  # fmt: skip
def test_what_reads_the_time_of_day(function: Any, arguments: Any, is_late: bool) -> None:
    found = call_impurity(function, arguments)
    assert (found and found.reason) == (CLOCK if is_late else None)


NOW = "now"


# Seeds

OPTIONS = {"random_state": 0}


def split(*arrays: Any, random_state: Any = None) -> Any:
    """A function of the project that passes its seed on."""
    return np.random.RandomState(random_state).permutation(arrays[0])


def set_seed(seed: Any = None) -> None:
    random.seed(seed)
    np.random.seed(seed)


class Noise:
    def __init__(self, seed: int | None = 0) -> None:
        self.seed = seed

    def draw(self) -> float:
        return float(np.random.default_rng(self.seed).normal())


def splits(x: Any, state: Any = None) -> Any:
    return split(x, random_state=state)


def splits_by_global(x: Any) -> Any:
    return DATA.sample(1, random_state=SEED)


DATA = pd.DataFrame({"a": [1]})
SEED = None


@pytest.mark.parametrize(
    ("body", "is_random"),
    [
        ("return x.sample(3)['seed']", True), ("return x.sample(3, random_state=0)", False),
        ("return x.sample(3, random_state=None)", True),
        ("f(x, random_state=0)\nreturn x.sample(3)", True),
        ("return x.loc[0].sample(3)", True), ("return x.rvs(random_state=y)", True),
        ("seed = g()\nreturn x.rvs(random_state=seed)", False),
        ("return np.random.default_rng(0).random()", False),
        ("return np.random.default_rng().random()", True),
        ("return np.random.default_rng(None).random()", True),
        ("make = np.random.default_rng\nreturn make().random()", True),
        ("make = np.random.default_rng\nreturn make(3).random()", False),
        ("return np.random.default_rng(1 if x else 2).random()", False),
        ("np.random.seed(0)\nreturn np.random.rand()", False),
        ("np.random.seed(None)\nreturn np.random.rand()", True),
        ("np.random.seed()\nreturn np.random.rand()", True),
        ("a = np.random.rand()\nnp.random.seed(0)\nreturn a", True),
        ("if x: np.random.seed(0)\nreturn np.random.rand()", True),
        ("np.random.seed(0)\nreturn [np.random.rand() for _ in x]", False),
        ("np.random.seed(0)\nreturn draws()", False), ("return draws()", True),
        ("np.random.seed(0)\nreturn x.sample(3)", False),
        ("np.random.seed(0)\nreturn random.random()", True),
        ("random.seed(0)\nreturn random.random()", False),
        ("random.seed(0)\nrandom.shuffle(x)\nreturn x", False),
        ("set_seed(0)\nreturn np.random.rand()", False), ("set_seed()\nreturn draws()", True),
        ("a = draws()\nset_seed(0)\nreturn a", True), ("if x: set_seed(0)\nreturn draws()", True),
        ("mine = np\nreturn mine.random.rand()", True), ("return Noise(0).draw()", False),
        ("return Noise(None).draw()", True), ("return Noise().draw()", False),
        ("return split(x)", True), ("return split(x, random_state=0)", False),
        ("return split(x, random_state=None)", True), ("return split(x, **OPTIONS)", False),
        ("options = {'random_state': 1}\nreturn split(x, **options)", False),
        ("return partial(split, random_state=1)(x)", False), ("return partial(split)(x)", True),
        ("return DATA.sample(3)", True), ("return DATA.sample(3, random_state=0)", False),
        ("return DATA.sample(3, random_state=SEED)", True),
        ("return isinstance(x, np.random.RandomState)", False),
    ],
)  # fmt: skip
def test_a_seed_counts_where_it_is_passed(body: str, is_random: bool) -> None:
    names = {
        "np": np, "random": random, "split": split, "OPTIONS": OPTIONS, "DATA": DATA, "SEED": None,
        "set_seed": set_seed, "Noise": Noise, "partial": functools.partial,
        "draws": lambda: np.random.rand(), "__name__": "__main__",
    }  # fmt: skip
    lines = textwrap.indent(body, "    ")
    exec(f"def f(x, y=None):\n{lines}", names)  # noqa: S102 - each is a program
    assert (call_impurity(names["f"], ([1],), scope=MERGING) is not None) is is_random


@pytest.mark.parametrize(
    ("function", "arguments", "named", "is_random"),
    [
        (splits, ([1],), (), True), (splits, ([1], 3), (), False), (splits, ([1], None), (), True),
        (splits, ([1], 3), ("state",), False), (splits, ([1], None), ("state",), True),
        (functools.partial(splits, state=3), ([1],), (), False),
        (functools.partial(splits, state=3), ([1], None), ("state",), True),
        (seeded, (None,), (), True), (seeded, (3,), (), False),
        (seeded, (TaskRef("x"),), (), False),
        (splits_by_global, ([1],), (), True),
    ],
)  # fmt: skip
def test_a_seed_that_is_passed_on_counts(
    function: Any, arguments: Any, named: Any, is_random: bool
) -> None:
    assert (call_impurity(function, arguments, named) is not None) is is_random


# Names


def test_the_name_of_a_helper_says_nothing() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for name in ("sample", "open", "exists", "rvs", "to_csv", "write_text"):
        exec(f"def {name}(x): return x\ndef f(x): return {name}(x)", names)  # noqa: S102 - programs
        assert call_impurity(names[name], (1,), scope=UNTRACKED) is None
        assert call_impurity(names["f"], (1,), scope=UNTRACKED) is None


@pytest.mark.parametrize(
    ("body", "is_merged"),
    [
        ("return open(x).read()", True),
        ("return open(x, 'rb')", True),
        ("open(x, 'w').write('a')", False),
        ("open(x, mode='a').write('a')", False),
        ("x.open('w').write('a')", False),
        ("os.makedirs(x, exist_ok=True)", True),
        ("os.makedirs(x)", False),
        ("x.to_csv('a.csv')", False),
    ],
)
def test_equal_writes_are_not_merged(body: str, is_merged: bool) -> None:
    names: dict[str, Any] = {"__name__": "__main__", "os": os}
    exec(f"def f(x): {body}", names)  # noqa: S102 - each is a program
    assert (call_impurity(names["f"], (1,), scope=MERGING) is None) is is_merged
    assert call_impurity(names["f"], (1,), scope=STORING) is None


@pytest.mark.parametrize(
    ("body", "is_stored"),
    [
        ("x.to_parquet(f'{x}.parquet')", False),
        ("x.to_parquet(**x)", False),
        ("x.a.to_netcdf(path='a.nc')", False),
        ("x.to_hdf(*x)", False),
        ("x.write_csv('a.csv')", False),
        ("pyarrow.csv.write_csv(x, 'a.csv')", False),
        ("return x.to_parquet()", True),
    ],
)
def test_a_write_that_python_does_not_see_is_impure(body: str, is_stored: bool) -> None:
    names: dict[str, Any] = {"__name__": "__main__", "pyarrow": pyarrow}
    exec(f"def f(x): {body}", names)  # noqa: S102 - each is a program
    found = call_impurity(names["f"], (TaskRef("x"),), scope=STORING)
    assert (found is None) is is_stored
    assert found is None or found.reason == EFFECT


# Needs

SETTING = contextvars.ContextVar("SETTING", default=1)
VARIABLE_NAME = "FROM_A_CONSTANT"


@pytest.mark.parametrize(
    ("body", "variables"),
    [
        ("return os.environ['A']", {"A"}),
        ("return os.environ.get('A', 'b')", {"A"}),
        ("return os.getenv('A'), os.getenv(key='B')", {"A", "B"}),
        ("return 'A' in os.environ", {"A"}),
        ("return environ['A']", {"A"}),
        ("return os.environ[CONSTANT]", {"C"}),
        ("return [os.environ['A'] for _ in x]", {"A"}),
        ("return helper()", {"H"}),
        ("env = os.environ\nreturn env['A']", {"A"}),
        ("return os.environ[x]", None),
        ("return dict(os.environ)", None),
        ("return os.environ.copy()", None),
        ("return os.getenv(x)", None),
        ("os.environ['A'] = x", None),
        ("return sorted(os.environ)", None),
        ("env = os.environ\nenv['A']\nreturn list(env)", None),
        ("return x", set()),
    ],
)
def test_environment_variables_that_code_names(body: str, variables: Any) -> None:
    names: dict[str, Any] = {
        "__name__": "__main__", "os": os, "environ": os.environ, "CONSTANT": "C",
        "helper": lambda: os.environ["H"],
    }  # fmt: skip
    exec(f"def f(x):\n{textwrap.indent(body, '    ')}", names)  # noqa: S102 - each is a program
    found = call_impurity(names["f"], (1,))
    assert (found is None) is (variables is not None)
    assert needs_of(names["f"]).variables == (variables or needs_of(names["f"]).variables)


def test_variables_of_the_context_that_code_reaches() -> None:
    def helper() -> int:
        return SETTING.get()

    [context] = needs_of(lambda: helper()).contexts
    assert context == (f"{__name__}:SETTING", SETTING)


def test_readers_that_nobody_observes() -> None:
    assert needs_of(pd.read_parquet).readers == {"pandas.read_parquet"}
    assert needs_of(lambda path: pd.read_parquet(path)).readers == {"pandas.read_parquet"}
    assert needs_of(pd.read_csv) == Needs()
    assert needs_of(pure(lambda path: pd.read_parquet(path))) == Needs()


def test_a_user_registers_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_package")
    exec("def read(path): return path", vars(module))  # noqa: S102 - the package
    monkeypatch.setitem(sys.modules, "my_package", module)
    assert needs_of(vars(module)["read"]) == Needs()
    register_reader("my_package.read")
    assert needs_of(vars(module)["read"]).readers == {"my_package.read"}
    with pytest.raises(ValueError, match="'a b' is no dotted name"):
        register_reader("a b")


def test_the_readers_are_named_once() -> None:
    assert len(READERS.split()) == len(set(READERS.split()))


def test_a_table_as_argument_is_not_compared_with_none() -> None:
    def summed(table: Any, other: Any = None) -> Any:
        return table.sum() + (other or 0)

    def reads(table: Any = pd.DataFrame({"x": [1, 2]})) -> Any:  # noqa: B008 - a constant
        return summed(table)

    table = pd.DataFrame({"x": [1, 2]})
    assert call_impurity(functools.partial(summed, table), []) is None
    assert call_impurity(functools.partial(summed, other=table), [1]) is None
    assert call_impurity(reads) is None
