"""A picture: DOT source, and the files that Graphviz makes of it.

Graphviz itself comes inside pygraphviz's wheels, so no `dot` program is needed.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import TYPE_CHECKING

import pygraphviz

from pipeline.draw.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("svg", "png", "pdf", "dot")


_screen = Lock()
"""One rendering at a time: the screen is the process's, not the thread's."""


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
        graph = pygraphviz.AGraph(string=self.dot)
        try:
            with _screen, _without_font_warnings():
                drawn = graph.draw(
                    format=format, prog="dot", args="-Gdpi=160" if format == "png" else ""
                )
        finally:
            graph.close()
        # The one thing in a file that tells the time.
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


_NOISE = ("Fontconfig ", "Warning: graph has ")
"""What is said of the machine's fonts, and of large graphs that are drawn within a second."""


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Graphviz's own fontconfig complains of newer settings of the machine's; others are told."""
    with TemporaryFile() as told:
        screen = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            told.seek(0)
            for line in told.read().decode(errors="replace").splitlines():
                if not line.startswith(_NOISE):
                    print(line, file=sys.stderr)
