"""What a run with a store would do with each task, and why, before it runs."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pipeline.cache.causes import argument_changes, described, differences
from pipeline.cache.plan import HIT, MISS, SKIPPED, Plan, Status, make_plan
from pipeline.cache.remains import asked
from pipeline.cache.told import call_of, function_of_task, title_of, told
from pipeline.identity import format_duration, format_number
from pipeline.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    History = Callable[[str], list[list[Any]]]


class Line(NamedTuple):
    """A task: whether it is a `hit`, a `miss`, `skipped` or `culled`, and why.

    seconds, bytes: that the stored result took; 0 if there is none
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

    Tasks of one function that share their fate for one reason stand in one line.
    """

    lines: list[Line]

    def count(self, status: str) -> int:
        """How many tasks are a `hit`, a `miss`, `skipped` or `culled`."""
        return sum(each.status == status for each in self.lines)

    @property
    def statuses(self) -> dict[Key, Status]:
        """What happens to each task, by key: `hit`, `miss`, `skipped` or `culled`."""
        return {line.key: line.status for line in self.lines}

    def rows(self) -> list[tuple[str, str, str]]:
        """Status, task and reason of each line of the table."""
        alike: dict[tuple[str, str, str], list[Line]] = {}
        for each in self.lines:
            why = "" if each.status == "hit" else each.why
            alike.setdefault((each.status, each.function, why), []).append(each)
        found = []
        for (status, function, why), lines in alike.items():
            what = lines[0].call if len(lines) == 1 else f"{len(lines):,} of {function}"
            if status == "hit":
                seconds, taken = sum(each.seconds for each in lines), sum(x.bytes for x in lines)
                why = f"{format_number(taken)} bytes, took {format_duration(seconds)}"
            found.append((status, what, why))
        return _shortened(found)

    def __str__(self) -> str:
        rows = self.rows()
        widths = [min(max((len(row[place]) for row in rows), default=0), 40) for place in (0, 1)]
        indent = " " * (sum(widths) + 4)
        table = [
            textwrap.fill(
                f"{status:{widths[0]}}  {what:{widths[1]}}  {why}", 80, subsequent_indent=indent,
                replace_whitespace=False, break_long_words=False,
            )
            for status, what, why in rows
        ]  # fmt: skip
        totals = [f"{self.count(each):,} {each}" for each in get_args(Status) if self.count(each)]
        return "\n".join([*table, ", ".join(totals) or "no tasks"])

    __repr__ = __str__


def _shortened(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Rows of which no more than some tell of one function, each with a reason of its own."""
    found, times = [], Counter[tuple[str, str]]()
    for status, what, why in rows:
        function = what.partition("(")[0]
        times[status, function] += 1
        if times[status, function] <= _MOST:
            found.append((status, what, why))
    for (status, function), number in times.items():
        if number > _MOST:
            found.append((status, f"{number - _MOST:,} more of {function}", "…"))
    return found


_MOST = 8
"""Lines that tell of one function, each for a reason of its own."""


def explain(store: Store, *collections: Any) -> Explanation:
    """What a run of some collections would do with each task, and why. Nothing is computed.

    A hit is loaded; a miss is computed, and stored if that is worth it; what is skipped is
    computed, neither looked up nor stored; what is culled is needed by nothing that runs. A miss
    is told against the nearest result of the same function that was stored.
    """
    tasks, outputs = asked(collections)
    plan = make_plan(store, tasks, outputs)
    history = cache(store.history)  # of each function, asked for once
    lines = [_line(plan, key, history) for key in plan.digests.numbers if key in plan.status]
    store.emit_warnings()
    return Explanation(lines)


def _line(plan: Plan, key: Key, history: History) -> Line:
    status, node = plan.status[key], plan.tasks[key]
    call, function = call_of(key, node), title_of(key, node)
    if status == HIT:
        entry = plan.entries[key][0]
        return Line(status, call, "stored", key, function, entry.seconds, entry.bytes)
    if status == MISS:
        why = _cause(plan, key, history)
    else:
        why = plan.why.get(key, "") if status == SKIPPED else "what takes it is loaded"
    return Line(status, call, why, key, function)


def _cause(plan: Plan, key: Key, history: History) -> str:
    """Why a result is not in the store: what differs from the nearest that was."""
    node, digest = plan.tasks[key], plan.digests.digest(key)
    about = told(key, node, plan.digests)
    known_of = history(about["function"])
    for known, _, _, why in reversed(known_of):
        if known == digest:
            return str(why) or "evicted"
    if not known_of:
        is_new = key in plan.outputs or not plan.store.noted("runs")
        return "never computed" if is_new else "never stored: new, or quick to compute"
    likeness = [(_likeness(each, about), place) for place, each in enumerate(known_of)]
    nearest = known_of[max(likeness)[1]]
    changes = []
    if nearest[1] != about["code"]:
        changes = _code_changes(plan.store, nearest[1], function_of_task(node))
    changes += argument_changes(nearest[2], about["arguments"])
    return "; ".join(changes) or "its code, or what it reaches, changed"


def _likeness(line: list[Any], about: dict[str, Any]) -> float:
    """How many arguments a result that was stored has in common with a task."""
    pairs = zip(line[2], about["arguments"], strict=False)
    same = sum(old[1] == new[1] for old, new in pairs) / max(len(about["arguments"]), 1)
    like = same + 0.5 * (line[1] == about["code"]) + (len(line[2]) == len(about["arguments"]))
    return float(like)


def _code_changes(store: Store, code: str, function: Any) -> list[str]:
    before = next((each for each in store.noted(f"code-{code}") if isinstance(each, dict)), None)
    found = differences(before, described(function)) if before and function is not None else []
    return found or ["its code, or what it reaches, changed"]
