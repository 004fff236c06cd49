"""Options and types that commands share, and the collections in scripts that users name."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from dask.utils import parse_bytes, parse_timedelta

from pipeline.cli.screen import fail, store_warnings_as_lines
from pipeline.graph import GraphCollection
from pipeline.identity import short_repr
from pipeline.schedule import SCHEDULERS

if TYPE_CHECKING:
    from pipeline import Call, Store
    from pipeline.draw import Race

    _NumberType = click.ParamType[float]
else:
    _NumberType = click.ParamType  # generic since Click 8.4

Decorator = Callable[[Any], Any]

_VARIABLE = "PIPELINE_STORE"

json_option = click.option(
    "--json", is_flag=True, expose_value=False, help="Print one JSON document, for programs.",
    callback=lambda context, _, value: context.meta.update(json=value),
)  # fmt: skip
"""Of every command: stdout is one JSON document then, and nothing else."""


def computing_options(scheduler: str = "threads", keep: Sequence[str] = ()) -> Decorator:
    """Of commands that compute: --scheduler, as the argument `scheduler_name`, --store and --json.

    keep: functions whose results are always stored
    """

    def opened(context: click.Context, _: Any, url: str | None) -> Store | None:
        return None if url is None else _store(context, url, keep=keep)

    scheduler_option = click.option(
        "--scheduler", "scheduler_name", default=scheduler, show_default=True, metavar="S",
        shell_complete=lambda *args: [name for name in SCHEDULERS if name.startswith(args[-1])],
        help="sync, threads, processes, distributed, or the address of a running one, "
        "tcp://host:port.",
    )  # fmt: skip
    store_option = click.option(
        "--store", envvar=_VARIABLE, metavar="URL", callback=opened,
        help=f"Load results from this folder or URL, and store there what is computed.  "
        f"[env var: {_VARIABLE}]",
    )  # fmt: skip
    return lambda function: scheduler_option(store_option(json_option(function)))


def choice_option(option: str, names: Iterable[str], default: str, text: str) -> Decorator:
    """An option with one of some names."""
    return click.option(option, type=click.Choice(names), default=default, show_default=True,
                        help=text)  # fmt: skip


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """A type of click: a file to write. Suffix and folder are checked before any work is done."""

    def writable(text: str) -> Path:
        path = Path(text)
        if path.suffix.removeprefix(".").lower() not in suffixes:
            raise click.BadParameter(
                f"cannot write {text!r}: the file name ends in .{', .'.join(suffixes)}"
            )
        if not path.parent.is_dir():
            raise click.BadParameter(f"cannot save {text}: the folder {path.parent} does not exist")
        return path

    return writable


def picture_option(*names: str, text: str) -> Decorator:
    """An option that names a picture to draw."""
    suffixes = ("svg", "png", "pdf", "dot")
    metavar = f"PATH.{'|'.join(suffixes)}"
    return click.option(*names, type=output_file(*suffixes), metavar=metavar, help=text)


race_option = click.option(
    "--race", "race_file", type=output_file("svg"), metavar="PATH.svg",
    help="Draw the race of tree against DAG: an animated SVG.",
)  # fmt: skip


def race_of(call: Call) -> Race:
    """The race of a call; a large one is an error of usage."""
    from pipeline import LimitError, race

    try:
        return race(call)
    except LimitError as error:
        raise click.UsageError(f"--race: {error}") from None


out_option = click.option(
    "--out", default="outputs", show_default=True, metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path), help="Where the files go.",
)  # fmt: skip


def layer_sizes(text: str) -> tuple[int, ...]:
    """The nodes of each layer, as a person types them: a type of click.

    >>> layer_sizes("2-2-1")
    (2, 2, 1)
    """
    try:
        return tuple(map(int, text.split("-")))
    except ValueError:
        rule = "give the nodes of each layer, like 2-2-2-1"
        raise click.BadParameter(f"{text!r} is not a network: {rule}") from None


class Amount(_NumberType):
    """A number with a unit, 0 or more.

    parse: gives the number; raises an error of Python for a text without meaning
    """

    def __init__(self, name: str, parse: Callable[[str], float], example: str) -> None:
        self.name, self.parse, self.example = name, parse, example

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            amount = self.parse(text) if (text := str(value).strip()) else -1
        except (ValueError, KeyError, IndexError, OverflowError):
            amount = -1
        if not amount >= 0:
            noun = self.name.lower()
            self.fail(f"{value!r} is not a valid {noun}: give one like {self.example}", param, ctx)
        return amount


def _share(text: str) -> float:
    share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    return share if 0 < share <= 1 else -1


SIZE = Amount("SIZE", parse_bytes, "2GB, or 500MB")
AGE = Amount("AGE", lambda text: parse_timedelta(text, default=False), "30d, 12h or 90m")
SHARE = Amount("SHARE", _share, "5%, above 0% and up to 100%")


def _existing_store(context: click.Context, _: Any, url: str) -> Store | None:
    if context.resilient_parsing:  # a shell completes the command
        return None
    store = _store(context, url)
    try:
        exists = store.exists()
    except Exception as error:  # the errors of fsspec's libraries have no common class
        if isinstance(error, OSError) and error.filename:
            raise
        fail(f"{url} cannot be reached: {error}", 1)
    if not exists:
        fail(f"there is no store at {url}: name one with --store, or in {_VARIABLE}", 2)
    return store


existing_store_option = click.option(
    "--store", envvar=_VARIABLE, metavar="URL", default="cache", show_default=True,
    callback=_existing_store,
    help=f"The store: a folder, or a URL like s3://bucket/cache.  [env var: {_VARIABLE}]",
)  # fmt: skip
"""--store of commands about a store."""


def _store(context: click.Context, url: str, **options: Any) -> Store:
    from pipeline import Store

    try:
        store = Store(url, **options)
    except ImportError as error:
        fail(str(error), 2)
    context.with_resource(store_warnings_as_lines())
    context.call_on_close(store.failures.emit_warnings)
    return store


def script_argument(*, required: bool = True) -> Decorator:
    """An argument `SCRIPT.py:NAME`, as `place`; shells complete the names of files."""
    metavar = "SCRIPT.py:NAME" if required else "[SCRIPT.py:NAME]"
    kind = click.Path(readable=False)
    return click.argument("place", required=required, metavar=metavar, type=kind)


def load_value(place: str) -> Any:
    """Run a script, and return the value that it has under a name."""
    path, colon, name = place.rpartition(":")
    if not colon or not path or not name.isidentifier():
        raise click.UsageError(
            f"{place!r} names no collection: give a script and a name in it, like model.py:result"
        )
    if not Path(path).is_file():
        fail(f"there is no script {path}", 2)
    sys.path.insert(0, os.getcwd())  # as with `python -m`
    sys.argv = [path]
    click.get_current_context().with_resource(store_warnings_as_lines())
    with user_code(path):
        names = _run_script(Path(path))
    if name not in names:
        known = sorted(name for name, value in names.items() if _is_collection(value))
        fail(f"{path} has no {name!r}; its collections: {', '.join(known) or 'none'}", 2)
    return names[name]


def _run_script(path: Path) -> dict[str, Any]:
    """The names of a script; one in a package below the current folder runs as its module."""
    parts = path.with_suffix("").parts
    packages = () if path.is_absolute() else path.parents[:-1]
    are_packages = all((package / "__init__.py").is_file() for package in packages)
    if packages and are_packages and all(map(str.isidentifier, parts)):
        return runpy.run_module(".".join(parts))
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # as Python does
    return runpy.run_path(str(path))


def load_collection(place: str) -> Any:
    """The collection under a name; a function there is called without arguments."""
    return _called(place, load_value(place))


def _called(place: str, value: Any) -> Any:
    if callable(value) and not _is_collection(value):
        path, _, name = place.rpartition(":")
        with user_code(f"{name}() in {path}"):
            return value()
    return value


def load_tasks(place: str) -> Any:
    """The collection under a name, where tasks are needed."""
    return tasks_of(place, load_value(place))


def tasks_of(place: str, value: Any) -> Any:
    """A value under a name, or what it returns, if that has tasks."""
    from dask.base import unpack_collections

    value = _called(place, value)
    if not unpack_collections(value)[0]:
        fail_without_tasks(place, value)
    return value


def fail_without_tasks(place: str, value: Any) -> NoReturn:
    """Report a value that is no collection with tasks."""
    fail(f"{place} is {short_repr(value)}, which has no tasks: name a Dask collection", 2)


@contextmanager
def user_code(title: str) -> Iterator[None]:
    """Run code of a user. What it raises is reported in one line."""
    try:
        yield
    except SystemExit as error:
        fail(f"{title} ended with exit code {error.code}", 1)
    except ModuleNotFoundError as error:
        remedy = "run the command in the folder from which the project imports its modules"
        fail(f"{title} ended with ModuleNotFoundError: {error}; {remedy}", 1)
    except Exception as error:
        message = "; ".join([str(error), *getattr(error, "__notes__", [])])
        fail(f"{title} ended with {type(error).__name__}: {message}", 1)


def _is_collection(value: Any) -> bool:
    from dask.base import is_dask_collection

    if isinstance(value, list | tuple):
        return any(map(_is_collection, value))
    # Dask checks for a collection by building its graph, which would trace a call of ours.
    if isinstance(value, GraphCollection):
        return True
    return not isinstance(value, type) and bool(is_dask_collection(value))
