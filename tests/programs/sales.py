"""A program of several files, as people write it with pandas and scikit-learn, and edits of it.

`write` puts it into a folder, with its data. `drive.py` there runs it through a store. Which
functions ran is what their timing decorator logged.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

TIMING = '''
"""Timing, for the log."""
import functools
import logging
import time

logger = logging.getLogger("sales")


def timed(function):
    """Log how long a function takes."""
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            logger.info("%s took %.3f s", function.__name__, time.perf_counter() - start)
    return wrapper
'''
LOAD = '''
"""Everything that reads."""
import logging
import os
import tomllib

import pandas as pd

from timing import timed

logger = logging.getLogger(__name__)
DATA = "data"


@timed
def settings(path):
    """The configuration."""
    with open(path, "rb") as file:
        return tomllib.load(file)


@timed
def read_sales():
    df = pd.read_csv(os.path.join(DATA, "sales.csv"), parse_dates=["day"])
    logger.debug("%d rows", len(df))
    return df


@timed
def read_stores():
    return pd.read_parquet("data/stores.parquet")


@timed
def read_rate():
    """The exchange rate of the day."""
    return float(os.environ.get("SALES_RATE", "1.0"))
'''
FEATURES = '''
"""Columns that the model uses."""
import numpy as np
import pandas as pd

from timing import timed

WEEKEND = 5


def ratio(left, right):
    return left / right


def log_scale(values):
    return np.log1p(values)


@timed
def clean(sales, options):
    """Rows without a gap, above the least amount."""
    sales = sales.dropna()
    return sales[sales["amount"] >= options["least"]].reset_index(drop=True)


@timed
def join(sales, stores):
    return sales.merge(stores, on="store", how="left")


@timed
def add_features(df, rate):
    df["price"] = ratio(df["amount"], df["units"]) * rate
    df["log_size"] = log_scale(df["size"])
    df["is_weekend"] = (df["day"].dt.weekday >= WEEKEND).astype(int)
    df.drop(columns=["day"], inplace=True)
    return df
'''
MODEL = '''
"""Fit and judge."""
import warnings

from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from timing import timed

COLUMNS = ["price", "log_size", "is_weekend", "units"]


@timed
def split(df, options):
    return train_test_split(df, test_size=0.25, random_state=options["seed"])


@timed
def fit(parts, alpha):
    train, _ = parts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(StandardScaler(), Ridge(alpha=alpha))
        return model.fit(train[COLUMNS], train["amount"])


@timed
def judge(model, parts):
    _, test = parts
    error = mean_absolute_error(test["amount"], model.predict(test[COLUMNS]))
    print("error", error)
    return round(float(error), 6)


@timed
def summary(df):
    """Mean amount by store."""
    return {int(k): round(float(v), 6) for k, v in df.groupby("store")["amount"].mean().items()}
'''
RUN = '''
"""Put together."""
import logging
import sys

from dask import delayed

import features
import load
import model

ALPHA = 0.5


def build():
    options = delayed(load.settings)("config.toml")
    sales = delayed(features.clean)(delayed(load.read_sales)(), options)
    joined = delayed(features.join)(sales, delayed(load.read_stores)())
    frame = delayed(features.add_features)(joined, delayed(load.read_rate)())
    parts = delayed(model.split)(frame, options)
    error = delayed(model.judge)(delayed(model.fit)(parts, ALPHA), parts)
    return delayed(dict)(error=error, means=delayed(model.summary)(sales))
'''
DRIVE = '''
import json
import logging
import os
import sys
import warnings


def log_to_file(path="ran.log"):
    """Log what runs: here, and in each worker."""
    logger = logging.getLogger("sales")
    logger.setLevel(logging.INFO)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)


def ran(path="ran.log"):
    with open(path) as lines:
        return sorted({line.split()[0] for line in lines})


def main(scheduler):
    import pipeline
    import run

    open("ran.log", "w").close()
    log_to_file()
    store = pipeline.Store("cache", pickle=True, durable=False, keep=FUNCTIONS)
    before = str(store.explain(run.build()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if scheduler == "cluster":
            from distributed import Client, LocalCluster

            with LocalCluster(
                n_workers=2, threads_per_worker=1, host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
            ) as cluster, Client(cluster) as client:
                client.run(log_to_file, os.path.abspath("ran.log"))
                (value,) = pipeline.compute(run.build(), store=store)
        else:
            (value,) = pipeline.compute(run.build(), store=store, scheduler=scheduler)
    names = ran()
    without = run.build().compute(scheduler="sync")
    messages = [str(x.message) for x in caught if issubclass(x.category, pipeline.StoreWarning)]
    print()
    print(json.dumps({"value": str(value), "without": str(without), "ran": names,
                      "warnings": messages, "explained": before}))


if __name__ == "__main__":
    main(sys.argv[1])
'''
CONFIG = "# What counts as a sale\nleast = 5.0\nseed = 3\n"

FUNCTIONS = {
    "settings", "read_sales", "read_stores", "read_rate", "clean", "join", "add_features",
    "split", "fit", "judge", "summary",
}  # fmt: skip

_clock = itertools.count(1)


def _replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))
    _touch(path)


def _touch(path: Path) -> None:
    moment = 1_700_000_000 + 60 * next(_clock)
    os.utime(path, (moment, moment))


def _sales() -> str:
    rows = [
        f"2024-01-{1 + row % 28:02},{row % 4},{3 + row % 9},{(row * 37) % 101 + 0.5}"
        for row in range(200)
    ]
    return "\n".join(["day,store,units,amount", *rows, "2024-02-01,1,3,", ""])


def _stores(size: int) -> pd.DataFrame:
    return pd.DataFrame({"store": range(4), "size": [100, 250, 80, size], "city": list("abcd")})


def write(folder: Path) -> None:
    """The program and its data."""
    texts = {"timing": TIMING, "load": LOAD, "features": FEATURES, "model": MODEL, "run": RUN,
             "drive": DRIVE.replace("FUNCTIONS", repr(sorted({*FUNCTIONS, "dict"})))}  # fmt: skip
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
        _touch(folder / f"{name}.py")
    (folder / "config.toml").write_text(CONFIG)
    (folder / "data").mkdir()
    (folder / "data" / "sales.csv").write_text(_sales())
    _stores(400).to_parquet(folder / "data" / "stores.parquet")
    (folder / "rate").write_text("1.0")
    for name in ("config.toml", "data/sales.csv", "data/stores.parquet"):
        _touch(folder / name)


def environment(folder: Path) -> dict[str, str]:
    """The environment variables of the program; `rate` holds one."""
    return {"SALES_RATE": (folder / "rate").read_text()}


class Edit(NamedTuple):
    """An edit of one file, and the functions that run after it.

    old, new: a text that is replaced; where both are empty the file is touched
    is_same: whether the program's result stays as it was before all edits
    why: what explains it before the run
    """

    name: str
    file: str
    old: str
    new: str
    ran: set[str]
    is_same: bool
    why: str = ""

    def apply(self, folder: Path) -> None:
        self._change(folder, self.old, self.new)

    def undo(self, folder: Path) -> None:
        self._change(folder, self.new, self.old)

    def _change(self, folder: Path, old: str, new: str) -> None:
        path = folder / self.file
        if path.suffix == ".parquet":
            _stores(int(new)).to_parquet(path)
            _touch(path)
        elif old or new:
            _replaced(path, old, new)
        else:
            _touch(path)


_FITTED = {"split", "fit", "judge"}
_RATE = {"read_rate", "add_features", *_FITTED}

EDITS = [
    Edit("a comment", "features.py", "df.drop(", "# not used\n    df.drop(", set(), True),
    Edit("a docstring", "load.py", "The configuration.", "The settings.", set(), True),
    Edit("a helper without effect on the result", "features.py", "return left / right",
         "return 1.0 * left / right", {"add_features"}, True),
    Edit("a comment in the configuration", "config.toml", "# What counts", "# Which count",
         {"settings"}, True, "config.toml changed"),
    Edit("a touched file", "data/sales.csv", "", "", set(), True),
    Edit("a row that is dropped", "data/sales.csv", "2024-02-01,1,3,", "2024-02-02,2,9,",
         {"read_sales", "clean"}, True, "data/sales.csv changed"),
    Edit("a helper with effect", "features.py", "np.log1p(values)", "np.log(values + 7)",
         {"add_features", *_FITTED}, False),
    Edit("a constant", "features.py", "WEEKEND = 5", "WEEKEND = 4",
         {"add_features", *_FITTED}, False, "was 5, is 4"),
    Edit("a parameter of the model", "run.py", "ALPHA = 0.5", "ALPHA = 50.0", {"fit", "judge"},
         False),
    Edit("an environment variable", "rate", "1.0", "1.5", _RATE, False, "SALES_RATE changed"),
    Edit("a parquet file", "data/stores.parquet", "400", "900",
         {"read_stores", "join", "add_features", *_FITTED}, False, "data/stores.parquet changed"),
    Edit("a value of the configuration", "config.toml", "least = 5.0", "least = 20.0",
         FUNCTIONS - {"read_sales", "read_stores", "read_rate"}, False),
    Edit("a row of a table", "data/sales.csv", "2024-01-03,2,5,", "2024-01-03,2,55,",
         {"read_sales", "clean", "join", "add_features", *_FITTED, "summary"}, False),
]  # fmt: skip
"""What people edit between two runs, one after the other."""
