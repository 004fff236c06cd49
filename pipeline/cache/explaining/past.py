"""Past results: what a run notes of its tasks, and the nearest one to a task that is a miss."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cache, partial
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple

from dask.typing import Key

from pipeline.cache.explaining.changes import (
    Change,
    Recorded,
    Spot,
    code_changes,
    constant_change,
    constants,
    differing,
    input_changes,
    inputs,
    is_empty_table,
    number_changes,
    pairs,
    path_change,
)
from pipeline.cache.explaining.descriptions import SETTINGS, CodeDescriber, CodeDescription, titled
from pipeline.cache.saving import (
    Argument,
    Later,
    Part,
    TaskDetails,
    code_in,
    layer_of,
    may_hold_code,
    short_path,
    task_name,
)
from pipeline.cache.task_digests import TaskDigests, is_of_the_project, task_function
from pipeline.graph import inputs_of
from pipeline.identity import held, is_library
from pipeline.store import Store

MAX_CODES = 16
"""Versions of a function's code, the latest, that a task is compared with."""

MAX_SOURCES, MAX_CALLS = 256, 8
"""Calls of a function that a run notes before they are computed: without inputs, and with them.

Of the blocks of a collection one is noted.
"""

NOT_STORED = "never stored: new, or quick to compute"
"""Why a result is not there that a run has noted, and not stored."""

UNKNOWN_CHANGE = "its code, or what it reaches, changed"
_UNKNOWN = Change(UNKNOWN_CHANGE, True)


class TaskNotes:
    """Notes the code of tasks that run, and some of their calls: also quick ones are explained.

    Before they run: a run that is killed is explained, too.
    """

    def __init__(self, store: Store, digests: TaskDigests) -> None:
        self._notes, self._digests = store.notes, digests
        self._describe = CodeDescriber(store.versions)
        self._counts = Counter[str]()
        self._functions: dict[int, Any] = {}  # by id, those whose code is noted

    def add(self, key: Key, node: Any, digest: str, details: Later[TaskDetails]) -> None:
        function = task_function(node)
        if function is not None and id(function) not in self._functions:
            self._functions[id(function)] = function
            if code := self._digests.of_function(function):
                self._notes.add_once(f"code-{code}", partial(self._describe, function))
        layer = layer_of(key, node)
        most = MAX_SOURCES if not inputs_of(node) else 1 if layer else MAX_CALLS
        name = layer or task_name(key, node)
        self._counts[name] += 1
        if self._counts[name] > most:
            return
        for code, value in code_in(node, self._digests):
            if code:
                describe = partial(self._describe, value)
                self._notes.add_once(f"code-{code}", describe)
        noted = details()
        self._notes.add_call(noted.function, digest, noted.code, noted.arguments, NOT_STORED)


class PastResult(NamedTuple):
    """What a store remembers of a result that was computed.

    why: it was not stored; empty if it was
    """

    digest: str
    code: str
    arguments: Recorded
    why: str


class Comparison(NamedTuple):
    """How a task differs from the nearest past result of its function.

    own: changes of its code and its constants
    inputs: changes of its inputs
    number: that it has more or fewer of them
    """

    own: list[Change]
    inputs: list[Change]
    number: list[Change]


class Block(NamedTuple):
    """A block of a collection: its results at another place have other inputs.

    varying: the constants that differ between the blocks
    is_only: whether the collection has no other block
    """

    varying: frozenset[Spot] = frozenset()
    is_only: bool = True


_Kind = tuple[Any, ...]


def _kind(code: str, arguments: Recorded, varying: Collection[Spot]) -> _Kind:
    """The code and the constants of a call, and how many inputs it has where."""
    return code, *(
        (len(inputs(digest)), *(part for number, part in enumerate(constants(digest))
                                if (place, number) not in varying))
        for place, (_, digest) in enumerate(arguments, 1)
    )  # fmt: skip


def varying_constants(one: Recorded, other: Recorded) -> frozenset[Spot]:
    """The constants that differ between two blocks of a collection."""
    pairs = enumerate(zip(one, other, strict=False), 1)
    return frozenset(
        spot for place, ((_, digest), (_, another)) in pairs
        for spot in differing(place, constants(digest), constants(another))
    )  # fmt: skip


class _Results:
    """Past results of one function with one code, found by what they have in common with a task.

    A result that differs in one argument is found for certain, and without comparing all of them.
    """

    def __init__(self) -> None:
        self._latest: dict[Any, PastResult] = {}  # by some of its arguments

    def add(self, result: PastResult) -> None:
        """Add a result that is later than all others."""
        self._latest.update(dict.fromkeys(_traits(result.arguments), result))

    def near(self, arguments: Recorded) -> list[PastResult]:
        """The results that have most in common with a task."""
        traits = (trait for trait in _traits(arguments) if trait in self._latest)
        found = {self._latest[trait].digest: self._latest[trait] for trait in traits}
        return list(found.values())


