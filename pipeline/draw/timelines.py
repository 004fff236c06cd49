"""Runs over time: a lane per worker, the critical path, and memory beneath; runs on one axis."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.draw.dot import GREY, PALETTE, count_tasks
from pipeline.draw.files import Drawing
from pipeline.draw.legends import MEMORY, OTHERS, PATH, SIZE, Entry, draw_legend, rows_of
from pipeline.graph import function_name
from pipeline.identity import cut, format_duration, printable
from pipeline.schedule import Interval, Recording, Sample, Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HUES = tuple(hue for hue in PALETTE if hue != "#888888")
"""Colours of the functions that take longest."""

PIXELS = 100 * SIZE.plot
"""On the time axis."""


def timeline(*runs: Recording) -> Timeline:
    """Draw what ran where and when: one run, or several on one time axis.

    Raises `ValueError` without a run.

    >>> from pipeline import record
    >>> from pipeline.apps.fibonacci import fib
    >>> with record("fib(6)") as run:
    ...     value = fib(6).compute(scheduler="sync", fuse=False)
    >>> timeline(run)
    <Timeline: 7 tasks>
    """
    if not runs:
        raise ValueError("no run to draw: give a recording, as `with record() as run` makes it")
    return Timeline(runs)


@dataclass(frozen=True, repr=False)
class Timeline(Drawing):
    """Runs, one above the other on one time axis, as a picture to save and to show."""

    runs: tuple[Recording, ...]

    def __repr__(self) -> str:
        return f"<Timeline: {' and '.join(count_tasks(len(run.tasks)) for run in self.runs)}>"

    def figure(self) -> Figure:
        """The picture, as a figure of matplotlib."""
        return _figure(self.runs)

    formats = ("svg", "png", "pdf")

    def _drawn(self, format: str) -> bytes:  # noqa: A002 - the field's word
        from matplotlib import rc_context

        file = io.BytesIO()
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[format]
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pipeline"}):
            self.figure().savefig(file, format=format, dpi=160, metadata=dates)
        return file.getvalue()


# What is drawn


class Bar(NamedTuple):
    """A task in its lane, or several that are too short to be distinguished.

    task: the longest of them
    lane: the place of its worker
    """

    task: Span
    lane: int
    start: float
    end: float


def bars_of(run: Recording, pixel: float) -> list[Bar]:
    """The bars of a run. Tasks within a pixel are one bar.

    pixel: in seconds
    """
    lanes = {worker: place for place, worker in enumerate(run.workers)}
    bars: list[Bar] = []
    last: dict[int, int] = {}
    for task in run.tasks:
        lane = lanes[task.worker]
        place = last.get(lane)
        if place is not None and task.end - bars[place].start < pixel:
            bar = bars[place]
            longest = max(bar.task, task, key=lambda one: one.seconds)
            bars[place] = Bar(longest, lane, bar.start, max(bar.end, task.end))
        else:
            last[lane] = len(bars)
            bars.append(Bar(task, lane, task.start, task.end))
    return bars


def hues_of(runs: Iterable[Recording]) -> dict[str, str]:
    """A colour for each of the functions that take longest in all runs, the longest first."""
    seconds: dict[str, float] = defaultdict(float)
    for run in runs:
        for task in run.tasks:
            seconds[_name(task)] += task.seconds
    names = sorted(seconds, key=lambda name: -seconds[name])
    # One more has no need to be called others.
    return dict(zip(names, [*HUES, OTHERS] if len(names) == len(HUES) + 1 else HUES, strict=False))


def _name(task: Span) -> str:
    """The name of its function. The name of a merged task says so, but it does the same."""
    return cut(printable(function_name(task.key).removesuffix("-shared")), 40)


def summary(run: Recording, first: Recording | None = None) -> str:
    """A run in a line.

    first: an earlier one, to compare the seconds with
    """
    total = sum(task.fused for task in run.tasks)
    loaded = sum(task.is_loaded for task in run.tasks)
    saved = sum(task.is_saved for task in run.tasks)
    computed = len(run.tasks) - loaded
    parts = [format_duration(run.seconds)]
    if first is not None and 0 < run.seconds < first.seconds:
        ratio = first.seconds / run.seconds
        parts.append(f"{ratio:,.{int(ratio < 10)}f} times as quick")
    if computed or not loaded:
        fused = f", {total - loaded:,} before fusing" if total > len(run.tasks) else ""
        parts.append(f"{computed:,} computed{fused}")
    parts += [f"{loaded:,} loaded"] * (loaded > 0) + [f"{saved:,} saved"] * (saved > 0)
    if computed:
        seconds = format_duration(sum(task.seconds for task in run.critical_path))
        parts.append(f"critical path {seconds}")
    return " · ".join(parts)


class Scale(NamedTuple):
    """The time axis: its unit, in seconds, and where it ends, in seconds."""

    unit: str
    factor: float
    end: float

    @property
    def pixel(self) -> float:
        """The seconds of a pixel: shorter tasks are drawn together."""
        return self.end / PIXELS

    def at(self, seconds: float) -> float:
        """A time in the unit of the axis."""
        return seconds / self.factor


def scale_of(runs: Iterable[Recording]) -> Scale:
    """One time axis for all runs."""
    end = max(max([run.seconds, *(task.end for task in run.tasks)]) for run in runs) or 1e-3
    unit, factor = ("minutes", 60.0) if end > 180 else ("seconds", 1.0)
    return Scale("milliseconds", 1e-3, end) if end < 1 else Scale(unit, factor, end)


# The figure


def _figure(runs: Sequence[Recording]) -> Figure:
    from matplotlib.figure import Figure

    scale, hues, limits = scale_of(runs), hues_of(runs), _limits(runs)
    lanes = [min(SIZE.lane * max(len(run.workers), 1), SIZE.lanes) for run in runs]
    rows = rows_of([*_functions(runs, hues), *_marks(runs)])
    height = sum(lanes) + len(runs) * (SIZE.head + SIZE.gap + SIZE.memory) + SIZE.axis
    height += SIZE.line * len(rows)
    figure = Figure(figsize=(SIZE.width, height))
    figure.patch.set_alpha(0)
    top = 0.0
    for run, inches in zip(runs, lanes, strict=True):
        above = _axes(figure, top + SIZE.head, inches, scale)
        _write_head(above, run, None if run is runs[0] else runs[0])
        _draw_lanes(above, run, scale, hues, inches)
        top += SIZE.head + inches + SIZE.gap
        below = _axes(figure, top, SIZE.memory, scale)
        _draw_memory(below, run, scale, limits)
        top += SIZE.memory
        above.tick_params(labelbottom=False)
        below.tick_params(labelbottom=run is runs[-1])
        if run is runs[-1]:
            below.set_xlabel(scale.unit, color=GREY, fontsize=9)
    for place, row in enumerate(rows):
        draw_legend(figure, row, height - SIZE.line * (len(rows) - place - 0.5))
    return figure


def _axes(figure: Figure, top: float, inches: float, scale: Scale) -> Axes:
    """Axes with a time axis, so many inches below the top."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes(
        (SIZE.left / width, 1 - (top + inches) / height, SIZE.plot / width, inches / height)
    )
    axes.patch.set_alpha(0)
    axes.tick_params(length=0, colors=GREY, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, scale.at(scale.end))
    axes.grid(axis="x", color=GREY, alpha=0.2, lw=0.6)
    axes.set_axisbelow(True)
    return axes


