"""What is a function of its arguments alone, as far as anybody can tell."""

from __future__ import annotations

import collections
import datetime
import functools
import logging
import os
import pathlib
import random
import secrets
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from pipeline import File, impure, pure
from pipeline.share import call_impurity
from pipeline.share.impurities import CLOCK, EFFECT, FILE, NETWORK, RANDOM, TABLE, UNSEEDED, WORLD

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
