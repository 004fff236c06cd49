"""The table of what is not a function of its arguments alone, and why.

A name denotes a function, a class with its methods, an object, or a module with all its functions.
Packages that are not installed do no harm. The decorators `impure` and `pure` overrule the table.
What is observed while a task runs need not be here: files that Python opens, folders, effects.
"""

from __future__ import annotations

import functools
import inspect
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from pipeline.identity import (
    CallSite,
    Library,
    Term,
    display_name,
    held,
    is_library_class,
    is_process_state,
    library_name,
    member_of,
    type_part,
)

MARKED = "it is marked impure"
RANDOM = "it is random"
UNSEEDED = "it is random without a seed"
MAYBE_RANDOM = "it may be random without a seed"
CLOCK = "it reads the time of day"
WORLD = "it reads more than its arguments"
ENVIRONMENT = "it reads environment variables whose names are unknown"
NETWORK = "it calls another program or machine"
EFFECT = "it has a side effect"
WRITES = "it writes files"
STATE = "its value is a place to which tasks write"
STATEFUL = "an equal task may change the same object"
OUTSIDE = "it sets a variable outside of it"
USED_UP = "its result changes as it is read"
FILE = "it reads a file that may change: name it by File(path)"
VARIABLE = "it reads an environment variable"

_DECLARE = "declare the function @pure to reuse its result"
REMEDIES = {
    UNSEEDED: "pass a seed",
    MAYBE_RANDOM: "pass a seed",
    WORLD: "pass it as an argument, or declare the function @pure",
    ENVIRONMENT: "write the names into the code, or declare the function @pure",
    OUTSIDE: "pass it and return it, or declare the function @pure",
    **dict.fromkeys((RANDOM, CLOCK, NETWORK, EFFECT, WRITES, STATEFUL), _DECLARE),
}
"""Reason → what to do about it, in a few words."""

