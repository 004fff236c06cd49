"""What code names: globals and attributes of them, and modules that it imports in its body."""

from __future__ import annotations

from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

from pipeline.identity.bytecode import Step, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Chain(NamedTuple):
    """A name and the attributes that are taken of it at once: `np.random.rand`."""

    path: tuple[str, ...]
    is_global: bool
    is_seedless: bool  # it is called there, with nothing or None


class Import(NamedTuple):
    """An import in a body, and the name that it is given there."""

    name: str
    module: str
    level: int  # dots before the module
    attribute: str | None  # that is taken of it


class CodeNames(NamedTuple):
    """What a function's code names, inner functions included."""

    chains: tuple[Chain, ...]
    imports: tuple[Import, ...]
    others: tuple[str, ...]  # all attributes
    keywords: tuple[str, ...]  # by which arguments are passed
    changed: tuple[str, ...]  # globals and variables of functions around it that it sets


_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME"}
_CELLS = {"LOAD_DEREF", "LOAD_CLASSDEREF"}
_LOCALS = {"LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK"}
_STORES = {"STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_SILENT = {"PUSH_NULL", "PRECALL", "NOP", "KW_NAMES"}
_LONGEST = 16
"""Instructions that a chain is looked for in."""

_SEEDLESS = ([("CALL", 0)], [("LOAD_CONST", None), ("CALL", 1)])


@lru_cache(4096)
def names_in_code(code: CodeType) -> CodeNames:
    """What a function's code names, in an order of its own.

    >>> def f(x): return np.sin(x), random.Random()
    >>> [(".".join(each.path), each.is_seedless) for each in names_in_code(f.__code__).chains]
    [('np.sin', False), ('random.Random', True), ('x', False)]
    """
    chains: set[Chain] = set()
    imports: set[Import] = set()
    others, changed = set(code.co_names), set[str]()
    # Only as such are there tuples of names among the constants; beside `*args` each stands alone.
    keywords = {name for each in code.co_consts if _is_names(each) for name in each}
    keywords |= {each for each in code.co_consts if type(each) is str and each.isidentifier()}
    found = [each for each in steps(code) if each.name not in _SILENT]
    for place, each in enumerate(found):
        if each.name in _GLOBALS | _CELLS | _LOCALS:
            chains.add(_chain(found[place : place + _LONGEST]))
        elif each.name == "STORE_GLOBAL" or (
            each.name == "STORE_DEREF" and each.argument in code.co_freevars
        ):
            changed.add(each.argument)
        elif each.name == "IMPORT_NAME":
            level, wanted = found[place - 2].argument, found[place - 1].argument
            imports.update(_bound(found[place + 1 :], each.argument, level, wanted))
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            more = names_in_code(inner)
            chains.update(more.chains)
            imports.update(more.imports)
            others.update(more.others)
            keywords.update(more.keywords)
            changed.update(set(more.changed) - set(code.co_cellvars))
    inner = (sorted(each) for each in (others, keywords, changed))
    return CodeNames(tuple(sorted(chains)), tuple(sorted(imports, key=repr)), *map(tuple, inner))


def _is_names(constant: object) -> bool:
    return type(constant) is tuple and all(type(each) is str for each in constant)


def _chain(found: Sequence[Step]) -> Chain:
    """The chain that begins with the first of some instructions."""
    path, after = [found[0].argument], 1
    while after < len(found) and found[after].name in _ATTRIBUTES:
        path.append(found[after].argument)
        after += 1
    following = [(step.name, step.argument) for step in found[after : after + 2]]
    is_seedless = following[:1] == _SEEDLESS[0] or following == _SEEDLESS[1]
    return Chain(tuple(path), found[0].name in _GLOBALS, is_seedless)


def _bound(
    after: Sequence[Step], module: str, level: int, wanted: tuple[str, ...] | None
) -> Iterator[Import]:
    """The names that an import binds: those of the instructions that come after it."""
    if wanted:
        taken = None
        for each in after[: 2 * len(wanted)]:
            if each.name == "IMPORT_FROM":
                taken = each.argument
            elif each.name in _STORES:
                yield Import(each.argument, module, level, taken)
        return
    for each in after:  # `import a.b` binds a, `import a.b as x` goes down to b
        if each.name in _STORES:
            is_top = each is after[0]
            if is_top and "." in module:  # it is loaded, and found as an attribute of its package
                yield Import(f"import {module}", module, level, None)
            yield Import(each.argument, module.partition(".")[0] if is_top else module, level, None)
            return
