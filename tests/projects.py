"""Projects of two modules, written anew with an edit; libraries of other versions."""

from __future__ import annotations

import importlib
import re
import sys
from contextlib import contextmanager
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.identity.digests import _version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def edited(
    folder: Path, patch: pytest.MonkeyPatch, sources: dict[str, str], old: str, new: str,
    name: str = "main",
) -> Iterator[Any]:  # fmt: skip
    """A module of a project in a new folder, while it can be imported.

    sources: the code of each module, by name; `old` stands in one of them, once
    """
    assert "".join(sources.values()).count(old) == 1 or not old
    folder.mkdir()
    for each, source in sources.items():
        (folder / f"{each}.py").write_text(source.replace(old, new) if old else source)
    with patch.context() as within:
        within.setattr(sys, "dont_write_bytecode", True)
        within.syspath_prepend(str(folder))
        try:
            yield importlib.import_module(name)
        finally:
            for each in sources:
                sys.modules.pop(each, None)


@contextmanager
def installed(version: str) -> Iterator[None]:
    """As another process, with this version of all libraries."""
    kind = type(distribution("numpy"))
    read = kind.read_text

    def read_other(self: Any, name: str) -> str | None:
        text = read(self, name)
        return text and re.sub(r"^Version: .*$", f"Version: {version}", text, flags=re.MULTILINE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "read_text", read_other)
        _version.cache_clear()
        yield
    _version.cache_clear()
