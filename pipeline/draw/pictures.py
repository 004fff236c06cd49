"""What a picture shows: a graph as it is, or two graphs of the same calls side by side.

The two are the tree and the DAG, or a graph as it was built and as shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.draw.dot import (
    PLAIN,
    Heading,
    Picture,
    Style,
    colours,
    count_tasks,
    subproblems,
    write,
)
from pipeline.draw.folding import MAX_NODES, Panel, check_nodes, fold, tree_panel, whole_panel
from pipeline.draw.labels import Labels, label_tasks
from pipeline.graph import (
    CallTask,
    GraphCollection,
    TaskGraph,
    function_of,
    graph_of,
    inputs_of,
    leaves,
    occurrence,
    occurrences,
    subproblem,
    tree_size,
    unfold,
)
from pipeline.identity import format_number, format_value, short_repr
from pipeline.program import Block, fuse
from pipeline.schedule import Frame, frames, recursion
from pipeline.share import ShareReport, share_report
from pipeline.trace import Call, trace


class Walk(NamedTuple):
    """The evaluation of one side, task by task.

    order: the box of each task, and its subproblem
    has_memory: whether a value that was read before is a hit; a tree computes it again
    tasks: all of this side, exact
    """

    panel: Panel
    heading: Heading
    graph: TaskGraph
    order: Iterable[tuple[Key, Key]]
    has_memory: bool
    tasks: int

    def frames(self, limit: int) -> Iterator[Frame]:
        """A frame for each of the first tasks. Once: the order may be an iterator."""
        return frames(self.graph, self.order, self.has_memory, limit)


@dataclass(frozen=True, repr=False)
class Comparison:
    """A graph with one task per subproblem, beside the graph with all evaluations.

    graph: the DAG
    before, after: tasks on the left and on the right, exact
    nodes: the most boxes of a panel
    built: where the left is no tree, the graph as it was built, whose keys are those of its boxes
    shared: of a collection that is no call, what sharing does to it
    names: then, the key in the graph of each task
    tasks: then, how many tasks each key of the graph had before
    parameters: their names, where they are known, by the first item of a key
    """

    graph: TaskGraph
    before: int
    after: int
    style: Style
    nodes: int
    built: TaskGraph | None = None
    shared: ShareReport | None = None
    names: Mapping[Key, Key] | None = None
    tasks: Mapping[Key, int] | None = None
    parameters: Mapping[Key, Sequence[str]] = field(default_factory=dict)

    @property
    def has_repeats(self) -> bool:
        """Whether there are two graphs to compare: nothing of a collection may be equal."""
        return self.is_call or self.after < self.before

    @property
    def panels(self) -> tuple[Panel, ...]:
        return (self.left, self.right) if self.has_repeats else (self.right,)

    @property
    def is_call(self) -> bool:
        """Whether the two are the tree and the DAG of calls."""
        return self.shared is None

    @cached_property
    def left(self) -> Panel:
        """The tree, or the graph as it was built."""
        if self.built is None:
            return tree_panel(self.graph, self.nodes, self.before)
        return fold(whole_panel(self.built, "tree", subproblem), self.nodes, self.before)

    @cached_property
    def right(self) -> Panel:
        name = "dag" if self.has_repeats else "graph"
        return fold(whole_panel(self.graph, name), self.nodes, len(self.graph))

    @property
    def headings(self) -> tuple[Heading, ...]:
        """Of the panels."""
        if not self.has_repeats:
            return (Heading("graph", count_tasks(self.after), ("as it was built",)),)
        left = "tree" if self.built is None else "graph"
        right, note = ("DAG", "one per call") if self.is_call else ("shared", "as it was built")
        return (
            Heading(left, count_tasks(self.before), (note,)),
            Heading(right, count_tasks(len(self.graph)), ("one per subproblem",)),
        )

    @property
    def title(self) -> Heading:
        """The sharing factor, what labels leave out, and the meaning of the marks."""
        if not self.has_repeats:
            return Heading("no two tasks are equal", "nothing is computed twice", self.legend)
        factor = format_number(Fraction(self.before, max(self.after, 1)))
        text = f"{format_number(self.before)} ÷ {self.after:,} = {factor}"
        where = [f"where {', '.join(self.labels.common)}"] if self.labels.common else []
        return Heading("sharing factor", text, (*where, *self.legend))

    @property
    def legend(self) -> tuple[str, ...]:
        """The meaning of the marks that are in the picture, in two lines."""
        shown = {box.key for box in self.right.boxes}
        repeated = [number for key, number in self.times.items() if key in shown and number > 1]
        looks, marks = [self.style.legend], []
        if repeated and self.has_repeats:
            looks += ["solid: evaluated first", "dashed: evaluated again"]
            number = min(repeated, key=lambda number: (abs(number - 5), number))
            example = format_number(number)
            how = "times in the tree" if self.is_call else "times before"
            marks = [f"×{example}: evaluated {example} {how}"]
        marks.append(f"box: {'base case' if self.is_call else 'no inputs'}")
        return " · ".join(looks), " · ".join(marks)

    @cached_property
    def labels(self) -> Labels:
        """The labels of the subproblems, and what stands in the title."""
        if self.style.label is not None:
            return Labels({key: self.style.label(key) for key in self.shown})
        shown = subproblems(self.panels, self.graph)
        return label_tasks(shown, self.parameters, is_call=self.is_call)

    @cached_property
    def shown(self) -> list[Key]:
        """The subproblems in the picture."""
        boxes = (box for panel in self.panels for box in panel.boxes)
        return list({box.key: None for box in boxes if box.key is not None})

    @cached_property
    def times(self) -> Mapping[Key, int]:
        """How often the left evaluates each subproblem that is shown."""
        return self.tasks or occurrences(self.graph, set(self.shown))

    @cached_property
    def hues(self) -> dict[Key, str]:
        """The colour of each subproblem, the same in both panels."""
        return colours(subproblems(self.panels, self.graph), self.style)

    def walks(self, ran: Iterable[Key]) -> list[Walk]:
        """The evaluation of each side.

        ran: the tasks of the right side, in the order of a run
        """
        *left, right = self.headings
        order = ((key, key) for key in ran)
        return [
            *(Walk(self.left, heading, self.graph, self._evaluations(), False, self.before)
              for heading in left),
            Walk(self.right, right, self.graph, order, True, len(self.graph)),
        ]  # fmt: skip

    def _evaluations(self) -> Iterator[tuple[Key, Key]]:
        """The box and the subproblem of each evaluation on the left, in order.

        Occurrences are numbered in this order: of a call, that of the naive recursion.
        """
        if self.built is not None:
            yield from ((key, subproblem(key)) for key in self.built.tasks)
        else:
            folded = {box.id for box in self.left.boxes if box.folded}
            yield from ((call.within, call.key) for call in recursion(self.graph, folded))

    def unshared(self) -> TaskGraph:
        """The graph on the left, whose keys are those of its boxes. Raises `LimitError`."""
        return self.built or unfold(self.graph)

    def picture(
        self, panels: Sequence[Panel], values: Mapping[Key, str], **options: Any
    ) -> Picture:
        """Some panels, with `options` as for `dot.write`."""
        style = self.style._replace(label=self.labels.texts.__getitem__)
        return Picture(write(panels, self.graph, values, self.times, style, **options))

    def inline(self, panel: Panel, values: Mapping[Key, str]) -> Picture:
        """One panel for a page: without headings, with the classes of `dot.write`."""
        return self.picture([panel], values, hues=self.hues, is_inline=True)


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
    if any(isinstance(leaf, GraphCollection) for leaf in leaves(collections)):
        is_graph = isinstance(collections, GraphCollection)
        graph = graph_of(collections) if is_graph else trace(collections)
        if _is_tree(graph):
            raise ValueError(f"{graph!r} is a tree already: contrast the call, or its DAG")
        if store is not None:
            style = style.with_statuses(store.explain(graph).statuses)
        names = _parameters(collections)
        compared = Comparison(graph, tree_size(graph), len(graph), style, nodes, parameters=names)
    else:
        shared = collections if isinstance(collections, ShareReport) else share_report(collections)
        if not shared.before:
            raise TypeError(
                f"{short_repr(collections)} has no tasks: give a call, or a Dask collection"
            )
        compared = _built_and_shared(shared, style, nodes, store)
    tasks = compared.before + compared.after
    return replace(compared, nodes=max(nodes, tasks)) if tasks <= unfolded else compared


def _built_and_shared(shared: ShareReport, style: Style, nodes: int, store: Any) -> Comparison:
    graph, titles, merged = shared.graph, shared.titles, shared.merged
    names = {key: titles[number] for key, number in merged.numbers.items()}
    if store is not None:
        style = style.with_statuses(_statuses(shared, names, store))
    built = None if tree_size(graph) == shared.before else _as_built(shared)
    times = dict.fromkeys(graph.tasks, 1)
    times |= {name: 1 + merged.repeats[number] for number, name in titles.items()}
    return Comparison(graph, shared.before, shared.after, style, nodes, built, shared, names, times)


def _parameters(collections: Any) -> dict[Key, Sequence[str]]:
    """The names of the parameters of calls, by the first item of their keys."""
    calls = [leaf for leaf in leaves(collections) if isinstance(leaf, Call)]
    return {
        call.key[0]: list(call.function.defaults)
        for call in calls if isinstance(call.key, tuple) and call.function.arity is not None
    }  # fmt: skip


def _is_tree(graph: TaskGraph) -> bool:
    return any(subproblem(key) is not key for key in graph.tasks)


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
        if key in merged.origins:  # inputs come first, so the task that it points to has an id
            [ids[key]] = inputs
            continue
        times[number] += 1
        ids[key] = occurrence(shared.titles[number], times[number])
        node = node or shared.graph.tasks[shared.titles[number]]  # data that a cluster holds
        is_future = isinstance(node, TaskRef)
        tasks[ids[key]] = node if is_future else CallTask(ids[key], function_of(node), inputs)
    return TaskGraph(tasks, [TaskRef(ids[key]) for key in shared.keys])


def visualize(
    graph: TaskGraph,
    filename: str | Path | None = None,
    format: str | None = None,  # noqa: A002 - as in `dask.visualize`
    *,
    values: bool | Mapping[Key, Any] = False,
    blocks: bool = False,
    style: Style = PLAIN,
    nodes: int = MAX_NODES,
    store: Any = None,
) -> Picture:
    """Draw a graph as it is, one node per task; save it where a file name is given.

    filename: ends in .svg, .png, .pdf or .dot, unless `format` names the format
    blocks: True to outline the blocks of cheap tasks that run as one
    nodes: at least 3; the middle of a larger graph is folded into one node
    values, style, store: as in `contrast`
    """
    check_nodes(nodes)
    if store is not None:
        style = style.with_statuses(store.explain(graph).statuses)
    panel = fold(whole_panel(graph, "tree" if _is_tree(graph) else "graph"), nodes, len(graph))
    shown = _values(graph, values, [box.key for box in panel.boxes if box.key is not None])
    fused = fuse(graph).tasks.values() if blocks else ()
    outlined = {
        key: node.key for node in fused if isinstance(node, Block) for key in node.function.keys
    }
    evaluations = Counter(map(subproblem, graph.tasks))
    picture = Picture(write([panel], graph, shown, evaluations, style, blocks=outlined))
    if filename is not None:
        picture.save(filename if format is None else Path(filename).with_suffix(f".{format}"))
    return picture


def contrast(
    collections: Any,
    *,
    values: bool | Mapping[Key, Any] = False,
    style: Style = PLAIN,
    nodes: int = MAX_NODES,
    store: Any = None,
) -> Picture:
    """Draw the tree beside the DAG, in one picture.

    collections: a call, or a graph with one task per subproblem; or any other Dask collections, a
        dict of tasks, or a `ShareReport`, whose graph is drawn before and after sharing
    values: True to compute and show the value of each task, or a mapping of keys to values
    style: how tasks are named, coloured and joined
    nodes: per panel, at least 3; in a larger tree each repeat is folded into one node with its
        size, and a panel that is still too large is folded in the middle
    store: a `Store`; tasks have the colour of what a run with it does: hit, miss, skipped, culled

    The tree is drawn from the DAG: it may have more tasks than could ever be built. Raises
    `ValueError` for a graph that is a tree already.
    """
    pair = compare(collections, style, nodes, store)
    shown = _values(pair.graph, values, pair.shown)
    return pair.picture(pair.panels, shown, headings=pair.headings, title=pair.title)


def _values(
    graph: TaskGraph, values: bool | Mapping[Key, Any], keys: Iterable[Key]
) -> Mapping[Key, str]:
    if not isinstance(values, Mapping):
        shown = TaskGraph(graph.tasks, [TaskRef(key) for key in keys])
        values = dict(zip(keys, shown.compute(scheduler="sync"), strict=True)) if values else {}
    return {key: format_value(values[key]) for key in keys if key in values}
