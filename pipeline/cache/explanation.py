"""What a run with a store would do with each task, and why, before it runs."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, get_args

from dask.base import get_scheduler
from dask.typing import Key

from pipeline.cache.plan import Plan, Status, make_plan
from pipeline.cache.running import open_collections, where_tasks_run
from pipeline.cache.saving import (
    INPUT,
    TaskDetails,
    task_call,
    task_details,
    task_name,
)
from pipeline.cache.task_digests import ITSELF, CodeDescription, describe_code, task_function
from pipeline.identity import cut, format_duration, format_number
from pipeline.store import Store

MAX_ROWS = 8
"""Rows about one function, each with another reason."""

MAX_CHANGES = 3
"""Changes of code that are named one by one."""

MAX_CODES = 16
"""Versions of a function's code, the latest, that a task is compared with."""

WIDTH = 30
"""Characters of an argument that are shown."""


class Line(NamedTuple):
    """What happens to a task, and why.

    seconds, bytes: of the stored result; 0 if there is none
    """

    status: Status
    call: str
    why: str
    key: Key
    function: str
    seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True)
class Explanation:
    """What a run would do with each task, inputs before their consumers; as text, a table.

    Tasks of one function with one status and one reason share a row.
    """

    lines: list[Line]

    def count(self, status: str) -> int:
        """How many tasks are a `hit`, a `miss`, `skipped` or `culled`."""
        return sum(line.status == status for line in self.lines)

    @property
    def statuses(self) -> dict[Key, Status]:
        """What happens to each task, by key: `hit`, `miss`, `skipped` or `culled`."""
        return {line.key: line.status for line in self.lines}

    def rows(self) -> list[tuple[str, str, str]]:
        """Status, task and reason of each row of the table."""
        groups: dict[tuple[Status, str], dict[str, list[Line]]] = {}
        for line in self.lines:
            why = "" if line.why == "stored" else line.why
            by_reason = groups.setdefault((line.status, line.function), {})
            by_reason.setdefault(why, []).append(line)
        rows: list[tuple[str, str, str]] = []
        for (status, function), by_reason in groups.items():
            reasons = list(by_reason.items())
            for why, lines in reasons[:MAX_ROWS]:
                task = lines[0].call if len(lines) == 1 else f"{len(lines):,} of {function}"
                if status == "hit":
                    size, seconds = sum(x.bytes for x in lines), sum(x.seconds for x in lines)
                    entries = f"{format_number(size)} bytes, took {format_duration(seconds)}"
                    why = f"{why}; {entries}" if why else entries
                rows.append((status, task, why))
            if number := sum(len(lines) for _, lines in reasons[MAX_ROWS:]):
                rows.append((status, f"{number:,} more of {function}", "…"))
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        first, second = (
            min(max((len(row[column]) for row in rows), default=0), 40) for column in (0, 1)
        )
        table = [
            textwrap.fill(
                f"{status:{first}}  {task:{second}}  {why}", 80, replace_whitespace=False,
                subsequent_indent=" " * (first + second + 4), break_on_hyphens=False,
            )
            for status, task, why in rows
        ]  # fmt: skip
        return "\n".join([*table, self.totals])

    @property
    def totals(self) -> str:
        """How many tasks have each status, as text: `1 hit, 2 miss`."""
        counts = {status: self.count(status) for status in get_args(Status)}
        texts = [f"{number:,} {status}" for status, number in counts.items() if number]
        return ", ".join(texts) or "no tasks"

    __repr__ = __str__


class PastResult(NamedTuple):
    """What a store remembers of a result that was computed.

    why: it was not stored; empty if it was
    """

    digest: str
    code: str
    arguments: list[list[str]]
    why: str


class _Results:
    """Past results of one function with one code, found by what they have in common with a task.

    A result that differs in one argument is found for certain, and without comparing all of them.
    """

    def __init__(self) -> None:
        self._latest: dict[Any, PastResult] = {}  # by some of its arguments

    def add(self, result: PastResult) -> None:
        """Add a result that is later than all others."""
        self._latest.update(dict.fromkeys(_traits(result.arguments), result))

    def nearest(self, arguments: list[list[str]]) -> tuple[int, PastResult]:
        """The result with the fewest other arguments, and how many they are."""
        traits = (trait for trait in _traits(arguments) if trait in self._latest)
        found = {self._latest[trait].digest: self._latest[trait] for trait in traits}
        numbers = [_differences(result.arguments, arguments) for result in found.values()]
        number = min(numbers)
        return number, list(found.values())[numbers.index(number)]


_MOST_ARGUMENTS = 12
"""A call with more of them is found by single arguments alone."""


