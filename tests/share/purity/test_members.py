"""Which functions keep something outside of their call, and which functions a member of a class
has."""

from __future__ import annotations

import functools
import textwrap
from types import FunctionType, MethodType
from typing import Any

import pytest

from pipeline.share.purity.members import (
    cached_function,
    class_functions,
    functions_in,
    keeps,
    keeps_in_owner,
    methods_of,
    unnamed_methods,
)


def made(source: str, name: str = "f") -> Any:
    names: dict[str, Any] = {"__name__": "main", "functools": functools, "B": {}, "C": []}
    exec(textwrap.dedent(source), names)  # noqa: S102 - each is a function or a class
    return names[name]


@pytest.mark.parametrize(
    ("body", "is_kept"),
    [
        ("B.k = a", True), ("f.k = a", True), ("B.c.k = a", True), ("setattr(B, 'k', a)", True),
        ("vars(B)['k'] = a", True), ("B.__dict__.update(k=a)", True), ("C.append(a)", True),
        ("type(a).k = 1", True), ("c = B\nc[a] = 1", True), ("d[a] = 1", True),
        ("d.update(k=a)", True), ("[C.append(b) for b in a]", True),
        ("for c in C: c.k = a", True),
        ("g = {}\ng[a] = 1", False), ("c = []\nc.append(a)", False),
        ("a.k = 1", False), ("a[0] = 1", False), ("e.append(a)", False),
        ("c = []\n[c.append(b) for b in a]\nreturn c", False),
        ("c = B(a)\nc.k = a\nreturn c", False), ("return B[a]", False),
        ("return C.index(a)", False),
    ],
)  # fmt: skip
def test_what_a_call_changes_outside_of_it_is_kept(body: str, is_kept: bool) -> None:
    function = made(f"def f(a, d={{}}, e=None):\n{textwrap.indent(body, '    ')}")
    assert keeps(function, (), {}) is is_kept


def test_a_variable_of_an_enclosing_function_is_kept() -> None:
    source = "def g():\n    c = {}\n    def inner(a): c[a] = 1\n    return inner\nf = g()"
    assert keeps(made(source), (), {})


CLASS = """
    class A:
        shared, number = {}, 0
        def __init__(self): self.k = 1
        def sets(self): self.k = 1
        def fills(self): self.shared[1] = 2
        def own(self): self.mine.append(2)
        def reads(self): return self.k
        @functools.cached_property
        def lazy(self): return 1
        @functools.lru_cache
        def cached(self): return 1
        @property
        def plain(self): return 1
        part = functools.partialmethod(reads)
        @functools.singledispatchmethod
        def single(self, x): return 1
        @single.register
        def _(self, x: int): return 2
        def __getitem__(self, x): return 1
        def __repr__(self): return ""
"""


def test_a_method_may_keep_something_in_its_object() -> None:
    owner = made(CLASS, "A")()
    kept = {name for name in ("__init__", "sets", "fills", "own", "reads", "lazy")
            if keeps_in_owner(methods_of(owner, name)[0])}  # fmt: skip
    assert kept == {"sets", "fills", "own", "lazy"}


def test_a_method_may_keep_something_in_its_class() -> None:
    functions = class_functions(made(CLASS, "A"))
    assert {name for name, function in functions if type(function) is MethodType} == {"fills"}
    source = "class A:\n    @classmethod\n    def f(cls): cls.k = 1\n    def g(self): self.k = 1"
    functions = class_functions(made(source, "A"))
    assert {name for name, function in functions if type(function) is MethodType} == {"f"}


def test_members_of_all_kinds_have_their_functions() -> None:
    kind = made(CLASS, "A")
    counts = {name: len([*functions_in(vars(kind)[name])])
              for name in ("sets", "lazy", "cached", "plain", "part", "number")}  # fmt: skip
    assert counts == {"sets": 1, "lazy": 1, "cached": 1, "plain": 1, "part": 1, "number": 0}
    assert len({*functions_in(vars(kind)["single"])}) == 2
    assert [method.__name__ for method in unnamed_methods(kind())] == ["__getitem__"]


class Getter:
    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self.function(owner)


def test_a_descriptor_of_the_project_has_what_it_calls() -> None:
    def value(_: Any) -> int:
        return 1

    found = [*functions_in(Getter(value))]
    assert value in found
    assert Getter.__get__ in found


@functools.cache
def cached() -> int:
    return 1


def test_a_cached_function_is_found_by_its_name() -> None:
    assert cached_function(f"{__name__}:cached") is cached
    assert cached_function(f"{__name__}:made") is None
    assert cached_function("no_such_module:f") is None
    assert isinstance(made, FunctionType)
