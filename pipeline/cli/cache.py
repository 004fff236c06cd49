"""`pipeline cache`: what a store holds, why, whether it is whole, and the way out and in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.archive import ArchiveError, export, take
from pipeline.cli.entries import brief_call, gc, ls, rm, show
from pipeline.cli.screen import fail, print_table, warn
from pipeline.cli.script import collection_of, ran
from pipeline.cli.stored import Share, digest_of, entries, octets, opened, place
from pipeline.rerun import SAME
from pipeline.units import brief, duration, printable
from pipeline.verify import inspected

if TYPE_CHECKING:
    from pipeline import Store
    from pipeline.archive import Moved

_SHARE = 0.05
"""Of hits, that are run again."""

_MOST = 10
"""Refused members that are told, one line each."""


@click.group()
def cache() -> None:
    """Results that are stored: list, explain, verify, bound, move and remove them.

    \b
    pipeline train --store cache          results are stored, and loaded again
    pipeline cache ls                     what the folder cache holds
    pipeline cache explain model.py:x     what would be loaded, and what not
    pipeline cache gc --max-bytes 2GB     make it smaller
    """


@cache.command()
@click.argument("script", metavar="SCRIPT.py:COLLECTION")
@click.option("--json", "is_json", is_flag=True, help="A JSON array of tasks, for programs.")
@place
def explain(url: str, script: str, is_json: bool) -> None:
    """Tell of each task of a script's collection whether it is stored, and if not, why.

    Runs the script as `pipeline share` does; nothing is computed.

    \b
    pipeline cache explain model.py:result
    """
    with opened(url) as store:
        found = store.explain(_collection(script))
    if is_json:
        names = ("status", "call", "why", "function", "seconds", "bytes")
        told = [{name: getattr(each, name) for name in names} for each in found.lines]
        click.echo(json.dumps(told, indent=2))
        return
    rows = [(status, brief_call(what), why) for status, what, why in found.rows()]
    print_table(("", "task", "why"), rows, left=3)
    click.echo(str(found).splitlines()[-1])


def _collection(script: str) -> Any:
    """A collection that has tasks."""
    from dask.base import unpack_collections

    found = collection_of(script)
    if not unpack_collections(found)[0]:
        fail(f"{script} is {brief(found)}, which has no tasks: name a Dask collection", 2)
    return found


@cache.command()
@click.option("--json", "is_json", is_flag=True, help="A JSON object, for programs.")
@place
def stats(url: str, is_json: bool) -> None:
    """Tell what the store holds, and what it was good for in all runs.

    \b
    pipeline cache stats
    pipeline cache stats --store s3://bucket/cache --json
    """
    with opened(url) as store:
        sizes = [each.bytes for each in store.at.stats().values()]
        counts = store.stats()
    if is_json:
        told = {"entries": len(sizes), "bytes": sum(sizes), **vars(counts)}
        click.echo(json.dumps(told, indent=2))
        return
    asked = counts.hits + counts.misses
    rate = f", {counts.hits / asked:.0%} of {asked:,}" if asked else ""
    lines = [
        ("entries", f"{len(sizes):,}, {octets(sum(sizes))}"),
        ("hits", f"{counts.hits:,}{rate}, {octets(counts.loaded_bytes)}"),
        ("misses", f"{counts.misses:,}"),
        ("skipped", f"{counts.skipped:,}"),
        ("stored", f"{counts.stored:,}, {octets(counts.stored_bytes)}"),
        ("saved", duration(counts.saved) if counts.saved else "0 s"),
    ]
    print_table(("in all runs", ""), lines, left=2)


@cache.command()
@click.argument("script", required=False, metavar="[SCRIPT.py:COLLECTION]")
@click.option("--recompute", type=Share(), metavar="SHARE",
              help=f"Of the collection's hits, run again.  [default: {_SHARE:.0%}]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the choice of hits.")
@click.option("--keep", is_flag=True, help="Tell of torn entries, and leave them.")
@place
def verify(url: str, script: str | None, recompute: float | None, seed: int, keep: bool) -> None:
    """Check every entry; or run tasks of a script again, and compare the results.

    Torn and foreign entries are told and removed. An entry holds no code, so that a script is
    needed to run it again: of each function of its collection at least one stored result is
    computed anew and compared by content. What differs is told, and stays. Exit code 1 if an entry
    is torn or a result differs.

    \b
    pipeline cache verify
    pipeline cache verify --recompute 5% model.py:result
    """
    if script is None and recompute is not None:
        raise click.UsageError(
            "--recompute runs tasks again, and an entry holds no code: name a script and a "
            "collection in it, like model.py:result"
        )
    if script is not None and keep:
        raise click.UsageError("--keep is for torn entries, which are looked for without a script")
    with opened(url) as store:
        if script is None:
            found = inspected(store, is_removing=not keep)
        else:
            share = recompute if recompute is not None else _SHARE
            asked = _collection(script)
            found = ran(script, lambda: store.verify(asked, recompute=share, seed=seed))
    lines = [(each.outcome, brief_call(each.call), each.why)
             for each in found.reruns if each.outcome != SAME]  # fmt: skip
    if lines:
        print_table(("", "task", "why"), lines, left=3)
    for name, why in found.torn:
        click.echo(f"{name}  {printable(why)}")
    removed = ", and removed" if found.torn and not keep else ""
    click.echo(f"{found.summary()}{removed}")
    if found.differing:
        functions = ", ".join(map(printable, found.differing))
        click.echo(f"not pure, or changed by what no digest covers: {functions}")
    sys.exit(int(not found.is_sound))


@cache.command(name="export")
@click.argument("path", metavar="FILE.tar", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("digests", nargs=-1, metavar="[DIGEST ...]")
@place
def export_(url: str, path: Path, digests: tuple[str, ...]) -> None:
    """Write entries to one tar file: all of them, or some.

    \b
    pipeline cache export results.tar
    pipeline cache export two.tar 3f2a 77b0
    """
    if not path.parent.is_dir():
        raise click.UsageError(f"cannot write {path}: there is no folder {path.parent}")
    with opened(url) as store:
        names = sorted({digest_of(store, each) for each in digests}) if digests else None
        moved = export(store, path, names)
    _tell_refused(moved)
    click.echo(f"saved {path}: {entries(moved.entries)}, {octets(moved.bytes)}")
    sys.exit(int(bool(moved.refused)))


@cache.command(name="import")
@click.argument("path", metavar="FILE.tar", type=click.Path(path_type=Path, dir_okay=False))
@place
def import_(url: str, path: Path) -> None:
    """Store the entries of a tar file, each of them verified before.

    What is no whole entry is refused and told, with exit code 1; nothing else of the file reaches
    the disk, and no code is run. Import from those alone whom you trust with your results, and, if
    the store is used with pickle=True, with your machine.

    \b
    pipeline cache import results.tar --store other
    """
    with opened(url, is_new=True) as store:
        moved = _taken(store, path)
    _tell_refused(moved)
    known = f"; {moved.known:,} were there" if moved.known else ""
    click.echo(f"stored {entries(moved.entries)}, {octets(moved.bytes)}{known}")
    sys.exit(int(bool(moved.refused)))


def _taken(store: Store, path: Path) -> Moved:
    try:
        return take(store, path)
    except ArchiveError as error:
        fail(str(error), 1)


def _tell_refused(moved: Moved) -> None:
    for name, why in moved.refused[:_MOST]:
        warn(f"refused {brief(name, 40)}: {why}")
    if (more := len(moved.refused) - _MOST) > 0:
        warn(f"and {more:,} more")


for _command in (ls, show, rm, gc):
    cache.add_command(_command)
