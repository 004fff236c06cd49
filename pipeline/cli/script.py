"""A script that a user names, and a collection of its: `model.py:result`."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from dask.base import is_dask_collection, unpack_collections

from pipeline.cli.screen import fail
from pipeline.graph import GraphCollection
from pipeline.identity import short_repr

if TYPE_CHECKING:
    from collections.abc import Callable


def scripts(_: Any, __: Any, begun: str) -> list[CompletionItem]:
    """What a shell completes the name of a script to: names of files."""
    return [CompletionItem(begun, type="file")]


def collection_of(place: str) -> Any:
    """What a script holds under a name."""
    path, colon, name = place.rpartition(":")
    if not colon or not path or not name.isidentifier():
        raise click.UsageError(
            f"{place!r} names no collection: give a script and a name in it, like model.py:result"
        )
    if not Path(path).is_file():
        fail(f"there is no script {path}", 2)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # as Python does
    sys.argv = [path]
    names = ran(path, lambda: runpy.run_path(path))
    if name not in names:
        known = sorted(each for each, value in names.items() if _is_of_dask(value))
        fail(f"{path} has no {name!r}; its collections: {', '.join(known) or 'none'}", 2)
    value = names[name]
    if callable(value) and not is_dask_collection(value):
        value = ran(f"{name}() in {path}", value)
    return value


def tasks_of(place: str) -> Any:
    """The same, if it has tasks."""
    found = collection_of(place)
    if not unpack_collections(found)[0]:
        fail(f"{place} is {short_repr(found)}, which has no tasks: name a Dask collection", 2)
    return found


def ran(what: str, function: Callable[[], Any]) -> Any:
    """What a user's code gives; what it raises is told in one line."""
    try:
        return function()
    except SystemExit as error:
        fail(f"{what} ended with exit code {error.code}", 1)
    except Exception as error:
        told = "; ".join([str(error), *getattr(error, "__notes__", [])])
        fail(f"{what} ended with {type(error).__name__}: {told}", 1)


def _is_of_dask(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_of_dask, value))
    # Dask checks for a collection by building its graph, which would trace a call of ours.
    is_call = isinstance(value, GraphCollection)
    return is_call or (not isinstance(value, type) and bool(is_dask_collection(value)))
