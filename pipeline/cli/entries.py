"""`pipeline cache ls|show|rm|gc`: the entries of a store."""

from __future__ import annotations

import reprlib
import sys
import time
from dataclasses import asdict
from heapq import nlargest
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from pipeline.cli.progress import Bar
from pipeline.cli.screen import as_json, fail, print_json, print_table, say
from pipeline.cli.stored import Age, Size, digest_of, entries, octets, opened, place
from pipeline.identity import format_duration, mask_passwords, printable, short_repr

if TYPE_CHECKING:
    from pipeline import Store

_MOST = 40
"""Entries that are listed."""

_CALL = 40
"""Characters of a call in the table."""


@click.command()
@click.option("--function", metavar="NAME", help="Entries of this function alone.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N",
              help=f"That many, 0 for all.  [default: {_MOST}; all as JSON]")  # fmt: skip
@as_json
@place
def ls(url: str, function: str | None, limit: int | None, is_json: bool) -> None:
    """List the entries, the newest first.

    TOOK is what computing took, DIGEST how the entry's name begins.

    \b
    pipeline cache ls --function epoch --limit 5
    pipeline cache ls --json | jq 'map(.bytes) | add'
    """
    most = limit if limit is not None else 0 if is_json else _MOST
    with opened(url) as store, Bar("read") as bar:
        stored = bar.along(store.entries())
        found = [each for each in stored if function in (None, each.function)]
    shown = nlargest(most or len(found), found, key=lambda each: (each.created, each.digest))
    if is_json:
        print_json(list(map(_fields, shown)))
        return
    now = time.time()
    rows = [
        (each.digest[:10], octets(each.bytes), format_duration(each.seconds),
         format_duration(max(now - each.created, 0.0)), brief_call(each.call or each.function))
        for each in shown
    ]  # fmt: skip
    if rows:
        print_table(("digest", "size", "took", "age", "call"), rows, left=1)
    if len(found) > len(shown):
        say(f"and {len(found) - len(shown):,} more: --limit 0 lists them")
    elif not found:
        say(f"{mask_passwords(url)} has no entries" + (f" of {function}" if function else ""))


def brief_call(call: str) -> str:
    """A call, cut off where it is long."""
    text = printable(call)
    return text if len(text) <= _CALL else f"{text[: _CALL - 1]}…"


def _fields(entry: Any) -> dict[str, Any]:
    """An entry in JSON's types."""
    return {**asdict(entry), "checksum": bytes(entry.checksum).hex()}


@click.command()
@click.argument("digest", metavar="DIGEST")
@as_json
@place
def show(url: str, digest: str, is_json: bool) -> None:
    """Show all that is known of an entry, and its value in brief.

    The beginning of a digest is enough, if no other begins so. Nothing is unpickled.

    \b
    pipeline cache show 3f2a
    """
    with opened(url) as store:
        name = digest_of(store, digest)
        found = store.open(name)
        if found is None:
            fail(f"{name} was torn, and is removed: it will be computed again", 1)
        if is_json:
            print_json(_fields(found[0]))
            return
        told = [each for each in _told(found[0]) if each[1]]
        told.append(("value", _value(store, found)))
    print_table(None, told, left=2)


def _told(entry: Any) -> list[tuple[str, str]]:
    """The fields of an entry as a person reads them."""
    age = format_duration(max(time.time() - entry.created, 0.0))
    date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created))
    return [
        ("digest", entry.digest),
        ("function", entry.function),
        ("call", entry.call),
        *(("argument", text) for text, _ in entry.arguments),
        ("code", entry.code),
        ("bytes", f"{entry.bytes:,}"),
        ("took", format_duration(entry.seconds)),
        ("in all", f"{format_duration(entry.behind)}, from nothing to this result"),
        ("loading", f"{format_duration(entry.loading)}, as was expected"),
        ("stored", f"{date}, {age} ago"),
        ("python", entry.python),
        ("checksum", bytes(entry.checksum).hex()),
    ]


def _value(store: Store, found: Any) -> str:
    """A value in brief, or why it is not shown."""
    try:
        value = store.value(*found)
    except RuntimeError as error:
        return f"not shown: {str(error).partition(': ')[2]}"
    if isinstance(value, np.ndarray):
        shape = " × ".join(map(str, value.shape)) or "no dimensions"
        return f"{type(value).__name__} of {value.dtype}, {shape}: {short_repr(value, 200)}"
    shortened = reprlib.Repr()
    shortened.maxother = shortened.maxstring = 120
    return f"{type(value).__name__}: {short_repr(_Text(shortened.repr(value)), 300)}"


class _Text(str):
    """A text that is its own representation."""

    __slots__ = ()
    __repr__ = str.__str__


@click.command()
@click.argument("digests", nargs=-1, metavar="[DIGEST ...]")
@click.option("--function", metavar="NAME", help="All entries of this function.")
@click.option("--all", "everything", is_flag=True, help="All entries.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@place
def rm(
    url: str, digests: tuple[str, ...], function: str | None, everything: bool, yes: bool,
    is_json: bool,
) -> None:  # fmt: skip
    """Remove entries: by digest, of a function, or all. They are computed again when needed.

    \b
    pipeline cache rm 3f2a 77b0
    pipeline cache rm --function epoch
    pipeline cache rm --all --yes
    """
    if (bool(digests) + (function is not None) + everything) != 1:
        raise click.UsageError("say what goes: DIGEST ..., or --function NAME, or --all")
    with opened(url) as store:
        if digests:
            names = [digest_of(store, each) for each in digests]
        elif function is not None:
            names = [each.digest for each in store.entries() if each.function == function]
        else:
            names = list(store.digests())
        if function is not None and not names:
            fail(f"{url} has no entries of {function}: see pipeline cache ls", 1)
        if not (digests or yes):
            _ask(f"Remove {entries(len(names))} of {store.url}?")
        sizes = store.sizes()
        before = sum(sizes.get(name, 0) for name in names)
        with Bar("remove") as bar:
            removed = sum(map(store.remove, bar.along(list(dict.fromkeys(names)))))
    if is_json:
        print_json({"removed": removed, "bytes": before})
    else:
        say(f"removed {entries(removed)}, {octets(before)}")


def _ask(question: str) -> None:
    if not _is_asked():
        raise click.UsageError(f"{question} Nobody is there to answer: say --yes")
    if not click.confirm(question, err=True):
        fail("nothing is removed", 1)


def _is_asked() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


@click.command()
@click.option("--max-bytes", type=Size(), help="Leave no more than this, like 2GB.")
@click.option("--unused", type=Age(), help="Remove what was not used for so long, like 30d.")
@as_json
@place
def gc(url: str, max_bytes: float | None, unused: float | None, is_json: bool) -> None:
    """Remove what killed runs left, entries not used for long, and those over a size.

    Of a store that is too large those entries go first that take many bytes, are quick to compute
    again, and were not used for long. On a remote store an entry counts as used when it was made.

    \b
    pipeline cache gc --max-bytes 2GB --unused 30d
    """
    with opened(url) as store:
        bound = None if max_bytes is None else int(max_bytes)
        removed, freed = store.gc(max_bytes=bound, unused=unused)
        left = len(store)
    if is_json:
        print_json({"removed": removed, "bytes": freed, "left": left})
    else:
        say(f"removed {entries(removed)}, {octets(freed)}; {left:,} left")
