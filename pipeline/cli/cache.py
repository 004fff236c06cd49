"""`pipeline cache`: the entries of a store, why a task is stored or not, and their checks."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click
import numpy as np
from dask.utils import format_bytes

from pipeline import Store, StoreError
from pipeline.cache import MADE, Verification, verify_entries
from pipeline.cli.options import (
    AGE,
    SHARE,
    SIZE,
    existing_store_option,
    json_option,
    load_tasks,
    script_argument,
    user_code,
)
from pipeline.cli.screen import (
    Bar,
    counted,
    fail,
    format_saved,
    is_json,
    is_terminal,
    print_json,
    print_table,
    print_text,
    task_bar,
)
from pipeline.identity import format_duration, printable, short_repr
from pipeline.store import CodecError, Entry, decoded

LISTED = 40
"""Entries that `ls` prints, by default."""

RECOMPUTED = 0.05
"""The share of hits that `verify` runs again, by default."""

_CALL_WIDTH = 40


@click.group()
def cache() -> None:
    """The results in a store: list, explain, verify and remove them.

    \b
    pipeline train --store cache          store results, and load them again
    pipeline cache ls                     list the entries of the folder cache
    pipeline cache explain model.py:x     what a run would load, and what not
    pipeline cache gc --max-bytes 2GB     remove entries until 2 GB are left
    """


def _command(function: Callable[..., None]) -> click.Command:
    """A command of the group, with --json and --store."""
    return cache.command()(json_option(existing_store_option(function)))


@_command
@click.option("--function", metavar="NAME", help="Entries of this function alone.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N",
              help=f"At most so many, 0 for all.  [default: {LISTED}; all as JSON]")  # fmt: skip
def ls(store: Store, function: str | None, limit: int | None) -> None:
    """List the entries, the newest first.

    TOOK is the time that computing took; DIGEST is the beginning of the entry's name.

    \b
    pipeline cache ls --function epoch --limit 5
    pipeline cache ls --json | jq 'map(.bytes) | add'
    """
    most = 0 if is_json() and limit is None else LISTED if limit is None else limit
    with Bar("read"):
        entries, count = store.newest(most or None, function)
    print_json([_fields(entry) for entry in entries])
    rows = [
        (entry.digest[:10], format_bytes(entry.bytes), format_duration(entry.seconds),
         _age(entry), _short_call(entry.call or entry.function))
        for entry in entries
    ]  # fmt: skip
    if rows:
        print_table(("digest", "size", "took", "age", "call"), rows, left=1)
    if count > len(entries):
        print_text(f"and {count - len(entries):,} more: --limit 0 lists them")
    elif not entries:
        print_text(f"{store.url} has no entries" + (f" of {function}" if function else ""))


def _age(entry: Entry) -> str:
    return format_duration(max(time.time() - entry.created, 0.0))


def _short_call(call: str) -> str:
    text = printable(call)
    return text if len(text) <= _CALL_WIDTH else f"{text[: _CALL_WIDTH - 1]}…"


def _fields(entry: Entry) -> dict[str, Any]:
    """An entry in JSON's types."""
    return {**asdict(entry), "checksum": entry.checksum.hex(), "meant": entry.meant.hex()}


@_command
@click.argument("digest", metavar="DIGEST")
def show(store: Store, digest: str) -> None:
    """Show an entry, and its value in short.

    The first digits of a digest are enough where they are unique. Nothing is unpickled.

    \b
    pipeline cache show 3f2a
    """
    name = _find_digest(store, digest)
    opened = store.open(name)
    if opened is None:
        fail(f"{name} is corrupt, and removed: the next run computes it again", 1)
    entry, payload = opened
    if entry.target:
        _, payload = store.open(entry.target) or opened
    print_json(_fields(entry))
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created))
    rows = [
        ("digest", entry.digest),
        ("function", entry.function),
        ("call", entry.call),
        *(("argument", text) for text, _ in entry.arguments),
        *(("depends on", f"{kind} {name}") for kind, name, *_ in entry.inputs if kind not in MADE),
        *(
            ("file", f"{name}, {size:,} bytes")
            for kind, name, _, size, _ in entry.inputs
            if kind == "result"
        ),
        ("code", entry.code),
        ("value in", entry.target),
        ("bytes", f"{entry.bytes:,}"),
        ("took", format_duration(entry.seconds)),
        ("in all", f"{format_duration(entry.behind)}, with all inputs"),
        ("loading", f"{format_duration(entry.loading)}, as expected"),
        ("stored", f"{created}, {_age(entry)} ago"),
        ("python", entry.python),
        ("checksum", entry.checksum.hex()),
        ("value", _value(store, payload)),
    ]
    print_table(None, [row for row in rows if row[1]], left=2)


