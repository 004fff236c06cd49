"""Digests: no two values have one, and each value has one, everywhere."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import functools
import itertools
import logging
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import weakref
from hashlib import sha256
from importlib.metadata import version as distribution_version
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import dask
import numpy as np
import pytest

from pipeline import digest
from pipeline import scheduler as on
from pipeline.identity import Versions, encode, short_repr
from pipeline.identity.digests import _PYTHON, Digester, _version, digest_under, library_version
from tests.digest_values import DIFFER, agree
from tests.projects import edited, installed

ROOT = Path(__file__).parent.parent.parent


def title(pair: tuple[Any, Any]) -> str:
    return " | ".join(short_repr(value, 20) for value in pair)


@pytest.mark.parametrize("pair", DIFFER, ids=title)
def test_different_values_have_different_digests(pair: tuple[Any, Any]) -> None:
    assert digest(pair[0]) != digest(pair[1])


@pytest.mark.parametrize("pair", agree(), ids=lambda pair: type(pair[0]).__name__)
def test_equal_values_have_one_digest(pair: tuple[Any, Any]) -> None:
    assert digest(pair[0]) == digest(pair[1])


def test_the_table_is_as_long_as_promised() -> None:
    assert len(DIFFER) >= 60
    assert len(agree()) >= 30


# What a function depends on: a project of two modules, and edits of it.

FEATURES = '''
"""Features."""
import functools
import math

SCALE = 2.0
TABLE = {"shift": 1, "inner": {"deep": [1, 2]}}
unrelated = 1


def scale(x):
    """Scale it."""
    return x * SCALE


def unused(x):
    return x


def twice(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 2 * function(*args)
    return wrapper


class Base:
    rate = 1

    def shift(self, x):
        return x + self.rate


class Model(Base):
    def __init__(self, weight=3):
        self.weight = weight

    @property
    def slope(self):
        return self.weight

    @classmethod
    def make(cls):
        return cls()

    def predict(self, x):
        return self.slope * x


MODEL = Model()


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def lazily(x):
    return x - 1
'''
MAIN = """
import features
import features as f
from features import MODEL, TABLE, Model, even, scale, twice


def make(offset):
    def closed(x):
        return x + offset
    return closed


add = make(5)


@twice
def decorated(x):
    return x + 1


def target(x, power=2, *, factor=1.5):
    from features import lazily
    y = [scale(each) for each in x if each > 0]
    try:
        total = sum(y) ** power
    except TypeError:
        total = 0
    if even(3) and f.math.pi < 4:
        total += MODEL.predict(TABLE["inner"]["deep"][0])
    return add(total) * factor + Model.make().shift(1) + decorated(lazily(features.SCALE))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The digest of `target` in a project, after an edit."""
    places = itertools.count()

    def digested(old: str = "", new: str = "", *, name: str = "main") -> str:
        sources = {"features": FEATURES, name: MAIN}
        folder = tmp_path / str(next(places))
        with edited(folder, monkeypatch, sources, old, new, name) as main:
            return digest(main.target)

    return digested


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("power=2", "power=3"),
        ("factor=1.5", "factor=2.5"),
        ("total = 0", "total = 1"),
        ("except TypeError", "except ValueError"),
        ("each > 0", "each >= 0"),
        ("make(5)", "make(6)"),
        ("x + offset", "x - offset"),
        ("SCALE = 2.0", "SCALE = 3.0"),
        ("x * SCALE", "x / SCALE"),
        ('"shift": 1', '"shift": 2'),
        ('"deep": [1, 2]', '"deep": [2, 2]'),
        ("2 * function", "3 * function"),
        ("x + 1\n\n\ndef target", "x + 2\n\n\ndef target"),
        ("rate = 1", "rate = 2"),
        ("x + self.rate", "x - self.rate"),
        ("weight=3", "weight=4"),
        ("return self.weight", "return -self.weight"),
        ("return cls()", "return cls(1)"),
        ("n != 0 and", "n != 1 and"),
        ("return x - 1", "return x - 2"),
        ("self.slope * x", "self.slope + x"),
    ],
)
def test_an_edit_of_what_a_function_reaches_changes_its_digest(
    project: Any, old: str, new: str
) -> None:
    before = project()
    assert project(old, new) != before
    assert project() == before  # the edit reverted, in another folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Scale it."""', '"""Scale it, in other words."""'),
        ('"""Features."""', '# no docstring\n\n\n'),
        ("unrelated = 1", "unrelated = 2"),
        ("def unused(x):\n    return x", "def unused(x):\n    return -x"),
        ("total = 0", "total = 0  # a comment"),
        ("    y = [scale(each) for each in x if each > 0]\n",
         "    y = [\n        scale(each)\n        for each in x\n        if each > 0\n    ]\n"),
        ("if even(3) and f.math.pi < 4:",
         "if (\n        even(3)\n        and f.math.pi < 4\n    ):"),
        ("power=2, *, factor", "power: int = 2, *, factor"),
    ],
)  # fmt: skip
def test_formatting_and_comments_change_no_digest(project: Any, old: str, new: str) -> None:
    assert project(old, new) == project()