def _write_head(axes: Axes, run: Recording, first: Recording | None) -> None:
    text: dict[str, Any] = {"va": "bottom", "color": GREY, "parse_math": False}
    name = axes.text(
        0, 1, f"{printable(run.name)}  " * bool(run.name),
        transform=axes.transAxes, weight="bold", fontsize=10, **text,
    )  # fmt: skip
    axes.annotate(summary(run, first), (1, 0), xycoords=name, fontsize=9, **text)


class Box(NamedTuple):
    """A rectangle on the axes."""

    left: float
    top: float
    right: float
    bottom: float


def _draw_lanes(
    axes: Axes, run: Recording, scale: Scale, hues: Mapping[str, str], inches: float
) -> None:
    lanes = max(len(run.workers), 1)
    is_labelled = inches / lanes > 0.14
    axes.set_ylim(lanes - 0.5, -0.5)
    axes.set_yticks(range(len(run.workers)) if is_labelled else [], run.workers * is_labelled)
    for interval in run.planning:
        axes.axvspan(scale.at(interval.start), scale.at(interval.end), color=GREY, alpha=0.15, lw=0)
    solid: dict[str, list[Box]] = defaultdict(list)
    hollow: dict[str, list[Box]] = defaultdict(list)
    moved: list[Box] = []
    for bar in bars_of(run, scale.pixel):
        hue = hues.get(_name(bar.task), OTHERS)
        solid[hue] += _solid(bar, scale)
        hollow[hue] += _hollow(bar, scale)
        moved += _moved(bar, scale)
        if is_labelled:
            _write_in(axes, bar, hue, scale)
    for hue, boxes in solid.items():
        _add_boxes(axes, boxes, facecolor=hue, lw=0)
    for hue, boxes in hollow.items():
        _add_boxes(axes, boxes, facecolor="none", edgecolor=hue, lw=1.4)
    _add_boxes(axes, moved, facecolor=GREY, lw=0)
    _draw_path(axes, run, scale)
    axes.axvline(scale.at(run.seconds), color=GREY, lw=1, ls=(0, (2, 2)))