def _find_digest(store: Store, prefix: str) -> str:
    """The only digest in a store that begins so."""
    if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
        option = f" --function {prefix}" if prefix.isidentifier() else ""
        raise StoreError(
            f"{prefix!r} is not a digest or its beginning: give digits 0-9 and a-f, as "
            f"pipeline cache ls{option} shows them"
        )
    if len(prefix) == 32 and prefix in store:
        return prefix
    digests = [digest for digest in store.digests() if digest.startswith(prefix)]
    if not digests:
        fail(f"no entry of {store.url} begins with {prefix}: see pipeline cache ls", 1)
    if len(digests) > 1:
        some = ", ".join(digest[: len(prefix) + 4] for digest in digests[:3])
        fail(f"{len(digests):,} entries of {store.url} begin with {prefix}, like {some}: give more "
             "digits", 1)  # fmt: skip
    return digests[0]


def _value(store: Store, payload: memoryview) -> str:
    """A value in short, or why it is not shown."""
    try:
        value = decoded(payload, store.pickle)  # its files are left as they are
    except CodecError as error:
        return f"not shown: {error}"
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        shape = " × ".join(map(str, value.shape)) or "no dimensions"
        kind = f"{kind} of {value.dtype}, {shape}"
    return f"{kind}: {short_repr(value, 300)}"


@_command
@script_argument()
@click.option("--all", "is_all", is_flag=True, help="All tasks, also those that do not run.")
def explain(store: Store, place: str, is_all: bool) -> None:
    """Show for each task of a script's collection whether it is stored, and if not, why.

    NAME is a collection, or a function that returns one. Runs the script as `pipeline share` does,
    with the current folder as the root of its imports; nothing is computed.

    \b
    pipeline cache explain model.py:result
    pipeline cache explain package/model.py:build --all
    """
    explanation = store.explain(load_tasks(place))
    names = ("status", "call", "why", "function", "seconds", "bytes")
    print_json([{name: getattr(line, name) for name in names} for line in explanation.lines])
    for text in explanation.summary():
        print_text(text)
    found = explanation.rows() if is_all else explanation.table()
    rows = [(status, _short_call(call), why) for status, call, why in found]
    print_table(("", "task", "why"), rows, left=3)
    print_text(explanation.totals)


@_command
def stats(store: Store) -> None:
    """Show the size of the store, and what all runs loaded, computed and saved.

    ENTRIES are what is stored now, the other rows what all runs did. LOADED results are hits; what
    only they need does not run, and is in no row. Of COMPUTED tasks those are STORED that took
    long, and the requested ones; entries that were removed count, too. SAVED is the time that the
    loaded results once took, with all before them.

    \b
    pipeline cache stats
    pipeline cache stats --store s3://bucket/cache --json
    """
    usage, counts = store.usage(), store.stats()
    print_json({**usage._asdict(), **asdict(counts)})
    rows = [
        ("entries", f"{usage.entries:,} now, {format_bytes(usage.bytes)}"),
        ("loaded", f"{counted(counts.hits, 'result')}, {format_bytes(counts.loaded_bytes)}"),
        ("computed", counted(counts.misses + counts.skipped, "task")),
        ("stored", f"{counts.stored:,} of them, {format_bytes(counts.stored_bytes)}"),
        ("saved", format_saved(counts.saved)),
    ]
    print_table(("in all runs", ""), rows, left=2)


@_command
@script_argument(required=False)
@click.option("--recompute", type=SHARE, metavar="SHARE",
              help=f"Of the hits, to run again.  [default: {RECOMPUTED:.0%}]")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the choice of hits.")
