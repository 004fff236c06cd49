"""The race of tree against DAG: an animated SVG, without a script.

Both sides take their steps at the same pace, one task each. CSS lights the tasks up as they are
evaluated, and counts them. For readers who prefer reduced motion, the picture is the end state.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import dask
from dask.typing import Key

from pipeline.draw.dot import PLAIN, Heading, Picture, Style, count_tasks, node_id
from pipeline.draw.files import atomic_write
from pipeline.draw.folding import MAX_NODES
from pipeline.draw.pictures import Walk, compare
from pipeline.graph import LimitError
from pipeline.schedule import observed

LEAD, STEP, PAUSE = 0.8, 0.45, 3.5
"""Seconds before the first step, of a step, and after the last one."""

LONGEST = 24.0
"""Seconds of all steps: in a longer race a step is shorter."""

UNLIT = 0.2
"""The opacity of a task before it is evaluated."""


class Runner(NamedTuple):
    """One side of a race: the ids of its nodes in the order of evaluation.

    headings: before the first step, and after each one
    """

    name: str
    nodes: Sequence[str]
    headings: Sequence[Heading]


@dataclass(frozen=True, repr=False)
class Race:
    """An animated picture of two graphs, evaluated at the same pace."""

    title: str
    picture: Picture
    runners: Sequence[Runner]

    @property
    def steps(self) -> int:
        """Of the side that has more tasks."""
        return max(len(runner.nodes) for runner in self.runners)

    @property
    def step_seconds(self) -> float:
        return min(STEP, LONGEST / self.steps)

    @property
    def seconds(self) -> float:
        """Of one round, with the pause at its end."""
        return LEAD + self.steps * self.step_seconds + PAUSE

    def start(self, step: int) -> float:
        """When a step starts, in seconds of the round; step 0 is the state before the first."""
        return LEAD + (step - 1) * self.step_seconds if step else 0.0

    def render(self) -> bytes:
        """The race as SVG. The same race gives the same bytes."""
        root = ElementTree.fromstring(self.picture.render("svg"))  # noqa: S314 - our own
        root.attrib |= {"role": "img", "aria-label": f"{self.title}, evaluated step by step"}
        steps = {node: step for side in self.runners for step, node in enumerate(side.nodes, 1)}
        headings = {side.name: side.headings for side in self.runners}
        for group in root.iterfind(".//{*}g[@class]"):
            name = group.findtext("{*}title", "")
            if name in headings:
                _stack(group, [(one.title, *one.lines) for one in headings[name]])
            # An edge is lit with its consumer.
            if step := steps.get(name.partition("->")[0]):
                group.set("class", f"{group.get('class')} step-{step}")
            for element in group.findall("{*}title"):
                group.remove(element)  # a browser shows it as a tooltip
        style = ElementTree.Element("style")
        style.text = "\n".join(["", *self._rules(), ""])
        root.insert(0, style)
        for prefix, name in _NAMESPACES.items():
            ElementTree.register_namespace(prefix, name)
        drawn: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        return drawn

    def _rules(self) -> Iterator[str]:
        """CSS. Each step has its own keyframes, as all of them start again at the same time."""
        yield ".count { opacity: 0 } .count.last { opacity: 1 }"
        yield "@media (prefers-reduced-motion: no-preference) {"
        yield f"[class*='step-'], .count {{ animation: {self.seconds:.2f}s step-end infinite }}"
        yield ".node { transform-box: fill-box; transform-origin: center }"
        for step in range(self.steps + 1):
            now, then = (f"{100 * self.start(one) / self.seconds:.2f}%" for one in (step, step + 1))
            shown = f"0% {{ opacity: {0 if step else 1} }} {now} {{ opacity: 1 }}"
            yield f"@keyframes count-{step} {{ {shown} {then} {{ opacity: 0 }} }}"
            yield f"@keyframes last-{step} {{ {shown} }}"
            yield f".count-{step} {{ animation-name: count-{step} }}"
            yield f".count-{step}.last {{ animation-name: last-{step} }}"
            if step:
                lit = f"0% {{ opacity: {UNLIT} }} {now} {{ opacity: 1 }}"
                big = f"{now} {{ transform: scale(1.12) }} {then} {{ transform: none }}"
                yield f"@keyframes lit-{step} {{ {lit} }} @keyframes now-{step} {{ {big} }}"
                yield f".step-{step} {{ animation-name: lit-{step} }}"
                yield f".node.step-{step} {{ animation-name: lit-{step}, now-{step} }}"
        yield "}"

    def save(self, path: str | Path) -> Path:
        """Write the race as SVG, and return the path.

        Raises `ValueError` for another suffix, `OSError` where the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"cannot save a race as {path.name!r}: the file name ends in .svg")
        drawn = self.render()
        with atomic_write(path) as file:
            file.write(drawn)
        return path

    def __repr__(self) -> str:
        return f"<Race: {self.title}, {self.seconds:.1f} s>"

    def _repr_html_(self) -> str:
        """The race in a notebook, as an image that isolates its styles."""
        return f'<img src="data:image/svg+xml;base64,{b64encode(self.render()).decode()}">'


