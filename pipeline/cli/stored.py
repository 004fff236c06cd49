"""The option --store, and the stores that commands open."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipeline import Store, StoreError
from pipeline.cli.screen import fail, say
from pipeline.identity import format_duration, mask_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = "PIPELINE_STORE"

store = click.option(
    "--store", "url", envvar=VARIABLE, metavar="URL",
    help=f"Load results from this folder or URL, and store there what is computed.  "
    f"[env var: {VARIABLE}]",
)  # fmt: skip
"""Of commands that compute: without it, nothing is loaded or stored."""

place = click.option(
    "--store", "url", envvar=VARIABLE, metavar="URL", default="cache", show_default=True,
    help=f"The store: a folder, or a URL like s3://bucket/cache.  [env var: {VARIABLE}]",
)  # fmt: skip
"""Of commands about a store."""


@contextmanager
def through(url: str | None, keep: Sequence[str] = ()) -> Iterator[Store | None]:
    """Have what is computed meanwhile go through a store, if there is one.

    keep: functions whose results are stored however short they took
    """
    if url is None:
        yield None
        return
    used = made(url, keep=keep)
    with used:
        yield used


def tell(used: Store | None) -> None:
    """Say in one line what a store was good for."""
    if used is not None:
        done = used.done
        tasks = f"{done.hits:,} task{'s' * (done.hits != 1)} loaded"
        say(f"{used.url}: {tasks}, {done.misses + done.skipped:,} computed, "
            f"{format_duration(done.saved) if done.saved else '0 s'} saved")  # fmt: skip


def as_told(used: Store | None) -> dict[str, Any] | None:
    """The same for JSON: tasks that were loaded and computed, and seconds saved."""
    if used is None:
        return None
    done = used.done
    return {"url": mask_passwords(used.url), "loaded": done.hits, "computed": done.misses + done.skipped,
            "saved": done.saved}  # fmt: skip


def made(url: str, **options: Any) -> Store:
    """A store, which may be new."""
    try:
        return Store(url, **options)
    except ImportError as error:
        fail(str(error), 2)


@contextmanager
def opened(url: str, *, is_new: bool = False) -> Iterator[Store]:
    """A store that is there, or may be new."""
    found: Store = made(url)
    try:
        is_there = is_new or found.exists()
    except Exception as error:  # each library has errors of its own for what it cannot reach
        if isinstance(error, OSError) and error.filename:
            raise
        fail(f"{url} cannot be reached: {error}", 1)
    if not is_there:
        fail(f"there is no store at {url}: name one with --store, or in {VARIABLE}", 2)
    try:
        yield found
    finally:
        found.emit_warnings()


def digest_of(found: Store, prefix: str) -> str:
    """The digest of an entry that begins so."""
    if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
        raise StoreError(
            f"{prefix!r} is no digest, nor the beginning of one: give digits 0-9 and a-f, "
            "as pipeline cache ls shows them"
        )
    whole = prefix in found if len(prefix) == 32 else False
    names = [prefix] if whole else [each for each in found.digests() if each.startswith(prefix)]
    if not names:
        fail(f"no entry of {found.url} begins with {prefix}: see pipeline cache ls", 1)
    if len(names) > 1:
        some = ", ".join(each[: len(prefix) + 4] for each in names[:3])
        fail(f"{len(names):,} entries of {found.url} begin with {prefix}, like {some}: give more "
             "digits", 1)  # fmt: skip
    return names[0]


def octets(number: float) -> str:
    """Bytes, in the unit that a person would choose.

    >>> octets(999), octets(60048), octets(2.5e9)
    ('999 B', '60.0 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            decimals = 0 if unit == "B" or number >= 99.95 else 1
            return f"{number:.{decimals}f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def entries(number: int) -> str:
    """A number of entries, in words."""
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


class _Amount(click.ParamType[float]):
    """A number with a unit."""

    units: dict[str, float]
    example = ""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z%]*)", str(value).strip().lower())
        if not found or found[2] not in self.units:
            self.fail(f"{value!r} is no {self.name.lower()}: give one like {self.example}",
                      param, ctx)  # fmt: skip
        return float(found[1]) * self.units[found[2]]


class Size(_Amount):
    """Bytes, like 2GB."""

    name, example = "SIZE", "2GB, or 500MB"
    units = {"": 1, "b": 1} | {
        f"{letter}{end}": base**power
        for power, letter in enumerate("kmgt", 1)
        for end, base in (("", 1000), ("b", 1000), ("ib", 1024))
    }


class Age(_Amount):
    """Seconds, like 30d."""

    name, example = "AGE", "30d, 12h or 90min"
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "days": 86400}  # noqa: RUF012 - read only


class Share(_Amount):
    """A part of a whole, like 5%."""

    name, example = "SHARE", "5%, above 0% and up to 100%"
    units = {"%": 0.01, "": 1}  # noqa: RUF012 - read only

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        share = super().convert(value, param, ctx)
        if not 0 < share <= 1:
            self.fail(f"{value!r} is no share: give one like {self.example}", param, ctx)
        return share
