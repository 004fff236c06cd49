"""The table of what is not a function of its arguments alone, and why.

A name stands for a function, for a class with its methods, for an object, or for a module with all
that is in it. Missing packages do no harm. `pipeline.impure` and `pipeline.pure` go before it.
"""

from __future__ import annotations

import functools
import random
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.identity import CodeNames, Library, library_name, names_in_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RANDOM = "it is random"
CLOCK = "it reads a clock"
WORLD = "it reads what its arguments do not say"
NETWORK = "it asks another program or machine"
EFFECT = "it is called for what it does"
FILE = "it reads a file that may change: name it by File(path)"
DASKS_FILE = "it reads files that may change: delayed reads of File(path) would name them"
UNSEEDED = "it is random without a seed"
OUTSIDE = "it sets a variable outside of it"
USED_UP = "its result changes as it is read"

TABLE = {
    RANDOM: (
        "os.urandom os.getrandom secrets random.SystemRandom random.seed numpy.random.seed "
        "uuid.uuid1 uuid.uuid4 tempfile torch.rand torch.randn torch.randint torch.randperm "
        "torch.normal torch.bernoulli torch.multinomial torch.rand_like torch.randn_like "
        "torch.randint_like torch.nn.init tensorflow.random cupy.random"
    ),
    CLOCK: (
        "time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter "
        "time.perf_counter_ns time.process_time time.process_time_ns time.thread_time "
        "time.thread_time_ns time.clock_gettime time.localtime time.gmtime time.ctime time.asctime "
        "time.strftime "
        "datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today "
        "datetime.date.today pandas.Timestamp.now pandas.Timestamp.utcnow pandas.Timestamp.today"
    ),
    WORLD: (
        "input sys.stdin sys.argv os.environ os.environb os.getenv os.getcwd os.getpid os.getppid "
        "globals hash id importlib.import_module pkgutil.get_data dask.config "
        "os.path.expandvars os.path.expanduser decimal.getcontext decimal.localcontext locale "
        "pandas.get_option pandas.options numpy.geterr numpy.get_printoptions "
        "os.listdir os.scandir os.walk os.stat os.path.exists os.path.isfile os.path.isdir "
        "os.path.getsize os.path.getmtime os.cpu_count glob.glob glob.iglob "
        "getpass.getpass getpass.getuser os.lstat os.access os.path.getatime "
        "os.path.getctime configparser eval exec platform.node "
        "pathlib.Path.cwd pathlib.Path.home pathlib.Path.exists pathlib.Path.stat "
        "pathlib.Path.glob pathlib.Path.rglob pathlib.Path.iterdir psutil"
    ),
    NETWORK: (
        "socket ssl urllib.request http.client ftplib smtplib imaplib poplib xmlrpc.client "
        "requests httpx aiohttp urllib3 websockets boto3 botocore paramiko grpc pymongo redis "
        "psycopg2 psycopg pymysql sqlite3 sqlalchemy pandas.read_sql pandas.read_sql_query "
        "pandas.read_sql_table pandas.read_clipboard subprocess os.system os.popen"
    ),
    EFFECT: (
        "print os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir os.kill "
        "shutil numpy.save numpy.savez numpy.savez_compressed numpy.savetxt pickle.dump json.dump "
        "pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.mkdir pathlib.Path.unlink "
        "pathlib.Path.touch pathlib.Path.rename pandas.DataFrame.to_csv "
        "pandas.DataFrame.to_parquet pandas.DataFrame.to_pickle pyarrow.parquet.write_table "
        "dask.array.core.store_chunk dask.array.core.load_store_chunk dask.array.core.load_chunk "
        "dask.bag.core._to_textfiles_chunk distributed.shuffle xarray.backends.common joblib.dump "
        "partd dask.dataframe.shuffle.maybe_buffered_partd"
    ),
    FILE: (
        "open io.open os.open os.read codecs.open fileinput mmap.mmap runpy "
        "pathlib.Path.open pathlib.Path.read_text "
        "pathlib.Path.read_bytes gzip.open bz2.open lzma.open zipfile.ZipFile tarfile.open "
        "linecache.getline numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.memmap "
        "pandas.read_csv pandas.read_table pandas.read_fwf pandas.read_json pandas.read_excel "
        "pandas.read_parquet pandas.read_feather pandas.read_orc pandas.read_hdf "
        "pandas.read_pickle pandas.read_xml pandas.read_html pandas.read_sas pandas.read_spss "
        "pandas.read_stata pandas.ExcelFile pandas.HDFStore "
        "pyarrow.parquet pyarrow.csv.read_csv pyarrow.feather pyarrow.dataset "
        "polars.read_csv polars.read_parquet polars.scan_csv polars.scan_parquet "
        "xarray.open_dataset xarray.open_dataarray xarray.open_mfdataset xarray.open_zarr "
        "xarray.load_dataset h5py.File zarr.open netCDF4.Dataset scipy.io.loadmat "
        "scipy.io.wavfile.read xml.etree.ElementTree.parse torch.load PIL.Image.open "
        "imageio skimage.io cv2.imread tifffile.imread joblib.load fsspec"
    ),
    DASKS_FILE: (
        "dask.bytes "
        "dask.bag.text dask.dataframe.io.csv dask.dataframe.io.parquet dask.dataframe.io.json "
        "dask.dataframe.io.orc dask.dataframe.io.hdf dask.dataframe.io.sql "
        "dask.dataframe.dask_expr.io.parquet"
    ),
    UNSEEDED: (
        "random.Random numpy.random.default_rng numpy.random.RandomState "
        "numpy.random.SeedSequence numpy.random.PCG64 numpy.random.MT19937 numpy.random.Philox "
        "numpy.random.SFC64 numpy.random.PCG64DXSM"
    ),
}
"""Reason → names."""