_NAMESPACES = {"": "http://www.w3.org/2000/svg", "xlink": "http://www.w3.org/1999/xlink"}


def _stack(group: ElementTree.Element, states: Sequence[Sequence[str]]) -> None:
    """Put the lines of each state of a heading in the place of those of the last one."""
    for place, element in enumerate(group.findall("{*}text")):
        group.remove(element)
        for step, lines in enumerate(states):
            text = deepcopy(element)
            text.text = lines[place]
            last = " last" if step == len(states) - 1 else ""
            text.set("class", f"count count-{step}{last}")
            group.append(text)


def race(collections: Any, *, style: Style = PLAIN, nodes: int = MAX_NODES) -> Race:
    """The race of the tree against the DAG, as an animated SVG that needs no script.

    collections: as of `contrast`; the right side runs now, to see the order of its tasks
    nodes: the most tasks of a side

    The left side is evaluated in the order of the naive recursion, the right one in that of Dask's
    scheduler `sync`. Raises `LimitError` for more tasks than `nodes`, `ValueError` for a
    collection in which no two tasks are equal.

    >>> from pipeline.apps.fibonacci import fib
    >>> race(fib(6))
    <Race: tree of 25 tasks and DAG of 7 tasks, 15.6 s>
    """
    pair = compare(collections, style, nodes)
    if not pair.has_repeats:
        raise ValueError("no two tasks are equal: there is nothing to race against; use `contrast`")
    if (len(pair.left.boxes), len(pair.right.boxes)) != (pair.before, pair.after):
        raise LimitError(
            f"a graph of {count_tasks(pair.before)} would be folded, and a race shows all tasks, "
            f"nodes={nodes} at most: give a smaller call, or use `contrast` or `report`"
        )
    with dask.config.set(scheduler="sync"):
        ran = observed(pair.graph).seconds
    runners = [_runner(walk) for walk in pair.walks(ran)]
    title = " and ".join(f"{heading.name} of {heading.text}" for heading in pair.headings)
    headings = [runner.headings[-1] for runner in runners]
    picture = pair.picture(pair.panels, {}, headings=headings, title=pair.title)
    return Race(title, picture, runners)


def _runner(walk: Walk) -> Runner:
    name = walk.heading.name
    nodes: list[str] = []
    seen: set[Key] = set()
    headings = [Heading(name, f"0 of {walk.tasks:,} tasks", ("\N{NO-BREAK SPACE}",))]
    for frame in walk.frames(walk.tasks):
        nodes.append(node_id(walk.panel, frame.box))
        seen.add(frame.key)
        again = frame.evaluated - len(seen)
        values = f"{frame.hits:,} value{'s' * (frame.hits != 1)}"
        note = f"{values} from memory" if walk.has_memory else f"{again:,} evaluated again"
        headings.append(Heading(name, f"{frame.evaluated:,} of {count_tasks(walk.tasks)}", (note,)))
    return Runner(walk.panel.name, nodes, headings)