def test_a_module_may_have_another_name(project: Any) -> None:
    assert project(name="other") == project()


def class_digest(body: str, head: str = "class A:") -> str:
    names: dict[str, Any] = {"__name__": "__main__", "functools": functools}
    exec(f"{head}\n{textwrap.indent(body, '    ')}", names)  # noqa: S102 - each is a class
    return digest(names["A"])


METHOD = "def f(self): return 1\n"
PROPERTY = f"@property\n{METHOD}"
SETTER = "@f.setter\ndef f(self, x): self.x = x\n"
DELETER = "@f.deleter\ndef f(self): del self.x\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (METHOD, METHOD.replace("1", "2")), (METHOD, PROPERTY),
        (METHOD, f"@staticmethod\n{METHOD}"),
        (METHOD, f"@classmethod\n{METHOD}"), (METHOD, f"@functools.cached_property\n{METHOD}"),
        (PROPERTY, f"@functools.cached_property\n{METHOD}"),
        (METHOD, f"@functools.cache\n{METHOD}"),
        (f"@staticmethod\n{METHOD}", f"@classmethod\n{METHOD}"), (PROPERTY, PROPERTY + SETTER),
        (PROPERTY, PROPERTY + DELETER), (PROPERTY + SETTER, PROPERTY + DELETER),
        (PROPERTY, PROPERTY.replace("1", "2")),
        (PROPERTY + SETTER, PROPERTY + SETTER.replace("= x", "= -x")),
        (PROPERTY + DELETER, PROPERTY + DELETER.replace("self.x", "self.y")),
        (f"@staticmethod\n{METHOD}", f"@staticmethod\n{METHOD.replace('1', '2')}"),
        (f"@classmethod\n{METHOD}", f"@classmethod\n{METHOD.replace('1', '2')}"),
        (f"@functools.cached_property\n{METHOD}",
         f"@functools.cached_property\n{METHOD.replace('1', '2')}"),
        ("__slots__ = ('a',)", "pass"), ("__slots__ = ('a',)", "__slots__ = ('b',)"),
        ("a: int = 1", "a: int = 2"), ("a = 1", "b = 1"), ("a = 1", "a = True"),
        ("class B: pass", "class B: a = 1"), ("def __new__(cls): return 1", "pass"),
        ("def __enter__(self): return 1", "def __enter__(self): return 2"),
        ("def __init_subclass__(cls): x = 1", "def __init_subclass__(cls): x = 2"),
        ("def __eq__(self, other): return True", "pass"),
    ],
)  # fmt: skip
def test_classes_that_do_other_things_differ(one: str, other: str) -> None:
    assert class_digest(one) != class_digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("class A:", "class A(int):"), ("class A:", "class A(type):"),
        ("class A(int):", "class A(str):"),
        ("class A:", "import abc\nclass A(abc.ABC):"),
        ("class A:", "class M(type): x = 1\nclass A(metaclass=M):"),
        ("class B: x = 1\nclass A(B):", "class B: x = 2\nclass A(B):"),
    ],
)  # fmt: skip
def test_classes_of_other_bases_differ(one: str, other: str) -> None:
    assert class_digest("pass", one) != class_digest("pass", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (METHOD, METHOD), ("pass", "'A class.'"), ("a = 1\nb = 2", "b = 2\na = 1"),
        ("a: int = 1", "a: float = 1"), ("pass", "__module__ = 'other'"),
        (METHOD, METHOD.replace("return", "'It does.'; return")),
    ],
)  # fmt: skip
def test_classes_that_do_the_same_agree(one: str, other: str) -> None:
    assert class_digest(one) == class_digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("class A(list[int]):", "class A(list[str]):"), ("class A(list):", "class A(list[str]):"),
        ("\n\nclass A:", "class A:"),
    ],
)  # fmt: skip
def test_classes_of_the_same_bases_agree(one: str, other: str) -> None:
    assert class_digest("pass", one) == class_digest("pass", other)


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="each Python makes classes in its own way"
)
@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("class A:", "a: int = 1", "A#90583d07f14ca02461dd41ac"),
        ("class A(list[int]):", "__slots__ = ('a',)", "A#56e350835004795edcf3b199"),
        (
            "import abc\nclass A(abc.ABC):",
            "@abc.abstractmethod\ndef f(self): pass",
            "A#26879047323695ed8c568595",
        ),
        (
            "import typing\nT = typing.TypeVar('T')\nclass A(typing.Generic[T]):",
            "a = 1",
            "A#7ee84f62d5b4462c84cf6396",
        ),
        ("class A:", PROPERTY + SETTER + DELETER, "A#07387a59d15277d530de037b"),
        (
            "class A:",
            f"@staticmethod\n{METHOD}@classmethod\n{METHOD.replace(' f(', ' g(')}",
            "A#79a49a83325edb96f27c7498",
        ),
        ("class A:", f"@functools.cached_property\n{METHOD}", "A#681a799cd87e1323e474f9df"),
        (
            "class M(type): pass\nclass A(metaclass=M):",
            "def f(self): return __class__",
            "A#43c388e16d9f5b34ef02fbba",
        ),
    ],
)
def test_the_content_of_a_class_does_not_change_from_year_to_year(
    head: str, body: str, expected: str
) -> None:
    names: dict[str, Any] = {"__name__": "__main__", "functools": functools}
    exec(f"{head}\n{textwrap.indent(body, '    ')}", names)  # noqa: S102 - each is a class
    assert encode(names["A"]) == expected


