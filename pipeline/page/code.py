"""The source of recurrences, and the line of each call and return in it, observed in a run."""

from __future__ import annotations
import __future__

import ast
import linecache
import sys
import warnings
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import getdoc
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.graph import tree_sizes
from pipeline.identity import format_number, session
from pipeline.trace import Call, Recurrence, TracedGraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from dask.typing import Key

    from pipeline.graph import TaskGraph


class Source(NamedTuple):
    """The lines of a function by number, without its docstring and arguments of decorators.

    statements: the first and last line of each; of a compound one, only its head
    doc: the docstring, as paragraphs
    """

    lines: Sequence[tuple[int, str]]
    statements: Sequence[tuple[int, int]]
    doc: Sequence[str] = ()

    def statement(self, line: int) -> tuple[int, int]:
        """The first and last line of the smallest statement with this line."""
        around = [(first, last) for first, last in self.statements if first <= line <= last]
        return min(around, key=lambda ends: ends[1] - ends[0], default=(line, line))


class Lines(NamedTuple):
    """Where the body of a call returned, and where it made each of its calls.

    made: by the key of a call; a call that is made in two lines has none
    """

    returned: int
    made: dict[Key, int]


@dataclass(frozen=True)
class Code:
    """The sources of the calls that a scene shows, and what each of its subproblems does in them.

    places: by subproblem, its source, and the first and last line of the statement that returned;
        the first line alone if that is not known; None for a call without a source
    calls: by subproblem, the line in which it makes each of the others
    sizes: by subproblem, the calls that a look-up replaces
    """

    sources: Sequence[Source]
    places: Sequence[tuple[int, int, int] | None]
    calls: Sequence[dict[int, int]]
    sizes: Sequence[str]

    @property
    def data(self) -> dict[str, Any]:
        """As JavaScript reads it."""
        return {"places": self.places, "calls": self.calls, "sizes": self.sizes}


def code_of(graph: TaskGraph, shown: Sequence[Key]) -> Code:
    """The code of some subproblems of a graph: each body runs again, and its lines are observed."""
    calls = graph.calls({*shown}) if isinstance(graph, TracedGraph) else {}
    numbers = {key: number for number, key in enumerate(shown)}
    sources: dict[Recurrence, Source | None] = {}
    places: list[tuple[int, int, int] | None] = [None] * len(shown)
    made: list[dict[int, int]] = [{} for _ in shown]
    with session():
        for key, call in calls.items():
            if not isinstance(call.function, Recurrence):
                continue
            if call.function not in sources:
                sources[call.function] = source_of(call.function.__wrapped__)
            if (source := sources[call.function]) is None:
                continue
            which = [each for each in sources.values() if each].index(source)
            lines = observe_lines(call)
            start = source.lines[0][0]
            ends = source.statement(lines.returned) if lines else (start, start)
            places[numbers[key]] = (which, *ends)
            found = lines.made if lines else {}
            made[numbers[key]] = {
                numbers[other]: line for other, line in found.items() if other in numbers
            }
    sizes = tree_sizes(graph, shown)
    known = [source for source in sources.values() if source]
    texts = [f"{format_number(sizes[key])} call{'s' * (sizes[key] > 1)}" for key in shown]
    return Code(known, places, made, texts)


def source_of(function: Any) -> Source | None:
    """The source of a function; None unless it compiles to the function's own code."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)
    text = "".join(lines)
    # A file may have changed since it was imported. Annotations are texts in some, and so in code.
    flags = code.co_flags & __future__.annotations.compiler_flag
    try:
        with warnings.catch_warnings(action="ignore"):  # the first compilation warned
            tree = ast.parse(text)
            whole = compile(text, code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    node = next((node for node in nodes if _first_line(node) == code.co_firstlineno), None)
    if node is None or code not in _codes(whole):
        return None
    omitted = _docstring(node)
    first = _shown_from(node)
    numbers = [line for line in range(first, _end(node) + 1) if line not in omitted]
    head = lines[first - 1]
    indent = len(head) - len(head.lstrip())
    statements = [
        (part.lineno, (part.body[0].lineno - 1 if hasattr(part, "body") else _end(part)))
        for part in ast.walk(node) if isinstance(part, ast.stmt) and part is not node
    ]  # fmt: skip
    shown = [(line, lines[line - 1][indent:].rstrip()) for line in numbers]
    return Source(shown, statements, (getdoc(function) or "").split("\n\n"))


def _shown_from(node: ast.FunctionDef | ast.Lambda) -> int:
    """The line of its `def`, or of the decorator above, if that is a name as `@recurrence`."""
    last = node.decorator_list[-1:] if isinstance(node, ast.FunctionDef) else []
    return next((part.lineno for part in last if isinstance(part, ast.Name)), node.lineno)


def _first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    """As of its code: decorators come first."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return min([node.lineno, *[part.lineno for part in decorators]])


def _end(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def _docstring(node: ast.FunctionDef | ast.Lambda) -> range:
    """Its lines, if others remain."""
    if isinstance(node, ast.Lambda):
        return range(0)
    first, *others = node.body
    if ast.get_docstring(node) is None or not others or first.lineno == node.lineno:
        return range(0)
    return range(first.lineno, _end(first) + 1)


def _codes(code: CodeType) -> set[CodeType]:
    """A code, and those of all functions, comprehensions and classes in it."""
    codes, stack = set(), [code]
    while stack:
        code = stack.pop()
        codes.add(code)
        stack += [value for value in code.co_consts if isinstance(value, CodeType)]
    return codes


def observe_lines(call: Call) -> Lines | None:
    """The lines at which the body of a recurrence returns and makes its calls, from a run of it.

    None if it raises: a body need not do twice what it did in the trace.
    """
    body = call.function.__wrapped__
    own = _codes(body.__code__)
    returned = body.__code__.co_firstlineno
    made: dict[int, tuple[Call, int]] = {}

    def watch(frame: FrameType, event: str, value: Any) -> None:
        nonlocal returned
        if event != "return":
            return
        if frame.f_code is body.__code__:
            returned = frame.f_lineno
        if isinstance(value, Call) and id(value) not in made:  # what makes it returns it first
            caller = frame.f_back
            while caller is not None and caller.f_code not in own:
                caller = caller.f_back
            if caller is not None:
                made[id(value)] = value, caller.f_lineno

    try:
        with _watched(watch):
            body(*call.args, **call.kwargs)
    except Exception:
        return None  # its first line is known
    lines: dict[Key, set[int]] = defaultdict(set)
    for inner, line in made.values():
        lines[inner.key].add(line)
    return Lines(returned, {key: line for key, (line, *others) in lines.items() if not others})


@contextmanager
def _watched(watch: Any) -> Iterator[None]:
    """Call a function as each function in this thread is entered and left."""
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
