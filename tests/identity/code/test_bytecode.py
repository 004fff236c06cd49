"""What code does, whatever its formatting, and what it names."""

from __future__ import annotations

import argparse
import ast
import dis
import inspect
import itertools
import json.decoder
import shutil
import sys
import tarfile
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identity import Term, names_in_code, uses_in_code
from pipeline.identity.code.bytecode import Chain, Import, code_content

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
        ("while 1:\n    x()\n    y()", "x()\nwhile 1:\n    y()\n    x()"),
        ("try:\n    x()\n    y()\nexcept E: y()", "try:\n    y()\nexcept E: y()\nx()"),
        ("x()\ntry: y()\nexcept E: pass", "try:\n    x()\n    y()\nexcept E: pass"),
        ("try:\n    x()\nexcept E: pass\ny()", "try:\n    x()\n    y()\nexcept E: pass"),
        ("with x:\n    y()\nx()", "with x:\n    y()\n    x()"),
        ("return x is None and y", "return x is None or y"),
        ("if x is None: return 1\nreturn y", "if x is not None: return 1\nreturn y"),
        ("return (x and y) or 1", "return x and (y or 1)"),
        ("return (x or y) and 1", "return x or (y and 1)"),
        ("return not (x and y)", "return not (x or y)"),
        ("return 1 if x and y else 2", "return 1 if x or y else 2"),
        ("return 1 if x and y or x() else 2", "return 1 if x and (y or x()) else 2"),
        ("return 1 if (x or y) and x() else 2", "return 1 if x or y and x() else 2"),
        ("return x in {'a', 'b'}", "return x in ('a', 'b')"),
        ("return x in {(1, 2)}", "return x in {(2, 1)}"),
        ("return (1, 23)", "return (12, 3)"),
        ("return ('a', 'b')", "return (\"a','b\",)"),
        ("return ((), 1)", "return ((), True)"),
        ("return 10**5000", "return 10**5000 + 1"),
        ("return 10", "return 16"),
        ("return 'a'", "return b'a'"),
        ("return lambda: 1", "return lambda: 2"),
        ("return lambda a: 1", "return lambda a=x: 1"),
        ("class A:\n    b = 1", "class A:\n    b = 2"),
        ("class A:\n    __slots__ = 'a'", "class A:\n    pass"),
        ("__doc__ = x", "__doc__ = y"),
        ("import a.b as c", "from a import b as c"),
        ("from . import a", "from .. import a"),
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
        ("return np.random.rand(a)", "np.random.rand"),
        ("return np.random.rand()", "np.random.rand"),
        ("return random.Random(None)", "random.Random"),
        ("return random.Random(a)", "random.Random"),
        ("return random.Random(3)", "random.Random"),
        ("return [time.time() for _ in a]", "time.time"),
        ("return lambda: os.environ['A']", "os.environ"),
        ("return f(a, b)", "b"),
        ("return f(a, b)", "f"),
        ("return random.Random(None, 1)", "random.Random"),
        ("return random.Random(*())", "random.Random"),
        ("return random.Random(x=None)", "random.Random"),
        ("return random.Random().a", "random.Random"),
        ("return np.random", "np.random"),
        ("np.random.seed = 1", "np.random"),
        ("return a.b", "a.b"),
        ("def g(b): return [c.d(b.e) for i in a]", "c.d"),
        ("def g(b): return [c.d(b.e) for i in a]", "b.e"),
        ("class A:\n    x = time.time()", "time.time"),
        ("x = 1\nclass A:\n    y = x.real", "x.real"),
        ("x = 1\nreturn lambda: x.real", "x.real"),
        (f"return b{'.c' * 15}", f"b{'.c' * 15}"),
        (f"return b{'.c' * 16}", f"b{'.c' * 15}"),
    ],
)
def test_chains(body: str, expected: str) -> None:
    chains = names_in_code(code(body)).chains
    assert expected in {".".join(chain.path) for chain in chains}


@pytest.mark.parametrize(
    "body",
    ["return b", "def g(): return b", "class A:\n    x = b", "return [b for _ in a]",
     "global b\nb = 1\nreturn b"],
)  # fmt: skip
def test_a_name_that_is_bound_nowhere_is_global(body: str) -> None:
    assert [chain for chain in names_in_code(code(body)).chains if chain.path == ("b",)] == [
        Chain(("b",), is_global=True)
    ]