_MOST_ARGUMENTS = 12
"""A call with more of them is found by single arguments alone."""


def _traits(arguments: Recorded) -> Iterator[tuple[Any, ...]]:
    """What arguments may have in common: place, constants, all but one, one, their number."""
    digests = [digest for _, digest in arguments]
    place, own = _place(arguments), tuple(map(tuple, map(constants, digests)))
    yield "place and constants", place, own
    yield "place", place
    yield "constants", own
    if len(digests) <= _MOST_ARGUMENTS:
        for number in range(len(digests)):
            yield ("but", number, *digests[:number], *digests[number + 1 :])
    yield from (("one", len(digests), number, digest) for number, digest in enumerate(digests))
    yield "number", len(digests)
    yield ("any",)


def _place(arguments: Recorded) -> tuple[str, ...]:
    """The place of a task in its graph, as far as its inputs show it; else its arguments."""
    return tuple(text for text, digest in arguments if inputs(digest)) or tuple(
        text for text, _ in arguments
    )


class _Distance(NamedTuple):
    """How far a past result is from a task, the most important first."""

    own: int
    is_elsewhere: bool
    inputs: int


def _distance(result: PastResult, now: Recorded, changes: int) -> _Distance:
    """The distance of a past result. changes: of the code"""
    pairs = list(zip(result.arguments, now, strict=False))
    own = sum(constants(old) != constants(new) for (_, old), (_, new) in pairs)
    others = sum(inputs(old) != inputs(new) for (_, old), (_, new) in pairs)
    number = abs(len(result.arguments) - len(now))
    is_elsewhere = _place(result.arguments) != _place(now)
    return _Distance(changes + own + number, is_elsewhere, others)


