"""`pipeline share`."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

import click
from dask.base import is_dask_collection

from pipeline import Sharing, contrast, sharing
from pipeline.cli.screen import check_picture, fail, print_table
from pipeline.units import brief, size

MOST = 12
"""Subproblems that are listed."""


@click.command()
@click.argument("place", metavar="SCRIPT.py:COLLECTION")
@click.option("--save", type=click.Path(path_type=Path), metavar="PATH.svg|png|pdf|dot",
              help="Draw the script's own graph beside the shared one.")  # fmt: skip
@click.option("--limit", default=100, show_default=True, help="Nodes a side of the picture.")
@click.option("--all", "everything", is_flag=True, help="List all that was merged.")
def share(place: str, save: Path | None, limit: int, everything: bool) -> None:
    """What a Dask program computes twice: tasks before and after sharing.

    Runs the script (not what stands under `if __name__ == "__main__"`), and shares a collection of
    its, by name; a list or dict of several; or what a function of that name returns, called
    without arguments. Nothing is computed.

    \b
    pipeline share model.py:result
    pipeline share model.py:result --save shared.svg
    """
    if save is not None:
        check_picture(save)
    found = sharing(_collection(place))
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
    try:
        names = runpy.run_path(path)
    except Exception as error:
        fail(f"{path} ended with {type(error).__name__}: {error}", 1)
    if name not in names:
        collections = sorted(each for each, value in names.items() if is_dask_collection(value))
        fail(f"{path} has no {name!r}; its collections: {', '.join(collections) or 'none'}", 2)
    value = names[name]
    if not is_dask_collection(value) and callable(value):
        value = value()
    if sharing(value).before == 0:
        fail(f"{name} in {path} is {brief(value)}, which has no tasks: name a Dask collection", 2)
    return value


def _print(found: Sharing, most: int | None) -> None:
    click.echo(
        f"{found.before:,} tasks before, {found.after:,} after: sharing factor {size(found.factor)}"
    )
    for head, lines in (
        ("merged", found.subproblems),
        ("held apart: impure", found.impure),
        ("held apart: no content", found.unknown),
    ):
        if lines:
            rest = [] if most is None else lines[most:]
            shown = [(f"{times:,}", what) for what, times in lines[:most]]
            click.echo()
            print_table(("tasks", head), shown, left=1)
            if rest:
                click.echo(f"and {len(rest):,} more: --all lists them")
