"""One page that shows it all: self-contained HTML, which needs no network and opens from a disk."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from itertools import count as counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.draw import PLAIN, Style, atomic_write
from pipeline.identity import format_duration, mask_passwords
from pipeline.page.parts import Part, Prose, Quiz, Section, Table
from pipeline.page.questions import questions
from pipeline.page.scenes import scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.cache import Explanation
    from pipeline.store import Counts, Store

STYLES = ("page.css", "scene.css", "chart.css", "lesson.css")
SCRIPTS = ("page.js", "side.js", "memo.js", "lights.js", "scene.js", "quiz.js", "chart.js",
           "slider.js", "rows.js")  # fmt: skip


@dataclass(frozen=True, repr=False)
class Page:
    """Sections, as one HTML file.

    lead: a sentence or two above them
    quiz: whether counts and values are hidden until they are asked for
    """

    title: str
    sections: Sequence[Section]
    lead: str = ""
    quiz: bool = False

    def render(self) -> str:
        """The page as HTML. What comes from arguments and values stands there as text."""
        numbers = counter(1)

        def show(part: Part) -> Markup:
            template = _environment().get_template(part.template)
            text = template.render(part=part, id=f"part-{next(numbers)}", show=show)
            return Markup(text)  # noqa: S704 - a template's own output

        return _environment().get_template("page.html").render(
            page=self, show=show, styles=map(_asset, STYLES), scripts=map(_asset, SCRIPTS),
            version=version("dask-memo"), python=platform.python_version(),
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the page whole, and return the path. Raises `OSError` where that cannot be done."""
        with atomic_write(path) as file:
            file.write(self.render().encode(errors="backslashreplace"))
        return Path(path)

    def __repr__(self) -> str:
        return f"<Page: {self.title}, {len(self.sections)} sections>"

    def _repr_html_(self) -> str:
        """The page in a notebook, apart from what else is there."""
        return Markup(
            '<iframe srcdoc="{}" title="{}" sandbox="allow-scripts"'
            ' style="width: 100%; height: 85vh; border: 0"></iframe>'
        ).format(self.render(), self.title)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("pipeline", "page/templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _asset(name: str) -> Markup:
    """A file of the page's own, as it is."""
    text = (files("pipeline") / "page" / "static" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - of this package


def report(
    asked: Any,
    *,
    title: str = "",
    style: Style = PLAIN,
    store: Store | None = None,
    rate: float | None = None,
    quiz: bool = False,
) -> Page:
    """The page of a call, of a DAG, or of any other Dask collections, which are run for it.

    style: how tasks are named and coloured
    store: to run with; the page then tells what was loaded and what was computed, and why
    rate: calls a second of the naive recursion, if that was measured
    quiz: True to hide counts and values until they are asked for, and to ask for some

    Both sides are run task by task on the scheduler that Dask is set to, a tree only if it is
    drawn whole: up to 2,000 tasks on both sides together.

    >>> from pipeline.apps.fibonacci import fib
    >>> report(fib(5))
    <Page: fib(5), 1 sections>
    """
    explained, before = (store.explain(asked), store.done) if store else (None, None)
    found = scene(asked, title, style=style, store=store, rate=rate)
    sections = [Section("evaluation", "The tree and the DAG", [found], _LEAD)]
    if store is not None and before is not None:
        sections.append(store_section(store, before, explained))
    if quiz:
        sections.append(Section("quiz", "Questions", [Quiz(questions(found))]))
    return Page(title or found.title, sections, quiz=quiz)


_LEAD = (
    "On the left every task is evaluated for each consumer anew, on the right once: one colour is "
    "one subproblem. Both sides take a step at a time, and the memo table fills."
)


def store_section(
    store: Store, before: Counts, explained: Explanation | None = None, name: str = "store"
) -> Section:
    """What a store did in a run.

    before: what the store had counted by then, its `done`
    explained: as the store told it before the run
    name: of the section
    """
    now = store.done
    done = {name: getattr(now, name) - getattr(before, name) for name in vars(now)}
    lead = (
        f"{mask_passwords(store.url)}. Tasks loaded: {done['hits']:,}; looked up and computed: "
        f"{done['misses']:,}; computed without a look: {done['skipped']:,}. "
        f"{format_duration(done['saved']) if done['saved'] > 0 else '0 s'} saved."
    )
    parts: list[Part] = [Prose([lead])]
    if explained is not None:
        rows = explained.rows()
        note = "Hits are loaded; misses are computed; skipped tasks are computed without a look; culled tasks are not needed."
        parts.append(Table("Tasks, and why", ("", "task", "why"), rows, 3, note=note))
    return Section(name, "What the store did", parts, is_secret=True)
