"""Steps of programs as people write them, each as a collection: a store takes them or it does not.

A builder gets a folder that holds `data.csv`, `data.parquet`, and a folder `data`; it is the
current one.

Run by itself, `python -m tests.programs.steps STORE FOLDER`, it runs all that a store takes, and
prints how many tasks ran for each, and its value.
"""

from __future__ import annotations

import functools
import glob
import io
import json
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import time
import uuid
import warnings
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask import delayed

from pipeline import File

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

ROWS = "data,seed\n" + "".join(f"{row % 7},{row}\n" for row in range(40))


def fill(folder: Path) -> None:
    """The files that the builders read."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "part.txt").write_text("1\n2\n")
    (folder / "data.csv").write_text(ROWS)
    frame = pd.read_csv(io.StringIO(ROWS))
    frame.to_parquet(folder / "data.parquet")
    np.save(folder / "data.npy", np.arange(12.0))


# What a store takes


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Log how long a call takes."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = function(*args, **kwargs)
        logger.info("%s took %.3f s", function.__name__, time.perf_counter() - start)
        return result

    return wrapped


@timed
def slow_total(n: int) -> int:
    return sum(range(n))


def timing_decorator() -> Any:
    return delayed(slow_total)(1000)


def load(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(rows), "y": np.arange(rows) * 3.0 + 1})


def features(df: pd.DataFrame) -> pd.DataFrame:
    df["b"] = df["a"] * 2
    df.loc[df["a"] > 3, "b"] = 0
    return df


def fit(df: pd.DataFrame) -> list[float]:
    slope, offset = np.polyfit(df["a"] + df["b"], df["y"], 1)
    return [float(slope), float(offset)]


def score(model: list[float], df: pd.DataFrame) -> float:
    return float((model[0] * (df["a"] + df["b"]) + model[1] - df["y"]).abs().mean())


def columns_in_place() -> Any:
    frame = delayed(features)(delayed(load)(12))
    return delayed(score)(delayed(fit)(frame), frame)


def in_environment(n: int) -> str:
    return os.environ.get("PIPELINE_TEST_REGION", "none") * n


def environment() -> Any:
    return delayed(in_environment)(2)


def summed(path: str) -> int:
    df = pd.read_csv(path)
    return int(df["seed"].sum())


def csv_by_path() -> Any:
    return delayed(summed)("data.csv")


def csv_itself() -> Any:
    return delayed(pd.read_csv)("data.csv")


def parquet_total(path: str) -> int:
    return int(pd.read_parquet(path)["seed"].sum())


def parquet_by_path() -> Any:
    return delayed(parquet_total)("data.parquet")


def read_opened(path: str) -> list[str]:
    with open(path) as lines:
        first = next(lines)
    return [first, Path(path).read_text()[:9]]


def opened() -> Any:
    return delayed(read_opened)("data.csv")


def array_file() -> Any:
    return delayed(np.load)("data.npy")


def folder_total(folder: str) -> int:
    return sum(len(Path(path).read_text()) for path in sorted(glob.glob(f"{folder}/*.txt")))


def globbed() -> Any:
    return delayed(folder_total)("data")


def dask_csv() -> Any:
    return dd.read_csv("data.csv", blocksize=100)


def dask_csv_of_file() -> Any:
    return dd.read_csv(File("data.csv"), blocksize=100)


def behind_dask_csv() -> Any:
    df = dd.read_csv("data.csv", blocksize=100)
    return df[df.seed > 5].groupby("data").seed.sum()


def dask_parquet() -> Any:
    return dd.read_parquet("data.parquet")


def dask_parquet_of_file() -> Any:
    return dd.read_parquet(File("data.parquet"))


def behind_dask_parquet() -> Any:
    df = dd.read_parquet("data.parquet")
    return df[df.data > 2].seed.mean()


def dask_text() -> Any:
    return db.read_text("data.csv").map(str.strip).map(len)


def dask_delayed_csv() -> Any:
    return dd.from_delayed([delayed(pd.read_csv)("data.csv")], meta=pd.read_csv("data.csv").head(0))


def dask_map() -> Any:
    return dd.from_map(pd.read_csv, ["data.csv"])


def sample(values: list[int]) -> list[int]:
    return values[::2]


def with_sample(n: int) -> list[int]:
    return sample(list(range(n)))


def helper_named_sample() -> Any:
    return delayed(with_sample)(9)


class Grid:
    """Its method is named as one of pandas that is random."""

    def __init__(self, step: int) -> None:
        self.step = step

    def sample(self, n: int) -> list[int]:
        return [self.step * place for place in range(n)]


def on_grid(step: int) -> list[int]:
    return Grid(step).sample(3)


def method_named_sample() -> Any:
    return delayed(on_grid)(2)


def column_named_as_a_folder() -> Any:
    return delayed(pd.read_csv)(File("data.csv"))["data"]


_roots: dict[int, float] = {}


def root(x: int) -> float:
    if x not in _roots:
        _roots[x] = float(x**0.5)
    return _roots[x]


def module_cache() -> Any:
    return delayed(root)(2)


@functools.lru_cache
def inner_root(x: int) -> float:
    return float(x**0.5)


def with_lru_cache(x: int) -> float:
    return inner_root(x) + inner_root(x)


def library_cache() -> Any:
    return delayed(with_lru_cache)(2)


def drawn(n: int) -> list[float]:
    np.random.seed(0)
    random.seed(0)
    return [*np.random.rand(n).tolist(), random.random()]  # noqa: S311


def globally_seeded() -> Any:
    return delayed(drawn)(3)


def generated(n: int) -> list[float]:
    rng = np.random.default_rng(7)
    return [*rng.normal(size=n).tolist(), random.Random(5).random()]  # noqa: S311


def generator() -> Any:
    return delayed(generated)(3)


def seeded_sample(df: pd.DataFrame) -> int:
    return int(df.sample(3, random_state=0)["a"].sum())


def sample_with_a_seed() -> Any:
    return delayed(seeded_sample)(delayed(load)(12))


def chatty(n: int) -> int:
    print("computing", n)
    warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
    logging.getLogger("program").warning("n is %d", n)
    started = time.monotonic(), time.process_time()
    os.makedirs("made", exist_ok=True)
    return n + len(started)


def talk() -> Any:
    return delayed(chatty)(3)


def with_bar(n: int) -> int:
    from tqdm import tqdm  # type: ignore[import-untyped] # it has no types

    return sum(tqdm(range(n), disable=None))


def progress_bar() -> Any:
    return delayed(with_bar)(5)


def as_text(df: pd.DataFrame) -> str:
    buffer = io.StringIO()
    df.to_csv(buffer)
    return str(df.to_csv(index=False)) + buffer.getvalue()


def csv_in_memory() -> Any:
    return delayed(as_text)(delayed(load)(2))


def split(df: pd.DataFrame) -> list[int]:
    from sklearn.model_selection import train_test_split

    _, test = train_test_split(df, random_state=0)
    return [int(each) for each in test["a"]]


def seeded_split() -> Any:
    return delayed(split)(delayed(load)(12))


def forest(df: pd.DataFrame) -> float:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RandomForestRegressor(3, random_state=0))
    return float(model.fit(df[["a"]], df["y"]).score(df[["a"]], df["y"]))


def seeded_forest() -> Any:
    return delayed(forest)(delayed(load)(12))


def forest_in_threads(df: pd.DataFrame) -> float:
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(4, random_state=0, n_jobs=2)
    return float(model.fit(df[["a"]], df["y"]).score(df[["a"]], df["y"]))


def parallel_forest() -> Any:
    return delayed(forest_in_threads)(delayed(load)(12))


def parsed_dates(texts: list[str]) -> list[str]:
    return [str(pd.Timestamp(text)) for text in texts] + [str(np.datetime64("2024-01-02"))]


def dates() -> Any:
    return delayed(parsed_dates)(["2024-01-01", "2024-03-05 10:00"])


precision: ContextVar[int] = ContextVar("precision", default=2)


def rounded(x: float) -> float:
    return round(x, precision.get())


def context_variable() -> Any:
    return delayed(rounded)(1.23456)


def shifted(block: Any) -> Any:
    return block + 1


def dask_array() -> Any:
    return da.from_array(np.arange(12.0), chunks=4).map_blocks(shifted, dtype=float).sum()


STORED: list[Callable[[], Any]] = [
    timing_decorator, columns_in_place, environment, csv_by_path, csv_itself, parquet_by_path,
    opened, array_file, globbed, dask_csv, dask_csv_of_file, behind_dask_csv, dask_parquet,
    dask_parquet_of_file, behind_dask_parquet, dask_text, dask_delayed_csv, dask_map,
    helper_named_sample, method_named_sample, column_named_as_a_folder, module_cache,
    library_cache, globally_seeded, generator, sample_with_a_seed, talk, progress_bar,
    csv_in_memory, seeded_split, seeded_forest, parallel_forest, dates, context_variable,
    dask_array,
]  # fmt: skip
"""What a store takes."""


# What a store does not take


def sample_of_seed(df: pd.DataFrame) -> list[int]:
    df["seed"] = df["a"]
    return [int(each) for each in df.sample(3)["seed"]]


def column_named_seed() -> Any:
    return delayed(sample_of_seed)(delayed(load)(1000))


def sample_after_split(df: pd.DataFrame) -> list[int]:
    from sklearn.model_selection import train_test_split

    train, _ = train_test_split(df, random_state=0)
    return [int(each) for each in train.sample(3)["a"]]


def unseeded_after_seeded() -> Any:
    return delayed(sample_after_split)(delayed(load)(1000))


def timestamp_now() -> Any:
    def stamped() -> str:
        return str(pd.Timestamp("now"))

    return delayed(stamped)()


def timestamp_of_argument() -> Any:
    return delayed(pd.Timestamp)("now")


def datetime64_now() -> Any:
    def stamped() -> str:
        return str(np.datetime64("now", "ns"))

    return delayed(stamped)()


def time_of_day() -> Any:
    def stamped() -> list[str]:
        return [str(time.time()), str(datetime.now())]

    return delayed(stamped)()


def unseeded_numpy() -> Any:
    def draws() -> float:
        return float(np.random.default_rng().random())

    return delayed(draws)()


def unseeded_global() -> Any:
    def draws() -> list[float]:
        return [random.random(), float(np.random.rand())]  # noqa: S311

    return delayed(draws)()


def identifiers() -> Any:
    def named() -> list[str]:
        return [str(uuid.uuid4()), secrets.token_hex(4)]

    return delayed(named)()


def unseeded_forest() -> Any:
    def fitted(df: pd.DataFrame) -> float:
        from sklearn.ensemble import RandomForestRegressor

        model = RandomForestRegressor(2).fit(df[["a"]], df["y"])
        return float(model.predict(df[["a"]])[0])

    return delayed(fitted)(delayed(load)(30))


def socket_opened() -> Any:
    def connects() -> int:
        with socket.socket() as made:
            made.bind(("127.0.0.1", 0))
            return made.fileno() * 0

    return delayed(connects)()


def program_started() -> Any:
    def lists() -> str:
        return subprocess.run(["true"], check=True, capture_output=True, text=True).stdout  # noqa: S607

    return delayed(lists)()


def file_written() -> Any:
    def writes(df: pd.DataFrame) -> int:
        df.to_csv("out.csv")
        return len(df)

    return delayed(writes)(delayed(load)(3))


def file_opened_for_writing() -> Any:
    def writes(n: int) -> int:
        with open("out.csv", "w") as file:
            file.write("1")
        return n

    return delayed(writes)(3)


def file_removed() -> Any:
    def removes(n: int) -> int:
        os.remove("data.csv")
        return n

    return delayed(removes)(3)


REFUSED: dict[Callable[[], Any], str] = {
    column_named_seed: "random",
    unseeded_after_seeded: "random",
    timestamp_now: "now",
    timestamp_of_argument: "now",
    datetime64_now: "now",
    time_of_day: "time",
    unseeded_numpy: "random",
    unseeded_global: "random",
    identifiers: "random",
    unseeded_forest: "random",
    socket_opened: "socket",
    program_started: "program",
    file_written: "out.csv",
    file_opened_for_writing: "it wrote out.csv",
    file_removed: "data.csv",
}
"""What a store does not take, with a word of the reason."""


def main(store: str, folder: str) -> None:
    """Run all that a store takes in this process, and print tasks and values."""
    from tests.programs.through import through

    os.chdir(folder)
    results = {}
    for build in STORED:
        outcome = through(Path(store), build())
        results[build.__name__] = [outcome.tasks, repr(outcome.value), outcome.warnings]
    print(json.dumps(results), file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