TABLE = {
    RANDOM: """
        os.urandom os.getrandom secrets random.SystemRandom random.seed numpy.random.seed uuid.uuid1
        uuid.uuid4 tempfile torch.rand torch.randn torch.randint torch.randperm torch.normal
        torch.bernoulli torch.multinomial torch.rand_like torch.randn_like torch.randint_like
        torch.nn.init torch.manual_seed tensorflow.random cupy.random
    """,
    CLOCK: """
        time.time time.time_ns time.clock_gettime time.clock_gettime_ns datetime.datetime.now
        datetime.datetime.utcnow datetime.datetime.today datetime.date.today pandas.Timestamp.now
        pandas.Timestamp.utcnow pandas.Timestamp.today
    """,
    WORLD: """
        input sys.stdin sys.argv os.environb os.getcwd os.getpid os.getppid globals hash id
        __import__ importlib.import_module dask.config os.path.expandvars os.path.expanduser
        decimal.getcontext decimal.localcontext locale pandas.get_option pandas.options numpy.geterr
        numpy.get_printoptions os.stat os.lstat os.access os.path.exists os.path.isfile
        os.path.isdir os.path.getsize os.path.getmtime os.path.getatime os.path.getctime
        os.cpu_count multiprocessing.cpu_count getpass.getpass getpass.getuser eval exec
        platform.node socket.gethostname pathlib.Path.cwd pathlib.Path.home pathlib.Path.exists
        pathlib.Path.is_file pathlib.Path.is_dir pathlib.Path.stat psutil os.readlink
        os.path.lexists os.path.islink os.path.samefile os.statvfs os.getlogin os.uname
        pathlib.Path.lstat pathlib.Path.is_symlink pathlib.Path.readlink pathlib.Path.samefile
        shutil.disk_usage
    """,
    NETWORK: """
        socket ssl urllib.request http.client ftplib smtplib imaplib poplib xmlrpc.client requests
        httpx aiohttp urllib3 websockets boto3 botocore paramiko grpc pymongo redis psycopg2 psycopg
        pymysql sqlite3 sqlalchemy pandas.read_sql pandas.read_sql_query pandas.read_sql_table
        pandas.read_clipboard subprocess os.system os.popen
    """,
    EFFECT: """
        print os.kill pandas.DataFrame.to_parquet pandas.DataFrame.to_feather
        pandas.DataFrame.to_orc pandas.DataFrame.to_hdf pandas.DataFrame.to_sql
        pandas.Series.to_hdf pyarrow.parquet.write_table pyarrow.parquet.write_to_dataset
        pyarrow.parquet.write_metadata pyarrow.parquet.ParquetWriter pyarrow.feather.write_feather
        pyarrow.dataset.write_dataset pyarrow.orc.write_table pyarrow.orc.ORCWriter
        pyarrow.csv.write_csv pyarrow.csv.CSVWriter pyarrow.ipc.new_file pyarrow.ipc.new_stream
        pyarrow.output_stream pyarrow.fs.copy_files xarray.Dataset.to_netcdf
        xarray.DataArray.to_netcdf xarray.DataTree.to_netcdf xarray.save_mfdataset torch.save
        cv2.imwrite cv2.VideoWriter soundfile.write torchaudio.save
        dask.array.core.load_store_chunk dask.array.core.load_chunk
        dask.bag.core._to_textfiles_chunk dask.bag.avro dask.graph_manipulation distributed.shuffle
        xarray.backends.common
    """,
    WRITES: """
        os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir shutil numpy.save
        numpy.savez numpy.savez_compressed numpy.savetxt pickle.dump json.dump
        pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.mkdir pathlib.Path.unlink
        pathlib.Path.touch pathlib.Path.rename pandas.DataFrame.to_csv pandas.DataFrame.to_pickle
        joblib.dump
    """,
    STATE: "partd dask.dataframe.shuffle.maybe_buffered_partd",
    FILE: """
        os.read codecs.open fileinput mmap.mmap runpy pathlib.Path.open os.listdir os.scandir
        os.walk glob.glob glob.iglob pathlib.Path.glob pathlib.Path.rglob pathlib.Path.iterdir
        pkgutil.get_data configparser pathlib.Path.read_text pathlib.Path.read_bytes gzip.open
        bz2.open lzma.open zipfile.ZipFile tarfile.open linecache.getline numpy.load numpy.loadtxt
        numpy.genfromtxt numpy.fromfile numpy.memmap pandas.read_csv pandas.read_table
        pandas.read_fwf pandas.read_json pandas.read_excel pandas.read_parquet pandas.read_feather
        pandas.read_orc pandas.read_hdf pandas.read_pickle pandas.read_xml pandas.read_html
        pandas.read_sas pandas.read_spss pandas.read_stata pandas.ExcelFile pandas.HDFStore
        pyarrow.parquet pyarrow.csv.read_csv pyarrow.feather pyarrow.dataset polars.read_csv
        polars.read_parquet polars.scan_csv polars.scan_parquet xarray.open_dataset
        xarray.open_dataarray xarray.open_mfdataset xarray.open_zarr xarray.load_dataset h5py.File
        zarr.open netCDF4.Dataset scipy.io.loadmat scipy.io.wavfile.read xml.etree.ElementTree.parse
        torch.load PIL.Image.open imageio skimage.io cv2.imread tifffile.imread joblib.load fsspec
        dask.bytes dask.bag.text dask.dataframe.io.csv dask.dataframe.io.parquet
        dask.dataframe.io.json dask.dataframe.io.orc dask.dataframe.io.hdf dask.dataframe.io.sql
        dask.dataframe.dask_expr.io.parquet open io.open os.open
    """,
}
"""Reason → names."""