class Past:
    """What a store remembers of earlier runs, read once.

    current: the digests of the tasks of the graph: their results are no earlier ones
    """

    def __init__(self, store: Store, current: Collection[str | None]) -> None:
        self._current = current
        self._describe = CodeDescriber(store.versions)
        self.notes = cache(store.notes.on)
        self._history = store.notes.history
        self.results = cache(self._results)
        self._by_code = cache(self._sorted)
        self._kinds = cache(self._known_kinds)
        self._described: dict[str, CodeDescription] = {}
        self._changes: dict[tuple[str, str], list[Change] | None] = {}

    def _results(self, function: str) -> dict[str, PastResult]:
        """The results of a function by digest, the latest last."""
        results: dict[str, PastResult] = {}
        for result in map(PastResult._make, self._history(function)):
            if result.why != NOT_STORED or result.digest not in results:
                results.pop(result.digest, None)  # it becomes the latest
                results[result.digest] = result
        return results

    def _known_kinds(self, function: str, varying: frozenset[Spot]) -> set[_Kind]:
        """Code and constants of all results of a function, also of those of the graph."""
        results = self.results(function).values()
        return {_kind(result.code, result.arguments, varying) for result in results}

    def _sorted(self, function: str, is_current: bool) -> dict[str, _Results]:
        """The earlier results of a function by its code, the latest code first."""
        by_code: dict[str, _Results] = {}
        for result in self.results(function).values():
            if (result.digest in self._current) is is_current:
                results = by_code.pop(result.code) if result.code in by_code else _Results()
                results.add(result)
                by_code[result.code] = results
        return dict(reversed(by_code.items()))

    def compare(
        self,
        details: TaskDetails,
        arguments: Sequence[Argument],
        function: Any,
        block: Block | None,
    ) -> Comparison | None:
        """How a task differs from the nearest result of its function. None if there is none."""
        name, now = details.function, details.arguments
        paths = [path for argument in arguments for path in argument.paths]
        if paths and function is not None and not is_of_the_project(function):
            return self._compared_reader(details, paths, arguments, function)
        varying = block.varying if block else frozenset()
        is_known = _kind(details.code, now, varying) in self._kinds(name, varying)
        nearest = self._nearest(details, arguments, function)
        if nearest is None and not is_known and block is None:  # better than no result at all
            nearest = self._nearest(details, arguments, function, is_current=True)
        if nearest is None or (is_known and nearest[0].own):
            return Comparison([], [], []) if is_known else None
        distance, own, result = nearest
        before = result.arguments
        if len(before) != len(now):
            more = [Change(f"it took {len(before)} arguments, takes {len(now)}", True)]
            return Comparison([*own, *more] if before else own, [], [])
        is_elsewhere = block is not None and distance.is_elsewhere
        ignored = varying if is_elsewhere else frozenset()
        own = [*own, *self._constant_changes(before, arguments, ignored)]
        if block is not None and is_elsewhere:
            return Comparison(own, [], number_changes(before, now) if block.is_only else [])
        return Comparison(own, input_changes(before, now), number_changes(before, now))

    def _nearest(
        self,
        details: TaskDetails,
        arguments: Sequence[Argument],
        function: Any,
        is_current: bool = False,
    ) -> tuple[_Distance, list[Change], PastResult] | None:
        """The earlier result that differs least, how far it is, and the changes of the code."""
        by_code, now = self._by_code(details.function, is_current), details.arguments
        latest = list(islice(by_code, MAX_CODES))
        nearest: tuple[_Distance, list[Change], PastResult] | None = None
        for code in dict.fromkeys([*latest, *{details.code}.intersection(by_code)]):
            changes = self._code_changes(code, details.code, function)
            for result in by_code[code].near(now) if changes is not None else ():
                is_same = not changes and _calls_another(result.arguments, arguments)
                distance = _distance(result, now, len(changes or ()))
                if not is_same and (nearest is None or distance < nearest[0]):
                    nearest = distance, changes or [], result
        return nearest

    def _compared_reader(
        self, details: TaskDetails, paths: Sequence[str], arguments: Sequence[Argument],
        function: Any,
    ) -> Comparison | None:  # fmt: skip
        """How a call of a library's function that reads files differs from the last that did."""
        short, results = list(map(short_path, paths)), self.results(details.function).values()
        readers = [
            result for result in results
            if all(any(path in text for text, _ in result.arguments) for path in short)
        ]  # fmt: skip
        if not readers:
            return Comparison([path_change(paths, is_known=False)], [], []) if results else None
        earlier = [result for result in readers if result.digest not in self._current]
        if not earlier or len(earlier[-1].arguments) != len(arguments):
            return None
        changes = self._code_changes(earlier[-1].code, details.code, function) or []
        constants = self._constant_changes(earlier[-1].arguments, arguments)
        return Comparison([*changes, *constants], [], [])

    def _code_changes(self, before: str, now: str, function: Any) -> list[Change] | None:
        """All that changed in a function, by the digests of its code.

        None if it is another function of a library: that does not change with its version.
        """
        if before == now:
            return []
        if (before, now) not in self._changes:
            new = self._description(now, function) if function is not None else {}
            self._changes[before, now] = self._changes_from(before, new)
        return self._changes[before, now]

    def _changes_from(
        self, before: str, new: CodeDescription, is_argument: bool = False
    ) -> list[Change] | None:
        old = self._old_description(before)
        if not (old and new):
            return [_UNKNOWN]
        name = new.get(SETTINGS, {}).get("name")
        if old.get(SETTINGS, {}).get("name") != name:
            return None
        changes = code_changes(*map(titled, (old, new))) if is_argument else code_changes(old, new)
        return changes or (None if name else [_UNKNOWN])

    def _constant_changes(
        self, before: Recorded, now: Sequence[Argument], ignored: Collection[Spot] = ()
    ) -> list[Change]:
        """How the constants of two calls differ; empty tables only if nothing else does."""
        changes: list[Change] = []
        others: list[Change] = []
        for pair in pairs(before, now):
            if not set(pair.changed).issubset(ignored):
                parts = [part for part in pair.now.parts if not part.is_input]
                changes += (code := self._held_code_changes(pair.old, parts))
                if not code and (paths := pair.now.paths):
                    changes.append(path_change(paths, is_known=True))
                elif not code:
                    is_table = any(is_empty_table(part.value) for part in parts)
                    change = constant_change(pair)._replace(is_derived=is_table)
                    (others if is_table else changes).append(change)
        return list(dict.fromkeys(changes or others))

    def _held_code_changes(self, old: Sequence[str], new: Sequence[Part]) -> list[Change]:
        """What changed in functions and objects among the constants of an argument."""
        changes: list[Change] = []
        for before, part in zip(old, new, strict=False) if len(old) == len(new) else ():
            if before != part.digest and may_hold_code(part.value):
                description = self._description(part.digest, part.value)
                found = self._changes_from(before, description, is_argument=True)
                changes += found if found and _UNKNOWN not in found else []
        return changes

    def _old_description(self, code: str) -> CodeDescription:
        notes = self.notes(f"code-{code}") if code else []
        return next((note for note in notes if isinstance(note, dict)), {})

    def _description(self, code: str, value: Any) -> CodeDescription:
        if code not in self._described:
            self._described[code] = self._describe(value)
        return self._described[code]


def _calls_another(before: Recorded, now: Sequence[Argument]) -> bool:
    """Whether a call has another function of a library among its arguments."""
    return any(
        old != part.digest and _is_library_function(part.value)
        for (_, digest), argument in zip(before, now, strict=False)
        for old, part in zip(
            constants(digest), [part for part in argument.parts if not part.is_input], strict=False
        )
    )


def _is_library_function(value: Any) -> bool:
    function = held(value, "__func__", value) if isinstance(value, MethodType) else value
    if not isinstance(function, FunctionType | BuiltinFunctionType):
        return False
    return is_library(str(function.__module__))
