"""What changed between two descriptions of a function, and between two calls, for a person."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import zip_longest
from typing import Any, NamedTuple

from pipeline.cache.explaining.descriptions import ITSELF, SETTINGS
from pipeline.cache.saving import INPUT, Argument, short_path
from pipeline.identity import cut, is_library_class

WIDTH = 30
"""Characters of an argument that are shown."""


class Change(NamedTuple):
    """A change, as text.

    is_of_task: whether the text means a part of the task, as in `its code changed`
    is_derived: whether it follows from other changes, if there are any
    """

    text: str
    is_of_task: bool = False
    is_derived: bool = False


def code_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What changed between two descriptions of a function.

    >>> code_changes({"its own": {"code": "a"}}, {"its own": {"code": "b"}})
    [Change(text='its code changed', is_of_task=True, is_derived=False)]
    """
    changes: list[Change] = []
    for name in sorted({**before, **now}, key=lambda name: name != ITSELF):
        old, new = before.get(name), now.get(name)
        if name == "libraries":
            changes += _library_changes(old or {}, new or {})
        elif name == SETTINGS:
            changes += _setting_changes(old or {}, new or {})
        elif new is None:
            changes.append(Change(f"{name} is no longer used"))
        elif not isinstance(old, dict):
            changes.append(Change(f"{name}{new.get('in', '')} is new"))
        else:
            changes += _part_changes(name, old, new)
    # Another definition in the same place is a change of its own.
    return [change for change in changes if "definition" not in change.text] or changes


def _library_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for library, version in new.items():
        if (was := old.get(library, "not used")) != version:
            was, version = was.partition(" #")[0], version.partition(" #")[0]
            text = f"was {was}, is {version}" if was != version else f"{version} has other code"
            yield Change(f"library {library} {text}")


def _setting_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in {**old, **new}:
        if name != "name" and (was := old.get(name, "not set")) != (
            value := new.get(name, "not set")
        ):
            text = "changed" if was[0] == "#" or value[0] == "#" else f"was {was}, is {value}"
            yield Change(f"its {name} {text}", True)


_PLAIN_PARTS = ("code", "bases", "metaclass", "defaults", "keyword defaults")
"""Parts whose contents are too long to be shown."""


def _part_changes(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """The changed parts of a definition; its code covers all of them."""
    shown = [part for part in {**old, **new} if part not in ("in", "title")]
    parts = [part for part in shown if old.get(part) != new.get(part)]
    place = f"{name}{new.get('in', '')}"
    if name != ITSELF and "code" in parts:
        yield Change(f"{place} changed")
        return
    is_own = name == ITSELF
    owner = "" if is_own else f" of {place}"
    for part in parts:
        if part in _PLAIN_PARTS:
            yield Change(f"{'its' if is_own else 'the'} {part}{owner} changed", is_own)
        elif part in old and part in new and _is_short(old[part]) and _is_short(new[part]):
            yield Change(f"{part}{owner} was {old[part]}, is {new[part]}", is_own)
        else:
            yield Change(f"{part}{owner} changed", is_own)


def _is_short(text: str) -> bool:
    """Whether a text shows a value, not a hash or the name of a definition."""
    return len(text) <= 40 and "#" not in text and "definition" not in text


# Arguments

Recorded = list[list[str]]
"""The arguments of a past call: a text and the digests of the parts of each."""


def constants(digest: str) -> list[str]:
    """The digests of the constants in an argument."""
    return [part for part in digest.split(" ") if not part.startswith(INPUT)]


def inputs(digest: str) -> list[str]:
    """The digests of the inputs in an argument."""
    return [part for part in digest.split(" ") if part.startswith(INPUT)]


Spot = tuple[int, int]
"""The place of an argument, and of a constant in it."""


def differing(place: int, old: Sequence[str], new: Sequence[str]) -> list[Spot]:
    """Which constants of an argument differ."""
    both = enumerate(zip_longest(old, new))
    return [(place, number) for number, (before, now) in both if before != now]


class Pair(NamedTuple):
    """An argument of a past call, and what it is now.

    name: as a person calls it: `argument 2`, `argument rate`
    """

    place: int
    name: str
    before: str
    old: list[str]
    now: Argument

    @property
    def changed(self) -> list[Spot]:
        """The constants in it that are other ones."""
        new = [part.digest for part in self.now.parts if not part.is_input]
        return differing(self.place, self.old, new)


def pairs(before: Recorded, now: Iterable[Argument]) -> list[Pair]:
    """The arguments of two calls that have as many of them."""
    paired = []
    for place, ((old, digest), argument) in enumerate(zip(before, now, strict=True), 1):
        name, sign, value = argument.text.partition("=")
        title = f"argument {place}"
        if sign and name.isidentifier() and old.startswith(f"{name}="):
            title, old = f"argument {name}", old.removeprefix(f"{name}=")
            argument = argument._replace(text=value)
        paired.append(Pair(place, title, old, constants(digest), argument))
    return paired


def constant_change(pair: Pair) -> Change:
    """How a constant differs."""
    _, name, old, _, (new, _) = pair
    if old != new:
        return Change("{} was {}, is {}".format(name, *_contrasted(old, new)), True)
    return Change(f"{name}, {cut(new, WIDTH)}, has other content", True)


def path_change(paths: Sequence[str], *, is_known: bool) -> Change:
    """A file that a library's function reads is new, or has changed."""
    named = ", ".join(map(short_path, paths[:2]))
    more = f" and {len(paths) - 2:,} more" if len(paths) > 2 else ""
    verb = "changed" if is_known else "is new" if len(paths) == 1 else "are new"
    return Change(f"{named}{more} {verb}")


def input_changes(before: Recorded, now: Recorded) -> list[Change]:
    """Which inputs of a call are other ones.

    >>> input_changes([["f(1)", "@a"]], [["f(2)", "@b"]])
    [Change(text='argument 1 was f(1), is f(2)', is_of_task=True, is_derived=False)]
    """
    changes = []
    for place, ((old, old_digest), (new, digest)) in enumerate(zip(before, now, strict=True), 1):
        was, are = inputs(old_digest), inputs(digest)
        if was != are and old != new:
            text = "argument {} was {}, is {}".format(place, *_contrasted(old, new))
            changes.append(Change(text, True))
        elif was != are:
            changes.append(Change(f"its input {cut(new, WIDTH)} changed", True))
    return changes


def number_changes(before: Recorded, now: Recorded) -> list[Change]:
    """Whether a call has another number of inputs."""
    was, are = (sum(len(inputs(digest)) for _, digest in call) for call in (before, now))
    return [Change(f"it has {are:,} inputs, had {was:,}", True)] if was != are else []


def is_empty_table(value: Any) -> bool:
    """Whether a value is an empty table of pandas, by which Dask knows columns and types."""
    kind = type(value)
    is_pandas = is_library_class(kind) and kind.__module__.startswith("pandas")
    return is_pandas and isinstance(value, Sized) and not len(value)


def _contrasted(old: str, new: str) -> tuple[str, str]:
    """Two texts, cut off so that the first difference is seen."""
    pairs = enumerate(zip(old, new, strict=False))
    equal = next((place for place, pair in pairs if pair[0] != pair[1]), len(old))
    if max(len(old), len(new)) > WIDTH and equal >= WIDTH // 2:
        start = equal - WIDTH // 3
        old, new = f"…{old[start:]}", f"…{new[start:]}"
    return cut(old, WIDTH), cut(new, WIDTH)
