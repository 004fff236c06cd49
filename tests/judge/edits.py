"""Small edits of Python code: one operator, constant, condition, element or statement each.

Not edited: documentation, annotations, decorators, imports, texts of errors, names of types.
"""

from __future__ import annotations

import ast
import re
from itertools import takewhile, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SWAPPED: dict[type[ast.AST], type[Any]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add,
    ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_REMOVABLE = (ast.Expr, ast.AugAssign, ast.Delete, ast.Raise, ast.Break, ast.Continue)
_STRICT = {"isinstance", "hasattr", "zip", "map", "range"}
"""Functions that fail at once without their last argument."""
_TYPES_ONLY = {"annotation", "returns", "decorator_list"}


class Mutant(NamedTuple):
    """A file with one edit."""

    file: str
    line: int
    source: str  # the line as it stands there
    mutation: str  # what differs: "before → after"
    code: str  # of the whole file


Edit = tuple[ast.AST, dict[str, Any]]
"""The place of an edit, and the new fields of a node."""


def edits(node: ast.AST) -> Iterator[Edit]:
    """The edits of one node, without those in it."""
    for kind in (of_blocks, of_operators, of_constants, of_conditions, of_elements):
        yield from kind(node)


def of_blocks(node: ast.AST) -> Iterator[Edit]:
    """A statement removed, or a returned value."""
    for name in ("body", "orelse", "finalbody"):
        block: Any = getattr(node, name, None)
        for place, statement in enumerate(block if isinstance(block, list) else ()):
            if is_removable(statement):
                yield statement, {name: [*block[:place], ast.Pass(), *block[place + 1 :]]}
    if isinstance(node, ast.Return) and not isinstance(node.value, ast.Constant | None):
        yield node, {"value": ast.Constant(None)}


def is_removable(statement: ast.AST) -> bool:
    """Whether the rest may work without a statement: it binds no name, and does not document."""
    if isinstance(statement, ast.Assign):
        return not any(isinstance(to, ast.Name | ast.Tuple) for to in statement.targets)
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, _REMOVABLE) and not is_text


def of_operators(node: ast.AST) -> Iterator[Edit]:
    """Another operator, or one operand alone."""
    match node:
        case ast.Compare():
            yield node, {"ops": [_SWAPPED[type(node.ops[0])](), *node.ops[1:]]}
        case ast.BoolOp():
            yield node, {"op": _SWAPPED[type(node.op)]()}
            yield from removals(node, "values")
        case ast.UnaryOp(op=ast.Not()):
            yield node, {"operand": ast.UnaryOp(ast.Not(), node.operand)}
        case ast.BinOp(op=ast.BitOr()):
            for side in (node.left, node.right):
                yield node, {"left": side, "right": side}
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _SWAPPED:
            yield node, {"op": _SWAPPED[type(node.op)]()}


def of_constants(node: ast.AST) -> Iterator[Edit]:
    """Another constant."""
    match node:
        case ast.Constant(value=bool(value)):
            yield node, {"value": not value}
        case ast.Constant(value=int(number) | float(number)):
            yield node, {"value": number + 1}
        case ast.Constant(value=str(text)):
            yield node, {"value": f"{text}X"}
        case ast.Constant(value=bytes(data)):
            yield node, {"value": data + b"X"}


def of_conditions(node: ast.AST) -> Iterator[Edit]:
    """A condition that always holds, or never; a loop is not made endless."""
    if isinstance(node, ast.If | ast.IfExp):
        yield node.test, {"test": ast.Constant(True)}
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield node.test, {"test": ast.Constant(False)}
    if isinstance(node, ast.comprehension):
        yield from removals(node, "ifs")


def of_elements(node: ast.AST) -> Iterator[Edit]:
    """A display, a call or a `match` without one of its elements."""
    match node:
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()) | ast.Set():
            yield from removals(node, "elts")
        case ast.Dict():
            pairs = zip(removals(node, "keys"), removals(node, "values"), strict=True)
            yield from ((at, {**keys, **values}) for (at, keys), (_, values) in pairs)
        case ast.Call() if len(node.args) + len(node.keywords) > 1:
            if not (isinstance(node.func, ast.Name) and node.func.id in _STRICT):
                yield from [*removals(node, "args")][-1:]
            yield from removals(node, "keywords")
        case ast.Match() if len(node.cases) > 1:
            yield from removals(node, "cases")


def removals(node: ast.AST, field: str) -> Iterator[Edit]:
    """A node without one element of a field, for each element."""
    elements = getattr(node, field)
    for place, element in enumerate(elements):
        at = element if hasattr(element, "lineno") else node  # `match` cases have no place
        yield at, {field: [*elements[:place], *elements[place + 1 :]]}


def mutable(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all in it that does something."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.If(test=ast.Name("TYPE_CHECKING")):
            return
        case ast.Assign(targets=[ast.Name("__all__")]) | ast.Assign(value=ast.Subscript()):
            return  # the second names a type
        case ast.Raise() | ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.Call(func=ast.Name("zip")):  # `strict` checks what holds
            node.keywords.clear()
    yield node
    for name, value in ast.iter_fields(node):
        if name in _TYPES_ONLY or (name == "func" and isinstance(value, ast.Subscript)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from mutable(child)


def mutants(file: str, text: str) -> Iterator[Mutant]:
    """All mutants of a file, each with one edit."""
    lines, statements = text.splitlines(), ast.parse(text).body
    code = [ast.unparse(statement) for statement in statements]
    for place, statement in enumerate(statements):
        for node in mutable(statement):
            for at, fields in edits(node):
                before, shown = {name: getattr(node, name) for name in fields}, ast.unparse(node)
                vars(node).update(fields)
                mutated = [*code[:place], ast.unparse(statement), *code[place + 1 :]]
                mutation = difference(shown, ast.unparse(node))
                line = getattr(at, "lineno", statement.lineno)
                source = lines[line - 1].strip()
                yield Mutant(file, line, source, mutation, "\n".join(mutated))
                vars(node).update(before)


def difference(one: str, other: str) -> str:
    """What differs in two texts, with a little of what stands around it."""
    pairs = zip_longest(one.splitlines(), other.splitlines(), fillvalue="")
    changed = next(pair for pair in pairs if pair[0] != pair[1])
    before, after = (re.findall(r"\w+|\W", line.strip()) for line in changed)
    head = common(before, after)
    tail = common(before[head:][::-1], after[head:][::-1])
    begin, end = max(head - 6, 0), max(tail - 6, 0)
    return " → ".join("".join(tokens[begin : len(tokens) - end]) for tokens in (before, after))


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many elements two sequences begin with in common."""
    return len([*takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))])