def test_a_variable_of_an_enclosing_function_is_no_global() -> None:
    [chain] = names_in_code(code("return lambda: a.b")).chains
    assert chain == Chain(("a", "b"), is_global=False)


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
        ("class A:\n    import a", Import("a", "a", 0, None)),
        ("global x\nimport a as x", Import("x", "a", 0, None)),
        ("import a as x\nreturn lambda: x", Import("x", "a", 0, None)),
        ("from a import b as x\nreturn lambda: x", Import("x", "a", 0, "b")),
        ("class A:\n    from a import b as x", Import("x", "a", 0, "b")),
        ("global x\nfrom a import b as x", Import("x", "a", 0, "b")),
    ],
)
def test_imports_in_a_body(body: str, expected: Import) -> None:
    assert expected in names_in_code(code(body)).imports


def test_several_imports_at_once() -> None:
    imports = names_in_code(code("from a import b, c as d")).imports
    assert imports == (Import("b", "a", 0, "b"), Import("d", "a", 0, "c"))
    imports = names_in_code(code("from a import b\nc = 1\nimport d")).imports
    assert imports == (Import("b", "a", 0, "b"), Import("d", "d", 0, None))
    imports = names_in_code(code("import a.b as c\nd = 1")).imports
    assert imports == (Import("c", "a.b", 0, None),)


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


def test_an_import_by_one_name_or_another() -> None:
    imports = names_in_code(code("if a: import m as x\nelse: from m import b as x")).imports
    assert {*imports} == {Import("x", "m", 0, None), Import("x", "m", 0, "b")}


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("b = 1", ()),
        ("global b\nb = 1", ("b",)),
        ("global b, c\nc = b = 1", ("b", "c")),
        ("def g():\n    nonlocal a\n    a = 1", ()),
        ("def g():\n    global b\n    b = 1", ("b",)),
        ("b = 1\nreturn lambda: b", ()),
    ],
)
def test_the_variables_around_it_that_a_function_sets(body: str, changed: tuple[str]) -> None:
    assert names_in_code(code(body)).changed == changed


def test_a_function_sets_a_variable_of_the_one_around_it() -> None:
    [inner] = inner_codes(code("def g():\n    nonlocal a\n    b = a = 1\n    return lambda: b"))
    assert names_in_code(inner).changed == ("a",)


@pytest.mark.parametrize(
    ("body", "keywords"),
    [
        ("return b(a, c=1, d=2)", ("c", "d")),
        ("return b(*a, c=1)", ("c",)),
        ("return [b(c=d) for d in a]", ("c",)),
        ("return a(1, ('c', 2), 'no name')", ()),
    ],
)
def test_the_names_of_arguments_that_code_passes(body: str, keywords: tuple[str, ...]) -> None:
    calls = uses_in_code(code(body)).calls
    assert tuple(name for call in calls for name, _ in call.named) == keywords


def test_all_attributes_and_globals_that_code_names() -> None:
    names = names_in_code(code("a.b.c = d\nreturn lambda: e.f")).others
    assert names == ("b", "c", "d", "e", "f")


# What other versions of Python compile: instructions that are two in one.


def joined(names: tuple[str, str], name: str) -> Any:
    """`dis.get_instructions`, with two neighbours as one instruction."""

    def instructions(code: CodeType) -> Iterator[dis.Instruction]:
        listed = list(get_instructions(code))
        while listed:
            first, *rest = listed
            if rest and (first.opname, rest[0].opname) == names and not rest[0].is_jump_target:
                value = first.argval if name == "RETURN_CONST" else (first.argval, rest[0].argval)
                yield first._replace(opname=name, argval=value)
                listed = rest[1:]
            else:
                yield first
                listed = rest

    return instructions


get_instructions = dis.get_instructions