def _solid(bar: Bar, scale: Scale) -> list[Box]:
    """What was computed, in full height, and what was saved, low."""
    if bar.task.is_loaded:
        return []
    boxes, at = [], bar.start
    for part in _saving(bar):
        boxes += [_box(bar, scale, at, part.start), _box(bar, scale, part.start, part.end, LOW)]
        at = part.end
    return [*boxes, _box(bar, scale, at, bar.end)] if at < bar.end or not boxes else boxes


def _saving(bar: Bar) -> list[Interval]:
    return [part for part in bar.task.intervals if part.kind == "saved"]


def _hollow(bar: Bar, scale: Scale) -> list[Box]:
    return [_box(bar, scale, bar.start, bar.end, 0.26, 0.26)] if bar.task.is_loaded else []


def _moved(bar: Bar, scale: Scale) -> list[Box]:
    """When the inputs of a task came from elsewhere: thin, above the bar."""
    moved = [part for part in bar.task.intervals if part.kind == "moved"]
    return [_box(bar, scale, part.start, part.end, 0.45, -0.38) for part in moved]


def _box(
    bar: Bar, scale: Scale, start: float, end: float, above: float = 0.32, below: float = 0.32
) -> Box:
    """A box in the lane of a bar. A thin gap sets it apart from the next one.

    above, below: the middle of the lane, which is 1 high
    """
    right = max(end - 0.7 * scale.pixel, start + scale.pixel)
    return Box(scale.at(start), bar.lane - above, scale.at(right), bar.lane + below)


LOW = -0.06
"""How far above the middle what is saved reaches."""


