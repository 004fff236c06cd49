"""What a run with a store would do with each task, and why, before it runs."""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from dask.base import get_scheduler
from dask.typing import Key

from pipeline.cache.explaining import (
    NOT_STORED,
    UNKNOWN_CHANGE,
    Block,
    Change,
    Comparison,
    Past,
    varying_constants,
)
from pipeline.cache.plan import Plan, Status, final_key, make_plan
from pipeline.cache.running import open_collections, where_tasks_run
from pipeline.cache.saving import (
    TaskDetails,
    layer_of,
    short_path,
    task_arguments,
    task_call,
    task_details,
    task_name,
)
from pipeline.cache.task_digests import task_function
from pipeline.graph import inputs_of
from pipeline.identity import format_duration, format_number
from pipeline.store import Store

MAX_ROWS = 8
"""Rows about one function, each with another reason; causes that are named."""

MAX_CHANGES = 3
"""Changes of a task that are named one by one."""

FEW_ROWS = 4
"""A table of so many rows has no summary above it."""

MAX_TASK = 36
"""Characters of a task in the table."""

WIDTH = 80
"""Characters of a line of the table."""


class Line(NamedTuple):
    """What happens to a task, and why.

    kind: the reason, as tasks of one function share it
    layer: the name that the blocks of a collection share; of any other task that of its function
    seconds, bytes: of the stored result; 0 if there is none
    causes: the changes for which the task runs: its own, and those of tasks before it
    is_listed: whether the table names it; else it counts it
    """

    status: Status
    call: str
    why: str
    key: Key
    function: str
    kind: str
    layer: str
    seconds: float = 0.0
    bytes: int = 0
    causes: tuple[str, ...] = ()
    is_listed: bool = True


@dataclass(frozen=True)
class Explanation:
    """What a run would do with each task, inputs before their consumers.

    As text: the changes for which tasks run, then a table, in which tasks of one function with one
    status and one reason share a row.
    """

    lines: list[Line]

    def count(self, status: str) -> int:
        """How many tasks are a `hit`, a `miss`, `skipped` or `culled`."""
        return sum(line.status == status for line in self.lines)

    @property
    def statuses(self) -> dict[Key, Status]:
        """What happens to each task, by key: `hit`, `miss`, `skipped` or `culled`."""
        return {line.key: line.status for line in self.lines}

    @property
    def causes(self) -> dict[str, int]:
        """How many tasks run for each change."""
        return dict(Counter(cause for line in self.lines for cause in line.causes))

    def summary(self) -> list[str]:
        """A line for each change: how many tasks run for it. None above a table of few rows."""
        if len(self.table()) <= FEW_ROWS:
            return []
        causes = [f"{cause} → {_tasks(number)} recomputed" for cause, number in self.causes.items()]
        more = len(causes) - MAX_ROWS
        return [*causes[:MAX_ROWS], f"{more:,} more changes"] if more > 1 else causes

    def rows(self) -> list[tuple[str, str, str]]:
        """Status, task and reason of all tasks."""
        return _rows(self.lines)

    def table(self) -> list[tuple[str, str, str]]:
        """As `rows`, in 80 columns; tasks culled or skipped on purpose are only counted."""
        rows = _rows(line for line in self.lines if line.is_listed)
        for status in ("skipped", "culled"):
            lines = [line for line in self.lines if line.status == status and not line.is_listed]
            if len({line.function for line in lines}) > 1:
                reasons = Counter(line.why for line in lines)
                texts = [f"{number:,}: {why}" for why, number in reasons.most_common(MAX_CHANGES)]
                why = next(iter(reasons)) if len(reasons) == 1 else "; ".join(texts)
                rows.append((status, _tasks(len(lines)), why))
            else:
                rows += _rows(lines)
        most = WIDTH - sum(_widths(rows)) - 4
        return [(status, _fitted(task, MAX_TASK), _fitted(why, most)) for status, task, why in rows]

    def __str__(self) -> str:
        rows = self.table()
        first, second = _widths(rows)
        table = [
            _filled(f"{status:{first}}  {task:{second}}  {why}", first + second + 4)
            for status, task, why in rows
        ]
        summary = [_filled(_fitted(text, WIDTH), 2) for text in self.summary()]
        return "\n".join([*summary, *[""][: len(summary)], *table, self.totals])

    @property
    def totals(self) -> str:
        """How many tasks have each status, as text: `1 hit, 2 miss`."""
        counts = {status: self.count(status) for status in get_args(Status)}
        texts = [f"{number:,} {status}" for status, number in counts.items() if number]
        return ", ".join(texts) or "no tasks"

    __repr__ = __str__


def _tasks(number: int) -> str:
    return f"{number:,} task{'s' if number != 1 else ''}"


def _widths(rows: Iterable[tuple[str, str, str]]) -> tuple[int, int]:
    """Of the first two columns."""
    columns = list(zip(*rows, strict=True))[:2] or ((), ())
    first, second = (max(map(len, column), default=0) for column in columns)
    return first, min(second, MAX_TASK)


