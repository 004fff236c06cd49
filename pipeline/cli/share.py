"""`pipeline share`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline import contrast, share_report
from pipeline.cli.options import (
    fail_without_tasks,
    json_option,
    load_collection,
    picture_option,
    script_argument,
)
from pipeline.cli.screen import Bar, counted, print_result, print_table, print_text
from pipeline.share import ShareReport

SHOWN = 12
"""Rows of a table."""


@click.command()
@script_argument()
@picture_option("--save", text="Draw the script's own graph beside the shared one.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=3),
              help="Nodes on each side of the picture.")  # fmt: skip
@click.option("--all", "is_full", is_flag=True, help="List all that was merged.")
@json_option
def share(place: str, save: Path | None, limit: int, is_full: bool) -> None:
    """What a Dask program computes twice: tasks before and after sharing.

    Runs the script in the current folder, without what is under `if __name__ == "__main__"`.
    COLLECTION is the name of a collection, of a list or dict of several, or of a function that
    returns one and needs no arguments. Nothing is computed.

    \b
    pipeline share model.py:result
    pipeline share model.py:result --save shared.svg
    """
    collection = load_collection(place)
    with Bar("share"):
        report = share_report(collection)
    if not report.before:
        fail_without_tasks(place, collection)
    files = []
    if save:
        with Bar("draw"):
            files.append(contrast(report, nodes=limit).save(save))
    _print(report, None if is_full else SHOWN)
    print_result(_fields(report), files)


def _fields(report: ShareReport) -> dict[str, Any]:
    """A report in JSON's types."""
    return {
        "before": report.before,
        "after": report.after,
        "factor": report.factor,
        "merged": [{"what": what, "tasks": before, "now": after}
                   for what, before, after in report.subproblems],
        "impure": [{"what": what, "tasks": tasks} for what, tasks in report.impure],
        "unknown": [{"what": what, "tasks": tasks} for what, tasks in report.unknown],
    }  # fmt: skip


def _print(report: ShareReport, limit: int | None) -> None:
    before, factor = counted(report.before, "task"), float(report.factor)
    print_text(f"{before} before, {report.after:,} after: sharing factor {factor:.3g}")
    tables: dict[tuple[str, ...], Sequence[tuple[Any, ...]]] = {
        ("tasks", "now", "merged"): report.subproblems,
        ("tasks", "not merged: impure"): report.impure,
        ("tasks", "not merged: content unknown"): report.unknown,
    }
    for head, entries in tables.items():
        rows = [(*(f"{number:,}" for number in numbers), what) for what, *numbers in entries]
        if rows:
            print_text()
            print_table(head, rows[:limit], left=1)
            if limit is not None and len(rows) > limit:
                print_text(f"and {len(rows) - limit:,} more: --all lists them")
