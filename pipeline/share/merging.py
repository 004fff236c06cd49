"""One task per subproblem: a graph in which equal tasks are merged."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

from dask._expr import ProhibitReuse
from dask.task_spec import Alias, GraphNode, Task, TaskRef
from dask.typing import Key
from dask.utils import key_split

from pipeline.graph import CallTask, inputs_of, subproblem
from pipeline.identity import short_hash
from pipeline.share.copying import Again
from pipeline.share.digest_keys import (
    MOST_COPIES,
    Program,
    connected,
    has_handle,
    hash_lines,
    pure_programs,
)
from pipeline.share.isolation import (
    Graph,
    Handle,
    Use,
    handle_task,
    handles,
    inline_handle,
)
from pipeline.share.numbering.numbering import Numbering
from pipeline.share.numbering.readings import Readings, kept_readings

OutputPlace = Literal["here", "cluster", "sent"]
"""Where the outputs of a run are: in this process; on a cluster, which may keep them for a client;
on a cluster that sends them to the client, and forgets them."""


class Merged:
    """A graph with one task per subproblem, whose consumers see no write of each other.

    original: the tasks that the outputs depend on, as they were
    tasks: the merged tasks, inputs before their consumers; an output keeps its key, as an alias if
        need be
    numbers: the number of each original task, inputs before their consumers
    defining: for each number, the key of the first task with it
    keys: for each number, the key of its merged task
    repeats: for each number of several tasks, how many besides the first
    origins: original tasks that only have the value of another, and that other task
    handles: for each number that needs them, what its consumers get: see `isolation`
    unmerged: how many tasks are not merged, by their impurity or why their content is unknown

    Raises `GraphError` for a cycle.
    """

    def __init__(
        self, tasks: Mapping[Key, Any], outputs: Iterable[Key], renamed: Iterable[Key] = (),
        place: OutputPlace = "here",
    ) -> None:  # fmt: skip
        """Merge equal tasks.

        renamed: more outputs, whose keys may change
        place: of the outputs; on a cluster, keys are digests, which other clients have, too
        """
        outputs, renamed, readings = list(outputs), list(renamed), kept_readings()
        numbering = Numbering(tasks, readings=readings)
        numbering.add([*outputs, *renamed])
        self.numbers = numbering.numbers
        self.unmerged = Counter(numbering.reasons.values())
        self._reasons = numbering.reasons
        self.origins = numbering.origins
        del numbering  # signatures take more memory than numbers
        is_all = tasks.keys() == self.numbers.keys()
        self.original = (
            tasks if is_all else {key: tasks[key] for key in self.numbers if key in tasks}
        )
        self.defining: dict[int, Key] = {}
        self.keys: dict[int, Key] = {}
        self.repeats: Counter[int] = Counter()
        fixed: set[int] = set()  # data of a scheduler keeps its key
        for key, number in self.numbers.items():
            if key in self.origins:
                continue
            if self.keys.setdefault(number, key) is not key:
                self.repeats[number] += 1
                continue
            node = self.original.get(key)
            if node is not None:
                self.defining[number] = key
            if node is None or type(node) is TaskRef:
                fixed.add(number)
        self._graph = Graph(
            self.original, self.numbers, self.origins, self.defining, [*outputs, *renamed]
        )
        self.handles = handles(self._graph, self.repeats) if self.repeats else {}
        self._uses: dict[tuple[int, Use], Handle] = {}
        self._named: dict[int, str] = {}  # keys that are digests, or that no other run has
        if place != "here":
            kept = {self.numbers[key] for key in outputs}
            self._name_by_digests(kept, fixed, readings, is_sent=place == "sent")
        is_any = self.repeats or self.origins or self._named
        if is_any or any(type(node) is CallTask for node in self._nodes()):
            self._name(outputs, fixed.union(self._named))
            self._name_handles()
            self.tasks = dict(self._merged(outputs))
        else:
            self.tasks = dict(zip(self.defining.values(), self._nodes(), strict=True))

    def _nodes(self) -> Iterator[Any]:
        """The first task of each number."""
        return map(self.original.__getitem__, self.defining.values())

    def _merged(self, outputs: Iterable[Key]) -> Iterator[tuple[Key, Any]]:
        """The merged tasks by key, the handles of each after it; then aliases of outputs."""
        for number, key in self.defining.items():
            yield self.keys[number], self._rewritten(number, key)
            if number in self.handles:
                yield from self._handle_tasks(number, key)
        for key in outputs:
            if (target := self.output_key(key)) != key:
                yield key, Alias(key, target)

    def _name_by_digests(
        self, kept: set[int], fixed: set[int], readings: Readings, is_sent: bool
    ) -> None:
        """Give digests as keys to the tasks of programs that may have them.

        A program that was shared before has such keys. It is a part of another one now, so its
        tasks get keys that no other run has.

        kept: the numbers of outputs that keep their keys
        is_sent: whether the cluster forgets the outputs
        """
        shared = {number for key, number in self.numbers.items()
                  if has_handle(self.original.get(key))}  # fmt: skip
        again, others = list[list[int]](), list[list[int]]()
        for numbers in connected(self._graph):
            if not shared.isdisjoint(numbers):
                again.append(numbers)
            elif kept.isdisjoint(numbers) and self._is_delayed(numbers):
                others.append(numbers)
        outputs: dict[int, dict[Use, None]] = {}
        for number, use, _ in self._graph.output_uses(self.defining):
            outputs.setdefault(number, {})[use] = None
        programs = [
            Program(self._graph, digests, self.handles, outputs, is_sent)
            for digests in pure_programs(self._graph, others, readings)
        ]
        programs = [program for program in programs if program.is_rerunnable()]
        copies = sum(program.copies for program in programs)
        tasks = sum(len(program.digests) for program in programs)
        for program in programs if copies <= max(MOST_COPIES, tasks // 20) else ():
            self.handles.update(program.handles)
            self._named.update(program.keys())
        run = uuid4().hex
        for number in itertools.chain(*again):
            key = self.keys[number]
            if type(key) is str and number not in fixed:
                self._named[number] = f"{key_split(key)}-{hash_lines([run, key])}"
        self.keys.update(self._named)

    def _is_delayed(self, numbers: Iterable[int]) -> bool:
        """Whether tasks have keys as those of `Delayed` objects."""
        keys = map(self.defining.__getitem__, numbers)
        return all(type(key) is str and type(self.original[key]) is not CallTask for key in keys)

    def _name(self, outputs: Iterable[Key], fixed: set[int]) -> None:
        """Give each number the key of an output that has it, or the key of its call."""
        for key in outputs:
            number = self.numbers[key]
            if number not in fixed and number not in self.handles:
                self.keys[number] = key
                fixed.add(number)
        calls = [key for key in self.defining.values() if type(self.original[key]) is CallTask]
        used = set(self.keys.values()) if calls else set()
        for key in calls:
            number, own = self.numbers[key], subproblem(key)
            if number not in fixed and own is not key and own not in used:
                self.keys[number] = own
                used.add(own)

    def _name_handles(self) -> None:
        """Give keys to values with handles, and to handles; one that a single task uses has none.

        No key of an original task: it may run together with the graph in which it has consumers.
        """
        for number, found in self.handles.items():
            first = self.defining[number]
            is_call = type(self.original[first]) is CallTask
            is_named = number in self._named
            if self.keys[number] in self.original and not is_named:
                self.keys[number] = _derived(first, "shared", is_call)
            for handle in found:
                self._uses.update(((number, use), handle) for use in handle.uses)
                outputs = [place for user, place in handle.uses if user is None]
                if outputs:
                    own = _derived(outputs[0], short_hash(self.keys[number]), is_call)
                    handle.key = own if is_named else outputs[0]
                elif is_call or not self._is_used_once(number, handle):
                    head = self.keys[number] if is_named else handle.originals[0]
                    users = sorted(
                        repr((self.keys[user] if is_named else self.defining[user], place))
                        for user, place in handle.uses
                        if user is not None
                    )
                    handle.key = _derived(head, short_hash((repr(head), *users)), is_call)

    def _is_used_once(self, number: int, handle: Handle) -> bool:
        """Whether one argument of one task gets a handle."""
        [(consumer, _), *others] = handle.uses
        if others or consumer is None:
            return False
        sources = inputs_of(self.original[self.defining[consumer]])
        objects = [self.origins.get(source, source) for source in sources
                   if self.numbers[source] == number]  # fmt: skip
        return len(set(objects)) == len(objects)

    def _handle_tasks(self, number: int, key: Key) -> Iterator[tuple[Key, Any]]:
        is_call = type(self.original[key]) is CallTask
        source = self.keys[number]
        for handle in self.handles.get(number, ()):
            if handle.key is not None:
                yield handle.key, handle_task(handle.key, source, self._again(handle), is_call)

    def _again(self, handle: Handle) -> Again:
        return Again(self.original, handle.originals[0], self._reasons)

    def key_of(self, key: Key) -> Key:
        """The key of the merged task that has the value of a task."""
        return self.keys[self.numbers[key]]

    def output_key(self, key: Key) -> Key:
        """The key under which an output is found."""
        if not self.handles:
            return self.key_of(key)
        number = self.numbers[key]
        handle = self._uses.get((number, (None, self.origins.get(key, key))))
        return self.keys[number] if handle is None or handle.key is None else handle.key

    def renamed(self, leaf: Any) -> Any:
        """An output of a `TaskGraph`, by its merged key."""
        return TaskRef(self.output_key(leaf.key)) if isinstance(leaf, TaskRef) else leaf

    def _rewritten(self, number: int, key: Key) -> Any:
        node, name = _stripped(self.original[key]), self.keys[number]
        if type(node) is TaskRef:
            return node  # the data of a future
        changed: dict[Key, Any] = {}
        sources = inputs_of(node)
        for source in sources:
            new = self.keys[self.numbers[source]]
            if new is not source and new != source:
                changed[source] = new
        if self.handles and any(self.numbers[source] in self.handles for source in sources):
            for source, handle in self._handles_of(number, sources):
                again = self._again(handle)
                raw = self.keys[self.numbers[source]]
                changed[source] = (
                    handle.key if handle.key is not None else inline_handle(raw, again, node)
                )
        return node.substitute(changed, key=name) if changed or node.key != name else node

    def _handles_of(self, number: int, sources: Sequence[Key]) -> Iterator[tuple[Key, Handle]]:
        """The inputs of a merged task that are handles."""
        uses = self._graph.uses(number, sources, self.handles)
        by_origin = {origin: self._uses.get((used, use)) for used, use, origin in uses}
        for source in sources:
            handle = by_origin.get(self.origins.get(source, source))
            if handle is not None:
                yield source, handle


def _derived(key: Key, tag: str, is_call: bool) -> Key:
    """A key that no original task has, with the name of a key."""
    if is_call:
        return (subproblem(key), int(short_hash(tag), 16))
    head, *rest = key if isinstance(key, tuple) else (key,)
    name = f"{head}-{tag}"
    return (name, *rest) if isinstance(key, tuple) else name


def _stripped(node: Any) -> Any:
    """What a task computes, without the wrapper that keeps Dask from reusing it."""
    while type(node) is Task and node.func is ProhibitReuse._identity:
        if not isinstance(node.args[0], GraphNode):
            break
        node = node.args[0]
    return node
