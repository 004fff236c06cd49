"""Labels of a picture: short, and different for different tasks.

What all calls of a function have in common stands in the title. A part of a long sequence is a
slice of it. Any other argument is cut off, but not so far that two tasks look alike.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dask.typing import Key

from pipeline.graph import arguments as texts_of
from pipeline.graph import function_name, label, short_label, subproblem
from pipeline.identity import cut

WIDTH = 14
"""Characters of an argument, where that is enough to distinguish tasks."""

WHOLE = 10_000
"""Characters of an argument that are compared."""


class Labels(NamedTuple):
    """The label of each task, and what stands in the title: `items = ((2, 12), (1, 10))`."""

    texts: Mapping[Key, str]
    common: Sequence[str] = ()


def label_tasks(
    keys: Iterable[Key], names: Mapping[Key, Sequence[str]], *, is_call: bool = True
) -> Labels:
    """Labels for the subproblems of a picture.

    names: of the parameters, by the first item of a key; without them the title has no argument
    is_call: whether a task without arguments is a call: `f()`, not `f`

    >>> keys = [("f-0123456789ab", n, f"'{'abcdefghijklmnopq'[:n]}'") for n in (1, 17)]
    >>> label_tasks(keys, {"f-0123456789ab": ("n", "word")})  # doctest: +NORMALIZE_WHITESPACE
    Labels(texts={('f-0123456789ab', 1, "'a'"): 'f(1, word[:1])',
                  ('f-0123456789ab', 17, "'abcdefghijklmnopq'"): 'f(17, word)'},
           common=["word = 'abcdefghijklmnopq'"])
    """
    groups: dict[Key, list[Key]] = defaultdict(list)
    keys = list(dict.fromkeys(map(subproblem, keys)))
    for key in keys:
        groups[key[0] if isinstance(key, tuple) else key].append(key)
    texts: dict[Key, str] = {}
    common: list[str] = []
    for head, group in groups.items():
        shown, told = _named(group, names.get(head, ()))
        common += told
        for key, columns in zip(group, shown, strict=True):
            texts[key] = _text(key, columns, WIDTH, is_call)
        width = WIDTH
        while width < 120 and (alike := _alike(group, texts)):
            width += 8
            for key, columns in zip(group, shown, strict=True):
                if key in alike:
                    texts[key] = _text(key, columns, width, is_call)
    return Labels(_numbered({key: texts[key] for key in keys}), list(dict.fromkeys(common)))


class Column(NamedTuple):
    """An argument as a label shows it, and whether it may be cut off."""

    text: str
    is_whole: bool = False


def _text(key: Key, columns: Sequence[Column] | None, width: int, is_call: bool) -> str:
    if columns is None or any(len(column.text) > WHOLE - 100 for column in columns):
        return label(key, width) if is_call else short_label(key, width)
    shown = ", ".join(one.text if one.is_whole else cut(one.text, width) for one in columns)
    name = function_name(key)
    return f"{name}({shown})" if shown or is_call else name


def _alike(group: Iterable[Key], texts: Mapping[Key, str]) -> set[Key]:
    times = Counter(texts[key] for key in group)
    return {key for key in group if times[texts[key]] > 1}


def _numbered(texts: Mapping[Key, str]) -> dict[Key, str]:
    """Labels that are still the same have numbers: tasks may differ in their inputs alone."""
    times = Counter(texts.values())
    numbers: Counter[str] = Counter()
    numbered = {}
    for key, text in texts.items():
        numbers[text] += 1
        numbered[key] = f"{text} #{numbers[text]}" if times[text] > 1 else text
    return numbered


def _named(
    group: Sequence[Key], names: Sequence[str]
) -> tuple[list[list[Column] | None], list[str]]:
    """The arguments of each call that a label shows, and those that all have in common."""
    is_plain = all(isinstance(key, tuple) and key[0] != "expression" for key in group)
    rows = [texts_of(key, WHOLE) for key in group]
    if not is_plain or len({len(row) for row in rows}) != 1:
        return [[*map(Column, row)] if is_plain else None for row in rows], []
    shown: list[list[Column]] = [[] for _ in group]
    common: list[str] = []
    for place, column in enumerate(zip(*rows, strict=True)):
        name = names[place] if place < len(names) else ""
        same = len(group) > 1 and len(set(column)) == 1
        if name and same and len(rows[0]) > 1:
            common.append(f"{name} = {cut(column[0], 60)}")
            continue
        slices = None
        if name and max(map(len, column)) > WIDTH:
            slices = _slices(name, [key[place + 1] for key in group])
        if slices is not None:
            common.append(f"{name} = {cut(max(column, key=len), 60)}")
        for row, text, part in zip(shown, column, slices or column, strict=True):
            row.append(Column(part, slices is not None) if slices else Column(text))
    return [*shown], common


class Slices(NamedTuple):
    """Slices of a sequence: where each starts and stops in it."""

    whole: Sequence[Key]
    bounds: Sequence[tuple[int, int]]


def slices(encoded: Sequence[Key]) -> Slices | None:
    """Sequences as slices of the longest, each as early as it occurs; None if they are no such.

    >>> slices(["'ab'", "'a'", "'b'", "''"])
    Slices(whole='ab', bounds=[(0, 2), (0, 1), (1, 2), (0, 0)])
    """
    if all(isinstance(value, str) and _PLAIN.fullmatch(value) for value in encoded):
        values: list[Sequence[Key]] = [str(value)[1:-1] for value in encoded]
    elif all(isinstance(value, tuple) and value[:1] not in _TAGS for value in encoded):
        values = [value for value in encoded if isinstance(value, tuple)]
    else:
        return None
    whole = max(values, key=len)
    bounds = []
    for value in values:
        start = next(
            (at for at in range(len(whole) - len(value) + 1)
             if whole[at : at + len(value)] == value), None
        )  # fmt: skip
        if start is None:
            return None
        bounds.append((start, start + len(value)))
    return Slices(whole, bounds)


def _slices(name: str, encoded: Sequence[Key]) -> list[str] | None:
    """Slices of one sequence, as text; None if they are no such slices."""
    found = slices(encoded)
    if found is None:
        return None
    shown, size = [], len(found.whole)
    empty = "''" if isinstance(found.whole, str) else "()"
    for start, stop in found.bounds:
        bounds = f"{start or ''}:{stop if stop < size else ''}"
        shown.append(empty if start == stop else name if bounds == ":" else f"{name}[{bounds}]")
    return shown


_PLAIN = re.compile(r"'[^\\]*'")
_TAGS = [(tag,) for tag in ("kw", "dict", "set", "frozenset", "list")]
