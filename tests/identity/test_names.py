"""What code names."""

from __future__ import annotations

from types import CodeType

import pytest

from pipeline.identity import names_in_code
from pipeline.identity.names import Import


def code(body: str) -> CodeType:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    [found] = [
        each
        for each in compile(f"def f(a):\n{lines}", "", "exec").co_consts
        if isinstance(each, CodeType)
    ]
    return found


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
    found = {(".".join(each.path), each.is_seedless) for each in names_in_code(code(body)).chains}
    assert expected in found


def test_attributes_of_arguments_are_no_globals() -> None:
    assert not any(each.is_global for each in names_in_code(code("return a.b.c")).chains)


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
    found = names_in_code(code("from a import b, c as d")).imports
    assert found == (Import("b", "a", 0, "b"), Import("d", "a", 0, "c"))


def test_what_a_dotted_import_loads_counts() -> None:
    def f() -> object:
        import os.path

        return os.path

    found = {(each.name, each.module) for each in names_in_code(f.__code__).imports}
    assert found == {("import os.path", "os.path"), ("os", "os")}
