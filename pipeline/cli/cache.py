"""`pipeline cache`: what a store holds, why, and whether it is sound."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pipeline.cache import verify_entries
from pipeline.cli.entries import brief_call, gc, ls, rm, show
from pipeline.cli.progress import Bar, Tasks
from pipeline.cli.screen import FATES, as_json, print_json, print_table, say
from pipeline.cli.script import ran, tasks_of
from pipeline.cli.stored import Share, octets, opened, place
from pipeline.identity import format_duration, printable

if TYPE_CHECKING:
    from pipeline.cache import Verification

_SHARE = 0.05
"""Of hits, that are run again."""


@click.group(short_help="results that are stored, by --store")
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
@as_json
@place
def explain(url: str, script: str, is_json: bool) -> None:
    """Tell of each task of a script's collection whether it is stored, and if not, why.

    Runs the script as `pipeline share` does; nothing is computed.

    \b
    pipeline cache explain model.py:result
    """
    with opened(url) as store:
        found = store.explain(tasks_of(script))
    if is_json:
        names = ("status", "call", "why", "function", "seconds", "bytes")
        told = [{name: getattr(each, name) for name in names} for each in found.lines]
        print_json(told)
        return
    rows = [(status, brief_call(what), why) for status, what, why in found.rows()]
    print_table(("", "task", "why"), rows, left=3, colours=FATES)
    say(str(found).splitlines()[-1])


@cache.command()
@as_json
@place
def stats(url: str, is_json: bool) -> None:
    """Tell what the store holds, and what it was good for in all runs.

    \b
    pipeline cache stats
    pipeline cache stats --store s3://bucket/cache --json
    """
    with opened(url) as store:
        sizes = store.sizes().values()
        counts = store.stats()
    if is_json:
        told = {"entries": len(sizes), "bytes": sum(sizes), **vars(counts)}
        print_json(told)
        return
    asked = counts.hits + counts.misses
    rate = f", {counts.hits / asked:.0%} of {asked:,}" if asked else ""
    lines = [
        ("entries", f"{len(sizes):,}, {octets(sum(sizes))}"),
        ("hits", f"{counts.hits:,}{rate}, {octets(counts.loaded_bytes)}"),
        ("misses", f"{counts.misses:,}"),
        ("skipped", f"{counts.skipped:,}"),
        ("stored", f"{counts.stored:,}, {octets(counts.stored_bytes)}"),
        ("saved", format_duration(counts.saved) if counts.saved else "0 s"),
    ]
    print_table(("in all runs", ""), lines, left=2)


@cache.command()
@click.argument("script", required=False, metavar="[SCRIPT.py:COLLECTION]")
@click.option("--recompute", type=Share(), metavar="SHARE",
              help=f"Of the collection's hits, run again.  [default: {_SHARE:.0%}]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the choice of hits.")
@click.option("--keep", is_flag=True, help="Report corrupt entries, and leave them.")
@as_json
@place
def verify(
    url: str, script: str | None, recompute: float | None, seed: int, keep: bool, is_json: bool
) -> None:
    """Check every entry; or run tasks of a script again, and compare the results.

    Corrupt entries are reported and removed. An entry holds no code, so that a script is
    needed to run it again: of each function of its collection at least one stored result is
    computed anew and compared by content. What differs is told, and stays. Exit code 1 if an entry
    is corrupt or a result differs.

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
        raise click.UsageError(
            "--keep is for corrupt entries, which are looked for without a script"
        )
    with opened(url) as store:
        if script is None:
            with Bar("verify") as bar:
                found = verify_entries(store, is_removing=not keep, progress=bar.along)
        else:
            share = recompute if recompute is not None else _SHARE
            asked = tasks_of(script)
            with Tasks():
                found = ran(script, lambda: store.verify(asked, recompute=share, seed=seed))
    if is_json:
        print_json(_fields(found))
    else:
        _tell(found, is_removed=not keep)
    sys.exit(int(not found.is_sound))


def _fields(found: Verification) -> dict[str, Any]:
    """What was found, in JSON's types."""
    return {
        "sound": found.is_sound,
        "entries": found.entries,
        "corrupt": [{"digest": digest, "why": why} for digest, why in found.corrupt],
        "hits": found.hits,
        "reruns": [each._asdict() for each in found.reruns],
        "differing": found.differing,
    }


def _tell(found: Verification, *, is_removed: bool) -> None:
    lines = [(each.outcome, brief_call(each.call), each.why)
             for each in found.reruns if each.outcome != "same"]  # fmt: skip
    if lines:
        print_table(("", "task", "why"), lines, left=3, colours=FATES)
    for name, why in found.corrupt:
        say(f"{name}  {printable(why)}")
    say(f"{found.summary()}{', and removed' if found.corrupt and is_removed else ''}")
    if found.differing:
        functions = ", ".join(map(printable, found.differing))
        say(f"not pure, or changed by what no digest covers: {functions}")


for _command in (ls, show, rm, gc):
    cache.add_command(_command)
