"""Pages: self-contained HTML files, which need no network and no server."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from itertools import chain, zip_longest
from itertools import count as counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.draw import MAX_NODES, PLAIN, Comparison, Style, atomic_write, compare
from pipeline.graph import label
from pipeline.identity import format_duration, mask_passwords
from pipeline.page.layers import LAYERED, layer_parts
from pipeline.page.parts import Part, Prose, Section, Table
from pipeline.page.runs import time_section
from pipeline.page.scenes import (
    MAX_WHOLE,
    facts,
    observe,
    observe_unshared,
    recordings,
    scene_of,
    unshared_seconds,
)

if TYPE_CHECKING:
    from pipeline.cache import Explanation
    from pipeline.store import Counts, Store

STYLES = ("page.css", "scene.css", "table.css", "panel.css", "lesson.css")
SCRIPTS = (
    "page.js",
    "view.js",
    "side.js",
    "memo.js",
    "code.js",
    "lights.js",
    "table.js",
    "scene.js",
    "slider.js",
    "strip.js",
)


@dataclass(frozen=True, repr=False)
class Page:
    """Sections, as one HTML file. The lead is a sentence or two above them."""

    title: str
    sections: Sequence[Section]
    lead: str = ""

    def render(self) -> str:
        """The page as HTML. All texts are escaped."""
        numbers = counter(1)

        def show(part: Part) -> Markup:
            template = _environment().get_template(part.template)
            text = template.render(part=part, id=f"part-{next(numbers)}", show=show)
            return Markup(text)  # noqa: S704 - our template has escaped it

        return _environment().get_template("page.html").render(
            page=self, show=show, styles=map(_asset, STYLES), scripts=map(_asset, SCRIPTS),
            version=version("dask-memo"), python=platform.python_version(),
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the page atomically, and return the path. Raises `OSError` if that fails."""
        with atomic_write(path) as file:
            file.write(self.render().encode(errors="backslashreplace"))
        return Path(path)

    def __repr__(self) -> str:
        return f"<Page: {self.title}, {len(self.sections)} sections>"

    def _repr_html_(self) -> str:
        """The page in a notebook, in a frame that isolates its styles and scripts."""
        # In pixels: a notebook in VS Code is as high as its cells, and 85vh would grow with it.
        return Markup(
            '<iframe srcdoc="{}" title="{}" sandbox="allow-scripts"'
            ' style="width: 100%; height: 760px; border: 0"></iframe>'
        ).format(self.render(), self.title)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline", "page/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = _with_code
    return environment


def _with_code(text: str) -> Markup:
    """A text whose parts in backticks are code."""
    parts = text.split("`")
    code = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    between = zip_longest(map(escape, parts[::2]), code, fillvalue=Markup(""))
    return Markup("").join(chain.from_iterable(between))


def _asset(name: str) -> Markup:
    text = (files("pipeline") / "page" / "static" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


def report(
    collection: Any,
    *,
    title: str = "",
    style: Style = PLAIN,
    store: Store | None = None,
    rate: float | None = None,
) -> Page:
    """The page of a call, of a DAG, or of any other Dask collections. It computes them.

    style: the labels and colours of tasks
    store: to compute with; the page then shows which tasks were loaded and which computed, and why
    rate: calls a second of the naive recursion, if that was measured

    Both sides run task by task on the scheduler that Dask is set to. A tree runs only if it is
    drawn in full: up to 2,000 tasks on both sides together.

    >>> from pipeline.apps.fibonacci import fib
    >>> report(fib(5))
    <Page: fib(5), 1 sections>
    """
    explained, before = (store.explain(collection), store.done) if store else (None, None)
    compared = compare(collection, style, MAX_NODES, store, MAX_WHOLE)
    if compared.is_call or compared.before <= LAYERED:
        shown = scene_of(compared, collection, title, store=store, rate=rate)
        title = title or shown.title
        parts: list[Part] = [shown, Prose(_said(compared, shown.facts))]
        runs = shown.runs
    else:
        title = title or label(compared.graph.keys[0])
        ran = observe(collection, compared, store)
        left = observe_unshared(compared) if store is None else None
        said = Prose(facts(compared, left, ran.right))
        unshared = unshared_seconds(compared, left, ran.right)
        parts = [*layer_parts(compared, unshared, ran.right.seconds), said]
        runs = recordings(left, ran.right)
    sections = [Section("evaluation", _HEADS[compared.is_call], parts)]
    if runs:
        sections.append(time_section(runs))
    if store is not None and before is not None:
        sections.append(store_section(store, before, explained))
    return Page(title, sections)


_HEADS = {True: "The tree and the DAG", False: "What Dask would run, and what sharing leaves"}


def _said(compared: Comparison, facts: Sequence[str]) -> list[str]:
    """What a scene shows, in words."""
    if compared.is_call:
        return [
            "The tree evaluates every call again for each consumer, the DAG evaluates "
            "it once. One colour is one subproblem. Both sides take a step at a time, and the memo "
            "table fills."
        ]
    if not compared.has_repeats:
        return [*facts]
    return [
        *facts,
        "The left side is the graph as it was built: Dask runs each of its tasks, equal ones, too. "
        "The right side runs one of each. One colour is one subproblem.",
    ]


def store_section(
    store: Store, before: Counts, explained: Explanation | None = None, name: str = "store"
) -> Section:
    """A section on what a store did in a run.

    before: the store's counts before the run, its `done`
    explained: the store's explanation before the run
    name: the fragment of the section
    """
    done = {name: number - getattr(before, name) for name, number in vars(store.done).items()}
    lead = (
        f"{mask_passwords(store.url)}. Tasks loaded: {done['hits']:,}; looked up and computed: "
        f"{done['misses']:,}; computed without a look-up: {done['skipped']:,}. "
        f"{format_duration(done['saved']) if done['saved'] > 0 else '0 s'} saved."
    )
    parts: list[Part] = [Prose([lead])]
    if explained is not None:
        note = (
            "Hits are loaded; misses are computed; skipped tasks are computed without a look-up; "
            "culled tasks have no consumer that runs."
        )
        parts.append(Table("Tasks, and why", ("", "task", "why"), explained.rows(), 3, note))
    return Section(name, "What the store did", parts)
