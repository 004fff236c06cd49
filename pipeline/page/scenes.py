"""Scenes: tree and DAG side by side, and their evaluation step by step, as data for the scripts.

Both sides take their steps at the same pace, one task each. A reader points at a box of a picture.
A box shows one subproblem; several boxes may show the same, and its details are stored once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.draw import MAX_NODES, PLAIN, Comparison, Style, compare, count_tasks
from pipeline.graph import TaskGraph, arguments, label, subproblem
from pipeline.identity import format_duration, format_number
from pipeline.page.code import Code, code_of
from pipeline.page.parts import Part, svg_element
from pipeline.page.tables import grid
from pipeline.schedule import Observation, observed, operations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from dask.typing import Key
    from markupsafe import Markup

    from pipeline.draw import Heading, Walk
    from pipeline.page.tables import Grid
    from pipeline.schedule import Recording
    from pipeline.store import Counts, Store

MAX_WHOLE = 2000
"""The most tasks of both sides together that are drawn one by one; of more, some are folded."""

MAX_FRAMES = 1000
"""The most steps that are shown one by one; of more, a frame has several."""

MAX_EXACT = 2**53
"""JavaScript's integers are exact up to here."""


@dataclass(frozen=True)
class Side:
    """One side of a scene. `data` has its boxes and frames, `order` is a sentence."""

    heading: Heading
    picture: Markup
    data: Mapping[str, Any]
    order: str


@dataclass(frozen=True)
class Scene(Part):
    """Two sides, and the details of each subproblem that they show.

    common: what labels leave out, as it is the same in all of them
    legend: the sharing factor, and the meaning of the marks
    is_tall: whether the pictures stand one below the other
    facts: on a collection, in sentences, as counted and measured
    code: of calls that are labelled as such
    runs: of a collection, over time
    table: the memo table as a row or a grid, where there is one
    """

    title: str
    common: str
    legend: str
    sides: Sequence[Side]
    data: Mapping[str, Any]
    is_tall: bool = False
    facts: Sequence[str] = ()
    code: Code | None = None
    runs: Sequence[Recording] = ()
    table: Grid | None = None


def scene(
    collection: Any,
    title: str = "",
    *,
    style: Style = PLAIN,
    store: Store | None = None,
    rate: float | None = None,
) -> Scene:
    """The scene of a call, of a DAG, or of any Dask collections, after a run of both sides.

    Both run task by task on the scheduler that Dask is set to. The right side is shown in the order
    of its run, the left one in that of the naive recursion. A tree that is too large to be drawn in
    full does not run: the scene shows the first evaluations of the recursion, and predicts how long
    the rest would take. A collection in which no two tasks are equal has one side.

    store: to run the right side with; the colour of a task is what the store did
    rate: naive calls a second, if that was measured
    """
    compared = compare(collection, style, MAX_NODES, store, MAX_WHOLE)
    return scene_of(compared, collection, title, store=store, rate=rate)