SOURCE = "def f(x):\n    return g(x) + 1\n\n\ndef g(x):\n    return x * K\n\n\nK = 3\n"


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), (c for c in "a"), object(), [threading.Lock()], iter([1]), sys.stdout],
    ids=lambda value: type(value).__name__,
)
def test_values_without_content_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no key for"):
        digest(value)


LOCK, LOGGER, STREAM = threading.Lock(), logging.getLogger("test"), iter([1, 2])


def test_a_function_may_name_a_lock_but_not_a_stream() -> None:
    def locked(x: int) -> int:
        with LOCK:
            LOGGER.info("x")
        return x

    def streaming() -> int:
        return next(STREAM)

    assert digest(locked) == digest(locked)
    with pytest.raises(TypeError, match="list_iterator"):
        digest(streaming)


class Held:
    """A class of the project, which a weak cache may hold."""


def filled(cache: Any) -> Any:
    held = Held()
    if isinstance(cache, weakref.WeakSet):
        cache.add(held)
    else:
        cache[held if isinstance(cache, weakref.WeakKeyDictionary) else 1] = held
    cache.keeps = held
    return cache


def happened() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (threading.Lock(), threading.Lock()),
        (threading.RLock(), threading.RLock()),
        (threading.local(), threading.local()),
        (threading.Event(), happened()),
        (asyncio.Lock(), asyncio.Lock()),
        (logging.getLogger("a"), logging.getLogger("b")),
        (contextvars.ContextVar("a"), contextvars.ContextVar("b")),
        (weakref.ref(Held), weakref.ref(filled)),
        (weakref.WeakSet(), filled(weakref.WeakSet())),
        (weakref.WeakKeyDictionary(), filled(weakref.WeakKeyDictionary())),
        (weakref.WeakValueDictionary(), filled(weakref.WeakValueDictionary())),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_function_does_not_depend_on_the_state_of_a_process(one: Any, other: Any) -> None:
    def names(value: Any) -> Any:
        return lambda: value

    assert digest(names(one)) == digest(names(other)) != digest(names(1))


