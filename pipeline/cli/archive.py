"""`pipeline cache export|import`: the way out of a store, and in."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.archive import ArchiveError, export, take
from pipeline.cli.progress import Bar
from pipeline.cli.screen import as_json, fail, print_json, say, warn
from pipeline.cli.stored import digest_of, entries, octets, opened, place
from pipeline.units import brief

if TYPE_CHECKING:
    from pipeline import Store
    from pipeline.archive import Moved

_MOST = 10
"""Refused members that are told, one line each."""


@click.command(name="export")
@click.argument("path", metavar="FILE.tar", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("digests", nargs=-1, metavar="[DIGEST ...]")
@as_json
@place
def export_(url: str, path: Path, digests: tuple[str, ...], is_json: bool) -> None:
    """Write entries to one tar file: all of them, or some.

    \b
    pipeline cache export results.tar
    pipeline cache export two.tar 3f2a 77b0
    """
    if not path.parent.is_dir():
        raise click.UsageError(f"cannot write {path}: there is no folder {path.parent}")
    with opened(url) as store:
        names = sorted({digest_of(store, each) for each in digests}) if digests else None
        with Bar("export") as bar:
            moved = export(store, path, names, along=bar.along)
    if is_json:
        print_json({"file": str(path), **_moved(moved)})
    else:
        _tell_refused(moved)
        say(f"saved {path}: {entries(moved.entries)}, {octets(moved.bytes)}")
    sys.exit(int(bool(moved.refused)))


@click.command(name="import")
@click.argument("path", metavar="FILE.tar", type=click.Path(path_type=Path, dir_okay=False))
@as_json
@place
def import_(url: str, path: Path, is_json: bool) -> None:
    """Store the entries of a tar file, each of them verified before.

    What is no whole entry is refused and told, with exit code 1; nothing else of the file reaches
    the disk, and no code is run. Import from those alone whom you trust with your results, and, if
    the store is used with pickle=True, with your machine.

    \b
    pipeline cache import results.tar --store other
    """
    with opened(url, is_new=True) as store:
        moved = _taken(store, path)
    if is_json:
        print_json({"file": str(path), **_moved(moved), "known": moved.known})
    else:
        _tell_refused(moved)
        known = f"; {moved.known:,} were there" if moved.known else ""
        say(f"stored {entries(moved.entries)}, {octets(moved.bytes)}{known}")
    sys.exit(int(bool(moved.refused)))


def _taken(store: Store, path: Path) -> Moved:
    try:
        with Bar("import", path.stat().st_size) as bar:
            return take(store, path, along=partial(bar.along, size=lambda member: len(member[1])))
    except ArchiveError as error:
        fail(str(error), 1)


def _moved(moved: Moved) -> dict[str, Any]:
    """What was moved, in JSON's types."""
    refused = [{"name": name, "why": why} for name, why in moved.refused]
    return {"entries": moved.entries, "bytes": moved.bytes, "refused": refused}


def _tell_refused(moved: Moved) -> None:
    for name, why in moved.refused[:_MOST]:
        warn(f"refused {brief(name, 40)}: {why}")
    if (more := len(moved.refused) - _MOST) > 0:
        warn(f"and {more:,} more")