def _fitted(text: str, width: int) -> str:
    """A text in which a word that is too long, as of a path, loses its beginning."""
    words = text.split(" ")
    return " ".join(word if len(word) <= width else f"…{word[1 - width :]}" for word in words)


def _filled(text: str, indent: int) -> str:
    return textwrap.fill(
        text, WIDTH, replace_whitespace=False, subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )  # fmt: skip


def _rows(lines: Iterable[Line]) -> list[tuple[str, str, str]]:
    """Rows of tasks of one function, or layer, that share a status and a reason."""
    groups: dict[tuple[Status, str, str], dict[str, list[Line]]] = {}
    layers: dict[str, set[str]] = {}
    for line in lines:
        by_kind = groups.setdefault((line.status, line.function, line.layer), {})
        by_kind.setdefault(line.kind, []).append(line)
        for name in (line.function, line.call):
            layers.setdefault(name, set()).add(line.layer)
    rows: list[tuple[str, str, str]] = []
    for (status, function, layer), by_kind in groups.items():
        name = _unique(function, function, layers[function], layer)
        for lines in list(by_kind.values())[:MAX_ROWS]:
            first = lines[0]
            task = _unique(first.call, function, layers[first.call], layer)
            task = task if len(lines) == 1 else f"{len(lines):,} of {name}"
            why = first.why if len(lines) == 1 else first.kind
            if status == "hit":
                size, seconds = sum(x.bytes for x in lines), sum(x.seconds for x in lines)
                entries = f"{format_number(size)} bytes, took {format_duration(seconds)}"
                why = f"{why}; {entries}" if why != "stored" else entries
            rows.append((status, task, why))
        if number := sum(map(len, list(by_kind.values())[MAX_ROWS:])):
            rows.append((status, f"{number:,} more of {name}", "…"))
    return rows


def _unique(call: str, function: str, layers: set[str], layer: str) -> str:
    """A call, with the beginning of the key where other layers have one of this name."""
    if len(layers) == 1 or not call.startswith(function):
        return call
    return f"{function}-{layer.rpartition('-')[2][:4]}{call.removeprefix(function)}"


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
    plan = make_plan(store, tasks, outputs, process=process, inner=inner)
    reasons = _Reasons(plan)
    lines = [reasons.line(key) for key in plan.digests.numbers if key in plan.status]
    store.failures.emit_warnings()
    return Explanation(lines)


class _Reason(NamedTuple):
    """Why a task runs.

    kind: the reason as tasks of one function share it; empty if it is the same
    causes: the changes of the task itself
    """

    why: str
    kind: str = ""
    causes: tuple[str, ...] = ()