SENTINEL = object()


def test_the_error_of_a_value_without_content_names_the_function() -> None:
    def inner() -> object:
        return SENTINEL

    def outer() -> object:
        return inner()

    with pytest.raises(TypeError, match=r"outer reaches <object .*>: no key for a object"):
        digest(outer)


class Moody:
    """Its token is never the same twice, as with Dask's own fallback."""

    def __dask_tokenize__(self) -> str:
        return os.urandom(8).hex()


def test_the_state_of_the_process_does_not_count() -> None:
    functions = (random.random, random.shuffle, np.random.rand, np.random.mtrand._rand.normal)
    before = [digest(function) for function in functions]
    draws = {functions[0](), functions[2]()}
    assert len(draws) == 2
    assert [digest(function) for function in functions] == before
    assert digest(np.random.RandomState(1)) != digest(np.random.RandomState(2))


def test_a_token_that_changes_is_refused() -> None:
    with pytest.raises(TypeError, match="gives another token each time"):
        digest(Moody())


def test_reading_the_attributes_of_a_partial_function_changes_nothing() -> None:
    function = functools.partial(max, 1, key=abs)
    before = digest(function)
    assert vars(function) == {}  # which makes the dict
    assert digest(function) == before
    function.rate = 2  # type: ignore[attr-defined] # anybody may
    assert digest(function) != before


def test_functions_that_call_each_other_in_circles_have_digests() -> None:
    def ping(n: int) -> int:
        return pong(n - 1) if n else 0

    def pong(n: int) -> int:
        return ping(n - 1) if n else 1

    assert digest(ping) != digest(pong)


def test_libraries_count_by_name_and_version() -> None:
    before = digest(np.sin)
    with installed("0.0.0"):
        assert digest(np.sin) != before
        assert digest(len) == digest(len)
    assert digest(np.sin) == before


def _total(x: float) -> float:
    import pandas

    return float(pandas.Series([x]).sum())