READERS = """
    pandas.read_parquet pandas.read_feather pandas.read_orc pandas.read_hdf pandas.read_spss
    pandas.HDFStore pyarrow.parquet.read_table pyarrow.parquet.read_pandas
    pyarrow.parquet.read_schema pyarrow.parquet.read_metadata pyarrow.parquet.ParquetFile
    pyarrow.parquet.ParquetDataset pyarrow.csv.read_csv pyarrow.csv.open_csv
    pyarrow.feather.read_table pyarrow.feather.read_feather pyarrow.orc.ORCFile
    pyarrow.orc.read_table pyarrow.json.read_json pyarrow.dataset.dataset
    pyarrow.dataset.parquet_dataset pyarrow.ipc.open_file pyarrow.ipc.open_stream pyarrow.memory_map
    pyarrow.OSFile pyarrow.input_stream pyarrow.fs polars.read_avro polars.read_csv
    polars.read_csv_batched polars.read_delta polars.read_excel polars.read_ipc
    polars.read_ipc_stream polars.read_json polars.read_ndjson polars.read_parquet polars.scan_csv
    polars.scan_delta polars.scan_ipc polars.scan_ndjson polars.scan_parquet duckdb.read_csv
    duckdb.read_json duckdb.read_parquet duckdb.sql duckdb.query duckdb.connect h5py.File
    tables.open_file netCDF4.Dataset netCDF4.MFDataset h5netcdf.File xarray.open_dataset
    xarray.open_dataarray xarray.open_datatree xarray.open_mfdataset xarray.open_zarr
    xarray.load_dataset xarray.load_dataarray zarr.open zarr.open_array zarr.open_group zarr.load
    zarr.open_consolidated rasterio.open rioxarray.open_rasterio fiona.open pyogrio
    geopandas.read_file geopandas.read_parquet geopandas.read_feather osgeo cv2.imread
    cv2.VideoCapture soundfile.read torchaudio.load pyreadstat pysam lance fsspec s3fs gcsfs adlfs
    dask.dataframe.io.parquet dask.dataframe.io.orc dask.dataframe.io.hdf
    dask.dataframe.dask_expr.io.parquet
"""
"""Functions that read files without Python: no event reports which. `register_reader` adds more."""

METHODS = {
    WORLD: "exists is_file is_dir is_symlink stat lstat",
    MAYBE_RANDOM: "sample rvs",
    EFFECT: """
        to_parquet to_feather to_orc to_hdf to_netcdf to_raster to_file open_output_stream
        open_append_stream write_parquet write_csv write_ipc write_ipc_stream write_ndjson
        write_avro write_excel write_delta sink_parquet sink_csv sink_ipc sink_ndjson save_model
    """,
    WRITES: "write_text write_bytes to_csv to_pickle to_sql savefig",
    FILE: "read_text read_bytes open iterdir rglob",
}
"""Reason → names of methods of unknown objects. Those with an effect write files without Python."""

IMPURE_ALONE = {"print", "tempfile"}
"""Impure as a task; a function that calls it is pure."""

ITERATORS = frozenset({map, filter, zip, iter, enumerate, reversed, open})
"""They return what only one consumer can read; so does all of `itertools`."""

LAZY = frozenset({"toolz.itertoolz.concat", "cytoolz.itertoolz.concat"})
"""They do so, too: what Dask's bags call, by name."""

SEEDS = ("random_state", "seed", "rng", "random_seed")
"""Parameters of libraries' functions that, left at None, make them random."""

SEED_UNUSED = frozenset({
    "sklearn.linear_model._coordinate_descent.ElasticNet",
    "sklearn.linear_model._coordinate_descent.Lasso",
    "sklearn.linear_model._logistic.LogisticRegression", "sklearn.linear_model._ridge.Ridge",
    "sklearn.model_selection._split.KFold", "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.svm._classes.SVC",
})  # fmt: skip
"""Classes with a seed that they use only in modes that are not the default."""

SEEDING = "sklearn.ensemble."
"""The module of classes that seed what they hold, if they have a seed."""

SOURCES = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
"""Types whose objects return another number on each call."""

NAMED = (type, FunctionType, BuiltinFunctionType, MethodType)
"""Types of values that a module holds under their names."""


class Impurity(NamedTuple):
    """Why a function is not pure: the name of what it calls, and what that does."""

    name: str
    reason: str

    def __str__(self) -> str:
        remedy = REMEDIES.get(self.reason)
        return f"{self.name}: {self.reason}" + (f"; {remedy}" if remedy else "")


# What a name means