class _Reasons:
    """Why the tasks of a plan are hits or misses, inputs before their consumers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        digests = plan.digests
        self.past = Past(plan.store, {digests.digest(key) for key in digests.numbers})
        self._outputs = {final_key(plan.tasks, key) for key in plan.outputs}
        self._causes: dict[Key, tuple[str, ...]] = {}
        self._changed: set[Key] = set()  # their results are other ones than before
        self._refused: set[Key] = set()  # their results are never stored
        self._details: dict[Key, TaskDetails] = {}
        self._layers: dict[Any, list[Key]] = {}  # the first two blocks of collections
        for key in plan.status:
            if isinstance(key, tuple) and len(layer := self._layers.setdefault(key[0], [])) < 2:
                layer.append(key)
        self._missed: set[str | None] = set()

    def line(self, key: Key) -> Line:
        plan, node = self.plan, self.plan.tasks[key]
        status, function = plan.status[key], task_name(key, node)
        layer = layer_of(key, node)
        line = Line(status, task_call(key, node), "", key, function, "", layer or function)
        match status:
            case "hit":
                entry, _, is_by_content = plan.found[key]
                why = "by the content of its inputs" if is_by_content else "stored"
                return line._replace(why=why, kind=why, seconds=entry.seconds, bytes=entry.bytes)
            case "culled":
                why = "no consumer runs"
                return line._replace(why=why, kind=why, is_listed=False)
        why, kind, causes = self._reason(key, is_block=bool(layer))
        self._causes[key] = causes
        # One that is cheap, or a part of another task, is skipped on purpose, and has a digest.
        is_listed = status == "miss" or plan.digests.digest(key) is None
        return line._replace(why=why, kind=kind or why, causes=causes, is_listed=is_listed)

    def _reason(self, key: Key, is_block: bool) -> _Reason:
        """Why a task runs, with all changes for which it does."""
        tasks = self.plan.tasks
        sources = dict.fromkeys(final_key(tasks, source) for source in inputs_of(tasks[key]))
        running = [source for source in sources if source in self._causes]
        reason = self._own_reason(key, is_block, running)
        causes = dict.fromkeys(reason.causes)
        for source in running:
            causes |= dict.fromkeys(self._causes[source])
        if not self._changed.isdisjoint(running):
            self._changed.add(key)
        return reason._replace(causes=tuple(causes))

    def _own_reason(self, key: Key, is_block: bool, running: list[Key]) -> _Reason:
        plan, digest = self.plan, self.plan.digests.digest(key)
        function = task_name(key, plan.tasks[key])
        if digest is None:
            is_root = key in plan.digests.reasons
            return _Reason(
                plan.reasons[key], causes=(f"`{function}` is not stored",) if is_root else ()
            )
        if change := plan.changes.get(key):
            change = short_path(change)
            self._changed.add(key)
            reason = _Reason(change, causes=(change,))
        else:
            reason = self._difference(key, is_block, running)
        if plan.status[key] == "skipped":
            return _Reason(plan.reasons[key], causes=reason.causes)
        if digest in self._missed:
            return _Reason(_REPEATED, causes=reason.causes)
        self._missed.add(digest)
        return reason

    def _difference(self, key: Key, is_block: bool, running: list[Key]) -> _Reason:
        """How a task differs from the nearest result of its function, and which inputs do."""
        plan, node, past = self.plan, self.plan.tasks[key], self.past
        details = task_details(key, node, plan.digests)
        results = past.results(details.function)
        changed = [source for source in running if source in self._changed]
        refused = [source for source in running if source in self._refused]
        if (known := results.get(str(plan.digests.digest(key)))) and known.why != NOT_STORED:
            return self._unchanged(key, details.function, known.why)
        arguments = list(task_arguments(key, node, plan.digests))
        function = task_function(node)
        compared: Comparison | None = None
        own: list[Change] = []
        inputs: list[Change] = []
        if known is None and results:
            block = self._block(key, details) if is_block else None
            compared = past.compare(details, arguments, function, block)
            own, inputs, number = compared or ([], [], [])
            # Inputs that run as before were not stored: an older result had others.
            inputs = number or ([] if is_block and running else inputs)
            if changed:
                own = [change for change in own if not change.is_derived]
        if own:
            self._changed.add(key)
        causes = _causes_of(details.function, own)
        texts = first_changes(own)
        if inputs and not (is_block and changed):
            self._changed.add(key)
            roots = () if changed else _causes_of(details.function, inputs)
            text = "; ".join(dict.fromkeys([*texts, *(change.text for change in inputs)]))
            return _Reason(text, causes=(*causes, *roots))
        if changed and (results or key not in self._outputs):
            why, kind = self._followed(changed, "changed")
            return _Reason("; ".join([*texts, why]), "; ".join([*texts, kind]), causes)
        if texts:
            return _Reason("; ".join(texts), causes=causes)
        if refused:
            self._refused.add(key)
            return _Reason(*self._followed(refused, "is not stored"))
        if compared is not None and not is_block:
            return _Reason(UNKNOWN_CHANGE)
        is_new = known is None and (key in self._outputs or not past.notes("runs"))
        return _Reason("never computed" if is_new else NOT_STORED)

    def _block(self, key: Any, details: TaskDetails) -> Block:
        """What a block has in common with another one of its collection."""
        other = next((other for other in self._layers[key[0]] if other != key), None)
        if other is None:
            return Block()
        if other not in self._details:
            node = self.plan.tasks[other]
            self._details[other] = task_details(other, node, self.plan.digests)
        varying = varying_constants(details.arguments, self._details[other].arguments)
        return Block(varying, is_only=False)

    def _unchanged(self, key: Key, function: str, why: str) -> _Reason:
        """Why the result of a task is not there that was computed before."""
        if not why:
            return _Reason("evicted", causes=("evicted",))
        if why.startswith("not stored: "):  # nor is what depends on it
            self._refused.add(key)
        return _Reason(why, causes=(f"`{function}` is not stored",))

    def _followed(self, sources: list[Key], verb: str) -> tuple[str, str]:
        """Why a task runs that itself is as it was, and that reason for all of its function."""
        tasks = self.plan.tasks
        names = list(dict.fromkeys(task_name(source, tasks[source]) for source in sources))
        if len(sources) == 1:
            call = task_call(sources[0], tasks[sources[0]])
            return f"its input {call} {verb}", f"its input of `{names[0]}` {verb}"
        text = f"its inputs of `{'`, `'.join(names[:MAX_CHANGES])}` {verb}"
        return text, text


def first_changes(changes: list[Change]) -> list[str]:
    """The first of some changes, and how many more there are."""
    texts, more = [change.text for change in changes[:MAX_CHANGES]], len(changes) - MAX_CHANGES
    return [*texts, f"{more} more changes"] if more > 0 else texts


def _causes_of(function: str, changes: list[Change]) -> tuple[str, ...]:
    """Changes as they are named apart from their task."""
    return tuple(
        f"{function}: {change.text}" if change.is_of_task else change.text for change in changes
    )


_REPEATED = "equal to another task: the later of them loads the result, if it is stored"
