"""The table of what is not a function of its arguments alone, and why.

A name denotes a function, a class with its methods, an object, or a module with all its functions.
Packages that are not installed do no harm. The decorators `impure` and `pure` overrule the table.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np

RANDOM = "it is random"
CLOCK = "it reads a clock"
WORLD = "it reads more than its arguments"
NETWORK = "it calls another program or machine"
EFFECT = "it has a side effect"
STATE = "its value is a place to which tasks write"
STATEFUL = "an equal task may change the same object; declare the function @pure if it does not"
FILE = "it reads a file that may change: name it by File(path)"
DASKS_FILE = "it reads files that may change: delayed reads of File(path) would name them"
UNSEEDED = "it is random without a seed"
OUTSIDE = "it sets a variable outside of it"
USED_UP = "its result changes as it is read"

TABLE = {
    RANDOM: """
        os.urandom os.getrandom secrets random.SystemRandom random.seed numpy.random.seed uuid.uuid1
        uuid.uuid4 tempfile torch.rand torch.randn torch.randint torch.randperm torch.normal
        torch.bernoulli torch.multinomial torch.rand_like torch.randn_like torch.randint_like
        torch.nn.init tensorflow.random cupy.random
    """,
    CLOCK: """
        time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter
        time.perf_counter_ns time.process_time time.process_time_ns time.thread_time
        time.thread_time_ns time.clock_gettime time.localtime time.gmtime time.ctime time.asctime
        time.strftime datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today
        datetime.date.today pandas.Timestamp.now pandas.Timestamp.utcnow pandas.Timestamp.today
    """,
    WORLD: """
        input sys.stdin sys.argv os.environ os.environb os.getenv os.getcwd os.getpid os.getppid
        globals hash id __import__ importlib.import_module pkgutil.get_data dask.config
        os.path.expandvars os.path.expanduser decimal.getcontext decimal.localcontext locale
        pandas.get_option pandas.options numpy.geterr numpy.get_printoptions os.listdir os.scandir
        os.walk os.stat
        os.path.exists os.path.isfile os.path.isdir os.path.getsize os.path.getmtime os.cpu_count
        glob.glob glob.iglob getpass.getpass getpass.getuser os.lstat os.access os.path.getatime
        os.path.getctime configparser eval exec platform.node pathlib.Path.cwd pathlib.Path.home
        pathlib.Path.exists pathlib.Path.stat pathlib.Path.glob pathlib.Path.rglob
        pathlib.Path.iterdir psutil
    """,
    NETWORK: """
        socket ssl urllib.request http.client ftplib smtplib imaplib poplib xmlrpc.client requests
        httpx aiohttp urllib3 websockets boto3 botocore paramiko grpc pymongo redis psycopg2 psycopg
        pymysql sqlite3 sqlalchemy pandas.read_sql pandas.read_sql_query pandas.read_sql_table
        pandas.read_clipboard subprocess os.system os.popen
    """,
    EFFECT: """
        print os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir os.kill shutil
        numpy.save numpy.savez numpy.savez_compressed numpy.savetxt pickle.dump json.dump
        pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.mkdir pathlib.Path.unlink
        pathlib.Path.touch pathlib.Path.rename pandas.DataFrame.to_csv pandas.DataFrame.to_parquet
        pandas.DataFrame.to_pickle pyarrow.parquet.write_table
        dask.array.core.load_store_chunk dask.array.core.load_chunk
        dask.bag.core._to_textfiles_chunk dask.bag.avro dask.graph_manipulation distributed.shuffle
        xarray.backends.common joblib.dump
    """,
    STATE: "partd dask.dataframe.shuffle.maybe_buffered_partd",
    FILE: """
        open io.open os.open os.read codecs.open fileinput mmap.mmap runpy pathlib.Path.open
        pathlib.Path.read_text pathlib.Path.read_bytes gzip.open bz2.open lzma.open zipfile.ZipFile
        tarfile.open linecache.getline numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile
        numpy.memmap pandas.read_csv pandas.read_table pandas.read_fwf pandas.read_json
        pandas.read_excel pandas.read_parquet pandas.read_feather pandas.read_orc pandas.read_hdf
        pandas.read_pickle pandas.read_xml pandas.read_html pandas.read_sas pandas.read_spss
        pandas.read_stata pandas.ExcelFile pandas.HDFStore pyarrow.parquet pyarrow.csv.read_csv
        pyarrow.feather pyarrow.dataset polars.read_csv polars.read_parquet polars.scan_csv
        polars.scan_parquet xarray.open_dataset xarray.open_dataarray xarray.open_mfdataset
        xarray.open_zarr xarray.load_dataset h5py.File zarr.open netCDF4.Dataset scipy.io.loadmat
        scipy.io.wavfile.read xml.etree.ElementTree.parse torch.load PIL.Image.open imageio
        skimage.io cv2.imread tifffile.imread joblib.load fsspec
    """,
    DASKS_FILE: """
        dask.bytes dask.bag.text dask.dataframe.io.csv dask.dataframe.io.parquet
        dask.dataframe.io.json dask.dataframe.io.orc dask.dataframe.io.hdf dask.dataframe.io.sql
        dask.dataframe.dask_expr.io.parquet
    """,
    UNSEEDED: """
        random.Random numpy.random.default_rng numpy.random.RandomState numpy.random.SeedSequence
        numpy.random.PCG64 numpy.random.MT19937 numpy.random.Philox numpy.random.SFC64
        numpy.random.PCG64DXSM
    """,
}
"""Reason → names."""

METHODS = {
    WORLD: "exists is_file is_dir iterdir rglob",
    UNSEEDED: "sample rvs",
    EFFECT: "write_text write_bytes to_csv to_parquet to_pickle to_hdf to_sql savefig",
    FILE: "read_text read_bytes open",
}
"""Reason → names of methods of any class: the code does not say whose method it calls."""

IMPURE_ALONE = {"print"}
"""Impure as a task; a function that calls it is pure."""

ITERATORS = frozenset({map, filter, zip, iter, enumerate, reversed})
"""They return an iterator, which only one consumer can read; so does all of `itertools`."""

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

SOURCES = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
"""Types whose objects return another number on each call."""


class Impurity(NamedTuple):
    """Why a function is not pure: the name of what it calls, and what that does."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"
