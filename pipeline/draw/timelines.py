"""Runs over time: a lane per worker, the critical path, and memory beneath; runs on one axis."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.draw.dot import GREY, PALETTE, atomic_write, count_tasks
from pipeline.graph import function_name
from pipeline.identity import cut, format_duration, printable
from pipeline.schedule import Recording, Sample, Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")

HUES = tuple(hue for hue in PALETTE if hue != "#888888")
"""Colours of the functions that take longest."""

OTHERS, PATH, MEMORY = "#999999", "#e0510a", "#4477aa"
"""Colours of all other functions, of the critical path, and of memory."""


class Inches(NamedTuple):
    """Sizes in the figure, in inches."""

    width: float = 9.0
    left: float = 0.95
    right: float = 0.2
    head: float = 0.36
    lanes: float = 4.0
    lane: float = 0.3
    memory: float = 0.6
    gap: float = 0.12
    axis: float = 0.42
    line: float = 0.2

    @property
    def plot(self) -> float:
        """The width of the time axis."""
        return self.width - self.left - self.right


SIZE = Inches()
PIXELS = 100 * SIZE.plot
"""Tasks that are narrower than one of these are drawn together."""


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
class Timeline:
    """Runs, one above the other on one time axis, as a picture to save and to show."""

    runs: tuple[Recording, ...]

    def __repr__(self) -> str:
        return f"<Timeline: {' and '.join(count_tasks(len(run.tasks)) for run in self.runs)}>"

    def figure(self) -> Figure:
        """The picture, as a figure of matplotlib."""
        return _figure(self.runs)

    def render(self, format: str) -> bytes:  # noqa: A002 - the field's word
        """The picture as SVG, PNG or PDF. The same recordings give the same bytes.

        Raises `ValueError` for any other format.
        """
        if format not in FORMATS:
            raise ValueError(
                f"cannot draw as {format!r}: a file name ends in .{', .'.join(FORMATS)}"
            )
        from matplotlib import rc_context

        file = io.BytesIO()
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[format]
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "pipeline"}):
            self.figure().savefig(file, format=format, dpi=160, metadata=dates)
        return file.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format of the file's suffix, and return the path.

        Raises `ValueError` for another suffix, `OSError` where the file cannot be written.
        """
        path = Path(path)
        drawn = self.render(path.suffix.removeprefix(".").lower())
        with atomic_write(path) as file:
            file.write(drawn)
        return path

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


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
    return cut(printable(function_name(task.key)), 40)


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
        parts.append(f"{first.seconds / run.seconds:,.1f} times as quick")
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


def scale_of(runs: Iterable[Recording]) -> Scale:
    """One time axis for all runs."""
    end = max(max([run.seconds, *(task.end for task in run.tasks)]) for run in runs) or 1e-3
    unit, factor = ("minutes", 60.0) if end > 180 else ("seconds", 1.0)
    return Scale("milliseconds", 1e-3, end) if end < 1 else Scale(unit, factor, end)


# The figure


def _figure(runs: Sequence[Recording]) -> Figure:
    from matplotlib.figure import Figure

    scale, hues = scale_of(runs), hues_of(runs)
    marks = _marks(runs)
    lanes = [max(min(SIZE.lane * len(run.workers), SIZE.lanes), SIZE.lane) for run in runs]
    legend = SIZE.line * (1 + _lines_of(hues, runs) + len(marks))
    panel = SIZE.head + SIZE.memory + 2 * SIZE.gap
    height = sum(lanes) + panel * len(runs) + SIZE.axis + legend
    figure = Figure(figsize=(SIZE.width, height))
    figure.patch.set_alpha(0)

    def axes_at(top: float, inches: float) -> Axes:
        place = (SIZE.left / SIZE.width, 1 - (top + inches) / height,
                 SIZE.plot / SIZE.width, inches / height)  # fmt: skip
        axes = figure.add_axes(place)
        axes.patch.set_alpha(0)
        axes.tick_params(length=0, colors=GREY, labelsize=9)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlim(0, scale.end / scale.factor * 1.005)
        axes.grid(axis="x", color=GREY, alpha=0.2, lw=0.6)
        axes.set_axisbelow(True)
        return axes

    peak = _peak(runs)
    top = 0.0
    for run, inches in zip(runs, lanes, strict=True):
        top += SIZE.head
        above = axes_at(top, inches)
        head = summary(run, None if run is runs[0] else runs[0])
        _draw_lanes(above, run, head, scale, hues, inches)
        top += inches + SIZE.gap
        below = axes_at(top, SIZE.memory)
        _draw_memory(below, run, scale, peak)
        top += SIZE.memory + SIZE.gap
        is_last = run is runs[-1]
        above.tick_params(labelbottom=False)
        below.tick_params(labelbottom=is_last)
        if is_last:
            below.set_xlabel(scale.unit, color=GREY, fontsize=9)
    _draw_legend(figure, height - legend, runs, hues, marks)
    return figure


