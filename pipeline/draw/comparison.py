"""Two graphs of the same calls: the tree and the DAG, or a graph as it was built and as shared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef

from pipeline.cache import CULLED, make_plan
from pipeline.draw.folding import Box, Panel, as_it_is, check_limit, fold, tree_of
from pipeline.draw.labels import count_tasks
from pipeline.draw.style import PLAIN, Style
from pipeline.graph import (
    CallTask,
    GraphCollection,
    TaskGraph,
    count,
    function_of,
    graph_of,
    inputs_of,
    leaves,
    occurrence,
    occurrences,
    short_label,
    subproblem,
    tree_size,
    unfold,
)
from pipeline.identity import format_number, short_repr
from pipeline.share import ShareReport, share_report
from pipeline.trace import trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dask.typing import Key

    from pipeline.store import Store


@dataclass(frozen=True, repr=False)
class Comparison:
    """A graph with one task per subproblem, beside what it stands for.

    graph: the DAG
    left, right: what a picture shows of the tree, or of a graph as it was built, and of the DAG
    headings: of either; lines part at `|`
    before: tasks on the left, exact
    times: how often the left evaluates each subproblem that is shown
    built: where the left is no tree, the graph as it was built, whose keys are those of its boxes
    names: where the tasks had other keys before, the key in the graph of each
    """

    graph: TaskGraph
    left: Panel
    right: Panel
    headings: tuple[str, str]
    before: int
    times: Mapping[Key, int]
    title: str
    style: Style
    built: TaskGraph | None = None
    names: Mapping[Key, Key] | None = None

    @property
    def shown(self) -> list[Key]:
        """The subproblems in the picture."""
        boxes = (*self.left.boxes, *self.right.boxes)
        return list({box.key: None for box in boxes if box.key is not None})

    def unshared(self) -> TaskGraph:
        """The graph on the left, whose keys are those of its boxes. Raises `LimitError`."""
        return self.built or unfold(self.graph)


def compared(
    asked: Any, style: Style, limit: int, store: Store | None = None, whole: int = 0
) -> Comparison:
    """Set a call's tree beside its DAG, or any other collections beside what sharing makes of them.

    limit: boxes a side, at least 3
    store: to colour tasks by what a run with it would do
    whole: graphs that have no more tasks, both sides together, are not folded

    Raises `ValueError` for a graph that is a tree already, `TypeError` for what has no tasks.
    """
    check_limit(limit)
    if not any(isinstance(each, GraphCollection) for each in leaves(asked)):
        shared = asked if isinstance(asked, ShareReport) else share_report(asked)
        if not shared.before:
            raise TypeError(f"{short_repr(asked)} has no tasks: give a call, or a Dask collection")
        return _shared(shared, style, limit, store, whole)
    graph = graph_of(asked) if isinstance(asked, GraphCollection) else trace(asked)
    if any(subproblem(key) is not key for key in graph.tasks):
        raise ValueError(f"{graph!r} is a tree already: contrast the call, or its DAG")
    if store is not None:
        style = style.fated(make_plan(store, graph.tasks, graph.keys).status)
    counts = count(graph)
    limit = _limit(limit, whole, counts.tree + counts.dag)
    tree = tree_of(graph, limit, counts.tree)
    dag = fold(as_it_is(graph, "dag"), limit, counts.dag)
    headings = (
        f"tree: {count_tasks(counts.tree)}|one per call",
        f"DAG: {count_tasks(counts.dag)}|one per subproblem",
    )
    times = occurrences(graph, {box.key for box in (*tree.boxes, *dag.boxes)})
    title = (
        f"sharing factor: {format_number(counts.tree)} ÷ {counts.dag:,} = {format_number(counts.sharing)}"
        f"|{style.legend} · solid: evaluated first · dashed: evaluated again"
        "|×5: evaluated five times in the tree · box: base case"
    )
    return Comparison(graph, tree, dag, headings, counts.tree, times, title, style)


def _shared(
    shared: ShareReport, style: Style, limit: int, store: Store | None, whole: int
) -> Comparison:
    """A graph as somebody built it, beside the shared one."""
    graph = shared.graph
    limit = _limit(limit, whole, shared.before + shared.after)
    style = style._replace(label=lambda key: short_label(key, 14)) if style is PLAIN else style
    numbers, titles = shared.merged.numbers, shared.titles
    names = {key: titles[number] for key, number in numbers.items()}
    if store is not None:
        found = make_plan(store, shared.merged.given, shared.keys).status
        # Of equal tasks some may be culled: what happens to one of them is what is told.
        order = sorted(found, key=lambda key: found[key] != CULLED)
        style = style.fated({names[key]: found[key] for key in order})
    is_tree = tree_size(graph) == shared.before
    built = None if is_tree else _as_built(shared)
    left = (
        tree_of(graph, limit, shared.before)
        if built is None
        else fold(_numbered(built), limit, shared.before)
    )
    right = fold(as_it_is(graph, "dag"), limit, len(graph))
    headings = (
        f"{'tree' if is_tree else 'graph'}: {count_tasks(shared.before)}|as it was built",
        f"shared: {count_tasks(len(graph))}|one per subproblem",
    )
    title = (
        f"sharing factor: {shared.before:,} ÷ {shared.after:,} = {format_number(shared.factor)}"
        f"|{style.legend} · solid: evaluated first · dashed: evaluated again"
        "|×5: five tasks before · box: no inputs"
    )
    times = dict.fromkeys(graph.tasks, 1)
    repeats = shared.merged.repeats
    times |= {name: 1 + repeats[number] for number, name in titles.items()}
    return Comparison(
        graph, left, right, headings, shared.before, times, title, style, built, names
    )


def _limit(limit: int, whole: int, number: int) -> int:
    return max(limit, number) if number <= whole else limit


def _as_built(shared: ShareReport) -> TaskGraph:
    """The graph before sharing, each task a numbered evaluation of its subproblem."""
    merged = shared.merged
    numbers: Counter[int] = Counter()
    ids: dict[Key, Key] = {}
    tasks: dict[Key, Any] = {}
    for key, number in merged.numbers.items():
        node = merged.given.get(key)
        taken = tuple(ids[each] for each in inputs_of(node))
        if key in merged.pointers:  # inputs come first, so that there is what it points to
            [ids[key]] = taken
            continue
        numbers[number] += 1
        ids[key] = occurrence(shared.titles[number], numbers[number])
        node = node or shared.graph.tasks[shared.titles[number]]  # which tells that it is held
        is_held = isinstance(node, TaskRef)  # data that a cluster holds
        tasks[ids[key]] = node if is_held else CallTask(ids[key], function_of(node), taken)
    return TaskGraph(tasks, [TaskRef(ids[key]) for key in shared.keys])


def _numbered(built: TaskGraph) -> Panel:
    """A box for each task, and the subproblem that it is of."""
    panel = as_it_is(built, "tree")
    boxes = [Box(box.id, subproblem(box.id), box.number) for box in panel.boxes]
    return Panel("tree", boxes, panel.edges)
