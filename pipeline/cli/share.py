"""`pipeline share`."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline import Sharing, contrast, sharing
from pipeline.cli.screen import check_picture, fail, print_table
from pipeline.cli.script import collection_of
from pipeline.units import brief

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
    found = sharing(collection := collection_of(place))
    if not found.before:
        fail(f"{place} is {brief(collection)}, which has no tasks: name a Dask collection", 2)
    _print(found, None if everything else MOST)
    if save is not None:
        click.echo(f"saved {contrast(found, limit=limit).save(save)}")


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