def in_table(value: Any, name: str = "") -> Impurity | None:
    """What the table says of a value, whatever its arguments are.

    name: under which code calls it, or draws a number from it
    """
    if isinstance(value, Library):
        path = f"{value.module}.{value.attribute or ''}."
        return next((known for known in _table() if path.startswith(f"{known.name}.")), None)
    owner = held(value, "__self__")
    if isinstance(value, SOURCES):
        return Impurity(name or type(value).__qualname__, RANDOM)
    if isinstance(owner, SOURCES):
        return Impurity(f"{type(owner).__module__}.{value.__qualname__}", RANDOM)
    if held(value, "__objclass__") in SOURCES:
        return Impurity(value.__qualname__, RANDOM)
    impurity: Impurity | None = _imported_table(len(sys.modules)).find(value)
    return impurity


class _Imported:
    """A table, as far as its packages are imported: objects by handle, prefixes of modules."""

    def __init__(self, entries: Iterable[tuple[str, Any]]) -> None:
        self.objects: dict[Any, Any] = {}
        self.modules: list[tuple[str, Any]] = []
        self._by_module: dict[Any, Any] = {}  # what the prefixes say
        for name, entry in entries:
            value = _imported_value(name)
            if isinstance(value, ModuleType):
                # Also the part of it that is written in C.
                self.modules += [(f"{prefix}{name}.", entry) for prefix in ("", "_")]
            elif value is not None:
                self.objects[_handle(value)] = entry

    def find(self, value: Any) -> Any:
        """What the table says of a value. None if it says nothing."""
        inner, owner = held(value, "__func__", value), held(value, "__self__")
        for candidate in (value, inner, type(value), owner):
            if (entry := self.objects.get(_handle(candidate))) is not None:
                return entry
        module_of = type_part if issubclass(type(value), type) else held
        module = module_of(value, "__module__")
        if type(module) is not str:
            return None
        if module not in self._by_module:
            prefixes = (entry for name, entry in self.modules if f"{module}.".startswith(name))
            self._by_module[module] = next(prefixes, None)
        return self._by_module[module]


@functools.lru_cache(1)
def _imported_table(_: int) -> _Imported:
    return _Imported((impurity.name, impurity) for impurity in _table())


def _table() -> Iterator[Impurity]:
    for reason, names in TABLE.items():
        yield from (Impurity(name, reason) for name in names.split())


def _imported_value(name: str) -> Any:
    """The value with a dotted name, if it is imported."""
    head, *rest = name.split(".") if "." in name or name in sys.modules else ("builtins", name)
    value = sys.modules.get(head)
    for part in rest:
        value = getattr(value, part, None)
    return value


def _handle(value: Any) -> Any:
    # A method is another object on each access, but equal.
    return value if isinstance(value, NAMED) else id(value)


# Readers

_registered: set[str] = set()


def register_reader(name: str) -> None:
    """Register a function that reads files without Python's `open`, by its dotted name.

    The files and folders among the arguments of its calls count by content.

    >>> register_reader("my_package.read_scans")
    """
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f'{name!r} is no dotted name of a function, such as "my_package.read"')
    _registered.add(name)
    _imported_readers.cache_clear()


def reader_name(value: Any) -> str:
    """The name of a function that reads files without Python's `open`; empty for any other."""
    if isinstance(value, Library):
        path = f"{value.module}.{value.attribute or ''}."
        names = (name for name in _readers() if path.startswith(f"{name}."))
        return path.strip(".") if next(names, None) else ""
    entry = _imported_readers(len(sys.modules)).find(value)
    return str(entry or "")


def number_of_readers() -> int:
    """How many readers are registered."""
    return len(_registered)


def _readers() -> list[str]:
    return [*READERS.split(), *sorted(_registered)]


@functools.lru_cache(1)
def _imported_readers(_: int) -> _Imported:
    return _Imported((name, name) for name in _readers())


# What the arguments of a call decide


class Finding(NamedTuple):
    """Why a call may be impure.

    source: of the random numbers, if code can seed it: "numpy", "random", "torch"
    seed: the argument that would make the call pure, if the code passes one
    """

    impurity: Impurity
    source: str = ""
    seed: Term | None = None


