"""Formats of the types of libraries, one file per library, imported when such a value is met.

Each file has `FORMATS`, by the public names of the types. A `load` reads what anyone may have
written: it checks its tree, runs no code of it, and makes nothing that is much larger.

- `arrow`, `polars`, `xarray`, `scipy` – tables, labelled arrays, sparse matrices
- `sklearn` – estimators and pipelines, by skops
- `torch`, `jax` – tensors, by safetensors, and arrays
- `pillow` – images
- `python` – types of the standard library, those of NumPy that are no plain arrays, zones of pytz
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.store.entry import CodecError, UnstorableError, noun

_OF_PYTHON = (
    "_collections_abc", "_io", "array", "builtins", "collections", "dask", "io", "ipaddress",
    "numpy", "pathlib", "pytz", "random", "re", "time", "types", "uuid",
)  # fmt: skip
_FILES = dict.fromkeys(_OF_PYTHON, "python") | {
    "PIL": "pillow", "jax": "jax", "jaxlib": "jax", "polars": "polars", "pyarrow": "arrow",
    "scipy": "scipy", "sklearn": "sklearn", "torch": "torch", "xarray": "xarray",
    "numcodecs": "xarray", "zarr": "xarray",
}  # fmt: skip


class LibraryFormat(NamedTuple):
    """The format of a type of a library.

    is_family: whether it is that of all classes of the library that derive from the type
    remedy: what to do with a value of a class that derives from the type, and has no format
    """

    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]
    is_family: bool = False
    remedy: str = ""


def file_of(module: str) -> str:
    """The module with the formats of the library that a module belongs to; empty if none."""
    name = _FILES.get(module.partition(".")[0])
    return f"{__name__}.{name}" if name else ""


def parts_of(tree: Any, *types: type | tuple[type, ...]) -> Any:
    """The parts of a tree, of exactly these types: a range may claim any length."""
    if type(tree) is not tuple or len(tree) != len(types):
        raise CodecError(f"{noun(tree)} that should have {len(types)} parts")
    for part, kinds in zip(tree, types, strict=True):
        if type(part) not in (kinds if isinstance(kinds, tuple) else (kinds,)):
            raise CodecError(f"{noun(part)} among the parts of a value")
    return tree


def is_of(items: Any, kind: type) -> bool:
    """Whether this is a list of such items."""
    return type(items) is list and all(type(item) is kind for item in items)


def refused(remedy: str, is_family: bool = False) -> LibraryFormat:
    """The format of a type that cannot be stored as it is."""

    def dump(value: Any) -> Any:
        raise UnstorableError(noun(value), remedy)

    return LibraryFormat(dump, dump, is_family, remedy)
