"""The house: a folder is an idea, imports point down, private names stay in their file."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

import pipeline

PACKAGE = Path(__file__).parent.parent / "pipeline"

ROOMS = (
    "identity", "graph", "program", "trace", "schedule", "share", "store", "cache", "draw", "page",
    "compute", "apps", "cli",
)  # fmt: skip
"""The table of DESIGN.md, from the ground up: a room imports only from the rooms before it."""

UPWARD = {
    ("graph", "compute"): "Call.compute and TaskGraph.compute",
    ("graph", "program"): "TaskGraph.compile, and what Dask calls before a run",
    ("graph", "draw"): "TaskGraph.visualize",
    ("store", "cache"): "Store.memoize, Store.explain, Store.verify, `with store:`",
    ("page", "compute"): "a page shows a run",
}
"""What a class of a lower room offers and a higher room does. The import is within the function,
or is for type checkers alone."""

STRANGERS = {("draw", "store"), ("draw", "cache"), ("store", "graph"), ("store", "trace")}
"""What a room does not know, although it is below: pictures no store, the store no graphs."""

MOST_FILES = 10
PUBLIC = {name for name in dir(pipeline) if name not in ROOMS or name in pipeline.__all__}


class Import(NamedTuple):
    """One name that a file imports from the package.

    module: of the package, without its name: `graph.keys`, or "" for the package itself
    is_late: whether the import is within a function, or is for type checkers alone
    """

    module: str
    name: str
    is_late: bool


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def title(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def imports(path: Path) -> list[Import]:
    """All imports of a file from this package, those for type checkers included."""
    found = []
    late = {
        id(inner)
        for outer in ast.walk(parsed(path))
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING")
        for inner in ast.walk(outer)
    }
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("pipeline."), f"{title(path)}: use `from`"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{title(path)}: relative imports hide where they point"
            package, _, module = (node.module or "").partition(".")
            if package == "pipeline":
                found += [Import(module, alias.name, id(node) in late) for alias in node.names]
    return found


RUN = {"__init__", "__main__"}
PARTS = [path for path in files() if room(path) not in RUN]


def test_the_package_is_the_table() -> None:
    shown = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert shown == {*ROOMS, *RUN, "py.typed"}


@pytest.mark.parametrize("folder", [path for path in PACKAGE.rglob("*") if path.is_dir()], ids=str)
def test_a_folder_has_at_most_ten_files(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("path", PARTS, ids=title)
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    for module, name, is_late in imports(path):
        there = module.partition(".")[0] or (name if name == "page" else "")
        if not there or there == here:
            continue
        assert (here, there) not in STRANGERS, f"{here} does not know {there}"
        if ROOMS.index(there) > ROOMS.index(here):
            assert is_late, f"{there} is above {here}: import {name} where it is used"
            assert (here, there) in UPWARD, f"{here} is not to know {there}"


def test_each_upward_import_is_still_there() -> None:
    used = {
        (room(path), entry.module.partition(".")[0]) for path in PARTS for entry in imports(path)
    }
    assert used >= set(UPWARD)


@pytest.mark.parametrize("path", PARTS, ids=title)
def test_a_folder_speaks_to_what_another_exports(path: Path) -> None:
    here = room(path)
    for module, name, _ in imports(path):
        there, _, file = module.partition(".")
        if there in ("", here, "compute"):
            continue
        assert not file or there == "apps", f"{module}.{name}: import it from pipeline.{there}"
        exporter = import_module(f"pipeline.{there}")
        assert there == "apps" or name in exporter.__all__, f"pipeline.{there} exports no {name}"


@pytest.mark.parametrize("path", PARTS, ids=title)
def test_private_names_stay_in_their_file(path: Path) -> None:
    assert not [entry for entry in imports(path) if entry.name.startswith("_")]


@pytest.mark.parametrize("path", [path for path in PARTS if room(path) == "apps"], ids=title)
def test_applications_use_the_public_api_alone(path: Path) -> None:
    for module, name, _ in imports(path):
        if module == "":
            assert name in pipeline.__all__ or name == "page", f"{name} is not public"
        else:
            assert module == "page" or module.startswith("apps"), f"pipeline.{module} is not public"


@pytest.mark.parametrize("path", files(), ids=title)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    names = {function.id for function in calls if isinstance(function, ast.Name)}
    assert room(path) == "cli" or "print" not in names


@pytest.mark.parametrize("path", files(), ids=title)
def test_a_class_gets_its_attributes_in_its_own_file(path: Path) -> None:
    own = {node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)}
    imported = {entry.name for entry in imports(path)} - own
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.Assign | ast.Call):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            targets = node.args[:1] if node.func.id == "setattr" else []
            owners = [target for target in targets if isinstance(target, ast.Name)]
        else:
            flat = [leaf for target in targets for leaf in ast.walk(target)]
            attributes = [leaf for leaf in flat if isinstance(leaf, ast.Attribute)]
            owners = [leaf.value for leaf in attributes if isinstance(leaf.value, ast.Name)]
        for owner in owners:
            assert not (owner.id in imported and owner.id[:1].isupper()), (
                f"{title(path)}:{node.lineno} puts an attribute into {owner.id}"
            )


@pytest.mark.parametrize("path", PARTS, ids=title)
def test_no_function_has_the_name_of_its_file(path: Path) -> None:
    if room(path) in ("compute", "cli"):  # a command's file has the name of the command
        return
    functions = {node.name for node in parsed(path).body if isinstance(node, ast.FunctionDef)}
    assert path.stem not in functions


def test_the_package_shows_its_names_and_its_folders_and_no_more() -> None:
    folders = {name for name in ROOMS if (PACKAGE / name).is_dir()}
    assert set(dir(pipeline)) == {*pipeline.__all__, *folders}
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__doc__


@pytest.mark.parametrize("name", ["share", "trace", "compute"])
def test_a_function_is_not_hidden_by_the_room_of_its_name(name: str) -> None:
    code = f"import pipeline.{name}, pipeline; from pipeline import {name}; " \
           f"assert callable({name}) and pipeline.{name} is {name}"  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_have_one_base() -> None:
    for path in PARTS:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                ours = {other for other in bases if other.endswith("Error")}
                known = {"PipelineError"} | _derived()
                assert ours & known, f"{title(path)}: {node.name} is no PipelineError"


@cache
def _derived() -> frozenset[str]:
    """Errors of the package that derive from its base, directly or by way of others."""
    found: set[str] = {"PipelineError"}
    classes = [
        node for path in PARTS for node in parsed(path).body if isinstance(node, ast.ClassDef)
    ]
    for _ in range(3):
        for node in classes:
            if {base.id for base in node.bases if isinstance(base, ast.Name)} & found:
                found.add(node.name)
    return frozenset(found)


def test_starting_up_imports_no_more_than_it_uses() -> None:
    heavy = ("dask", "numpy", "matplotlib", "pandas", "distributed", "rich")
    for arguments in (["--version"], ["--help"]):
        code = (
            "import sys; sys.argv = ['pipeline', *sys.argv[1:]]\n"
            "from pipeline.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            f"print(*(set({heavy}) & set(sys.modules)), file=sys.stderr)"
        )
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert not done.stderr.strip(), arguments
    code = "import pipeline; pipeline.recurrence; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "pandas", "distributed", "rich"} & set(done.stdout.split())
