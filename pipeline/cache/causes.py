"""What a function reaches, part by part, and which part of it has changed since a result was made.

A digest tells that something is another; this tells a person what.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from pipeline.identity import Digester, closure_values, definition_parts, references

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dask.typing import Key

Description = dict[str, dict[str, str]]
"""For each definition that a function reaches, what it is made of: texts, or hashes of them."""

_OWN = "its own"
"""The definition that is the function itself."""


def described(function: Any) -> Description:
    """What the digest of a function covers, part by part."""
    describer = _Describer()
    function = getattr(function, "__func__", function)
    try:
        describer.encode(function)
    except (TypeError, RecursionError):
        return describer.found  # as far as it could be told
    describer.found["libraries"] = describer.libraries
    return describer.found


_MOST = 3
"""Changes that are told one by one."""


class _Describer(Digester):
    """A digester that notes what it meets, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Description = {}
        self.libraries: dict[str, str] = {}

    def library(self, name: str, module: str) -> str:
        found = super().library(name, module)
        package, _, version = found.rpartition(" of ")[2].partition(" ")
        if version:
            self.libraries[package] = version
        return found

    def definition(self, value: Any) -> Key:
        if id(value) in self.numbers:
            return f"definition {_name(value)}"
        is_first = not self.definitions
        self.numbers[id(value)] = len(self.numbers)
        self.definitions.append(value)
        if is_first:
            for each in self.definitions:  # there will be more of them meanwhile
                at = _OWN if each is value else f"{_kind(each)} `{_name(each)}`"
                while at in self.found:
                    at += "′"
                self.found[at] = {name: str(self.part(part)) for name, part in _parts(each)}
                self.found[at]["in"] = _where(each)
            self.numbers, self.definitions = {}, []
        return f"definition {_name(value)}"


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    """The parts of a definition by name, as a person would call them."""
    if not isinstance(value, FunctionType):
        for each in definition_parts(value):
            named = isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)
            yield (f"`{each[0]}`", each[1]) if named else ("bases", each)  # type: ignore[index] # a pair
        return
    globals_ = {each.name for each in references(value) if each.owner is None}
    own = iter(definition_parts(value))
    yield "code", next(own)
    yield "defaults", next(own)
    yield "keyword defaults", next(own)
    for name in value.__code__.co_freevars:
        yield f"closure value `{name}`", next(own)
    for mention in own:
        name, inner = cast("tuple[str, object]", mention)
        if name not in closure_values(value):
            yield f"{'global' if name in globals_ else 'value'} `{name}`", inner


def _kind(definition: Any) -> str:
    if isinstance(definition, ModuleType):
        return "module"
    return "class" if isinstance(definition, type) else "helper"


def _name(definition: Any) -> str:
    return str(getattr(definition, "__qualname__", getattr(definition, "__name__", "?")))


def _where(definition: Any) -> str:
    code = getattr(definition, "__code__", None)
    module = definition if isinstance(definition, ModuleType) else None
    if code is None and module is None:
        module = sys.modules.get(getattr(definition, "__module__", ""))
    path = code.co_filename if code is not None else getattr(module, "__file__", None)
    return f" in {Path(path).name}" if path and not str(path).startswith("<") else ""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed between two descriptions of a function, for a person.

    >>> differences({"its own": {"code": "a"}}, {"its own": {"code": "b"}})
    ['its code changed']
    """
    found = []
    for place in sorted({**before, **now}, key=lambda each: each != _OWN):
        old, new = before.get(place), now.get(place)
        if place == "libraries":
            found += [
                f"library {name} was {(old or {}).get(name, 'not used')}, is {version}"
                for name, version in (new or {}).items()
                if (old or {}).get(name) != version
            ]
        elif not isinstance(old, dict):
            found.append(f"{place}{now[place].get('in', '')} is new")
        elif not isinstance(new, dict):
            found.append(f"{place} is no longer used")
        else:
            found += _changed(place, old, new)
    # That it calls another definition now is told by that.
    found = [each for each in found if "definition" not in each] or found
    return found if len(found) <= _MOST else [*found[:_MOST], f"{len(found) - _MOST} more changes"]


def _changed(place: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = [each for each in {**old, **new} if old.get(each) != new.get(each) and each != "in"]
    at, place = place, f"{place}{new.get('in', '')}"
    if at != _OWN and "code" in changed:
        yield f"{place} changed"
        return
    of = "" if at == _OWN else f" of {place}"
    for each in changed:
        if each in ("code", "bases", "defaults", "keyword defaults"):
            yield f"its {each}{of} changed"
        elif each in old and each in new and _is_short(old[each]) and _is_short(new[each]):
            yield f"{each}{of} was {old[each]}, is {new[each]}"
        else:
            yield f"{each}{of} changed"


def _is_short(text: str) -> bool:
    return len(text) <= 40 and "#" not in text and "definition" not in text


def argument_changes(before: list[list[str]], now: list[list[str]]) -> list[str]:
    """Which arguments have changed, for a person.

    >>> argument_changes([["1", "a"], ["0.1", "b"]], [["1", "a"], ["0.2", "c"]])
    ['argument 2 was 0.1, is 0.2']
    """
    if len(before) != len(now):
        return [f"it took {len(before)} arguments, takes {len(now)}"]
    found = []
    for place, (old, new) in enumerate(zip(before, now, strict=True), 1):
        if old[1] == new[1] and old[1]:
            continue
        name, sign, _ = new[0].partition("=")
        is_named = bool(sign) and name.isidentifier() and old[0].startswith(f"{name}=")
        what = f"argument {name}" if is_named else f"argument {place}"
        was, now_is = (each[0].removeprefix(f"{name}=") if is_named else each[0]
                       for each in (old, new))  # fmt: skip
        if was != now_is:
            found.append("{} was {}, is {}".format(what, *_apart(was, now_is)))
        elif new[1].startswith("@") and old[1].startswith("@"):
            found.append(f"its input {brief_text(now_is)} changed")
        else:
            found.append(f"{what}, {brief_text(now_is)}, has another content")
    return found


def _apart(one: str, other: str) -> tuple[str, str]:
    """Two texts, cut off so that it is seen where they differ."""
    pairs = enumerate(zip(one, other, strict=False))
    same = next((place for place, pair in pairs if pair[0] != pair[1]), len(one))
    if max(len(one), len(other)) <= _WIDTH or same < _WIDTH // 2:
        return brief_text(one), brief_text(other)
    start = same - _WIDTH // 3
    first, second = (brief_text(f"…{each[start:]}") for each in (one, other))
    return first, second


def brief_text(text: str) -> str:
    """A text, cut off where it is long."""
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


_WIDTH = 30
"""Characters of an argument that are shown."""