def _add_boxes(axes: Axes, boxes: Sequence[Box], **look: Any) -> None:
    """Rectangles as one path: a file of thousands stays small."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Shape

    points = [
        corner
        for left, top, right, bottom in boxes
        for corner in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    ]
    codes = [Shape.MOVETO, *[Shape.LINETO] * 3, Shape.CLOSEPOLY] * len(boxes)
    if boxes:
        axes.add_patch(PathPatch(Shape(points, codes), clip_on=False, **look))


def _write_in(axes: Axes, bar: Bar, hue: str, scale: Scale) -> None:
    """Write into a bar what fits: the function, how many tasks it is, who takes the value."""
    task = bar.task
    start, end = bar.start, min([bar.end, *(part.start for part in _saving(bar))])
    letters = ((end - start) / scale.end * SIZE.plot * 72 - 5) / (8 * 0.62)
    if task.is_loaded or letters < 3:
        return
    fused = f" [{task.fused}]" if task.fused > 1 else ""
    fused += f" ×{task.replaced}" if task.replaced > task.fused else ""
    taken = f" →{task.consumers}" if task.consumers > 1 else ""
    name = _name(task)
    texts = (name + fused + taken, name + fused, name, (fused + taken).strip())
    text = next((text for text in texts if len(text) <= letters), "")
    axes.text(
        scale.at((start + end) / 2), bar.lane, text, fontsize=8, color=_ink(hue),
        ha="center", va="center_baseline", parse_math=False,
    )  # fmt: skip


def _ink(hue: str) -> str:
    """White, or black on light colours."""
    red, green, blue = bytes.fromhex(hue[1:])
    return "#1a1a1a" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _draw_path(axes: Axes, run: Recording, scale: Scale) -> None:
    """The critical path, under its tasks, and dotted where it waits."""
    lanes = {worker: place + 0.4 for place, worker in enumerate(run.workers)}
    chain = [(scale.at(task.start), scale.at(task.end), lanes[task.worker])
             for task in run.critical_path]  # fmt: skip
    for (_, end, y), (after, _, below) in pairwise(chain):
        axes.plot([end, after, after], [y, y, below], color=PATH, lw=1, ls=(0, (1, 1)),
                  clip_on=False)  # fmt: skip
    xs = [x for start, end, _ in chain for x in (start, end, nan)]
    ys = [height for _, _, y in chain for height in (y, y, nan)]
    axes.plot(xs, ys, color=PATH, lw=2.4, solid_capstyle="butt", clip_on=False)


def _limits(runs: Iterable[Recording]) -> tuple[int, int]:
    """The least and the most bytes in all runs, at least a twentieth apart."""
    sizes = [sample.bytes for run in runs for sample in run.memory] or [0]
    return min(sizes), max(max(sizes), min(sizes) * 21 // 20, min(sizes) + 1)


def thinned(memory: Sequence[Sample], seconds: float) -> list[Sample]:
    """The most of memory in each so many seconds."""
    most: dict[int, Sample] = {}
    for sample in memory:
        place = int(sample.seconds / seconds)
        most[place] = max(most.get(place, sample), sample, key=attrgetter("bytes"))
    return [*most.values()]


def _draw_memory(axes: Axes, run: Recording, scale: Scale, limits: tuple[int, int]) -> None:
    least, most = limits
    bottom = least - (most - least) * 0.1
    axes.set_ylim(bottom, most + (most - least) * 0.25)
    axes.set_yticks(limits, [f"{size / 1e6:,.0f} MB" for size in limits])
    memory = thinned(run.memory, 2 * scale.pixel)
    at, sizes = [scale.at(sample.seconds) for sample in memory], [one.bytes for one in memory]
    # A page takes no shapes that are used by name, such as those of `fill_between`.
    axes.fill([*at, *at[-1:], *at[:1]], [*sizes, *[bottom] * (2 * bool(at))],
              color=MEMORY, alpha=0.25, lw=0)  # fmt: skip
    axes.plot(at, sizes, color=MEMORY, lw=1.3)
    axes.text(0, 1, "memory", transform=axes.transAxes, color=GREY, fontsize=8, va="center")


# What the legend explains


def _functions(runs: Sequence[Recording], hues: Mapping[str, str]) -> list[Entry]:
    """The colours of the functions, with their seconds."""
    seconds: dict[str, float] = defaultdict(float)
    for run in runs:
        for task in run.tasks:
            name = _name(task)
            seconds[name if name in hues else ""] += task.seconds
    names = {
        **dict(zip(hues.values(), hues, strict=True)),
        **({OTHERS: ""} if "" in seconds else {}),
    }
    return [
        Entry(hue, f"{name or 'others'} {format_duration(seconds[name])}")
        for hue, name in names.items()
    ]


def _marks(runs: Sequence[Recording]) -> list[Entry]:
    """The marks that are in the picture, and their meanings."""
    tasks = [task for run in runs for task in run.tasks]
    kinds = {part.kind for task in tasks for part in task.intervals}
    marks = {
        Entry("path", "critical path, dotted where it waits"): bool(tasks),
        Entry("saved", "saved"): "saved" in kinds,
        Entry("loaded", "loaded"): any(task.is_loaded for task in tasks),
        Entry("moved", "moved between workers"): "moved" in kinds,
        Entry("planning", "the store plans"): any(run.planning for run in runs),
        Entry("[3]", "3 tasks, fused"): any(task.fused > 1 for task in tasks),
        Entry("×3", "for 3 tasks, merged"): any(task.replaced > task.fused for task in tasks),
        Entry("→3", "shared by 3 tasks"): any(task.consumers > 1 for task in tasks),
    }
    return [mark for mark, is_there in marks.items() if is_there]
