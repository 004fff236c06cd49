"""`pipeline share`."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from dask.base import is_dask_collection

from pipeline import Sharing, contrast, sharing
from pipeline.cli.screen import check_picture, fail, print_table
from pipeline.units import brief

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 12
"""Subproblems that are listed."""


@click.command()
@click.argument("place", metavar="SCRIPT.py:COLLECTION")
@click.option("--save", type=click.Path(path_type=Path), metavar="PATH.svg|png|pdf|dot",
              help="Draw the script's own graph beside the shared one.")  # fmt: skip
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=3),
              help="Nodes a side of the picture.")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="List all that was merged.")
def share(place: str, save: Path | None, limit: int, everything: bool) -> None:
    """What a Dask program computes twice: tasks before and after sharing.

    Runs the script, in the folder where you are, but not what stands under `if __name__ ==
    "__main__"`, and shares a collection of its, by name; a list or dict of several; or what a
    function of that name returns, called without arguments. Nothing is computed.

    \b
    pipeline share model.py:result
    pipeline share model.py:result --save shared.svg
    """
    if save is not None:
        check_picture(save)
    found = sharing(collection := _collection(place))
    if not found.before:
        fail(f"{place} is {brief(collection)}, which has no tasks: name a Dask collection", 2)
    _print(found, None if everything else MOST)
    if save is not None:
        click.echo(f"saved {contrast(found, limit=limit).save(save)}")


def _collection(place: str) -> Any:
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
    names = _run(path, lambda: runpy.run_path(path))
    if name not in names:
        known = sorted(each for each, value in names.items() if _is_of_dask(value))
        fail(f"{path} has no {name!r}; its collections: {', '.join(known) or 'none'}", 2)
    value = names[name]
    if callable(value) and not is_dask_collection(value):
        value = _run(f"{name}() in {path}", value)
    return value


def _run(what: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except SystemExit as error:
        fail(f"{what} ended with exit code {error.code} before it could be shared", 1)
    except Exception as error:
        fail(f"{what} ended with {type(error).__name__}: {error}", 1)


def _is_of_dask(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_of_dask, value))
    return bool(is_dask_collection(value))


def _print(found: Sharing, most: int | None) -> None:
    factor = f"{float(found.factor):.3g}"
    click.echo(f"{found.before:,} tasks before, {found.after:,} after: sharing factor {factor}")
    merged = [(f"{times:,}", f"{left:,}", what) for what, times, left in found.subproblems]
    impure = [(f"{times:,}", what) for what, times in found.impure]
    unknown = [(f"{times:,}", what) for what, times in found.unknown]
    for head, lines in (
        (("tasks", "now", "merged"), merged),
        (("tasks", "held apart: impure"), impure),
        (("tasks", "held apart: no content"), unknown),
    ):
        if lines:
            click.echo()
            print_table(head, lines[:most], left=1)
            if most is not None and len(lines) > most:
                click.echo(f"and {len(lines) - most:,} more: --all lists them")