_TIMES = {
    "time.localtime": 0, "time.gmtime": 0, "time.ctime": 0, "time.asctime": 0, "time.strftime": 1
}  # fmt: skip
"""Functions that read the time of day if that argument is missing."""
_PARSERS = (
    "pandas.Timestamp pandas.Period pandas.to_datetime pandas.DatetimeIndex pandas.date_range "
    "numpy.datetime64"
)
"""Functions that read the time of day if an argument says so."""
_NOW = {"now", "today"}
_SEEDED = (
    "random.Random numpy.random.default_rng numpy.random.RandomState numpy.random.SeedSequence "
    "numpy.random.PCG64 numpy.random.MT19937 numpy.random.Philox numpy.random.SFC64 "
    "numpy.random.PCG64DXSM sklearn.utils.check_random_state"
)
"""Functions whose first argument is a seed."""
_SEEDERS = {"numpy.random.seed": "numpy", "random.seed": "random", "torch.manual_seed": "torch"}
"""Functions that seed a source of random numbers, by their first argument."""
_OPENERS = "open io.open pathlib.Path.open gzip.open bz2.open lzma.open codecs.open"
_MAKERS = "os.makedirs pathlib.Path.mkdir"


class _Rule(NamedTuple):
    """By which argument a function is judged; `place` is its place among the arguments."""

    kind: str
    place: int = 0


@functools.lru_cache(1)
def _imported_rules(_: int) -> _Imported:
    rules = {name: _Rule("time", place) for name, place in _TIMES.items()}
    rules |= dict.fromkeys(_PARSERS.split(), _Rule("now"))
    rules |= dict.fromkeys(_SEEDED.split(), _Rule("seed"))
    rules |= dict.fromkeys(_OPENERS.split(), _Rule("mode", 1))
    rules |= dict.fromkeys(_MAKERS.split(), _Rule("exist_ok", 2))
    return _Imported(rules.items())


def is_decided_by_arguments(value: Any) -> bool:
    """Whether the arguments of a call of a library's function decide if it is pure."""
    return _rule(value) is not None or seed_parameter(value) is not None


def returns_state(value: Any) -> bool:
    """Whether a function returns what changes as it is used: random numbers, an open file."""
    rule = _rule(value)
    return rule is not None and rule.kind in ("seed", "mode")


def _rule(value: Any) -> _Rule | None:
    if isinstance(value, Library):
        return None
    objects = _imported_rules(len(sys.modules)).objects
    candidates = (value, held(value, "__func__", value))
    rules = (objects.get(_handle(candidate)) for candidate in candidates)
    rule: _Rule | None = next(filter(None, rules), None)
    return rule


def findings(value: Any, name: str, call: CallSite) -> Iterator[Finding]:
    """Why a call of a library's function, or of an object of the table, may be impure."""
    rule = _rule(value)
    if rule is not None and (finding := _by_rule(rule, value, call)) is not None:
        yield finding
    elif (seed := seed_parameter(value)) is not None and not (rule and rule.kind == "seed"):
        argument = seed_argument(call, seed[0], (seed[1],))
        if argument is None or _may_be_none(argument):
            source = "numpy" if seed[1] == "random_state" else ""
            yield Finding(
                Impurity(f"{display_name(value)}({seed[1]}=None)", UNSEEDED), source, argument
            )
    listed = None if seeded_source(value, call) else in_table(value, name)
    if listed is not None and not (rule is not None and rule.kind == "exist_ok"):
        yield Finding(listed, source_of(value, listed))


def _by_rule(rule: _Rule, value: Any, call: CallSite) -> Finding | None:
    name = display_name(value)
    match rule.kind:
        case "seed":
            argument = seed_argument(call, 0, (*SEEDS, "x", "entropy"))
            argument = Term(constant=(None,)) if argument is None and not call.is_open else argument
            is_unseeded = argument is not None and _may_be_none(argument)
            return Finding(Impurity(f"{name}(seed=None)", UNSEEDED), "", argument) if (
                is_unseeded) else None  # fmt: skip
        case "time":
            argument = argument_of(call, rule.place, ())
            is_now = argument is None or argument.is_none
            return Finding(Impurity(f"time.{name}", CLOCK)) if is_now and not call.is_open else None
        case "now":
            terms = [*call.arguments, *(term for _, term in call.named)]
            texts = [text for term in terms for text in term.constant if type(text) is str]
            now = next((text for text in texts if text.lower() in _NOW), None)
            return Finding(Impurity(f"{name}({now!r})", CLOCK)) if now is not None else None
        case "mode":
            place = 0 if isinstance(value, MethodType) else rule.place
            return Finding(Impurity(name, WRITES)) if _is_writing(call, place) else None
    argument = argument_of(call, rule.place, ("exist_ok",))
    is_needed = argument is None or (bool(argument.constant) and argument.constant[0] is False)
    return Finding(Impurity(f"{name}(exist_ok=False)", WRITES)) if is_needed else None


