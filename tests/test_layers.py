"""Imports point down: the table of the layers is what the files import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pipeline

PACKAGE = Path(__file__).parent.parent / "pipeline"

# From the ground up; a file may import from files above it in this list, and these only.
LAYERS: dict[str, set[str]] = {
    "units": set(),
    "arrays": set(),
    "atoms": {"arrays", "units"},
    "bytecode": set(),
    "names": {"bytecode"},
    "reach": {"bytecode", "names"},
    "frames": set(),
    "state": {"frames", "reach", "units"},
    "encode": {"arrays", "atoms", "bytecode", "reach", "state", "units"},
    "keys": {"arrays", "atoms", "encode", "state"},
    "files": set(),
    "whole": set(),
    "impurities": {"names", "reach"},
    "calls": {"impurities", "names", "reach"},
    "changes": {"bytecode", "impurities", "names", "reach"},
    "purity": {"calls", "changes", "files", "impurities", "reach"},
    "digest": {"atoms", "encode", "impurities", "reach", "state", "units"},
    "nest": set(),
    "node": {"keys"},
    "graph": {"atoms", "encode", "keys", "nest", "node", "state", "units"},
    "count": {"graph", "node", "units"},
    "unfold": {"count", "graph", "keys", "nest", "node"},
    "operators": set(),
    "lazy": {"encode", "graph", "operators", "units"},
    "body": {"atoms", "encode", "lazy", "nest", "state"},
    "tracing": {"encode", "keys"},
    "call": {
        "atoms", "body", "encode", "graph", "keys", "lazy", "nest", "node", "tracing", "unfold",
        "units",
    },
    "operand": {"arrays", "atoms", "body", "call", "encode", "keys", "lazy", "nest", "state"},
    "function": {"atoms", "call", "encode", "keys", "state", "tracing", "units"},
    "recurrence": {
        "atoms", "call", "encode", "function", "keys", "lazy", "nest", "operand", "units",
    },
    "tape": {"keys"},
    "record": {"body", "node", "tape"},
    "groups": {"node"},
    "fuse": {"atoms", "graph", "groups", "node", "record", "tape"},
    "optimize": {"fuse", "graph", "lazy", "node"},
    "apart": {
        "atoms", "calls", "changes", "digest", "files", "impurities", "node", "purity", "reach",
    },
    "numbering": {"apart", "atoms", "calls", "encode", "impurities", "keys", "node", "purity"},
    "merge": {"keys", "node", "numbering"},
    "titles": {"atoms", "encode", "keys", "node", "units"},
    "opened": {"graph", "keys", "lazy", "merge", "nest", "node", "units"},
    "shared": {"graph", "impurities", "keys", "merge", "node", "titles"},
    "share": {"atoms", "merge", "node", "opened", "shared", "units"},
    "storable": set(),
    "npy": {"storable"},
    "columns": {"storable"},
    "tables": {"columns", "encode", "storable"},
    "forms": {"npy", "storable"},
    "trees": {"forms", "npy", "storable", "tables"},
    "codec": {"storable", "trees"},
    "entry": {"codec"},
    "locks": set(),
    "disk": {"locks"},
    "aside": {"disk", "locks"},
    "notes": {"disk", "locks"},
    "tally": {"disk", "locks"},
    "folder": {"aside", "disk", "entry", "locks", "notes", "tally"},
    "bucket": set(),
    "remote": {"bucket", "entry", "folder", "units"},
    "evict": set(),
    "warned": set(),
    "ledger": {"codec", "entry", "folder", "remote", "units", "warned"},
    "room": {"aside", "codec", "entry", "evict", "folder", "ledger", "remote", "units"},
    "places": {"folder", "remote", "room", "units"},
    "store": {"codec", "entry", "folder", "ledger", "places", "room", "units"},
    "digested": {
        "apart", "body", "digest", "encode", "impurities", "node", "numbering", "purity",
        "recurrence",
    },
    "told": {"body", "digested", "keys", "node", "reach", "titles", "units"},
    "causes": {"digest", "reach"},
    "saver": {"causes", "codec", "entry", "ledger", "node", "room", "storable", "store"},
    "recall": {"digested", "entry", "fuse", "node", "saver", "store", "told"},
    "remains": {"fuse", "graph", "node", "opened", "recall"},
    "through": {"ledger", "recall", "remains", "saver", "store", "told"},
    "context": {"recall", "remains", "store", "through"},
    "explain": {"causes", "recall", "remains", "store", "told", "units"},
    "rerun": {"codec", "digest", "entry", "ledger", "store", "units"},
    "verify": {
        "codec", "digested", "entry", "fuse", "graph", "ledger", "node", "remains", "rerun", "room",
        "saver", "store", "told", "units",
    },
    "archive": {"codec", "entry", "locks", "room", "store", "units", "whole"},
    "runs": {"fuse"},
    "listen": {"runs"},
    "measure": {"keys", "listen", "runs", "units"},
    "run": {"graph", "lazy", "opened", "optimize", "share", "store", "through"},
    "buffers": {"body", "tape"},
    "source": {"body", "keys", "operators", "tape"},
    "program": {"buffers", "graph", "keys", "lazy", "node", "record", "source", "tape"},
    "picture": {"whole"},
    "panel": {"count", "graph", "keys"},
    "texts": {"keys", "units"},
    "style": {"keys"},
    "compare": {
        "call", "count", "graph", "keys", "nest", "node", "panel", "recall", "share", "shared",
        "store", "style", "texts", "titles", "unfold", "units",
    },
    "dot": {"atoms", "graph", "keys", "panel", "style", "texts", "units"},
    "draw": {
        "compare", "dot", "fuse", "graph", "keys", "panel", "picture", "recall", "store", "style",
        "texts",
    },
    "walk": {"body", "graph", "keys", "measure", "nest", "node", "run", "store", "texts"},
    "inline": {"picture"},
    "parts": set(),
    "scene": {
        "compare", "dot", "inline", "keys", "panel", "picture", "store", "style", "texts", "units",
        "walk",
    },
    "questions": {"parts", "scene"},
    "report": {
        "explain", "ledger", "parts", "questions", "scene", "store", "style", "units", "whole",
    },
    "charts": {"units"},
    "tradeoff": {"call", "graph", "keys", "unfold"},
}  # fmt: skip
# The package itself gathers the engine's names; applications and the command line stand on it.
PUBLIC = {"__init__", "measure", "units", "whole"}
# What the pages of applications are made of.
PAGE = {"charts", "count", "inline", "keys", "parts", "report", "scene", "texts", "tradeoff"}
MLP = (
    "rules", "network", "chain", "formula", "mathml", "counts", "pictures", "facts", "quiz",
    "derivatives", "lesson", "__init__", "growth", "layers", "optimizers", "data/__init__",
    "training", "figures",
)  # fmt: skip
APPS = ("gallery", "costs", "space", "pages")
CLI = (
    "screen", "progress", "script", "stored", "fib", "mlp", "train", "share", "entries", "archive",
    "cache", "gallery", "report", "run", "__init__",
)  # fmt: skip
ABOVE = {
    "apps/__init__", "apps/fibonacci", "__main__", *(f"apps/mlp/{each}" for each in MLP),
    *(f"apps/{each}" for each in APPS), *(f"cli/{each}" for each in CLI),
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they point"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            head, *rest = name.split(".")
            if head == "pipeline" and rest[:1] and rest[0] in pipeline.__all__:
                found.add("__init__" if len(rest) == 1 else rest[0])
            elif head == "pipeline":
                parts = rest if rest[:1] in (["apps"], ["cli"]) else rest[:1]
                while parts and not (PACKAGE / f"{'/'.join(parts)}.py").exists():
                    parts = [*parts, "__init__"] if is_package(parts) else parts[:-1]
                found.add("/".join(parts) or "__init__")
    return found


def is_package(parts: list[str]) -> bool:
    return (PACKAGE.joinpath(*parts) / "__init__.py").exists()


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_file_has_a_place_in_the_table() -> None:
    names = {str(path.relative_to(PACKAGE).with_suffix("")) for path in files()}
    assert names == set(LAYERS) | ABOVE | {"__init__"}


@pytest.mark.parametrize("name", LAYERS)
def test_the_engine_imports_what_the_table_says(name: str) -> None:
    below = list(LAYERS)[: list(LAYERS).index(name)]
    assert imported(PACKAGE / f"{name}.py") == LAYERS[name]
    assert set(below) >= LAYERS[name]


def test_applications_and_the_command_line_use_the_public_api() -> None:
    assert imported(PACKAGE / "apps/fibonacci.py") <= PUBLIC
    for place, name in enumerate(MLP):
        below = {f"apps/mlp/{each}" for each in MLP[:place]}
        assert imported(PACKAGE / f"apps/mlp/{name}.py") <= PUBLIC | PAGE | below
    apps = {"apps/__init__", "apps/fibonacci", *(f"apps/mlp/{each}" for each in MLP)}
    for name in APPS:
        assert imported(PACKAGE / f"apps/{name}.py") <= PUBLIC | PAGE | apps
        apps.add(f"apps/{name}")
    for place, name in enumerate(CLI):
        below = {f"cli/{each}" for each in CLI[:place]}
        engine = {"archive", "keys", "ledger", "picture", "report", "rerun", "unfold", "verify"}
        assert imported(PACKAGE / f"cli/{name}.py") <= PUBLIC | engine | apps | below
    assert imported(PACKAGE / "__main__.py") == {"cli/__init__"}


def test_only_the_command_line_prints() -> None:
    for path in files():
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        if path.parent.name != "cli" and path.name != "picture.py":
            assert "print" not in names, path


@pytest.mark.parametrize("path", files(), ids=str)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 250