def scene_of(
    compared: Comparison,
    collection: Any,
    title: str = "",
    *,
    store: Store | None = None,
    rate: float | None = None,
) -> Scene:
    """The scene of a comparison of some collections."""
    graph, tasks = compared.graph, compared.before
    table = grid(compared)
    ran = observe(collection, compared, store, [cell.key for cell in table.cells] if table else ())
    right = ran.right
    left = observe_unshared(compared) if store is None else None
    is_all = tasks + len(graph) <= MAX_WHOLE and store is None
    steps = tasks if is_all else min(tasks, len(graph) + max(len(graph) // 2, 160))
    stride = -(-steps // MAX_FRAMES)
    walks = compared.walks(right.seconds)
    sides = [
        Side(
            walk.heading,
            svg_element(compared.inline(walk.panel, right.values).render("svg").decode()),
            _side(walk, run.seconds if run else {}, compared.shown, steps, stride),
            f"Evaluated in the order {_order(walk, compared)}.",
        )
        for walk, run in zip(walks, (left, right)[-len(walks) :], strict=True)
    ]
    lines = (compared.title.title, *compared.legend)
    # Labels of a style's own are no calls of the source.
    is_code = compared.is_call and compared.style.label is None
    code = code_of(graph, compared.shown) if is_code else None
    legend, *details = (line[:1].upper() + line[1:] for line in lines)
    return Scene(
        title or ", ".join(map(label, graph.keys[:3])),
        ", ".join(compared.labels.common),
        f"{legend}. {' · '.join(details)}.",
        sides,
        {
            "stride": stride,
            "frames": -(-steps // stride),
            "subproblems": [
                {
                    "label": compared.labels.texts[key],
                    "call": label(key),
                    "key": repr(key),
                    "arguments": arguments(key),
                    "value": right.values.get(key),
                    "times": format_number(compared.times[key]),
                    "hue": compared.hues[key],
                }
                for key in compared.shown
            ],
            "rest": _rest(tasks, right, rate),
            "operations": _operators(graph),
            "loaded": ran.loaded,
            "ran": ran.tasks,
            "code": code and code.data,
            "table": table and table.data(right, compared.right, stride),
        },
        compared.style.rankdir == "LR",
        facts(compared, left, right) if store is None else (),
        code,
        recordings(left, right),
        table,
    )


class Ran(NamedTuple):
    """The run of the right side, by the keys of the graph.

    tasks: how many were computed; of equal tasks with a store perhaps several
    loaded: from a store; None without one
    """

    right: Observation
    tasks: int
    loaded: int | None = None


def recordings(left: Observation | None, right: Observation) -> list[Recording]:
    """The runs of a collection over time."""
    return [run.recording for run in (left, right) if run is not None and run.recording is not None]


def observe(
    collection: Any, compared: Comparison, store: Store | None, keys: Collection[Key] = ()
) -> Ran:
    """Run the right side of a comparison on the scheduler that Dask is set to.

    keys: of a call's graph, whose values to record besides those that the pictures show
    """
    names = compared.names
    name = "" if compared.is_call else "shared" if compared.has_repeats else "as built"
    graph, shown = compared.graph, {*compared.shown, *keys}
    if store is None:
        run = observed(graph, shown, name=name)
        return Ran(run, len(run.seconds))
    before = store.done
    if names is None:
        run = observed(graph, shown, _computation(graph, store), name)
        return Ran(run, *_done(before, store.done))
    # A store knows the tasks by the keys of the collections themselves.
    keys = [key for key, name in names.items() if name in shown]
    run = observed(collection, keys, _computation(collection, store), "with the store")
    ran = {key: seconds for key, seconds in run.seconds.items() if key in names}
    merged = Observation(
        {names[key]: seconds for key, seconds in ran.items()},
        {names[key]: text for key, text in run.values.items()},
        run.recording,
    )
    return Ran(merged, *_done(before, store.done))


def _done(before: Counts, after: Counts) -> tuple[int, int]:
    """How many tasks a store computed between two counts, and how many it loaded."""
    computed = after.misses + after.skipped - before.misses - before.skipped
    return computed, after.hits - before.hits


def observe_unshared(compared: Comparison) -> Observation | None:
    """Run the left side, if it differs from the right one and is small enough to be drawn."""
    is_small = compared.before + len(compared.graph) <= MAX_WHOLE
    if not (compared.has_repeats and is_small):
        return None
    return observed(compared.unshared(), name="" if compared.is_call else "as built")


def unshared_seconds(
    compared: Comparison, left: Observation | None, right: Observation
) -> dict[Key, float]:
    """The seconds of all evaluations of each subproblem on the left."""
    if left is None:
        return {key: time * compared.times.get(key, 1) for key, time in right.seconds.items()}
    seconds = dict.fromkeys(right.seconds, 0.0)
    for key, time in left.seconds.items():
        seconds[subproblem(key)] = seconds.get(subproblem(key), 0.0) + time
    return seconds


def facts(compared: Comparison, left: Observation | None, right: Observation) -> tuple[str, ...]:
    """What Dask would run of a collection, what is merged, why not the rest, and what that saves.

    left: the run without sharing; without one, equal tasks are taken to last equally long
    """
    shared = compared.shared
    if shared is None:
        return ()
    sentences = [f"Dask would run {count_tasks(compared.before)}."]
    reasons = [f"{number:,} of {reason}" for reason, number in (*shared.impure, *shared.unknown)]
    if compared.has_repeats:
        again = count_tasks(compared.before - compared.after)
        merged = [f"{times:,} of {name} → {left}" for name, times, left in shared.subproblems]
        took = sum(right.seconds.values())
        alone = sum(unshared_seconds(compared, left, right).values())
        how = "measured" if left else "predicted from the tasks that ran"
        sentences += [
            f"Of these, {again} would compute again what another task computes: the same function "
            f"of the same inputs. Sharing merges them: {_some(merged)}.",
            f"One task at a time, {count_tasks(compared.before)} take {format_duration(alone)} "
            f"({how}), and {count_tasks(compared.after)} take {format_duration(took)} (measured)"
            + (f": sharing saves {format_duration(alone - took)}." if alone > took else "."),
        ]
    else:
        known = "known to be " if reasons else ""
        sentences.append(f"No two of them are {known}equal: nothing is computed twice.")
    if reasons:
        sentences.append(f"Not merged: {_some(reasons)}.")
    return (" ".join(sentences[:2]), *sentences[2:])


def _some(texts: Sequence[str], most: int = 8) -> str:
    """Some of many texts, and how many more there are."""
    more = [f"and {len(texts) - most:,} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])


def _computation(collection: Any, store: Store) -> Callable[[], Any]:
    """Compute a collection, or a graph, through a store."""
    from pipeline.compute import compute  # the whole path, above all folders

    return lambda: compute(collection, fuse=False, store=store)[0]


def _side(
    walk: Walk, seconds: Mapping[Key, float], shown: Sequence[Key], steps: int, stride: int
) -> dict[str, Any]:
    """Boxes, edges and frames of a side; boxes and subproblems by their number.

    seconds: by box, of the tasks that ran
    """
    panel = walk.panel
    numbers = {key: number for number, key in enumerate(shown)}
    places = {box.id: place for place, box in enumerate(panel.boxes)}
    done_at: dict[int, int] = {}
    states: list[tuple[int | None, int, int]] = []
    last = 0
    for frame in walk.frames(steps):
        place, last = places.get(frame.box, places.get("gap")), frame.evaluated
        number = (last - 1) // stride
        # A folded box is done when its own call returns, after all calls in it.
        if frame.box in places and frame.key == subproblem(frame.box):
            done_at[places[frame.box]] = number
        states[number:] = [(place, frame.hits, frame.operations)]
    boxes = [
        {
            "of": None if box.key is None else numbers[subproblem(box.key)],
            "number": box.number,
            "at": done_at.get(place),
            "seconds": format_duration(seconds[box.id]) if box.id in seconds else None,
            "tasks": count_tasks(box.tasks) if box.folded or box.key is None else None,
        }
        for place, box in enumerate(panel.boxes)
    ]
    # A fold has one edge to a box, however often it uses it.
    folds = dict.fromkeys(edge for edge in panel.edges if "gap" in edge)
    edges = [*folds, *(edge for edge in panel.edges if edge not in folds)]
    end = len(seconds) if walk.has_memory else walk.tasks
    return {
        "total": format_number(walk.tasks),
        "count": walk.tasks if walk.tasks < MAX_EXACT else None,
        "done": last if last >= end else None,
        "boxes": boxes,
        "edges": [[places[consumer], places[source]] for consumer, source in edges],
        "now": [place for place, *_ in states],
        "hits": [hits for _, hits, _ in states],
        "work": [work for *_, work in states],
    }


def _order(walk: Walk, compared: Comparison) -> str:
    if walk.has_memory:
        return "in which Dask ran it"
    return "of the recursion" if compared.built is None else "in which it was built"


def _operators(graph: TaskGraph) -> str:
    """The operators in the bodies, in words."""
    names = {name for node in graph.tasks.values() for name in operations(node)}
    words = {"add": "additions", "mul": "multiplications"}
    if names <= words.keys():
        return " and ".join(words[name] for name in sorted(names))
    return "operations"


def _rest(tasks: int, run: Observation, rate: float | None) -> dict[str, str]:
    """How long the left side takes, in words, at some paces."""
    paces = {"at a step a second": 1.0}
    if run.seconds:  # none if the store had everything
        paces["as tasks of Dask, measured here"] = sum(run.seconds.values()) / len(run.seconds)
    if rate is not None:
        paces["in Python's own recursion"] = 1 / rate
    return {
        how: format_duration(Fraction(tasks) * Fraction(seconds)) for how, seconds in paces.items()
    }