def _draw_lanes(
    axes: Axes, run: Recording, head: str, scale: Scale, hues: Mapping[str, str], inches: float
) -> None:
    """The lanes of a run, under a head."""
    lanes = max(len(run.workers), 1)
    axes.set_ylim(lanes - 0.5, -0.5)
    is_labelled = inches / lanes > 0.14
    axes.set_yticks(range(len(run.workers)) if is_labelled else [], run.workers * is_labelled)
    name = axes.text(
        0,
        1,
        f"{printable(run.name)}  " * bool(run.name),
        weight="bold",
        va="bottom",
        transform=axes.transAxes,
        color=GREY,
        fontsize=10,
        parse_math=False,
    )
    axes.annotate(head, (1, 0), xycoords=name, va="bottom", color=GREY, fontsize=9)
    pixel = scale.end / PIXELS
    boxes: dict[tuple[str, str], list[Box]] = {}
    moved: list[Box] = []
    for bar in bars_of(run, pixel):
        hue = hues.get(_name(bar.task), OTHERS)
        start, end = bar.start / scale.factor, max(bar.end, bar.start + pixel) / scale.factor
        moved += [
            Box(part.start / scale.factor, bar.lane - 0.45, part.end / scale.factor,
                bar.lane - 0.38)
            for part in bar.task.intervals if part.kind == "moved"
        ]  # fmt: skip
        if bar.task.is_loaded:
            boxes.setdefault((hue, "loaded"), []).append(
                Box(start, bar.lane - 0.26, end, bar.lane + 0.26)
            )
            continue
        saving = [part for part in bar.task.intervals if part.kind == "saved"]
        for kind, left, right in _cut(bar, saving):
            top = bar.lane - (0.32 if kind == "computed" else -0.06)
            right = max(right, left + pixel)
            boxes.setdefault((hue, "computed"), []).append(
                Box(left / scale.factor, top, right / scale.factor, bar.lane + 0.32)
            )
        if is_labelled:
            _write_in(axes, bar, start, (saving[0].start / scale.factor if saving else end), hue,
                      scale)  # fmt: skip
    for (hue, kind), shapes in boxes.items():
        hollow = {"facecolor": "none", "edgecolor": hue, "lw": 1.4}
        _add_boxes(axes, shapes, **(hollow if kind == "loaded" else {"facecolor": hue, "lw": 0}))
    _add_boxes(axes, moved, facecolor=GREY, lw=0)
    _draw_path(axes, run, scale)
    axes.axvline(run.seconds / scale.factor, color=GREY, lw=1, ls=(0, (2, 2)))


class Box(NamedTuple):
    """A rectangle on the axes."""

    left: float
    top: float
    right: float
    bottom: float