METHODS = {
    WORLD: "exists is_file is_dir iterdir rglob",
    UNSEEDED: "sample rvs",
    EFFECT: "write_text write_bytes to_csv to_parquet to_pickle to_hdf to_sql savefig",
    FILE: "read_text read_bytes open",
}
"""Reason → names of methods, told by the name alone: of which object, the code does not say."""

OF_ITSELF_ALONE = {"print"}
"""Impure as a task; a function that calls it on the way is none the worse."""

ONCE = frozenset({map, filter, zip, iter, enumerate, reversed})
"""What gives an iterator, which one consumer alone can read; with all of `itertools`."""

CHANGES = frozenset({
    "add", "append", "clear", "discard", "extend", "fill", "fit", "fit_transform", "insert",
    "partial_fit", "pop", "popitem", "put", "remove", "resize", "reverse", "setdefault",
    "setfield", "setflags", "shuffle", "sort", "update", "write",
})  # fmt: skip
"""Methods that change their object, by their names: a consumer needs one of its own."""

STEADY = frozenset(
    f"sklearn.{each}"
    for each in (
        "linear_model._logistic.LogisticRegression", "linear_model._ridge.Ridge",
        "linear_model._coordinate_descent.Lasso", "linear_model._coordinate_descent.ElasticNet",
        "svm._classes.SVC", "model_selection._split.KFold",
        "model_selection._split.StratifiedKFold",
    )
)  # fmt: skip
"""Classes with a seed that is not used unless they are asked for what is random."""

SEEDS = ("random_state", "seed", "rng", "random_seed")
"""Parameters of libraries' functions that, left at None, make them random."""

SOURCES = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
"""Types whose objects give another number each time that they are asked."""


class Impurity(NamedTuple):
    """Why a function is not pure: the name that was found, as it is called, and what it does."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class _Table(NamedTuple):
    """The table, as far as its packages are imported."""

    objects: Mapping[Any, Impurity]
    modules: tuple[tuple[str, Impurity], ...]


@functools.lru_cache(1)
def _table(_: int) -> _Table:
    objects: dict[Any, Impurity] = {}
    modules = []
    for reason, listed in TABLE.items():
        for name in listed.split():
            found, value = Impurity(name, reason), _at(name)
            if isinstance(value, ModuleType):
                modules.append((f"{name}.", found))
                modules.append((f"_{name}.", found))  # the part of it that is written in C
            elif value is not None:
                objects[_handle(value)] = found
    return _Table(objects, tuple(modules))


NAMED = (type, FunctionType, BuiltinFunctionType, MethodType)


def _at(name: str) -> Any:
    """What bears a dotted name, if it is imported."""
    head, *rest = name.split(".") if "." in name or name in sys.modules else ("builtins", name)
    value = sys.modules.get(head)
    for each in rest:
        value = getattr(value, each, None)
    return value


def _handle(value: Any) -> Any:
    # Methods are made anew each time that they are asked for, and are equal then.
    return value if isinstance(value, NAMED) else id(value)


def in_table(value: Any, name: str = "") -> Impurity | None:
    """What the table says of a value that is called, or asked for a number, by a name."""
    if isinstance(value, Library):
        return _by_text(f"{value.module}.{value.attribute or ''}")
    owner = getattr(value, "__self__", None)
    if isinstance(value, SOURCES):
        return Impurity(name or type(value).__qualname__, RANDOM)
    if isinstance(owner, SOURCES):
        return Impurity(f"{type(owner).__module__}.{value.__qualname__}", RANDOM)
    if getattr(value, "__objclass__", None) in SOURCES:
        return Impurity(value.__qualname__, RANDOM)
    known = _table(len(sys.modules))
    for each in (value, getattr(value, "__func__", value), type(value), owner):
        if (found := known.objects.get(_handle(each))) is not None:
            return found
    if isinstance(value, FunctionType) and library_name(value) is None:
        return _by_code(names_in_code(value.__code__))
    where = f"{getattr(value, '__module__', '')}."
    return next((found for prefix, found in known.modules if where.startswith(prefix)), None)


def _by_code(found: CodeNames) -> Impurity | None:
    """What the names in a function's code say."""
    if found.changed:
        return Impurity(found.changed[0], OUTSIDE)
    for reason, listed in METHODS.items():
        for each in sorted(set(found.others).intersection(listed.split())):
            if reason != UNSEEDED or not set(SEEDS).intersection(found.keywords):
                return Impurity(each, reason)
    return None


def by_method(name: str, keywords: Iterable[str]) -> Impurity | None:
    """What the name of a method says of it, where its object is not known."""
    return _by_code(CodeNames((), (), (name,), tuple(keywords), ()))


def _by_text(name: str) -> Impurity | None:
    for reason, listed in TABLE.items():
        for each in listed.split():
            if f"{name}.".startswith(f"{each}.") or name.rstrip(".") == each:
                return Impurity(each, reason)
    return None