@pytest.mark.parametrize(
    ("function", "package"),
    [
        (np.linalg.norm, "numpy"),
        (np.linalg, "numpy"),
        (lambda x: np.sin(x), "numpy"),
        (lambda x: np.linalg.norm(x), "numpy"),
        (_total, "pandas"),
    ],
)
def test_the_version_of_a_library_counts_wherever_it_is_named(
    function: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(function)
    module = sys.modules["pipeline.identity.digests"]
    known = module.library_version
    monkeypatch.setattr(
        module, "library_version", lambda name, *_: "newer" if name == package else known(name)
    )
    assert digest(function) != before


def test_the_version_of_python_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(1)
    version = f"python {sys.version_info.major}.{sys.version_info.minor}"
    for other, agrees in ((version, True), ("python 3.1", False)):
        monkeypatch.setitem(_PYTHON, "minor", other)
        assert (digest(1) == before) is agrees


def test_a_digest_is_found_next_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_PYTHON, "minor", "python 3.11")
    versions = {"numpy": "numpy 2.4.6"}  # whatever is installed
    monkeypatch.setattr(
        "pipeline.identity.digests.library_version", lambda name, _: versions.get(name, "python")
    )
    assert digest([1, "a"]) == "e77de8de2e54fb648fb03292358d14d9"
    assert digest("\ud800") == "672f7e8694eaa335006a782ae364c8aa"
    normal = np.random.mtrand._rand.normal
    if normal.__module__ == "numpy.random":  # which older versions of NumPy do not say
        assert Digester().encode(normal) == "method#0325f6718f49cd2d22c9ea6b"
    assert Digester().encode(random.random) == "builtin_function_or_method#fe317319bcd8319455fa3beb"


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("numpy", f"numpy {np.__version__}"),
        ("json", "python"),
        ("_collections_abc", "python"),
        ("pipeline", f"dask-memo {distribution_version('dask-memo')}"),
        ("dateutil", f"python-dateutil {distribution_version('python-dateutil')}"),
        ("no_such_package", "no_such_package without a version"),
        ("a_package_of_tests", "a_package_of_tests 7.5"),
    ],
)
def test_the_version_of_a_package(
    package: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("a_package_of_tests")
    module.__version__ = "7.5"  # type: ignore[attr-defined] # as many have
    monkeypatch.setitem(sys.modules, "a_package_of_tests", module)
    _version.cache_clear()
    text, mark, code = library_version(package, "exact").partition(" #")
    assert text == version
    assert len(code) == (12 if package in ("numpy", "dateutil") else 0), mark
    _version.cache_clear()


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "site-packages"
        self.folder.mkdir(parents=True)

    def install(
        self,
        name: str,
        files: dict[str, str],
        record: bool = True,
        version: str = "1.0",
        others: dict[str, str] | None = None,
    ) -> None:
        """Install a distribution as pip does.

        others: files of its folder `dist-info`
        """
        for path, text in files.items():
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_text(text)
        for old in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            shutil.rmtree(old)
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        for path, text in {"METADATA": metadata, **(others or {})}.items():
            (info / path).write_text(text)
        lines = [f"../../bin/{name}.py,sha256={self.folder},9", f"{info.name}/METADATA,sha256=0,1"]
        for path, text in files.items():
            hashed = base64.urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")
            lines += [f"{path},sha256={hashed},{len(text)}", f"{path}c,,"]
        lines.append(f"{info.name}/RECORD,,")
        if record:
            (info / "RECORD").write_text("\n".join(lines) + "\n")

    def version(self, package: str = "some_library", versions: Versions = "exact") -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(self.folder))
            return library_version(package, versions)


CODE = {"some_library/__init__.py": "def f(): return 1\n", "some_library/inner.py": "X = 2\n"}


def test_one_wheel_has_one_version_wherever_it_is_installed(tmp_path: Path) -> None:
    one, other = Site(tmp_path / "one"), Site(tmp_path / "other")
    for site in (one, other):
        site.install("some-library", CODE)
    assert one.version() == other.version()
    assert one.version().startswith("some_library 1.0 #")


