"""Two graphs of the same calls: the tree and the DAG, or a graph as it was built and as shared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dask.task_spec import TaskRef

from pipeline.draw.dot import PLAIN, Heading, Style, colours, count_tasks, subproblems
from pipeline.draw.folding import Panel, check_nodes, fold, tree_panel, whole_panel
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


@dataclass(frozen=True, repr=False)
class Comparison:
    """A graph with one task per subproblem, beside the graph with all evaluations.

    graph: the DAG
    left, right: the panel of the tree, or of a graph as it was built, and the panel of the DAG
    headings: of both
    before: tasks on the left, exact
    times: how often the left evaluates each subproblem that is shown
    built: where the left is no tree, the graph as it was built, whose keys are those of its boxes
    names: where the tasks had other keys before, the key in the graph of each
    """

    graph: TaskGraph
    left: Panel
    right: Panel
    headings: tuple[Heading, Heading]
    before: int
    times: Mapping[Key, int]
    title: Heading
    style: Style
    built: TaskGraph | None = None
    names: Mapping[Key, Key] | None = None

    @property
    def shown(self) -> list[Key]:
        """The subproblems in the picture."""
        boxes = (*self.left.boxes, *self.right.boxes)
        return list({box.key: None for box in boxes if box.key is not None})

    @cached_property
    def hues(self) -> dict[Key, str]:
        """The colour of each subproblem, the same in both panels."""
        return colours(subproblems((self.left, self.right), self.graph), self.style)

    def unshared(self) -> TaskGraph:
        """The graph on the left, whose keys are those of its boxes. Raises `LimitError`."""
        return self.built or unfold(self.graph)


def compare(
    collections: Any, style: Style, nodes: int, store: Any = None, unfolded: int = 0
) -> Comparison:
    """Compare a call's tree with its DAG, or any other collections with what sharing makes of them.

    nodes: per panel, at least 3
    store: a `Store`; tasks have the colour of what a run with it does
    unfolded: graphs that have no more tasks, both sides together, are not folded

    Raises `ValueError` for a graph that is a tree already, `TypeError` for what has no tasks.
    """
    check_nodes(nodes)
    if not any(isinstance(leaf, GraphCollection) for leaf in leaves(collections)):
        is_shared = isinstance(collections, ShareReport)
        shared = collections if is_shared else share_report(collections)
        if not shared.before:
            raise TypeError(
                f"{short_repr(collections)} has no tasks: give a call, or a Dask collection"
            )
        return _built_and_shared(shared, style, nodes, store, unfolded)
    is_graph = isinstance(collections, GraphCollection)
    graph = graph_of(collections) if is_graph else trace(collections)
    if any(subproblem(key) is not key for key in graph.tasks):
        raise ValueError(f"{graph!r} is a tree already: contrast the call, or its DAG")
    if store is not None:
        style = style.with_statuses(store.explain(graph).statuses)
    counts = count(graph)
    if counts.tree + counts.dag <= unfolded:
        nodes = max(nodes, counts.tree + counts.dag)
    tree = tree_panel(graph, nodes, counts.tree)
    dag = fold(whole_panel(graph, "dag"), nodes, counts.dag)
    headings = (
        Heading("tree", count_tasks(counts.tree), ("one per call",)),
        Heading("DAG", count_tasks(counts.dag), ("one per subproblem",)),
    )
    title = _title(
        f"{format_number(counts.tree)} ÷ {counts.dag:,} = {format_number(counts.sharing)}",
        style,
        "×5: evaluated five times in the tree · box: base case",
    )
    times = occurrences(graph, {box.key for box in (*tree.boxes, *dag.boxes)})
    return Comparison(graph, tree, dag, headings, counts.tree, times, title, style)


def _built_and_shared(
    shared: ShareReport, style: Style, nodes: int, store: Any, unfolded: int
) -> Comparison:
    graph = shared.graph
    if shared.before + shared.after <= unfolded:
        nodes = max(nodes, shared.before + shared.after)
    style = style._replace(label=lambda key: short_label(key, 14)) if style is PLAIN else style
    numbers, titles = shared.merged.numbers, shared.titles
    names = {key: titles[number] for key, number in numbers.items()}
    if store is not None:
        style = style.with_statuses(_statuses(shared, names, store))
    is_tree = tree_size(graph) == shared.before
    built = None if is_tree else _as_built(shared)
    left = (
        tree_panel(graph, nodes, shared.before)
        if built is None
        else fold(whole_panel(built, "tree", subproblem), nodes, shared.before)
    )
    right = fold(whole_panel(graph, "dag"), nodes, len(graph))
    headings = (
        Heading("tree" if is_tree else "graph", count_tasks(shared.before), ("as it was built",)),
        Heading("shared", count_tasks(len(graph)), ("one per subproblem",)),
    )
    title = _title(
        f"{shared.before:,} ÷ {shared.after:,} = {format_number(shared.factor)}",
        style,
        "×5: five tasks before · box: no inputs",
    )
    times = dict.fromkeys(graph.tasks, 1)
    times |= {name: 1 + shared.merged.repeats[number] for number, name in titles.items()}
    return Comparison(
        graph, left, right, headings, shared.before, times, title, style, built, names
    )


def _title(factor: str, style: Style, marks: str) -> Heading:
    legend = f"{style.legend} · solid: evaluated first · dashed: evaluated again"
    return Heading("sharing factor", factor, (legend, marks))


def _statuses(shared: ShareReport, names: Mapping[Key, Key], store: Any) -> dict[Key, str]:
    """What a run with a store does with each task, by its name in the shared graph."""
    outputs = [TaskRef(key) for key in shared.keys]
    given = TaskGraph(dict(shared.merged.original), outputs, token=uuid4().hex)
    statuses = store.explain(given).statuses
    # Of equal tasks some may be culled: the status of the others says more.
    order = sorted(statuses, key=lambda key: statuses[key] != "culled")
    return {names[key]: statuses[key] for key in order}


def _as_built(shared: ShareReport) -> TaskGraph:
    """The graph before sharing, each task a numbered evaluation of its subproblem."""
    merged = shared.merged
    times: Counter[int] = Counter()
    ids: dict[Key, Key] = {}
    tasks: dict[Key, Any] = {}
    for key, number in merged.numbers.items():
        node = merged.original.get(key)
        inputs = tuple(ids[source] for source in inputs_of(node))
        if key in merged.pointers:  # inputs come first, so the task that it points to has an id
            [ids[key]] = inputs
            continue
        times[number] += 1
        ids[key] = occurrence(shared.titles[number], times[number])
        node = node or shared.graph.tasks[shared.titles[number]]  # data that a cluster holds
        is_future = isinstance(node, TaskRef)
        tasks[ids[key]] = node if is_future else CallTask(ids[key], function_of(node), inputs)
    return TaskGraph(tasks, [TaskRef(ids[key]) for key in shared.keys])