def _traits(arguments: list[list[str]]) -> Iterator[tuple[Any, ...]]:
    """What arguments may have in common: all but one of them, one of them, their number."""
    digests = [digest for _, digest in arguments]
    if len(digests) <= _MOST_ARGUMENTS:
        for place in range(len(digests)):
            yield ("but", place, *digests[:place], *digests[place + 1 :])
    yield from (("one", len(digests), place, digest) for place, digest in enumerate(digests))
    yield "number", len(digests)
    yield ("any",)


def _differences(before: list[list[str]], now: list[list[str]]) -> int:
    """How many arguments differ."""
    pairs = zip(before, now, strict=False)
    equal = sum(old[1] == new[1] != "" for old, new in pairs)
    return max(len(before), len(now)) - equal


class _Past:
    """What a store remembers of earlier runs, read once."""

    def __init__(self, store: Store) -> None:
        self._versions = store.versions
        self.notes = cache(store.noted)
        self.results = cache(
            lambda name: {line[0]: PastResult(*line) for line in store.history(name)}
        )
        self._by_code = cache(self._sorted)
        self._descriptions: dict[str, CodeDescription] = {}
        self._changes: dict[tuple[str, str], list[str]] = {}

    def _sorted(self, name: str) -> dict[str, _Results]:
        """The results of a function by its code, the latest code first."""
        by_code: dict[str, _Results] = {}
        for result in self.results(name).values():
            results = by_code.pop(result.code) if result.code in by_code else _Results()
            results.add(result)
            by_code[result.code] = results
        return dict(reversed(by_code.items()))

    def changes(self, details: TaskDetails, function: Any) -> list[str]:
        """How a task differs from the nearest result of its function."""
        by_code = self._by_code(details.function)
        latest = list(islice(by_code, MAX_CODES))
        nearest: tuple[int, list[str], PastResult] | None = None
        for code in dict.fromkeys([*latest, *{details.code}.intersection(by_code)]):
            number, result = by_code[code].nearest(details.arguments)
            changes = self.code_changes(code, details.code, function)
            if nearest is None or number + len(changes) < nearest[0]:
                nearest = number + len(changes), changes, result
        if nearest is None:
            return []
        _, changes, result = nearest
        return [*first_changes(changes), *argument_changes(result.arguments, details.arguments)]

    def code_changes(self, before: str, now: str, function: Any) -> list[str]:
        """All that changed in a function, by the digests of its code."""
        if before == now:
            return []
        if (before, now) not in self._changes:
            old = next(
                (note for note in self.notes(f"code-{before}") if isinstance(note, dict)), {}
            )
            if now not in self._descriptions:
                self._descriptions[now] = (
                    describe_code(function, self._versions) if function is not None else {}
                )
            new = self._descriptions[now]
            changes = code_changes(old, new) if old and new else []
            self._changes[before, now] = changes or [_UNKNOWN_CHANGE]
        return self._changes[before, now]


def explain(store: Store, *collections: Any) -> Explanation:
    """What a run of some collections would do with each task, and why. Nothing is computed.

    A hit is loaded; a miss is computed, and stored if that is worth it; a skipped task is computed,
    neither looked up nor stored; a culled task has no consumer that runs. The reason of a
    miss is how it differs from the nearest result of the same function; or that it is equal to
    another task, whose result it loads if that is stored in time.
    """
    # Without this import there is no client.
    process = where_tasks_run(get_scheduler()) if "distributed" in sys.modules else None
    tasks, outputs, _, inner = open_collections(collections)
    plan, past = make_plan(store, tasks, outputs, process=process, inner=inner), _Past(store)
    lines, missed = [], set()
    for key in plan.digests.numbers:
        if (status := plan.status.get(key)) is None:
            continue
        line, digest = _line(plan, key, past), plan.digests.digest(key)
        if status == "miss" and digest in missed:
            line = line._replace(why=_REPEATED)
        elif status == "miss":
            missed.add(digest)
        lines.append(line)
    store.failures.emit_warnings()
    return Explanation(lines)


_REPEATED = "equal to another task: the later of them loads the result, if it is stored"


def _line(plan: Plan, key: Key, past: _Past) -> Line:
    status, node = plan.status[key], plan.tasks[key]
    line = Line(status, task_call(key, node), "", key, task_name(key, node))
    match status:
        case "hit":
            entry, _, is_by_content = plan.found[key]
            why = "by the content of its inputs" if is_by_content else "stored"
            return line._replace(why=why, seconds=entry.seconds, bytes=entry.bytes)
        case "miss":
            return line._replace(why=_miss_reason(plan, key, past))
        case "skipped":
            return line._replace(why=plan.reasons[key])
    return line._replace(why="no consumer runs")