@pytest.mark.parametrize(
    ("names", "name", "body"),
    [
        (("LOAD_CONST", "RETURN_VALUE"), "RETURN_CONST", "if x:\n    return 3\nreturn y"),
        (("LOAD_FAST", "LOAD_FAST"), "LOAD_FAST_LOAD_FAST", "return x - y"),
        (("STORE_FAST", "LOAD_FAST"), "STORE_FAST_LOAD_FAST", "z = x()\nreturn z - y"),
        (("STORE_FAST", "STORE_FAST"), "STORE_FAST_STORE_FAST", "a, b = x\nreturn b"),
    ],
)
def test_instructions_that_are_two_in_one_count_as_two(
    names: tuple[str, str], name: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = content(body, head="\n\ndef f(x, y):")
    monkeypatch.setattr(dis, "get_instructions", joined(names, name))
    assert split == content(body, head="\n\n\ndef f(x, y):")


@pytest.mark.parametrize("name", ["LOAD_FAST_BORROW", "LOAD_FAST_CHECK"])
def test_a_variable_is_named_in_each_way_of_loading_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(code: CodeType) -> Iterator[dis.Instruction]:
        for entry in get_instructions(code):
            yield entry._replace(opname=name) if entry.opname == "LOAD_FAST" else entry

    monkeypatch.setattr(dis, "get_instructions", renamed)
    chains = names_in_code(code(f"\n\nreturn a.{name}")).chains
    assert chains == (Chain(("a", name), is_global=False),)


@pytest.mark.parametrize("name", ["PUSH_NULL", "PRECALL", "NOP", "EXTENDED_ARG"])
def test_instructions_between_a_name_and_its_call_do_not_count(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def padded(code: CodeType) -> Iterator[dis.Instruction]:
        for entry in get_instructions(code):
            if entry.opname in ("PRECALL", "CALL"):
                yield entry._replace(opname=name, arg=0, argval=0)
            yield entry

    monkeypatch.setattr(dis, "get_instructions", padded)
    chains = names_in_code(code(f"\n\nreturn np.{name}()")).chains
    assert chains == (Chain(("np", name), is_global=True),)


def test_a_borrowed_variable_counts_as_a_loaded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def borrowed(code: CodeType) -> Iterator[dis.Instruction]:
        for entry in get_instructions(code):
            if entry.opname.startswith("POP_JUMP"):
                yield entry._replace(opname="NOT_TAKEN", opcode=dis.opmap["NOP"])
            is_load = entry.opname == "LOAD_FAST"
            yield entry._replace(opname="LOAD_FAST_BORROW") if is_load else entry

    loaded = content("return x - y if x else y", head="\n\n\n\n\n\ndef f(x, y):")
    monkeypatch.setattr(dis, "get_instructions", borrowed)
    assert loaded == content("return x - y if x else y", head="\n\n\n\n\n\n\ndef f(x, y):")


def test_two_borrowed_variables_count_as_two(monkeypatch: pytest.MonkeyPatch) -> None:
    def borrowed(code: CodeType) -> Iterator[dis.Instruction]:
        for entry in get_instructions(code):
            is_load = entry.opname == "LOAD_FAST"
            yield entry._replace(opname="LOAD_FAST_BORROW") if is_load else entry

    monkeypatch.setattr(dis, "get_instructions", borrowed)
    split = content("return x - y", head="\n\n\n\ndef f(x, y):")
    instructions = joined(("LOAD_FAST", "LOAD_FAST"), "LOAD_FAST_BORROW_LOAD_FAST_BORROW")
    monkeypatch.setattr(dis, "get_instructions", instructions)
    assert split == content("return x - y", head="\n\n\n\n\ndef f(x, y):")


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="each Python compiles in its own way")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pass", "2928861d09448080b53a4b4c"),
        (
            "return x.a[1:y], -0.0, {1, 2}, 'a', b'a', None, ..., 1j, (1, ('a', 2))",
            "8c125add59677435e23cdc97",
        ),
        ("return x in {1, 'a'} and y not in (1, 2) or not x", "6496805bc2c40f0de4cdd43c"),
        (
            "while x:\n    x = y(x)\n    if x is None: continue\n    if y: break\nelse: y()",
            "e10e16a2ffe46776b0cd430a",
        ),
        (
            "try:\n    x(a=1, *y)\nexcept E as e:\n    raise e from None\nfinally:\n    y()",
            "359786c83795eb86f86ab962",
        ),
        (
            "with x as z, y:\n    yield from (i for i in z if i)\n    del z[0]",
            "937bf19f5b86ac129276142b",
        ),
        (
            "def g(a, /, b=1, *c, d=2, **e): return lambda: x + a + d\nreturn g",
            "0b6465727ad91e6c8b5b483f",
        ),
        (
            "class A(x):\n    '''A.'''\n    a = y\n    def g(self): return __class__\nreturn A",
            "9bce538389981e0052e47ba4",
        ),
        (
            "from .a import b as c\nimport d.e\nglobal z\nz += f'{x!r:>{y}}{c}'",
            "71caf32fabf1251734abb537",
        ),
        (
            "match x:\n    case {'a': [1, *y]} if y: return y\n    case A(b=1): pass",
            "c8116627203232459e5d8cac",
        ),
        ("async def g(): return [await i async for i in x]\nreturn g", "5a925d7c5e7507a922bc29fe"),
    ],
)
def test_the_content_of_code_does_not_change_from_year_to_year(body: str, expected: str) -> None:
    assert content(body) == expected


