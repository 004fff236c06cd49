"""The memo table as a row or a grid: a cell for each call of one or two integers.

Arguments that are the same in all calls do not count. A prefix or a suffix of a sequence counts as
an integer, any other slice of it as two: where it starts and where it stops.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.draw import slices
from pipeline.graph import arguments, function_name, function_of, inputs_of
from pipeline.program import is_body
from pipeline.trace import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dask.typing import Key

    from pipeline.draw import Comparison, Panel
    from pipeline.graph import TaskGraph
    from pipeline.schedule import Observation

MAX_CELLS = 900
"""The most cells of a table, empty ones included."""

EMPTY = "–"
"""The label of an empty prefix or suffix."""

_CHOICES = {"min", "minimum", "max", "maximum"}


class Cell(NamedTuple):
    """A call in the table. `sources` are the numbers of the cells whose values it takes."""

    key: Key
    row: int
    column: int
    sources: Sequence[int] = ()


class Order(NamedTuple):
    """The numbers of the cells, each after its sources, and that order in words."""

    numbers: Sequence[int]
    words: str


@dataclass(frozen=True)
class Grid:
    """A memo table, its calls in rows and columns.

    size: the number of cells, empty ones included, or any over `most`: then none is shown
    names: of the arguments of rows and columns, where they are known
    cells: row by row
    path: the calls from which the result follows, where the recurrence chooses least or greatest
        values: pairs of a cell and one of its sources
    outside: places of no call, such as a slice that stops before it starts
    is_sparse: whether rows and columns without calls are left out
    most: the most cells that are shown
    """

    size: int
    names: tuple[str, str] = ("", "")
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    cells: Sequence[Cell] = ()
    order: Order = field(default_factory=lambda: Order((), ""))
    path: Sequence[tuple[int, int]] = ()
    outside: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    is_sparse: bool = False
    most: int = MAX_CELLS

    @property
    def lines(self) -> list[tuple[str, list[int | None]]]:
        """The rows: the label and the numbers of the cells; -1 for a place of no call."""
        numbers: dict[tuple[int, int], int] = dict.fromkeys(self.outside, -1)
        numbers |= {(cell.row, cell.column): number for number, cell in enumerate(self.cells)}
        return [
            (label, [numbers.get((row, column)) for column in range(len(self.columns))])
            for row, label in enumerate(self.rows)
        ]

    def notes(self, *, is_one: bool) -> dict[str, str]:
        """Both orders, and what they leave empty, in sentences. is_one: whether they are equal"""
        empty = self.size - len(self.cells)
        needed = f"{len(self.cells):,} of {self.size:,} cells" if empty else "every cell"
        order = "in the order of the run (small numbers)"
        run = f"Top-down, {order}. The result needs {needed}."
        loop = f"Bottom-up, {self.order.words}. Each cell comes after its sources."
        if empty:
            loop += f" A loop over the full table also fills the {empty:,} hatched cells."
        if is_one:
            run = loop = "Small numbers: the order of the run, and of a bottom-up loop."
        if self.is_sparse:
            run += " Rows and columns without a call are left out."
        return {
            "run": run,
            "loop": loop,
            "path": "Arrows show the choices that lead from a base case to the result.",
        }

    def data(self, run: Observation, panel: Panel, stride: int) -> dict[str, Any]:
        """What the scripts show: for each order, the rank of each cell and its frame.

        panel: the right side, whose boxes light up with the cells
        stride: tasks in a frame
        """
        boxes = {box.key: place for place, box in enumerate(panel.boxes)}
        ran = {key: place for place, key in enumerate(run.seconds)}
        keys = {cell.key for cell in self.cells}
        ranks = {key: rank for rank, key in enumerate(filter(keys.__contains__, ran))}
        turns = {number: turn for turn, number in enumerate(self.order.numbers)}
        is_one = len(self.cells) == self.size and all(
            ranks.get(cell.key) == turns[number] for number, cell in enumerate(self.cells)
        )
        return {
            "cells": [
                {
                    "box": boxes.get(key),
                    "value": run.values.get(key),
                    "takes": sources,
                    "run": [ranks[key], ran[key] // stride] if key in ran else None,
                    "loop": [turns[number], turns[number] // stride],
                }
                for number, (key, _, _, sources) in enumerate(self.cells)
            ],
            "path": self.path,
            "notes": self.notes(is_one=is_one),
        }


class Calls(NamedTuple):
    """The calls of a function: the arguments in which they differ, and the names of these."""

    names: Sequence[str]
    values: Mapping[Key, Sequence[Key]]


class Axis(NamedTuple):
    """One way through the table.

    argument: the place of the argument among those in which the calls differ
    places: of the values of the argument
    label: of a place
    """

    name: str
    argument: int
    places: Mapping[Key, int]
    label: Callable[[int], str] = str


class Spot(NamedTuple):
    """Where a call stands: the function, as the first item of its key, and a place on each axis."""

    function: Key
    down: int
    across: int


def grid(compared: Comparison) -> Grid | None:
    """The table of some calls; None if they do not differ in one or two integers alone.

    None, too, if no cell takes the value of another.
    """
    calls = _calls(compared) if compared.is_call else {}
    axes = _axes([*calls.values()])
    if not axes:
        return None
    if len(axes) == 1:
        axes = [Axis("", 0, dict.fromkeys(axes[0].places, 0), _no_label), *axes]
    elif axes[0].label is str and axes[1].label is not str:  # as people do, a sequence goes down
        axes.reverse()
    down, across = axes
    spots = {
        key: Spot(
            function, down.places[values[down.argument]], across.places[values[across.argument]]
        )
        for function, group in calls.items()
        for key, values in group.values.items()
    }
    filled = _filled(compared.graph, spots, down, across)
    has_sources = any(cell.sources for cell in filled.cells)
    return filled if has_sources or filled.size > MAX_CELLS else None


def _calls(compared: Comparison) -> dict[Key, Calls]:
    """The calls of each function, by the first item of their keys.

    All functions of the outputs are there, or none; then others whose arguments fit.
    """
    graph = compared.graph
    groups: dict[Key, list[Key]] = defaultdict(list)
    for key in graph.tasks:
        groups[key[0] if isinstance(key, tuple) else key].append(key)
    # The cells of an expression, such as `fib(6) + 1`, are those of its inputs.
    inputs = [source for key in groups.pop("expression", ()) for source in graph.inputs(key)]
    outputs = {key[0] if isinstance(key, tuple) else key: None for key in (*graph.keys, *inputs)}
    outputs.pop("expression", None)
    calls: dict[Key, Calls] = {}
    for function in (*outputs, *(name for name in groups if name not in outputs)):
        some = groups[function][: MAX_CELLS + 1]  # of more, none is shown
        group = _varying(some, compared.parameters.get(function, ()))
        if _axes([*calls.values(), group]):
            calls[function] = group
        elif function in outputs:
            return {}
    return calls


def _varying(keys: Sequence[Key], parameters: Sequence[str]) -> Calls:
    """The arguments in which the calls of a function differ; of a single call, its integers."""
    is_plain = len({len(key) if isinstance(key, tuple) else 0 for key in keys}) == 1
    rows = [[*map(_value, key[1:])] for key in keys if isinstance(key, tuple)] if is_plain else []
    columns = [*zip(*rows, strict=True)]
    places = [
        place for place, column in enumerate(columns)
        if len(set(column)) > 1 or (len(keys) == 1 and type(column[0]) is int)
    ]  # fmt: skip
    names = [parameters[place] if place < len(parameters) else "" for place in places]
    values = ([row[place] for place in places] for row in rows)
    return Calls(names, dict(zip(keys, values, strict=True)) if places else {})


def _value(argument: Key) -> Key:
    """An argument without its name, if it has one."""
    is_named = isinstance(argument, tuple) and argument[:1] == ("kw",)
    return argument[2] if is_named else argument


def _axes(calls: Sequence[Calls]) -> list[Axis]:
    """The one or two axes of some calls; none if these have other arguments."""
    rows = [values for group in calls for values in group.values.values()]
    lengths = {len(group.names) for group in calls}
    if len(lengths) != 1 or not lengths <= {1, 2}:
        return []
    found = [
        _ends(calls[0].names[place], place, [*dict.fromkeys(column)])
        for place, column in enumerate(zip(*rows, strict=True))
    ]
    axes = [axis for ends in found for axis in ends]
    return axes if all(found) and len(axes) <= 2 else []


def _ends(name: str, argument: int, values: Sequence[Key]) -> list[Axis]:
    """The axis of an argument, or those of both ends of a slice; none of any other argument."""
    numbers = {value: value for value in values if type(value) is int}
    if len(numbers) == len(values):
        return [Axis(name, argument, numbers)]
    found = slices(values) if len(values) <= MAX_CELLS else None
    if found is None:
        return []
    whole, size = found.whole, len(found.whole)

    def item(place: int) -> str:
        return _text(whole[place]) if 0 <= place < size else EMPTY

    starts = {value: start for value, (start, _) in zip(values, found.bounds, strict=True)}
    stops = {value: stop for value, (_, stop) in zip(values, found.bounds, strict=True)}
    if not any(starts.values()):
        return [Axis(name, argument, stops, lambda stop: item(stop - 1))]
    if all(whole[size - (stop - start) :] == whole[start:stop] for start, stop in found.bounds):
        ends = {value: size - stops[value] + starts[value] for value in values}
        return [Axis(name, argument, ends, item)]
    return [Axis("start", argument, starts), Axis("stop", argument, stops)]


def _no_label(_: int) -> str:
    return ""


def _text(item: Key) -> str:
    """A letter of a text, or a member of a tuple."""
    return item if isinstance(item, str) and len(item) == 1 else arguments(("", item), 14)[0]


def _filled(graph: TaskGraph, spots: Mapping[Key, Spot], down: Axis, across: Axis) -> Grid:
    functions = dict.fromkeys(spot.function for spot in spots.values())
    lines = sorted({spot.down for spot in spots.values()})
    sides = sorted({spot.across for spot in spots.values()})
    full = len(functions) * math.prod(used[-1] - used[0] + 1 for used in (lines, sides))
    if full <= MAX_CELLS:
        lines, sides = ([*range(used[0], used[-1] + 1)] for used in (lines, sides))
    size = len(functions) * len(lines) * len(sides)
    if size > MAX_CELLS:
        return Grid(size)
    rows = {line: row for row, line in enumerate(product(functions, lines))}
    columns = {side: column for column, side in enumerate(sides)}
    has_one_axis = down.label is _no_label
    is_slice = down.argument == across.argument and not has_one_axis
    shortest = min(spot.across - spot.down for spot in spots.values()) if is_slice else -math.inf
    outside = frozenset(
        (row, column)
        for (_, start), row in rows.items() for stop, column in columns.items()
        if stop - start < shortest
    )  # fmt: skip
    places = {key: (rows[spot.function, spot.down], columns[spot.across])
              for key, spot in spots.items()}  # fmt: skip
    cells = _cells(graph, places)
    is_named = len(functions) > 1 or has_one_axis
    return Grid(
        size - len(outside),
        (down.name, across.name),
        [f"{function_name(function) if is_named else ''} {down.label(line)}".strip()
         for function, line in rows],
        [across.label(side) for side in columns],
        cells,
        bottom_up(cells),
        _path(graph, {cell.key: number for number, cell in enumerate(cells)}),
        outside,
        full > MAX_CELLS,
    )  # fmt: skip


def _cells(graph: TaskGraph, places: Mapping[Key, tuple[int, int]]) -> list[Cell]:
    """The cells, row by row. Tasks without a cell may stand between one and its sources."""
    keys = sorted(places, key=places.__getitem__)
    numbers = {key: number for number, key in enumerate(keys)}
    cells = []
    for key in keys:
        seen: dict[Key, None] = {}
        stack = [*reversed(graph.inputs(key))]
        while stack:
            source = stack.pop()
            if source not in seen:
                seen[source] = None
                stack += [] if source in numbers else reversed(graph.inputs(source))
        sources = [numbers[source] for source in seen if source in numbers]
        cells.append(Cell(key, *places[key], sources))
    return cells


def bottom_up(cells: Sequence[Cell]) -> Order:
    """An order of the cells in which the sources of each come first: two loops, where they do.

    >>> bottom_up([Cell("a", 0, 0), Cell("b", 0, 1, [0, 2]), Cell("c", 1, 0, [0])])
    Order(numbers=[0, 2, 1], words='column by column, top to bottom')
    """
    for is_down, first, second in product((True, False), (1, -1), (1, -1)):
        places = [
            (first * cell.row, second * cell.column) if is_down
            else (first * cell.column, second * cell.row)
            for cell in cells
        ]  # fmt: skip
        if all(
            places[source] < place
            for cell, place in zip(cells, places, strict=True) for source in cell.sources
        ):  # fmt: skip
            numbers = sorted(range(len(cells)), key=places.__getitem__)
            return Order(numbers, _loop(is_down, first, second, any(cell.row for cell in cells)))
    return Order(_sorted(cells), "by the dependencies")


def _loop(is_down: bool, first: int, second: int, has_rows: bool) -> str:
    ways = ("left to right", "right to left") if is_down else ("top to bottom", "bottom to top")
    way = ways[second < 0]
    if not has_rows:
        return way
    last = " from the last one" if first < 0 else ""
    return f"{'row by row' if is_down else 'column by column'}{last}, {way}"


def _sorted(cells: Sequence[Cell]) -> list[int]:
    """The numbers of the cells, each after its sources, and else row by row."""
    missing = [len(cell.sources) for cell in cells]
    consumers: dict[int, list[int]] = defaultdict(list)
    for number, cell in enumerate(cells):
        for source in cell.sources:
            consumers[source].append(number)
    ready = [number for number, sources in enumerate(missing) if not sources]
    order = []
    while ready:
        order.append(heappop(ready))
        for number in consumers[order[-1]]:
            missing[number] -= 1
            if not missing[number]:
                heappush(ready, number)
    return order


def _path(graph: TaskGraph, numbers: Mapping[Key, int]) -> list[tuple[int, int]]:
    """From the result back, the cells whose values explain it; none where nothing is chosen.

    Bodies run again for it, so they must be operators alone.
    """
    functions = [one for node in graph.tasks.values() for one in _functions(node)]
    has_choice = any(getattr(one, "__name__", "") in _CHOICES for one in functions)
    if not has_choice or len(graph.keys) != 1 or not all(map(_is_operator, functions)):
        return []
    values: dict[Key, Any] = {}
    for key, node in graph.tasks.items():
        values[key] = node(values)
    path: dict[tuple[int, int], None] = {}
    stack: list[tuple[int | None, Key]] = [(None, graph.keys[0])]
    seen: set[tuple[int | None, Key]] = set()
    while stack:
        cell, key = stack.pop()
        if key in numbers:
            if cell is not None:
                path[cell, numbers[key]] = None
            cell = numbers[key]
        if (cell, key) not in seen:
            seen.add((cell, key))
            sources = _explaining(graph.tasks[key], values[key], values)
            stack += [(cell, source) for source in reversed(sources)]
    return [*path]


def _functions(node: Any) -> Sequence[Callable[..., Any]]:
    """The functions of a task; of a call of `@task`, the decorated one."""
    body = function_of(node)
    functions = body.functions if is_body(body) else [body]
    owners = [getattr(function, "__self__", None) for function in functions]
    return [owner.__wrapped__ if isinstance(owner, Task) else function
            for function, owner in zip(functions, owners, strict=True)]  # fmt: skip


def _is_operator(function: Any) -> bool:
    """Whether a function is quick, and has no side effects."""
    is_known = isinstance(function, np.ufunc) or function in (min, max, abs)
    return is_known or getattr(function, "__module__", "") == "_operator"


def _explaining(node: Any, value: Any, values: Mapping[Key, Any]) -> list[Key]:
    """Sources that yield a value alone: it stays as it is with the others infinitely far away."""
    function, sources = function_of(node), inputs_of(node)
    near = {source: values[source] for source in sources}
    explaining = []
    for source in near:
        for far in (math.inf, -math.inf):
            tried = {**near, source: far}
            if _yields(function, [tried[other] for other in sources], value):
                near = tried
                break
        else:
            explaining.append(source)
    return explaining


def _yields(function: Callable[..., Any], arguments: Sequence[Any], value: Any) -> bool:
    try:
        with np.errstate(all="ignore"):
            return bool(function(*arguments) == value)
    except (ArithmeticError, TypeError, ValueError):
        return False