def _miss_reason(plan: Plan, key: Key, past: _Past) -> str:
    """How a task differs from the nearest result of its function."""
    node, digest = plan.tasks[key], plan.digests.digest(key)
    if change := plan.changes.get(key):
        return change
    details = task_details(key, node, plan.digests)
    results = past.results(details.function)
    if digest in results:
        return results[digest].why or "evicted"
    if not results:
        is_new = key in plan.outputs or not past.notes("runs")
        return "never computed" if is_new else "never stored: new, or quick to compute"
    return "; ".join(past.changes(details, task_function(node))) or _UNKNOWN_CHANGE


_UNKNOWN_CHANGE = "its code, or what it reaches, changed"


def code_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two descriptions of a function, for a person.

    >>> code_changes({"its own": {"code": "a"}}, {"its own": {"code": "b"}})
    ['its code changed']
    """
    changes: list[str] = []
    for name in sorted({**before, **now}, key=lambda name: name != ITSELF):
        old, new = before.get(name), now.get(name)
        if name == "libraries":
            for library, version in (new or {}).items():
                if (was := (old or {}).get(library, "not used")) != version:
                    was, version = was.partition(" #")[0], version.partition(" #")[0]
                    is_new = was != version
                    text = f"was {was}, is {version}" if is_new else f"{version} has other code"
                    changes.append(f"library {library} {text}")
        elif new is None:
            changes.append(f"{name} is no longer used")
        elif not isinstance(old, dict):
            changes.append(f"{name}{new.get('in', '')} is new")
        else:
            changes += _part_changes(name, old, new)
    # Another definition in the same place is a change of its own.
    return [change for change in changes if "definition" not in change] or changes


def first_changes(changes: list[str]) -> list[str]:
    """The first of some changes, and how many more there are."""
    more = len(changes) - MAX_CHANGES
    return [*changes[:MAX_CHANGES], f"{more} more changes"] if more > 0 else changes


_PLAIN_PARTS = ("code", "bases", "metaclass", "defaults", "keyword defaults")
"""Parts whose contents are too long to be shown."""


def _part_changes(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """The changed parts of a definition; its code covers all of them."""
    parts = [part for part in {**old, **new} if old.get(part) != new.get(part) and part != "in"]
    place = f"{name}{new.get('in', '')}"
    if name != ITSELF and "code" in parts:
        yield f"{place} changed"
        return
    owner = "" if name == ITSELF else f" of {place}"
    for part in parts:
        if part in _PLAIN_PARTS:
            yield f"{'its' if name == ITSELF else 'the'} {part}{owner} changed"
        elif part in old and part in new and _is_short(old[part]) and _is_short(new[part]):
            yield f"{part}{owner} was {old[part]}, is {new[part]}"
        else:
            yield f"{part}{owner} changed"


def _is_short(text: str) -> bool:
    """Whether a text shows a value, not a hash or the name of a definition."""
    return len(text) <= 40 and "#" not in text and "definition" not in text


def argument_changes(before: list[list[str]], now: list[list[str]]) -> list[str]:
    """Which arguments changed, for a person; each is a text and a digest.

    >>> argument_changes([["1", "a"], ["0.1", "b"]], [["1", "a"], ["0.2", "c"]])
    ['argument 2 was 0.1, is 0.2']
    """
    if len(before) != len(now):
        return [f"it took {len(before)} arguments, takes {len(now)}"]
    changes = []
    for place, pair in enumerate(zip(before, now, strict=True), 1):
        (old, old_digest), (new, new_digest) = pair
        if old_digest == new_digest != "":
            continue
        name, sign, value = new.partition("=")
        argument = f"argument {place}"
        if sign and name.isidentifier() and old.startswith(f"{name}="):
            argument, old, new = f"argument {name}", old.removeprefix(f"{name}="), value
        if old != new:
            changes.append("{} was {}, is {}".format(argument, *_contrasted(old, new)))
        elif new_digest.startswith(INPUT) and old_digest.startswith(INPUT):
            changes.append(f"its input {cut(new, WIDTH)} changed")
        else:
            changes.append(f"{argument}, {cut(new, WIDTH)}, has other content")
    return changes


def _contrasted(old: str, new: str) -> tuple[str, str]:
    """Two texts, cut off so that the first difference is seen."""
    pairs = enumerate(zip(old, new, strict=False))
    equal = next((place for place, pair in pairs if pair[0] != pair[1]), len(old))
    if max(len(old), len(new)) > WIDTH and equal >= WIDTH // 2:
        start = equal - WIDTH // 3
        old, new = f"…{old[start:]}", f"…{new[start:]}"
    return cut(old, WIDTH), cut(new, WIDTH)