def _add_boxes(axes: Axes, boxes: Sequence[Box], **look: Any) -> None:
    """Rectangles as one path: a file of thousands stays small."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Shape

    if not boxes:
        return
    points = [
        corner
        for left, top, right, bottom in boxes
        for corner in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    ]
    codes = [Shape.MOVETO, *[Shape.LINETO] * 3, Shape.CLOSEPOLY] * len(boxes)
    axes.add_patch(PathPatch(Shape(points, codes), clip_on=False, **look))


def _cut(bar: Bar, saving: Sequence[Any]) -> list[tuple[str, float, float]]:
    """A bar in its parts: computed and saved, in turn."""
    parts, at = [], bar.start
    for part in saving:
        parts += [("computed", at, part.start), ("saved", part.start, part.end)]
        at = part.end
    return [*parts, ("computed", at, bar.end)] if bar.end > at or not parts else parts


def _write_in(axes: Axes, bar: Bar, start: float, end: float, hue: str, scale: Scale) -> None:
    """Write into a bar what fits: the function, how many tasks were fused, who takes the value."""
    task = bar.task
    room = (end - start) * scale.factor / scale.end * SIZE.plot * 72 - 6
    fused = f" [{task.fused}]" if task.fused > 1 else ""
    taken = f" →{task.consumers}" if task.consumers > 1 else ""
    name = _name(task)
    texts = (name + fused + taken, name + fused, name, (fused + taken).strip())
    text = next((text for text in texts if text and len(text) * 8 * 0.62 < room), "")
    if text:
        axes.text((start + end) / 2, bar.lane, text, ha="center", va="center_baseline", fontsize=8,
                  color=_ink(hue), parse_math=False)  # fmt: skip


def _ink(hue: str) -> str:
    """White, or black on light colours."""
    red, green, blue = bytes.fromhex(hue[1:])
    return "#1a1a1a" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _draw_path(axes: Axes, run: Recording, scale: Scale) -> None:
    """The critical path, under its tasks; dotted while it waits."""
    chain = [task for task in run.critical_path if not task.is_loaded or len(run.tasks) > 1]
    lanes = {worker: place for place, worker in enumerate(run.workers)}
    xs: list[float] = []
    ys: list[float] = []
    waits: list[tuple[list[float], list[float]]] = []
    for place, task in enumerate(chain):
        start, end, y = task.start / scale.factor, task.end / scale.factor, lanes[task.worker] + 0.4
        xs += [start, end, float("nan")]
        ys += [y, y, float("nan")]
        if place + 1 < len(chain):
            later = chain[place + 1]
            after, below = later.start / scale.factor, lanes[later.worker] + 0.4
            waits.append(([end, after, after], [y, y, below]))
    for across, down in waits:
        axes.plot(across, down, color=PATH, lw=1, ls=(0, (1, 1)), clip_on=False)
    axes.plot(xs, ys, color=PATH, lw=2.4, solid_capstyle="butt", clip_on=False)


def _peak(runs: Iterable[Recording]) -> tuple[int, int]:
    """The least and the most bytes in all runs, at least a twentieth apart."""
    sizes = [sample.bytes for run in runs for sample in run.memory] or [0]
    return min(sizes), max(max(sizes), min(sizes) * 21 // 20, min(sizes) + 1)


def thinned(memory: Sequence[Sample], seconds: float) -> list[Sample]:
    """The most of memory in each so many seconds."""
    most: dict[int, Sample] = {}
    for sample in memory:
        place = int(sample.seconds / seconds)
        most[place] = max(most.get(place, sample), sample, key=lambda one: one.bytes)
    return [*most.values()]


def _draw_memory(axes: Axes, run: Recording, scale: Scale, limits: tuple[int, int]) -> None:
    least, most = limits
    bottom = least - (most - least) * 0.1
    axes.set_ylim(bottom, most + (most - least) * 0.25)
    axes.set_yticks([least, most], [f"{size / 1e6:,.0f} MB" for size in limits])
    memory = thinned(run.memory, 2 * scale.end / PIXELS)
    if not memory:
        return
    at = [sample.seconds / scale.factor for sample in memory]
    sizes = [sample.bytes for sample in memory]
    axes.fill_between(at, sizes, bottom, color=MEMORY, alpha=0.25, lw=0)
    axes.plot(at, sizes, color=MEMORY, lw=1.3)
    axes.text(0, 1, "memory", transform=axes.transAxes, color=GREY, fontsize=8, va="center")


# The legend


def _marks(runs: Sequence[Recording]) -> list[str]:
    """What the marks in the picture mean."""
    tasks = [task for run in runs for task in run.tasks]
    kinds = {part.kind for task in tasks for part in task.intervals}
    marks = {
        "orange line: critical path, dotted where it waits": any(run.critical_path for run in runs),
        "hollow: loaded": any(task.is_loaded for task in tasks),
        "low: saved": "saved" in kinds,
        "thin grey: moved between workers": "moved" in kinds,
        "[12]: 12 tasks fused": any(task.fused > 1 for task in tasks),
        "→3: 3 tasks share its value": any(task.consumers > 1 for task in tasks),
    }
    shown = [text for text, is_there in marks.items() if is_there]
    return [" · ".join(shown[:4]), *([" · ".join(shown[4:])] if shown[4:] else [])]


def _lines_of(hues: Mapping[str, str], runs: Sequence[Recording]) -> int:
    return len(_rows(_entries(hues, runs)))


class Entry(NamedTuple):
    """A colour of the legend and its text."""

    hue: str
    text: str

    @property
    def inches(self) -> float:
        return 0.35 + len(self.text) * 0.078


def _entries(hues: Mapping[str, str], runs: Sequence[Recording]) -> list[Entry]:
    seconds: dict[str, float] = defaultdict(float)
    for run in runs:
        for task in run.tasks:
            name = _name(task)
            seconds[name if name in hues else ""] += task.seconds
    entries = [Entry(hue, f"{name} {format_duration(seconds[name])}") for name, hue in hues.items()]
    others = [Entry(OTHERS, f"others {format_duration(seconds[''])}")] if "" in seconds else []
    return entries + others


def _rows(entries: Iterable[Entry]) -> list[list[Entry]]:
    rows: list[list[Entry]] = [[]]
    room = SIZE.plot
    for entry in entries:
        if rows[-1] and entry.inches > room:
            rows.append([])
            room = SIZE.plot
        rows[-1].append(entry)
        room -= entry.inches
    return rows


def _draw_legend(
    figure: Figure, top: float, runs: Sequence[Recording], hues: Mapping[str, str],
    marks: Sequence[str],
) -> None:  # fmt: skip
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    at = top + SIZE.line
    for row in _rows(_entries(hues, runs)):
        left = SIZE.left
        for entry in row:
            figure.add_artist(Rectangle((left / width, 1 - (at + 0.04) / height), 0.12 / width,
                                        0.1 / height, color=entry.hue, lw=0))  # fmt: skip
            figure.text((left + 0.17) / width, 1 - (at + 0.035) / height, entry.text, color=GREY,
                        fontsize=8.5, parse_math=False)  # fmt: skip
            left += entry.inches
        at += SIZE.line
    for line in marks:
        figure.text(SIZE.left / width, 1 - (at + 0.035) / height, line, color=GREY, fontsize=8.5)
        at += SIZE.line