def _may_be_none(seed: Term) -> bool:
    return bool(seed.path) or seed.is_none


def _is_writing(call: CallSite, place: int) -> bool:
    """Whether a call opens a file in a mode in which it is written."""
    mode = argument_of(call, place, ("mode",))
    return mode is not None and bool({*"wax+"}.intersection(*map(str, mode.constant or ("",))))


def seed_argument(call: CallSite, place: int, names: Sequence[str]) -> Term | None:
    """The same of a seed, which may be in a dict that is passed by `**`."""
    argument = argument_of(call, place, names)
    if argument is None and call.spread:
        [*head, last] = call.spread[0].path
        return Term((*head, f"{last}[{names[0]}]"))
    return argument


def argument_of(call: CallSite, place: int, names: Iterable[str]) -> Term | None:
    """The argument at a place, or with one of some names. None if it is not passed."""
    named = (term for name, term in call.named if name in names)
    by_place = call.arguments[place] if place < len(call.arguments) else None
    return next(named, by_place)


def _has_arguments(call: CallSite) -> bool:
    return bool(call.arguments or call.named or call.spread or call.is_open)


def seeded_source(value: Any, call: CallSite) -> tuple[str, Term] | None:
    """The source of random numbers that a call seeds, and the seed."""
    names = _imported_seeders(len(sys.modules)).objects
    source = names.get(_handle(value))
    argument = argument_of(call, 0, ("seed", "a"))
    if source is None or argument is None or argument.is_none:
        return None
    return source, argument


@functools.lru_cache(1)
def _imported_seeders(_: int) -> _Imported:
    return _Imported(_SEEDERS.items())


def source_of(value: Any, impurity: Impurity) -> str:
    """The source from which a function draws, if code can seed it."""
    owner = held(value, "__self__")
    if is_process_state(owner):
        return "random" if owner is held(random, "_inst") else "numpy"
    return "torch" if impurity.name.startswith("torch.") else ""


def seed_parameter(function: Any) -> tuple[int, str] | None:
    """The place and the name of a parameter that is a seed, and None by default."""
    inner = held(function, "__func__", function)
    if not isinstance(inner, NAMED) or library_name(inner) in SEED_UNUSED:
        return None
    return _seed_parameter(inner, inner is not function)


@functools.lru_cache(4096)
def _seed_parameter(function: Any, is_bound: bool) -> tuple[int, str] | None:
    if isinstance(function, type) and not is_library_class(function):
        # Its `__signature__`, or its metaclass, may run any code.
        members = (member_of(function, name) for name in ("__init__", "__new__"))
        function = next((inner for inner in members if isinstance(inner, FunctionType)), None)
        is_bound = True
    try:
        parameters = list(inspect.signature(function).parameters.items())[is_bound:]
    except (ValueError, TypeError):
        return None
    for place, (name, parameter) in enumerate(parameters):
        if name in SEEDS and parameter.default is None:
            return (10**9 if parameter.kind is parameter.KEYWORD_ONLY else place), name
    return None


# Methods of unknown objects


def method_finding(name: str, call: CallSite | None) -> Finding | None:
    """What the name of a method says of its call, where its object is unknown."""
    reason = next((reason for reason, names in METHODS.items() if name in names.split()), None)
    if reason is None:
        return None
    if reason == EFFECT and call is not None and not _has_arguments(call):
        return None  # it returns what it would write
    if call is not None and name == "open" and _is_writing(call, 0):
        return Finding(Impurity(name, WRITES))
    if reason != MAYBE_RANDOM or call is None:
        return Finding(Impurity(name, reason))
    seed = seed_argument(call, 10**9, SEEDS)
    is_unseeded = seed is None or _may_be_none(seed)
    return Finding(Impurity(name, reason), "numpy", seed) if is_unseeded else None