# Conditions: Python's compiler threads their jumps, as far as the lines of the source allow.

CONDITIONS = st.recursive(
    st.sampled_from("xyz"),
    lambda inner: st.one_of(
        inner.map("( not {} )".format),
        st.builds("( {} {} {} )".format, inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=8,
)
USES = (
    "return {}", "if {}: return 1\nreturn 2", "while {}: x()\nreturn 2", "return 1 if {} else 2",
    "a = {}\nreturn a", "return [x for x in y if {}]", "for i in x:\n    if {}: continue\n    y()",
)  # fmt: skip


@given(CONDITIONS, st.sampled_from(USES), st.data())
def test_a_condition_has_one_content_in_all_layouts(
    condition: str, use: str, data: st.DataObject
) -> None:
    words = condition.split()
    ends = data.draw(st.lists(st.sampled_from(" \n"), min_size=len(words), max_size=len(words)))
    laid = "".join(word + end for word, end in zip(words, ends, strict=True))
    head = "def f(x, y, z):"
    assert content(use.format(condition), head) == content(use.format(f"({laid})"), head)


@given(CONDITIONS, CONDITIONS)
def test_conditions_of_one_content_have_one_value(one: str, other: str) -> None:
    def values(condition: str) -> list[Any]:
        cases = itertools.product(([], [1]), ((), (1,)), ("", "a"))
        return [eval(condition, dict(zip("xyz", case, strict=True))) for case in cases]  # noqa: S307 - as made above

    head = "def f(x, y, z):"
    if content(f"return {one}", head) == content(f"return {other}", head):
        assert values(one) == values(other)


# What code does with what it names


def shown(term: Term) -> Any:
    """A term, as tests write it: a constant by its value, others by their paths."""
    return term.constant[0] if term.constant else ".".join(term.path)


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("b(1, None, c=a)", ["b(1, None, c='a')"]),
        ("b.c.d(a.e)", ["b.c.d('a.e')"]),
        ("a.b(1)[0].c(2)", [".c(2)", "a.b(1)"]),
        ("c = b.d\nc(1)", ["b.d(1)"]),
        ("c = b\nc = d\nc(1)", ["c(1)"]),
        ("c = 3\nb(c)", ["b(3)"]),
        ("a = 3\nb(a)", ["b('a')"]),
        ("b(*a, c=1)", ["b(c=1, *)"]),
        ("b(1, **a)", ["b(*, **a)"]),
        ("b(**{'c': 1, 'd': a})", ["b(c=1, d='a', *)"]),
        ("c = {'d': 1}\nb(**c, e=2)", ["b(d=1, e=2, *)"]),
        ("[b(c) for c in a]", ["b('c')"]),
        ("b(1 if a else 2)\nc(3)", ["b('')", "c(3)"]),
        ("b(c(1))", ["b('')", "c(1)"]),
        ("with b(1) as c: c.d(2)", ["b(1)", "c.d(2)"]),
        ("try:\n    b(1)\nfinally:\n    c(2)", ["b(1)", "c(2)", "c(2)"]),
        ("partial(b, c=1)", ["b(c=1, *)", "partial('b', c=1)"]),
        ("a[b](1)", []),
    ],
)
def test_calls_and_what_they_pass(body: str, calls: list[str]) -> None:
    found = []
    for call in uses_in_code(code(body)).calls:
        arguments = [repr(shown(term)) for term in call.arguments]
        arguments += (f"{name}={shown(term)!r}" for name, term in call.named)
        arguments += ["*"] * call.is_open + [f"**{shown(term)}" for term in call.spread]
        found.append(f"{'.'.join(call.path)}({', '.join(arguments)})")
    assert sorted(found) == calls


