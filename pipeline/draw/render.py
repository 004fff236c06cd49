"""Pictures: a graph, or a comparison of two, as SVG, PNG, PDF or DOT, and as a file.

Graphviz comes inside pygraphviz's wheels, so no `dot` program is needed.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from dask.task_spec import TaskRef

from pipeline.draw.comparison import compare
from pipeline.draw.dot import PLAIN, Style, write
from pipeline.draw.folding import MAX_NODES, Panel, check_nodes, fold, whole_panel
from pipeline.graph import TaskGraph, subproblem
from pipeline.identity import format_value
from pipeline.program import Block, fuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask.typing import Key

    from pipeline.draw.comparison import Comparison

FORMATS = ("svg", "png", "pdf", "dot")


@dataclass(frozen=True, repr=False)
class Picture:
    """DOT source that can be rendered, saved, and shown in a notebook."""

    dot: str

    def render(self, format: str) -> bytes:  # noqa: A002 - the field's word
        """The picture as SVG, PNG, PDF or DOT. The same picture gives the same bytes.

        Raises `ValueError` for any other format.
        """
        if format not in FORMATS:
            raise ValueError(
                f"cannot draw as {format!r}: a file name ends in .{', .'.join(FORMATS)}"
            )
        if format == "dot":
            return self.dot.encode()
        import pygraphviz

        graph = pygraphviz.AGraph(string=self.dot)
        try:
            with _stderr_lock, _without_font_warnings():
                drawn = graph.draw(
                    format=format, prog="dot", args="-Gdpi=160" if format == "png" else ""
                )
        finally:
            graph.close()
        # Only this part of a file depends on the time.
        return re.sub(rb"/CreationDate \(.*?\)", b"/CreationDate (D:19700101000000Z)", drawn)

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format of the file's suffix, and return the path.

        Raises `ValueError` for another suffix, `OSError` where the file cannot be written.
        """
        path = Path(path)
        drawn = self.render(path.suffix.removeprefix(".").lower())
        with atomic_write(path) as file:
            file.write(drawn)
        return path

    def __repr__(self) -> str:
        return f"<Picture: {len(self.dot):,} characters of DOT>"

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


def visualize(
    graph: TaskGraph,
    filename: str | Path | None = None,
    format: str | None = None,  # noqa: A002 - as in `dask.visualize`
    *,
    values: bool | Mapping[Key, Any] = False,
    blocks: bool = False,
    style: Style = PLAIN,
    nodes: int = MAX_NODES,
    store: Any = None,
) -> Picture:
    """Draw a graph as it is, one node per task; save it where a file name is given.

    filename: ends in .svg, .png, .pdf or .dot, unless `format` names the format
    values: True to compute and show the value of each task, or a mapping of keys to values
    blocks: True to outline the blocks of cheap tasks that run as one
    style: how tasks are named, coloured and joined
    nodes: at least 3; the middle of a larger graph is folded into one node
    store: a `Store`; tasks have the colour of what a run with it does: hit, miss, skipped, culled
    """
    check_nodes(nodes)
    if store is not None:
        style = style.with_statuses(store.explain(graph).statuses)
    is_tree = any(subproblem(key) is not key for key in graph.tasks)
    panel = fold(whole_panel(graph, "tree" if is_tree else "graph"), nodes, len(graph))
    evaluations = Counter(map(subproblem, graph.tasks))
    shown, outlined = _values(graph, values, panel), _blocks(graph) if blocks else {}
    picture = Picture(write([panel], graph, shown, evaluations, blocks=outlined, style=style))
    if filename is not None:
        picture.save(filename if format is None else Path(filename).with_suffix(f".{format}"))
    return picture


def contrast(
    collections: Any,
    *,
    values: bool | Mapping[Key, Any] = False,
    style: Style = PLAIN,
    nodes: int = MAX_NODES,
    store: Any = None,
) -> Picture:
    """Draw the tree beside the DAG, in one picture.

    collections: a call, or a graph with one task per subproblem; or any other Dask collections, a
        dict of tasks, or a `ShareReport`, whose graph is drawn before and after sharing
    values: True to compute and show the value of each task, or a mapping of keys to values
    style: how tasks are named, coloured and joined
    nodes: per panel, at least 3; in a larger tree each repeat is folded into one node with its
        size, and a panel that is still too large is folded in the middle
    store: a `Store`; tasks have the colour of what a run with it does: hit, miss, skipped, culled

    The tree is drawn from the DAG: it may have more tasks than could ever be built. Raises
    `ValueError` for a graph that is a tree already.
    """
    comparison = compare(collections, style, nodes, store)
    panels = (comparison.left, comparison.right)
    return Picture(
        write(
            panels,
            comparison.graph,
            _values(comparison.graph, values, *panels),
            comparison.times,
            headings=comparison.headings,
            title=comparison.title,
            style=comparison.style,
        )
    )


def inline_panel(comparison: Comparison, panel: Panel, values: Mapping[Key, str]) -> Picture:
    """One panel of a comparison for a page: without headings, with the classes of `dot.write`."""
    return Picture(
        write(
            [panel],
            comparison.graph,
            values,
            comparison.times,
            style=comparison.style,
            hues=comparison.hues,
            is_inline=True,
        )
    )


def _values(
    graph: TaskGraph, values: bool | Mapping[Key, Any], *panels: Panel
) -> Mapping[Key, str]:
    keys = {box.key: None for panel in panels for box in panel.boxes if box.key is not None}
    if not isinstance(values, Mapping):
        shown = TaskGraph(graph.tasks, [TaskRef(key) for key in keys])
        values = dict(zip(keys, shown.compute(scheduler="sync"), strict=True)) if values else {}
    return {key: format_value(values[key]) for key in keys if key in values}


def _blocks(graph: TaskGraph) -> dict[Key, Key]:
    """For each key in a block, the key of the block."""
    blocks = [node for node in fuse(graph).tasks.values() if isinstance(node, Block)]
    return {key: node.key for node in blocks for key in node.function.keys}


# Files


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[BinaryIO]:
    """Write a file under a temporary name; rename it when it is complete, delete it on an error.

    An older file of the name stays until then. Its mode is kept, unless one is given, and a link
    still points to it. A pipe, or any other path that is no regular file, is written directly.

    Raises `OSError` where it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with atomic_write(f"{folder}/a.txt") as file:
    ...         found = file.write(b"12345678"), os.listdir(folder) == ["a.txt"]
    >>> found
    (8, False)
    """
    target = os.path.realpath(path)
    exists = os.path.exists(target)
    if exists and not (os.path.isfile(target) and os.access(target, os.W_OK)):
        with open(path, "wb") as file:  # raises the error of a folder
            yield file
        return
    if mode is None and exists:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    temporary = os.path.join(os.path.dirname(target), f".pipeline-{os.urandom(8).hex()}.part")
    try:
        with _create(temporary, 0o666 if mode is None else mode, os.fspath(path)) as file:
            if mode is not None:  # the umask has cleared bits of it
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _create(temporary: str, mode: int, path: str) -> BinaryIO:
    """Create a file; an error names the path that the file is to have."""
    try:
        return open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


_stderr_lock = Lock()
"""One rendering at a time: the standard error belongs to the process, not to a thread."""

_NOISE = (b"Fontconfig ", b"Warning: graph has ")
"""Messages about the machine's fonts, and about large graphs that are drawn within a second."""


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Drop Graphviz's messages about fonts and sizes; pass on all others."""
    with TemporaryFile() as messages:
        stderr = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            messages.seek(0)
            for line in messages:
                if not line.startswith(_NOISE):
                    os.write(2, line)
