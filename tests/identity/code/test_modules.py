"""Modules that are not imported: found and read without running them."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import py_compile
import sys
import zipfile
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import digest
from pipeline.identity import Library, UnimportedModule, module_name
from pipeline.identity.code.modules import UnknownModule, find_module, is_library_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = {
    "helper.py": "from settings import RATE\ndef g(x):\n    return x * RATE\n",
    "settings.py": "RATE = 3\n",
    "package/__init__.py": "LIMIT = 9\n",
    "package/sub.py": "from .deep import low as lower\ndef g(x):\n    return lower.g(x)\n",
    "package/deep/__init__.py": "",
    "package/deep/low.py": "def g(x):\n    return x + 1\n",
    "loose/inner.py": "def g(x):\n    return x - 1\n",
    "here.py": "import there\ndef g(x):\n    return there.g(x)\n",
    "there.py": "def g(x):\n    import here\n    return x if x < 0 else here.g(-x)\n",
    "stars.py": "from settings import *\ndef g(x):\n    return x * RATE\n",
}
"""A project of modules, which stop the test when one of them runs."""

BODIES = {
    "module": "import helper\n    return helper.g(x)",
    "function": "from helper import g\n    return g(x)",
    "submodule": "import package.sub\n    return package.sub.g(x)",
    "submodule by another name": "import package.sub as p\n    return p.g(x)",
    "submodule of a package": "from package import sub\n    return sub.g(x)",
    "nested": "def h():\n        from package.deep import low as m\n        return m\n"
    "    return h().g(x)",
    "folder": "from loose import inner\n    return inner.g(x)",
    "circle": "import here\n    return here.g(x)",
    "star": "import stars\n    return stars.g(x)",
    "relative": "from .deep import low\n    return low.g(x)",
    "relative module": "from . import sub\n    return sub.g(x)",
}  # fmt: skip


class Project:
    """A project in a new folder after each edit; none of its modules is imported."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch, self.places = folder, patch, count()

    def function(self, body: str, file: str = "", old: str = "", new: str = "") -> Any:
        """A function of a module in `package`, after an edit of a file."""
        folder = self.folder / str(next(self.places))
        for name, source in PROJECT.items():
            assert name != file or old in source
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = source.replace(old, new) if name == file else source
            path.write_text(f"{text}\nraise RuntimeError('the module ran')\n")
        self.patch.setattr(sys, "path", [str(folder), *sys.path])
        names: dict[str, Any] = {"__name__": "main", "__package__": "package"}
        exec(f"def f(x):\n    {body}\n", names)  # noqa: S102 - a function of no module
        return names["f"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield Project(tmp_path, monkeypatch)
    for name in {path.partition("/")[0].removesuffix(".py") for path in PROJECT}:
        for module in set(sys.modules) - before:
            if module.partition(".")[0] == name:
                del sys.modules[module]


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_module_that_a_body_imports_counts_and_does_not_run(project: Project, body: str) -> None:
    assert digest(project.function(body)) == digest(project.function(body))
    assert not {"helper", "package", "loose", "here", "stars"} & set(sys.modules)


@pytest.mark.parametrize(
    ("body", "file", "old", "new"),
    [
        ("module", "helper.py", "x * RATE", "x / RATE"),
        ("module", "settings.py", "3", "4"),
        ("function", "helper.py", "x * RATE", "x / RATE"),
        ("function", "settings.py", "3", "4"),
        ("submodule", "package/__init__.py", "9", "8"),
        ("submodule", "package/deep/low.py", "x + 1", "x + 2"),
        ("submodule", "package/deep/__init__.py", "", "MORE = 1"),
        ("submodule by another name", "package/sub.py", "return", "return -"),
        ("submodule by another name", "package/__init__.py", "9", "8"),
        ("submodule of a package", "package/sub.py", "return", "return -"),
        ("nested", "package/deep/low.py", "x + 1", "x + 2"),
        ("folder", "loose/inner.py", "x - 1", "x - 2"),
        ("circle", "there.py", "x < 0", "x < 1"),
        ("star", "settings.py", "3", "4"),
        ("relative", "package/deep/low.py", "x + 1", "x + 2"),
        ("relative module", "package/sub.py", "return", "return -"),
    ],
)
def test_an_edit_in_a_module_that_is_not_imported_changes_the_digest(
    project: Project, body: str, file: str, old: str, new: str
) -> None:
    before = digest(project.function(BODIES[body]))
    assert digest(project.function(BODIES[body], file, old, new)) != before
    assert digest(project.function(BODIES[body])) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("helper.py", "def g(x):", "def g(x):  # a comment"),
        ("helper.py", "def g(x):", 'def g(x):\n    """What it does."""'),
        ("helper.py", "from settings", '"""What it holds."""\n\nfrom settings'),
        ("settings.py", "RATE = 3", "# a comment\nRATE = (\n    3\n)"),
        ("package/sub.py", "return", "return -"),
    ],
)
def test_comments_docstrings_and_other_modules_do_not_count(
    project: Project, file: str, old: str, new: str
) -> None:
    body = BODIES["module"]
    assert digest(project.function(body, file, old, new)) == digest(project.function(body))


def test_a_value_of_an_imported_module_counts_for_one_that_is_not_imported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Any = type(sys)("settings")
    monkeypatch.setitem(sys.modules, "settings", settings)
    digests = []
    for rate in (3, 4, 3):
        settings.RATE = rate
        digests.append([digest(project.function(BODIES[body])) for body in ("module", "star")])
    assert digests[0] == digests[2]
    assert digests[0][0] != digests[1][0]
    assert digests[0][1] != digests[1][1]


