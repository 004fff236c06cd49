"""`pipeline share`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline import ShareReport, contrast, share_report
from pipeline.cli.progress import Bar
from pipeline.cli.screen import as_json, check_picture, fail, print_json, print_table, say
from pipeline.cli.script import collection_of, scripts
from pipeline.identity import short_repr

MOST = 12
"""Subproblems that are listed."""


@click.command(short_help="what a Dask program computes twice")
@click.argument("place", metavar="SCRIPT.py:COLLECTION", shell_complete=scripts)
@click.option("--save", type=click.Path(path_type=Path), metavar="PATH.svg|png|pdf|dot",
              help="Draw the script's own graph beside the shared one.")  # fmt: skip
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=3),
              help="Nodes a side of the picture.")  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="List all that was merged.")
@as_json
def share(place: str, save: Path | None, limit: int, everything: bool, is_json: bool) -> None:
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
    collection = collection_of(place)
    with Bar("share", 1 + (save is not None)) as bar:
        bar.begin("find what is equal")
        found = share_report(collection)
        if found.before and save is not None:
            bar.begin("draw")
            contrast(found, nodes=limit).save(save)
    if not found.before:
        fail(f"{place} is {short_repr(collection)}, which has no tasks: name a Dask collection", 2)
    if is_json:
        print_json({**_fields(found), "files": [str(save)] if save else []})
        return
    _print(found, None if everything else MOST)
    if save is not None:
        say(f"saved {save}")


def _fields(found: ShareReport) -> dict[str, Any]:
    """What was shared, in JSON's types."""
    return {
        "before": found.before,
        "after": found.after,
        "factor": found.factor,
        "merged": [{"what": what, "tasks": times, "now": left}
                   for what, times, left in found.subproblems],
        "impure": [{"what": what, "tasks": times} for what, times in found.impure],
        "unknown": [{"what": what, "tasks": times} for what, times in found.unknown],
    }  # fmt: skip


def _print(found: ShareReport, most: int | None) -> None:
    factor = f"{float(found.factor):.3g}"
    plural = "s" * (found.before != 1)
    say(f"{found.before:,} task{plural} before, {found.after:,} after: sharing factor {factor}")
    merged = [(f"{times:,}", f"{left:,}", what) for what, times, left in found.subproblems]
    impure = [(f"{times:,}", what) for what, times in found.impure]
    unknown = [(f"{times:,}", what) for what, times in found.unknown]
    for head, lines in (
        (("tasks", "now", "merged"), merged),
        (("tasks", "not merged: impure"), impure),
        (("tasks", "not merged: content unknown"), unknown),
    ):
        if lines:
            say()
            print_table(head, lines[:most], left=1)
            if most is not None and len(lines) > most:
                say(f"and {len(lines) - most:,} more: --all lists them")