@pytest.mark.parametrize("name", ["some_library", "other_name"])
@pytest.mark.parametrize("is_recorded", [True, False])
def test_other_code_of_one_version_is_another_library(
    name: str, is_recorded: bool, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.install(name, CODE, is_recorded)
    before = site.version()
    site.install(name, {**CODE, "some_library/inner.py": "X = 3\n"}, is_recorded)
    _version.cache_clear()  # as another process
    assert site.version() != before
    site.install(name, CODE, is_recorded)
    _version.cache_clear()
    assert site.version() == before


def test_a_file_that_was_edited_after_its_installation_counts_by_its_content(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.install("some_library", CODE)
    before, path = site.version(), site.folder / "some_library" / "inner.py"
    now = time.time()
    for text, time_of_change, agrees in (("X = 3\n", now + 9, False), ("X = 2\n", now + 99, True)):
        path.write_text(text)
        os.utime(path, (time_of_change, time_of_change))
        _version.cache_clear()
        assert (site.version() == before) is agrees


def test_a_library_without_a_distribution_counts_by_its_files(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (site.folder / "lonely.py").write_text("X = 1\n")
    before = site.version("lonely")
    assert before.startswith("lonely without a version #")
    (site.folder / "lonely.py").write_text("X = 2\n")
    _version.cache_clear()
    assert site.version("lonely") != before


def test_a_library_that_is_not_imported_may_be_installed_meanwhile(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.version() == "some_library without a version"
    site.install("some_library", CODE)
    assert site.version().startswith("some_library 1.0 #")


def test_the_version_of_a_package_is_that_of_the_distribution_that_holds_it(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    site.install("some_library", {"unrelated/__init__.py": ""})
    site.install("real_one", CODE)
    assert "real_one 1.0" in site.version()


# How far versions count

EDITED = {**CODE, "some_library/inner.py": "X = 3\n"}
CHECKOUT = '{"dir_info": {}, "url": "file:///home/user/some_library"}'


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.4.1", "some_library 2.4"),
        ("2024.10.1", "some_library 2024.10"),
        ("3", "some_library 3"),
        ("1!2.0.7.1", "some_library 1!2.0"),
        ("1.9.2.post3", "some_library 1.9"),
    ],
)
def test_a_release_counts_by_its_minor_version(version: str, expected: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.install("some_library", CODE, version=version)
    assert site.version(versions="minor") == expected
    assert site.version(versions="ignore") == "some_library"
    assert site.version(versions="exact").startswith(f"some_library {version} #")


@pytest.mark.parametrize("version", ["1.0rc1", "0.3.dev1+g123", "2.0a1", "2.1+cpu", "1.0.dev0"])
def test_a_version_that_is_no_release_counts_in_full(version: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.install("some_library", CODE, version=version)
    counted = site.version(versions="minor")
    assert counted == site.version(versions="exact")
    assert counted.startswith(f"some_library {version} #")
    site.install("some_library", EDITED, version=version)
    assert site.version(versions="minor") != counted
    assert site.version(versions="ignore") == "some_library"


@pytest.mark.parametrize("versions", get_args(Versions))
@pytest.mark.parametrize(
    ("is_recorded", "others", "is_counted"),
    [
        (False, {}, True),  # as one that is editable
        (True, {"direct_url.json": CHECKOUT}, True),
        (True, {"direct_url.json": CHECKOUT, "INSTALLER": "conda\n"}, False),
        (True, {}, False),
    ],
)
def test_what_is_no_release_of_an_index_counts_by_its_code(
    versions: Versions, is_recorded: bool, others: dict[str, str], is_counted: bool, tmp_path: Path
) -> None:
    site, seen = Site(tmp_path), []
    for files in (CODE, EDITED, CODE):
        site.install("some_library", files, is_recorded, others=others)
        _version.cache_clear()  # as another process
        seen.append(site.version(versions=versions))
    assert seen[0] == seen[2]
    assert (seen[0] != seen[1]) is (is_counted or versions == "exact")


@pytest.mark.parametrize("versions", get_args(Versions))
def test_a_release_that_is_edited_in_place_counts_by_what_was_edited(
    versions: Versions, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.install("some_library", CODE)
    before, path = site.version(versions=versions), site.folder / "some_library" / "inner.py"
    path.write_text("X = 3\n")
    os.utime(path, (time.time() + 9, time.time() + 9))
    _version.cache_clear()
    assert (site.version(versions=versions) != before) is (versions != "ignore")


def test_two_choices_of_versions_are_two_digests_in_one_process() -> None:
    def function(x: float) -> float:
        return float(np.sin(x))

    counted = {versions: digest_under(versions, function) for versions in get_args(Versions)}
    assert len(set(counted.values())) == 3
    assert counted["minor"] == digest(function)
    assert digest_under("exact", function) == counted["exact"]


@pytest.mark.parametrize("part", ["minor", "exact", "ignore"])
def test_the_version_of_python_counts_as_chosen(
    part: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    major, minor, micro = sys.version_info[:3]
    expected = {"minor": f"python {major}.{minor}", "ignore": "python"}
    assert _PYTHON[part].startswith(expected.get(part, f"python {major}.{minor}.{micro}"))
    before = digest_under(part, 1)
    monkeypatch.setitem(_PYTHON, part, "python 3.1")
    assert digest_under(part, 1) != before


def test_large_arrays_are_hashed_without_a_copy() -> None:
    array = np.zeros(5_000_000)
    tracemalloc.start()
    digest(array)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 20


def test_imports_in_a_body_are_followed_into_folders_without_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    digests = set()
    for number in (1, 2):
        folder = tmp_path / str(number)
        (folder / "loose").mkdir(parents=True)
        (folder / "loose" / "inner.py").write_text(f"def g(x):\n    return x + {number}\n")
        names: dict[str, Any] = {"__name__": "__main__"}
        exec("def f(x):\n    from loose import inner\n    return inner.g(x)", names)  # noqa: S102 - as a cell is
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            digests.add(digest(names["f"]))
        for name in ("loose", "loose.inner"):
            sys.modules.pop(name, None)
    assert len(digests) == 2


def test_a_module_that_cannot_be_read_leaves_a_function_without_a_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("x = \n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def uses() -> Any:
        import broken_module  # type: ignore[import-not-found] # it is made above

        return broken_module.x

    def tries() -> Any:
        try:
            import not_there_at_all  # type: ignore[import-not-found] # that is the point
        except ImportError:
            return None
        return not_there_at_all

    with pytest.raises(TypeError, match=r"reaches the module broken_module: .* SyntaxError"):
        digest(uses)
    assert digest(tries) == digest(tries)


def test_a_module_that_a_body_imports_by_its_dotted_name_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def f(x: int) -> int:
        import box.inner  # type: ignore[import-not-found] # made by the test

        return int(box.inner.RATE * x)

    digests = []
    for rate in (1, 2, 1):
        (tmp_path / "box" / "inner.py").write_text(f"RATE = {rate}")
        digests.append(digest(f))
        for name in ("box", "box.inner"):
            sys.modules.pop(name, None)
    assert digests[0] == digests[2] != digests[1]


# Other processes.


@pytest.mark.parametrize("seed", ["1", "2"])
def test_other_processes_find_the_same_digests(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    output = subprocess.run(
        [sys.executable, str(ROOT / "tests/digest_values.py")],
        capture_output=True, text=True, check=True, env=environment, cwd="/",
    ).stdout  # fmt: skip
    lines = output.splitlines()
    for pair, line in zip((*DIFFER, *agree()), lines, strict=True):
        assert [digest(value) for value in pair] == line.split(), title(pair)


def test_main_imported_and_run_again_in_a_notebook_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SOURCE)
    imported = "import script, pipeline; print(pipeline.digest(script.f))"
    (tmp_path / "main.py").write_text(f"{SOURCE}\nimport pipeline\nprint(pipeline.digest(f))\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    digests = set()
    for arguments in (["-c", imported], [str(tmp_path / "main.py")]):
        command = [sys.executable, *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        digests.add(run.stdout.strip())
    for cell in ("<ipython-input-1>", "<ipython-input-7>"):
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile("\n" * len(cell) + SOURCE, cell, "exec"), names)  # noqa: S102 - as a cell is
        digests.add(digest(names["f"]))
    assert len(digests) == 1


def test_workers_find_the_same_digests(pool: Any) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE, names)  # noqa: S102 - a function of no module, as in a notebook
    local = names["f"]
    with on("processes"), dask.config.set(pool=pool):
        [elsewhere] = dask.compute(dask.delayed(digest)(dask.delayed(local)))
    assert elsewhere == digest(local)


CACHE: dict[int, int] = {}
RATES = {1: 2}


def remembering(x: int) -> int:
    if x not in CACHE:
        CACHE[x] = 2 * x
    return CACHE[x]


def rated(x: int) -> int:
    if x not in RATES:
        RATES[x] = 2 * x
    return RATES[x]


def memoized(function: Any) -> Any:
    known: dict[Any, Any] = {}

    def wrapper(x: Any) -> Any:
        if x not in known:
            known[x] = function(x)
        return known[x]

    return wrapper


@pytest.mark.parametrize(
    "function", [remembering, rated, memoized(abs), functools.cache(remembering)]
)
def test_a_digest_stays_as_a_cache_fills(function: Any) -> None:
    before = digest(function)
    assert function(5) in (5, 10)
    assert digest(function) == before


def test_items_that_a_cache_has_from_the_beginning_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(rated)
    monkeypatch.setitem(RATES, 1, 3)
    assert digest(rated) != before