@click.option("--keep", is_flag=True, help="Report corrupt entries, and do not remove them.")
def verify(store: Store, place: str | None, recompute: float | None, seed: int, keep: bool) -> None:
    """Check every entry; or run tasks of a script again, and compare the results.

    Corrupt entries are reported and removed. An entry holds no code, so a script is needed to run
    tasks again: at least one stored result of each function of its collection is computed again,
    and compared by content. A result that differs is reported, and stays. Exit code 1 if an entry
    is corrupt or a result differs.

    \b
    pipeline cache verify
    pipeline cache verify --recompute 5% model.py:result
    """
    if place is None:
        if recompute is not None:
            raise click.UsageError(
                "--recompute runs tasks again, and an entry holds no code: name a script and a "
                "collection in it, like model.py:result"
            )
        with Bar("verify") as bar:
            result = verify_entries(store, is_removing=not keep, progress=bar.along)
    else:
        if keep:
            raise click.UsageError("--keep is for corrupt entries: leave out the script")
        collection = load_tasks(place)
        with task_bar(), user_code(place):
            result = store.verify(collection, recompute=recompute or RECOMPUTED, seed=seed)
    _print_verification(result, is_removed=not keep)
    sys.exit(int(not result.is_sound))


def _print_verification(result: Verification, *, is_removed: bool) -> None:
    print_json({
        "sound": result.is_sound,
        "entries": result.entries,
        "corrupt": [{"digest": digest, "why": why} for digest, why in result.corrupt],
        "hits": result.hits,
        "reruns": [rerun._asdict() for rerun in result.reruns],
        "differing": result.differing,
    })  # fmt: skip
    rows = [(rerun.outcome, _short_call(rerun.call), rerun.why)
            for rerun in result.reruns if rerun.outcome != "same"]  # fmt: skip
    if rows:
        print_table(("", "task", "why"), rows, left=3)
    for digest, why in result.corrupt:
        print_text(f"{digest}  {printable(why)}")
    print_text(f"{result.summary()}{', and removed' if result.corrupt and is_removed else ''}")
    if result.differing:
        functions = ", ".join(map(printable, result.differing))
        print_text(f"impure, or changed by something that no digest covers: {functions}")


@_command
@click.argument("prefixes", nargs=-1, metavar="[DIGEST ...]")
@click.option("--function", metavar="NAME", help="All entries of this function.")
@click.option("--all", "is_all", is_flag=True, help="All entries.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(
    store: Store, prefixes: tuple[str, ...], function: str | None, is_all: bool, yes: bool
) -> None:
    """Remove entries: by digest, of a function, or all. The next run computes them again.

    \b
    pipeline cache rm 3f2a 77b0
    pipeline cache rm --function epoch
    pipeline cache rm --all --yes
    """
    if bool(prefixes) + (function is not None) + is_all != 1:
        raise click.UsageError("name what to remove: DIGEST ..., or --function NAME, or --all")
    if prefixes:
        digests = list(dict.fromkeys(_find_digest(store, prefix) for prefix in prefixes))
    elif function is not None:
        digests = [entry.digest for entry in store.entries() if entry.function == function]
    else:
        digests = list(store.digests())
    if function is not None and not digests:
        fail(f"{store.url} has no entries of {function}: see pipeline cache ls", 1)
    if not (prefixes or yes):
        question = f"Remove {counted(len(digests), 'entry')} of {store.url}?"
        if not is_terminal(sys.stdin):
            raise click.UsageError(f"{question} No terminal to answer on: add --yes")
        if not click.confirm(question, err=True):
            fail("nothing is removed", 1)
    sizes = store.sizes()
    freed = sum(sizes.get(digest, 0) for digest in digests)
    with Bar("remove") as bar:
        removed = sum(map(store.remove, bar.along(digests)))
    print_json({"removed": removed, "bytes": freed})
    print_text(f"removed {counted(removed, 'entry')}, {format_bytes(freed)}")


@_command
@click.option("--max-bytes", type=SIZE, help="Leave no more than this, like 2GB.")
@click.option("--unused", type=AGE, help="Remove what was not used for so long, like 30d.")
def gc(store: Store, max_bytes: int | None, unused: float | None) -> None:
    """Remove what killed runs left, entries not used for long, and those over a size.

    Over the size, large entries go first that are quick to compute again and not used for long. On
    a remote store an entry counts as used when it was made.

    \b
    pipeline cache gc --max-bytes 2GB --unused 30d
    """
    removed, freed = store.gc(max_bytes, unused)
    left = len(store)
    print_json({"removed": removed, "bytes": freed, "left": left})
    print_text(f"removed {counted(removed, 'entry')}, {format_bytes(freed)}; {left:,} left")
