"""A collection that is too large to be shown task by task, layer by layer.

A layer has the tasks of one operation: their keys begin with one name and token, as Dask's do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from dask.task_spec import TaskRef
from dask.typing import Key

from pipeline.draw import Comparison, Picture, Style, visualize
from pipeline.graph import CallTask, TaskGraph, function_name, inputs_of
from pipeline.identity import format_duration, format_number
from pipeline.page.parts import Figure, Part, Table
from pipeline.share import ShareReport

LAYERED = 300
"""A collection of more tasks is shown layer by layer."""


class Layer(NamedTuple):
    """The tasks of one operation.

    before, after: tasks as built and as shared
    unshared, shared: the seconds of both, measured; without a run of the first, predicted
    inputs: names of the layers whose values it takes
    """

    name: str
    before: int
    after: int
    unshared: float
    shared: float
    inputs: list[str]


def layers_of(
    shared: ShareReport, before_seconds: Mapping[Key, float], seconds: Mapping[Key, float]
) -> list[Layer]:
    """The layers of a collection, inputs before their consumers.

    before_seconds, seconds: of the subproblems in `shared.graph`, without sharing and with it
    """
    merged = shared.merged
    tasks = [key for key in merged.numbers if key not in merged.origins]
    inputs = {
        key: [merged.origins.get(source, source) for source in inputs_of(merged.original.get(key))]
        for key in tasks
    }
    names = _names(inputs)
    before: Counter[str] = Counter(names.values())
    after: Counter[str] = Counter()
    times: dict[str, list[float]] = {name: [0.0, 0.0] for name in before}
    for number, key in merged.defining.items():
        title = shared.titles[number]
        after[names[key]] += 1
        times[names[key]][0] += before_seconds.get(title, 0.0)
        times[names[key]][1] += seconds.get(title, 0.0)
    sources: dict[str, dict[str, None]] = {name: {} for name in before}
    for key, taken in inputs.items():
        sources[names[key]].update(dict.fromkeys(map(names.__getitem__, taken)))
    order = TopologicalSorter({name: {*taken} - {name} for name, taken in sources.items()})
    return [
        Layer(name, before[name], after[name], times[name][0], times[name][1],
              [source for source in sources[name] if source != name])
        for name in order.static_order()
    ]  # fmt: skip


def _names(inputs: Mapping[Key, list[Key]]) -> dict[Key, str]:
    """The layer of each task. Layers that take each other's values are one."""
    heads: dict[Key, Key] = {
        key: key[0] if isinstance(key, tuple) else function_name(key) for key in inputs
    }
    while True:
        takes: dict[Key, set[Key]] = {head: set() for head in heads.values()}
        for key, taken in inputs.items():
            takes[heads[key]].update({heads[source] for source in taken} - {heads[key]})
        try:
            TopologicalSorter(takes).prepare()
            break
        except CycleError as error:
            first, *others = error.args[1]
            heads = {key: first if head in others else head for key, head in heads.items()}
    shown: dict[Key, str] = {}
    times: Counter[str] = Counter()
    for head in dict.fromkeys(heads.values()):
        name = function_name(head)
        times[name] += 1
        shown[head] = name if times[name] == 1 else f"{name} #{times[name]}"
    return {key: shown[head] for key, head in heads.items()}


def layer_parts(
    compared: Comparison, before: Mapping[Key, float], seconds: Mapping[Key, float]
) -> list[Part]:
    """The picture of the layers of a collection, and their table, with seconds as `layers_of`."""
    if compared.shared is None:
        raise TypeError("calls have no layers: give any other Dask collection")
    found = layers_of(compared.shared, before, seconds)
    rows = [
        [layer.name, layer.before, layer.after, format_duration(layer.unshared),
         format_duration(layer.shared)]
        for layer in found
    ]  # fmt: skip
    head = ("layer", "tasks", "after sharing", "take", "after sharing, take")
    return [
        Figure(
            _picture(found),
            "The layers of the collection",
            _NOTE,
        ),
        Table("Layers", head, rows),
    ]


_NOTE = "One box, one layer: its tasks → those that sharing leaves."


def _picture(found: list[Layer]) -> Picture:
    texts = {
        layer.name: f"{layer.name}: {format_number(layer.before)}"
        + (f" → {format_number(layer.after)}" if layer.after < layer.before else "")
        for layer in found
    }
    tasks = {layer.name: CallTask(layer.name, str, tuple(layer.inputs)) for layer in found}
    taken = {source for layer in found for source in layer.inputs}
    graph = TaskGraph(tasks, [TaskRef(name) for name in tasks if name not in taken])
    return visualize(graph, style=Style(label=lambda key: texts[str(key)]))
