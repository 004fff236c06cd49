"""What is written in a picture. In a label Graphviz reads HTML; a backslash starts an escape."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import graphviz

from pipeline.graph import label
from pipeline.identity import format_number

if TYPE_CHECKING:
    from dask.typing import Key

PALE = "#6b6b6b"


def count_tasks(number: int) -> str:
    """A number of tasks, in words.

    >>> count_tasks(1), count_tasks(465)
    ('1 task', '465 tasks')
    """
    return f"{format_number(number)} task{'s' * (number != 1)}"


def escaped(line: str) -> str:
    """A line as HTML."""
    printable = "".join(each if each.isprintable() else "·" for each in line)
    return html.escape(printable).replace("\\", "\\\\")


def text(first: str, *others: str) -> str:
    """A label of lines, all but the first in small letters."""
    return f"<{escaped(first)}{''.join(f'<br/>{_small(line)}' for line in others)}>"


def small(line: str) -> str:
    """A label of one line, in small letters."""
    return f"<{_small(line)}>"


def _small(line: str) -> str:
    return f'<font point-size="10">{escaped(line)}</font>'


def heading(title: str) -> str:
    """A title; lines part at `|`."""
    first, *others = title.split("|")
    rest = "".join(
        f'<br/><font point-size="11" color="{PALE}">{escaped(line)}</font>' for line in others
    )
    return f'<<font point-size="14"><b>{escaped(first)}</b></font>{rest}>'


def tooltip(key: Key) -> str:
    """The call and the whole key of a task."""
    whole = "".join(each if each.isprintable() else "·" for each in f"{label(key)}; key {key!r}")
    return str(graphviz.escape(whole[:1000]))
