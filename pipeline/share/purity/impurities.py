"""The table of what is not a function of its arguments alone, and why.

A name denotes a function, a class with its methods, an object, or a module with all its functions.
Packages that are not installed do no harm. The decorators `impure` and `pure` overrule the table.
What is observed while a task runs need not be here: files that Python opens, folders, effects.
"""

from __future__ import annotations

import random
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import NamedTuple

import numpy as np

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
        shutil.disk_usage inspect.getsource inspect.getsourcelines inspect.getdoc
        typing.get_type_hints inspect.get_annotations
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

IN_SOURCE = frozenset({"__doc__", "__annotations__", "co_firstlineno", "f_lineno"})
"""Attributes of code that no digest covers: an edit of a comment would change a result."""

LOCAL_TIMES = frozenset({
    "altzone", "astimezone", "ctime", "fromtimestamp", "get_localzone", "localtime", "mktime",
    "strftime", "timestamp", "tzlocal", "tzname",
})  # fmt: skip
"""Functions and attributes that depend on the local time zone, if their owner says no other."""

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
