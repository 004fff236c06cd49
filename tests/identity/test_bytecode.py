"""What code does, whatever its formatting, and what it names."""

from __future__ import annotations

import argparse
import ast
import inspect
import json.decoder
import shutil
import tarfile
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import pytest

from pipeline.identity import names_in_code
from pipeline.identity.bytecode import Import, code_content

if TYPE_CHECKING:
    from collections.abc import Iterator


def inner_codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def inner(code: CodeType) -> Iterator[CodeType]:
    for function in inner_codes(code):
        yield function
        yield from inner(function)


@pytest.mark.parametrize(
    "module", [argparse, inspect, json.decoder, shutil, tarfile], ids=lambda module: module.__name__
)
def test_a_program_written_in_other_lines_has_the_same_content(module: ModuleType) -> None:
    # `ast.unparse` knows no comments, no line breaks, and brackets of its own.
    source = inspect.getsource(module)
    before = list(inner(compile(source, "a", "exec")))
    after = list(inner(compile(ast.unparse(ast.parse(source)), "b", "exec")))
    assert len(before) > 5
    changed = [
        one.co_qualname
        for one, other in zip(before, after, strict=True)
        if code_content(one) != code_content(other)
    ]
    assert changed == []


def content(body: str, head: str = "def f(x, y):") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    [code] = inner_codes(compile(f"{head}\n{lines}", "", "exec"))
    return code_content(code)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("return x and y", "return x or y"),
        ("return x if y else 1", "return 1 if y else x"),
        ("return x < y", "return x <= y"),
        ("return not x", "return x"),
        ("return x is None", "return x is not None"),
        ("return 1 if x is None else 2", "return 1 if x is not None else 2"),
        ("return -0.0", "return 0.0"),
        ("return 1", "return True"),
        ("return x.a", "return x.b"),
        ("return x in {1, 2}", "return x in {1, 3}"),
        ("return x in (1, 2)", "return x in (2, 1)"),
        ("return (x, y)", "return (y, x)"),
        ("while x:\n    y()", "if x:\n    y()"),
        ("for _ in x:\n    y()\nelse:\n    x()", "for _ in x:\n    y()\nx(1)"),
        ("for i in x:\n    if i: break\n    y(i)", "for i in x:\n    if i: continue\n    y(i)"),
        ("try:\n    x()\n    y()\nexcept E:\n    pass", "try:\n    x()\nexcept E:\n    pass\ny()"),
        ("try:\n    x()\nexcept E:\n    pass", "try:\n    x()\nexcept F:\n    pass"),
        ("try:\n    x()\nfinally:\n    y()", "x()\ny()"),
        ("a = x()\ntry:\n    y(a)\nexcept E: pass", "try:\n    a = x()\n    y(a)\nexcept E: pass"),
        ("with x:\n    y()", "x\ny()"),
        ("return [i for i in x if i]", "return [i for i in x]"),
        ("return lambda: x", "return lambda: y"),
        ("return f(x, y)", "return f(y, x)"),
        ("return f(x=x)", "return f(y=x)"),
        ("return f(*x)", "return f(x)"),
        ("yield x", "return x"),
        ("return x[1:]", "return x[:1]"),
        ("assert x", "assert y"),
        ("global z\nz = x", "z = x"),
        ("return f'{x}'", "return f'{x!r}'"),
        ("del x", "x = None"),
    ],
)  # fmt: skip
def test_programs_that_do_other_things_differ(one: str, other: str) -> None:
    assert content(one) != content(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x, y):", "def f(x, z):"),
        ("def f(x, y):", "def f(x, y, z):"),
        ("def f(x, y):", "def f(x, *, y):"),
        ("def f(x, y):", "def f(x, y, /):"),
        ("def f(x, *y):", "def f(x, **y):"),
        ("def f(x, y):", "async def f(x, y):"),
    ],
)
def test_programs_with_other_signatures_differ(one: str, other: str) -> None:
    assert content("pass", one) != content("pass", other)


def test_the_name_of_a_function_is_not_its_code() -> None:
    assert content("return x", "def f(x):") == content("return x", "def g(x):")


def test_a_class_in_a_function_counts_without_its_docstring_and_line() -> None:
    plain = "class A:\n    def g(self): self.x = 1; self.y = 2\nreturn A"
    documented = "\n\nclass A:\n    '''A.'''\n    def g(self): self.x = 1; self.y = 2\nreturn A"
    assert content(plain) == content(documented)


def code(body: str) -> CodeType:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    [code] = inner_codes(compile(f"def f(a):\n{lines}", "", "exec"))
    return code


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return np.random.rand(a)", ("np.random.rand", False)),
        ("return np.random.rand()", ("np.random.rand", True)),
        ("return random.Random(None)", ("random.Random", True)),
        ("return random.Random(a)", ("random.Random", False)),
        ("return random.Random(3)", ("random.Random", False)),
        ("return [time.time() for _ in a]", ("time.time", True)),
        ("return lambda: os.environ['A']", ("os.environ", False)),
        ("return f(a, b)", ("b", False)),
    ],
)
def test_chains(body: str, expected: tuple[str, bool]) -> None:
    chains = names_in_code(code(body)).chains
    assert expected in {(".".join(chain.path), chain.is_seedless) for chain in chains}


def test_attributes_of_arguments_are_no_globals() -> None:
    assert not any(chain.is_global for chain in names_in_code(code("return a.b.c")).chains)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("import a.b", Import("a", "a", 0, None)),
        ("import a.b as x", Import("x", "a.b", 0, None)),
        ("import a.b.c as x", Import("x", "a.b.c", 0, None)),
        ("import a as x", Import("x", "a", 0, None)),
        ("from a.b import c", Import("c", "a.b", 0, "c")),
        ("from a import b as x", Import("x", "a", 0, "b")),
        ("from . import c", Import("c", "", 1, "c")),
        ("from ..a import c", Import("c", "a", 2, "c")),
        ("import a\ndef g(): return a.b", Import("a", "a", 0, None)),
        ("def g():\n    import a", Import("a", "a", 0, None)),
    ],
)
def test_imports_in_a_body(body: str, expected: Import) -> None:
    assert expected in names_in_code(code(body)).imports


def test_several_imports_at_once() -> None:
    imports = names_in_code(code("from a import b, c as d")).imports
    assert imports == (Import("b", "a", 0, "b"), Import("d", "a", 0, "c"))


def test_what_a_dotted_import_loads_counts() -> None:
    def f() -> object:
        import os.path

        return os.path

    modules = {(entry.name, entry.module) for entry in names_in_code(f.__code__).imports}
    assert modules == {("import os.path", "os.path"), ("os", "os")}


def test_names_beyond_the_first_256_count_too() -> None:
    many = "\n".join(f"print(name_{number}.attribute_{number})" for number in range(300))
    names = names_in_code(code(f"{many}\nimport a.b\nreturn np.random.rand()"))
    assert Import("a", "a", 0, None) in names.imports
    assert ("np", "random", "rand") in {chain.path for chain in names.chains}
