"""What can be seen and done in a scene."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.graph import label, occurrence_number, subproblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    from pipeline import TaskGraph

    Opened = Callable[..., Any]

SIDES = ("tree", "dag")


class Seen:
    """A scene of a page."""

    def __init__(self, page: Any, place: int = 0) -> None:
        self.page = page
        self.root = page.locator("[data-scene]").nth(place)

    def do(self, what: str) -> None:
        self.root.locator(f'[data-do="{what}"]').click()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, what: str) -> str:
        return str(self.root.locator(what).first.inner_text())

    @property
    def step(self) -> str:
        return self.text("[data-step]")

    @property
    def said(self) -> str:
        return self.text("[data-said]")

    @property
    def frames(self) -> int:
        return int(self.root.locator("[data-scrub]").get_attribute("max"))

    def counters(self, side: str) -> list[str]:
        return [str(each) for each in self.root.locator(f".{side} .counters dd").all_inner_texts()]

    def memo(self) -> dict[str, tuple[str, str]]:
        rows = self.root.locator("[data-memo] tbody tr").evaluate_all(
            "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
        )
        return {call: (value, asked) for call, value, asked in rows}

    def node(self, side: str, said: str) -> Any:
        """A node by how its label begins."""
        return self.root.locator(f'.{side} [data-box][aria-label^="{said}"]').first

    def with_class(self, side: str, kind: str) -> list[str]:
        """Nodes of a class: their labels, and on the left their numbers."""
        found = self.root.locator(f".{side} [data-box].{kind}").evaluate_all(
            "nodes => nodes.map(node => node.getAttribute('aria-label'))"
        )
        return sorted(_named(each) for each in found)

    def card(self) -> dict[str, str]:
        rows = self.root.locator("[data-card] div").evaluate_all(
            "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
        )
        return dict(rows)

    @property
    def is_lit(self) -> bool:
        return "lit" in str(self.root.get_attribute("class")).split()


def _named(said: str) -> str:
    first = said.split(", = ")[0]
    number = re.search(r", (\d+) of ", said)
    return f"{first} {number[1]}" if number else first


def around(graph: TaskGraph, key: Key) -> dict[str, list[str]]:
    """What of a graph is lit with a subproblem: it, what it takes, what takes it."""
    same = {each for each in graph.tasks if subproblem(each) == key}
    taken = {other for each in same for other in graph.inputs(each)}
    takers = {each for each in graph.tasks if same & set(graph.inputs(each))}
    return {
        kind: sorted(map(_name_of, keys))
        for kind, keys in (("same", same), ("input", taken), ("consumer", takers))
    }


def _name_of(key: Key) -> str:
    is_numbered = subproblem(key) is not key
    return f"{label(key)} {occurrence_number(key)}" if is_numbered else label(key)
