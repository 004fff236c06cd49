"""Random straight-line Dask programs over the pool, with many equal tasks.

A writer mostly gets a task that nobody else uses: the cone of an earlier line is built again for
it. So most programs have one value, in whatever order Dask runs them. `repr` of a program is
Python that can be run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple
from uuid import uuid4

from dask import delayed
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import List, Task, TaskRef
from hypothesis import strategies as st

from tests.isolation.pool import ANY, POOL, SOURCES, Member

KINDS = frozenset({*SOURCES, "series"})
"""Kinds of values that are arguments; all else that a function takes is a constant."""

DATA_KINDS = frozenset({"array", "list", "rows", "dict", "set", "bytes", "frame", "thing"})
"""Kinds of values that are also constants of a program."""

MAX_LINES = 40


class Data(NamedTuple):
    """A constant: the result of a source, called while the program is built.

    number: equal for one object
    """

    source: Callable[[int], Any]
    n: int
    number: int


class Input(NamedTuple):
    """The value of an earlier line as an argument.

    line: its number
    repeats: in a list, so many times; 0 for the value itself
    """

    line: int
    repeats: int = 0


class Line(NamedTuple):
    """One call of a program.

    kind: of its value
    name: of the function, as it is written; empty if the line is a constant of the program
    arguments: inputs, data, numbers and slices
    names: of the last arguments, that are passed by name
    is_reader: whether the function neither writes into its arguments nor keeps them
    """

    kind: str
    name: str
    function: Any
    arguments: tuple[Any, ...]
    names: tuple[str, ...] = ()
    is_reader: bool = False

    def inputs(self) -> list[Input]:
        return [argument for argument in self.arguments if isinstance(argument, Input)]

    def filled(
        self, data: _Objects, reference: Callable[[Input], Any],
        in_list: Callable[[list[Any]], Any],
    ) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
        """The arguments by place and by name, with values in place of inputs and data."""
        values: list[Any] = []
        for argument in self.arguments:
            if isinstance(argument, Input):
                value = reference(argument)
                values.append(in_list([value] * argument.repeats) if argument.repeats else value)
            else:
                values.append(data[argument] if isinstance(argument, Data) else argument)
        first = len(values) - len(self.names)
        return values[:first], dict(zip(self.names, values[first:], strict=True))


class Program(NamedTuple):
    """A program, which can be built many times.

    style: how it is written: `delayed` calls, a dict of tasks, of nested tasks, or of tuples
    """

    lines: tuple[Line, ...]
    outputs: tuple[int, ...]
    style: str = "delayed"

    def build(self) -> list[Any]:
        """Its outputs as delayed objects; with new constants each time."""
        if self.style == "delayed":
            return self._delayed()
        tasks, keys = self.tasks()
        name = f"program-{uuid4().hex}"
        graph = HighLevelGraph({name: MaterializedLayer(tasks)}, {name: set()})
        return [Delayed(key, graph, layer=name) for key in keys]

    def _delayed(self) -> list[Any]:
        data = _Objects()
        values: list[Any] = []
        for line in self.lines:
            if line.name:
                args, named = line.filled(data, lambda place: values[place.line], list)
                values.append(delayed(line.function)(*args, **named))
            else:
                values.append(delayed(data[line.arguments[0]]))
        return [values[number] for number in self.outputs]

    def tasks(self) -> tuple[dict[Any, Any], list[str]]:
        """The same as a dict of tasks, and the keys of the outputs."""
        data, prefix, is_legacy = _Objects(), uuid4().hex[:8], self.style == "legacy"
        keys = [f"v{number}-{prefix}" for number in range(len(self.lines))]
        inner = self._inner() if self.style == "nested" else set()
        nodes: list[Any] = []

        def reference(place: Input) -> Any:
            if place.line in inner:
                return nodes[place.line]
            return keys[place.line] if is_legacy else TaskRef(keys[place.line])

        for number, line in enumerate(self.lines):
            in_list = list if is_legacy else _list_node
            args, named = line.filled(data, reference, in_list)
            if is_legacy and not named:
                nodes.append((line.function, *args))
            else:
                key = None if number in inner else keys[number]
                nodes.append(Task(key, line.function, *args, **named))
        tasks = {key: nodes[number] for number, key in enumerate(keys) if number not in inner}
        return tasks, [keys[number] for number in self.outputs]

    def _inner(self) -> set[int]:
        """The lines that only one other uses, as they are."""
        inputs = [place for line in self.lines for place in line.inputs()]
        uses = Counter(place.line for place in inputs)
        single = {place.line for place in inputs if uses[place.line] == 1 and not place.repeats}
        return single.difference(self.outputs)

    def __repr__(self) -> str:
        written = [f"# {self.style}"]
        known: set[Data] = set()
        for number, line in enumerate(self.lines):
            for each in line.arguments:
                if isinstance(each, Data) and each not in known:
                    known.add(each)
                    written.append(f"d{each.number} = {each.source.__name__}({each.n})")
            texts = list(map(_text, line.arguments))
            first = len(texts) - len(line.names)
            texts[first:] = map("{}={}".format, line.names, texts[first:])
            call = (
                f"delayed({line.name})({', '.join(texts)})" if line.name else f"delayed({texts[0]})"
            )
            written.append(f"v{number} = {call}")
        outputs = ", ".join(f"v{number}" for number in self.outputs)
        return "\n".join([*written, f"outputs = [{outputs}]", ""])


def _identity(value: Any) -> Any:
    return value


def _list_node(values: list[Any]) -> Any:
    return List(*values)


def _text(argument: Any) -> str:
    if isinstance(argument, Data):
        return f"d{argument.number}"
    if not isinstance(argument, Input):
        return repr(argument)
    name = f"v{argument.line}"
    return f"[{', '.join([name] * argument.repeats)}]" if argument.repeats else name


class _Objects(dict[Data, Any]):
    """The constants of one build."""

    def __missing__(self, data: Data) -> Any:
        self[data] = data.source(data.n)
        return self[data]


# Random programs


class Choice(NamedTuple):
    """How a step finds an argument.

    back: which of the earlier lines of its kind, from the last on
    mode: `auto`: built again if a writer would see or show another consumer's use; `same`: that
        line; `again`: built again; `new`: a source; `data`: a constant
    n: for a source
    repeats: of the value in a list
    """

    back: int
    mode: str
    n: int
    repeats: int


class Step(NamedTuple):
    """A function of the pool, how it finds its arguments, and how often the line is built."""

    member: Member
    choices: tuple[Choice, ...]
    times: int


_MODES = ["auto"] * 12 + ["new"] * 2 + ["again"] * 3 + ["data"] * 2 + ["same"]
_choices = st.builds(
    Choice,
    st.integers(0, 3),
    st.sampled_from(_MODES),
    st.integers(1, 2),
    st.sampled_from([0, 0, 0, 0, 0, 1, 2]),
)
_STYLES = st.sampled_from(["tasks", "delayed", "nested", "legacy"])


@st.composite
def programs(draw: Any, most: int = 9, pool: Sequence[Member] = POOL) -> Program:
    """Programs of up to so many steps; with the lines that are built again they are longer."""
    members, often = st.sampled_from(pool), st.sampled_from([1, 2, 2])
    steps = st.builds(Step, members, st.tuples(_choices, _choices), often)
    drawn = draw(st.lists(steps, min_size=1, max_size=most))
    return written(drawn, draw(st.lists(_choices, max_size=2)), draw(_STYLES))


def written(steps: Sequence[Step], outputs: Sequence[Choice], style: str) -> Program:
    """The program of some steps. A step without an input of its kind makes a source."""
    writer = _Writer()
    for step in steps:
        for _ in range(step.times):
            writer.add(step.member, step.choices)
    extra = [writer.found(ANY, choice, True) for choice in outputs]
    used = {each.line for line in writer.lines for each in line.inputs()}
    sinks = [number for number in range(len(writer.lines)) if number not in used]
    return Program(tuple(writer.lines), (*sinks, *extra), style)


class _Writer:
    """Writes a program line by line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.users: dict[int, list[bool]] = defaultdict(list)  # of each line: which only read
        self.numbers = count()

    def add(self, member: Member, choices: Sequence[Choice]) -> None:
        """A call of a function."""
        arguments: list[Any] = []
        left = iter(choices)
        for kind in member.takes:
            if isinstance(kind, str) and kind in KINDS:
                arguments.append(self._argument(kind, next(left), member.is_reader, arguments))
            else:
                arguments.append(kind)
        self._append(Line(member.gives, member.name, member.function, tuple(arguments),
                          member.names, member.is_reader))  # fmt: skip

    def _append(self, line: Line) -> int:
        self.lines.append(line)
        for each in line.inputs():
            self.users[each.line].append(line.is_reader)
        return len(self.lines) - 1

    def _argument(self, kind: str, choice: Choice, is_reader: bool, before: list[Any]) -> Any:
        if choice.mode == "data" and kind in DATA_KINDS:
            sources = SOURCES[kind]
            return Data(sources[choice.back % len(sources)], choice.n, next(self.numbers))
        if choice.mode == "same" and before and kind in DATA_KINDS and type(before[0]) is Data:
            return before[0]
        number = self.found(kind, choice, is_reader, [x.line for x in before if type(x) is Input])
        return Input(number, choice.repeats if kind == ANY else 0)

    def found(self, kind: str, choice: Choice, is_reader: bool, before: Sequence[int] = ()) -> int:
        """The number of a line for an argument, which may be new."""
        known = [number for number, line in enumerate(self.lines) if kind in (ANY, line.kind)]
        if not known or choice.mode == "new":
            return self._source(kind, choice)
        number = known[-1 - choice.back % len(known)]
        users = self.users[number]
        is_free = (all(users) if is_reader else not users) and number not in before
        if choice.mode == "same" or (choice.mode == "auto" and is_free):
            return number
        if len(self.lines) > MAX_LINES:
            return self._source(kind, choice)
        return self._again(number)

    def _source(self, kind: str, choice: Choice) -> int:
        if kind == "series":
            frame = self._source("frame", choice)
            member = next(member for member in POOL if member.gives == "series")
            return self._append(Line("series", member.name, member.function, (Input(frame),)))
        kinds = sorted(SOURCES)
        kind = (
            kinds[(choice.back + choice.n + len(self.lines)) % len(kinds)] if kind == ANY else kind
        )
        sources = SOURCES[kind]
        source = sources[choice.back % len(sources)]
        if choice.mode == "data" and kind in DATA_KINDS:
            return self._append(
                Line(kind, "", _identity, (Data(source, choice.n, next(self.numbers)),))
            )
        return self._append(Line(kind, source.__name__, source, (choice.n,)))

    def _again(self, number: int) -> int:
        """A line and all that it is computed from, once more."""
        cone, stack = set(), [number]
        while stack:
            current = stack.pop()
            cone.add(current)
            stack += [each.line for each in self.lines[current].inputs()]
        numbers: dict[int, int] = {}
        data: dict[Data, Data] = {}
        for old in sorted(cone):
            line, arguments = self.lines[old], []
            for each in line.arguments:
                if isinstance(each, Input):
                    each = each._replace(line=numbers[each.line])
                elif isinstance(each, Data):
                    each = data.setdefault(each, each._replace(number=next(self.numbers)))
                arguments.append(each)
            numbers[old] = self._append(line._replace(arguments=tuple(arguments)))
        return numbers[number]