@pytest.mark.parametrize(
    ("body", "is_certain"),
    [
        ("b()", True), ("a.c = 1\nb()", True), ("if a: b()", False), ("if a: c = 1\nb()", True),
        ("a or b()", False), ("for c in a: b()", False), ("while a: a = 0\nb()", True),
        ("[b() for c in a]", False), ("if a: return\nb()", True),
    ],
)  # fmt: skip
def test_calls_to_which_the_code_always_comes(body: str, is_certain: bool) -> None:
    [call] = [call for call in uses_in_code(code(body)).calls if call.path == ("b",)]
    assert call.is_certain is is_certain


@pytest.mark.parametrize(
    ("body", "passed"),
    [
        ("b()", False), ("b.c()", False), ("return b", True), ("c(b)", True), ("b['c']", False),
        ("'c' in b", False), ("c = b\nc()", False), ("c = b\nreturn c", True), ("list(b)", True),
        ("isinstance(a, b)", False), ("partial(b)", False), ("b()\nc(b)", True),
        ("c = d = b\nd()\nreturn c", True), ("for c in b: pass", True), ("b == a", True),
        ("return lambda: b()", False), ("return lambda: b", True),
    ],
)  # fmt: skip
def test_what_code_passes_on(body: str, passed: bool) -> None:
    assert (("b",) in uses_in_code(code(body)).passed) is passed


@pytest.mark.parametrize(
    ("body", "is_cache"),
    [
        ("if a not in B: B[a] = c(a)\nreturn B[a]", True),
        ("if a in B: return B[a]\nb = B[a] = c(a)\nreturn b", True),
        ("b = B.get(a)\nif b is None: b = B[a] = c(a)\nreturn b", True),
        ("try: return B[a]\nexcept KeyError:\n    B[a] = c(a)\n    return B[a]", True),
        ("return B.setdefault(a, c(a))", True),
        ("if a not in B: B[a] = [c(b) for b in a]\nreturn B[a]", True),
        ("B[a] = c(a)\nreturn B[a]", False),
        ("return B[a]", False),
        ("B[a] += 1", False),
        ("B[a] = B.get(a, 0) + 1\nreturn B[a]", False),
        ("if a not in B: B[a] = 0\nB[a] = B[a] + 1\nreturn B[a]", False),
        ("b = B.get(a, 0)\nb += 1\nB[a] = b\nreturn b", False),
        ("if a not in B: B[a] = c(a)\nreturn len(B)", False),
        ("if a not in B: B[a] = c(a)\nreturn B", False),
        ("if a not in B: B[a] = c(a)\nreturn sum(B.values())", False),
        ("if a not in B: B[a] = c(a)\nB.clear()", False),
        ("if a not in B.c: B.c[a] = c(a)\nreturn B.c[a]", False),
        ("B = {}\nif a not in B: B[a] = c(a)\nreturn B[a]", False),
    ],
)
def test_a_variable_that_code_fills_where_it_has_looked_is_a_cache(
    body: str, is_cache: bool
) -> None:
    assert ("B" in uses_in_code(code(body)).caches) is is_cache


@pytest.mark.parametrize(
    "body",
    ["super().b(1)", "super(a, c).b(1)", "class A:\n    def c(self): super().b(1)"],
)
def test_a_method_of_a_base_class_is_called_on_an_unknown_object(body: str) -> None:
    paths = [call.path for call in uses_in_code(code(body)).calls]
    assert ("", "b") in paths


@pytest.mark.parametrize(("body", "is_changed"), [("c = B[1:]", True), ("c = [B]", False)])
def test_a_slice_is_a_part_of_what_it_is_taken_of(body: str, is_changed: bool) -> None:
    assert (uses_in_code(code(f"{body}\nc += a")).changed == "B") is is_changed


def test_items_set_by_a_slice_are_stored_items() -> None:
    assert uses_in_code(code("if a in B: return B[a]\nB[a:] = a")).caches == {"B"}


def test_a_variable_that_an_inner_function_closes_over_is_not_passed() -> None:
    [inner] = inner_codes(code("def g():\n    return lambda: a[1]"))
    assert uses_in_code(inner).passed == set()