def test_two_modules_that_one_name_may_denote_both_count(project: Project) -> None:
    body = (
        "try:\n        import helper as h\n    except ImportError:\n"
        "        import loose.inner as h\n    return h.g(x)"
    )
    before = digest(project.function(body))
    assert digest(project.function(body, "helper.py", "x * RATE", "x / RATE")) != before
    assert digest(project.function(body, "loose/inner.py", "x - 1", "x - 2")) != before


def test_a_lazy_module_counts_by_its_code_and_is_not_loaded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for old, new in (("x - 1", "x - 2"), ("x - 1", "x - 3"), ("x - 1", "x - 2")):
        function = project.function("return lazy.g(x)", "loose/inner.py", old, new)
        spec: Any = importlib.util.spec_from_file_location(
            "inner", Path(sys.path[0]) / "loose/inner.py"
        )
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "inner", module)
        monkeypatch.syspath_prepend(Path(sys.path[0]) / "loose")
        spec.loader.exec_module(module)
        function.__globals__["lazy"] = module
        digests.append(digest(function))
    assert digests[0] == digests[2] != digests[1]


def found(name: str) -> Any:
    importlib.invalidate_caches()
    return find_module(name)


def test_a_library_counts_by_its_name_and_no_package_of_it_is_imported() -> None:
    before = set(sys.modules)
    assert found("wsgiref.simple_server") == Library("wsgiref.simple_server")
    assert found("zlib") == Library("zlib")
    assert found("_imp") == Library("_imp")
    assert found("wsgiref.not_there") is None
    assert found("zlib.not_there") is None
    assert set(sys.modules) == before


def test_a_compiled_file_and_a_module_in_an_archive_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source.py"
    source.write_text("RATE = 3\n")
    py_compile.compile(str(source), str(tmp_path / "compiled.pyc"))
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(source, "zipped.py")
        archive.write(source, "boxed/inner.py")
        archive.writestr("boxed/__init__.py", "")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "archive.zip"), *sys.path])
    modules = [found(name) for name in ("source", "compiled", "zipped", "boxed.inner")]
    assert [type(module) for module in modules] == [UnimportedModule] * 4
    assert len({digest(module) for module in modules[:3]}) == 1


class Finder:
    """A finder of the project, which finds what it is made for."""

    def __init__(self, found: Callable[[str], Any]) -> None:
        self.found = found

    def find_spec(self, name: str, *_: Any) -> Any:
        return self.found(name)


def broken(folder: Path, _: Any) -> None:
    (folder / "odd.py").write_text("def f(:\n")


def undecodable(folder: Path, _: Any) -> None:
    (folder / "odd.py").write_bytes(b"x = '\xff'\n")


def extension(folder: Path, _: Any) -> None:
    (folder / f"odd{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"")


def found_elsewhere(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "odd.py").write_text("x = 1\n")
    patch.setattr(sys, "meta_path", [Finder(lambda name: pytest.fail(name)), *sys.meta_path])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (broken, "SyntaxError"),
        (undecodable, "SyntaxError"),
        (extension, "ExtensionFileLoader loads it"),
        (found_elsewhere, "a finder of the project"),
    ],
)
def test_a_module_that_only_an_import_can_read_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, reason: str
) -> None:
    make(tmp_path, monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = found("odd")
    assert type(module) is UnknownModule
    assert reason in str(module)
    assert "import it before, at the top of the script" in str(module)

    def uses() -> Any:
        import odd  # type: ignore[import-not-found] # made above

        return odd.x

    with pytest.raises(TypeError, match=f"uses reaches the module odd: .*{reason}"):
        digest(uses)


@pytest.mark.parametrize(
    ("name", "file", "is_it"),
    [
        ("sys", None, True), ("collections.abc", None, True), ("made", None, False),
        ("made", "/home/ann/made.py", False),
        ("__main__", "/usr/lib/python3/dist-packages/x.py", False),
        ("made", "/usr/lib/python3/dist-packages/made.py", True),
        ("made", "/opt/lib/site-packages/made/__init__.py", True), ("made", json.__file__, True),
        ("pipeline.graph", "/home/ann/pipeline/graph.py", True), ("pipeline", "/home/p.py", True),
        ("pipeline.apps.mlp", "/home/ann/pipeline/apps/mlp.py", False),
        ("pipelines", "/home/ann/pipelines.py", False),
    ],
)  # fmt: skip
def test_where_the_project_ends(name: str, file: str | None, is_it: bool) -> None:
    module = ModuleType(name)
    module.__file__ = file
    assert is_library_module(module) is is_it


def test_a_module_that_is_found_has_the_path_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "inner.py").write_text("x = 1\n")
    (tmp_path / "loose").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    inner, loose = found("box.inner"), found("loose")
    assert (inner.name, inner.package) == ("box.inner", "box")
    assert inner.path == str(tmp_path / "box" / "inner.py")
    assert (loose.name, loose.package, loose.path) == ("loose", "loose", "")
    assert repr(inner) == "the module box.inner"


def test_a_module_of_the_project_may_have_any_name_or_none() -> None:
    module = ModuleType("made")
    assert module_name(module) == "made"
    vars(module)["__name__"] = 3
    assert module_name(module) == "3"
    del vars(module)["__name__"]
    assert module_name(module) == "?"
    assert not is_library_module(module)
