"""One task per subproblem: a graph in which equal tasks are merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dask._expr import ProhibitReuse
from dask.task_spec import Alias, GraphNode, Task, TaskRef
from dask.typing import Key

from pipeline.graph import CallTask, subproblem
from pipeline.share.numbering import Numbering


class Merged:
    """A graph with one task per subproblem.

    original: the tasks that the outputs depend on, as they were
    tasks: the merged tasks, inputs before their consumers; an output keeps its key, as an alias if
        need be
    numbers: the number of each original task, inputs before their consumers
    defining: for each number, the key of the first task with it
    keys: for each number, the key of its merged task
    repeats: for each number of several tasks, how many besides the first
    pointers: original tasks that only have the value of another
    unmerged: how many tasks are not merged, by their impurity or why their content is unknown

    Raises `GraphError` for a cycle.
    """

    def __init__(
        self, tasks: Mapping[Key, Any], outputs: Iterable[Key], renamed: Iterable[Key] = ()
    ) -> None:
        """renamed: more outputs, whose keys may change."""
        outputs = list(outputs)
        numbering = Numbering(tasks)
        numbering.add([*outputs, *renamed])
        self.numbers = numbering.numbers
        self.unmerged = Counter(numbering.reasons.values())
        del numbering  # signatures take more memory than numbers
        is_all = tasks.keys() == self.numbers.keys()
        self.original = (
            tasks if is_all else {key: tasks[key] for key in self.numbers if key in tasks}
        )
        self.defining: dict[int, Key] = {}
        self.keys: dict[int, Key] = {}
        self.repeats: Counter[int] = Counter()
        self.pointers: set[Key] = set()
        fixed: set[int] = set()  # data of a scheduler keeps its key
        for key, number in self.numbers.items():
            node = self.original.get(key)
            if _is_pointer(node):
                self.pointers.add(key)
            elif number in self.keys:
                self.repeats[number] += 1
            else:
                self.keys[number] = key
                if node is not None:
                    self.defining[number] = key
                if node is None or isinstance(node, TaskRef):
                    fixed.add(number)
        self._name(outputs, fixed)
        self.tasks = {self.key_of(key): self._rewritten(key) for key in self.defining.values()}
        aliases = {key: Alias(key, self.key_of(key)) for key in outputs if self.key_of(key) != key}
        self.tasks |= aliases
        self.aliases = len(aliases)

    def _name(self, outputs: Iterable[Key], fixed: set[int]) -> None:
        """Give each number the key of an output that has it, or the key of its call."""
        for key in outputs:
            if (number := self.numbers[key]) not in fixed:
                self.keys[number] = key
                fixed.add(number)
        calls = [key for key in self.defining.values() if type(self.original[key]) is CallTask]
        used = set(self.keys.values()) if calls else set()
        for key in calls:
            number, own = self.numbers[key], subproblem(key)
            if number not in fixed and own is not key and own not in used:
                self.keys[number] = own
                used.add(own)

    def key_of(self, key: Key) -> Key:
        """The key of the merged task that has the value of a task."""
        return self.keys[self.numbers[key]]

    def renamed(self, leaf: Any) -> Any:
        """An output of a `TaskGraph`, by its merged key."""
        return TaskRef(self.key_of(leaf.key)) if isinstance(leaf, TaskRef) else leaf

    def touches(self, keys: Iterable[Key]) -> bool:
        """Whether any of some tasks has a repeat."""
        return bool(self.repeats) and any(self.numbers.get(key) in self.repeats for key in keys)

    def _rewritten(self, key: Key) -> Any:
        node, name = _stripped(self.original[key]), self.key_of(key)
        if isinstance(node, TaskRef):
            return node  # the data of a future
        names = {source: self.key_of(source) for source in node.dependencies}
        changed = {source: new for source, new in names.items() if new != source}
        return node.substitute(changed, key=name) if changed or node.key != name else node


def _stripped(node: Any) -> Any:
    """What a task computes, without the wrapper that keeps Dask from reusing it."""
    while type(node) is Task and node.func is ProhibitReuse._identity:
        if not isinstance(node.args[0], GraphNode):
            break
        node = node.args[0]
    return node


def _is_pointer(node: Any) -> bool:
    """Whether a task only has the value of another."""
    if type(node) is Task and node.func is ProhibitReuse._identity:
        inner = _stripped(node)
        return type(inner) is Task and inner.func is ProhibitReuse._identity
    return isinstance(node, Alias)
