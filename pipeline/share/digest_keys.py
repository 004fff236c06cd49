"""Digests as the keys of merged tasks.

On a cluster, `Delayed` tasks get digests as keys: clients that run one program at the same time run
each task once. Arrays, bags and dataframes have such keys already: tokens of their content.

Nobody may get an old value by such a key, or one into which another program has written:
- Only tasks have it that depend on nothing but code and arguments, and all that they depend on.
- It covers all tasks that a task is connected with, for each may write into what it gets.
- An output that a client may keep is a copy under another key. So no other run gets it.
- A scheduler runs a task again for a client that comes later. The task finds its inputs as they
  were: where a value has several consumers, none of them writes into it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from dask.task_spec import Task
from dask.utils import key_split

from pipeline.graph import inputs_of
from pipeline.identity import Versions, encode, hash_encoded
from pipeline.share.copying import isolated, viewed
from pipeline.share.isolation import (
    Constants,
    Graph,
    Handle,
    Use,
    is_reading,
    is_trusted,
)
from pipeline.share.numbering.numbering import Numbering
from pipeline.share.numbering.readings import Readings
from pipeline.share.purity.verdicts import UNTRACKED

MOST_COPIES = 16
"""Copies of outputs that a program may have for its keys; or one for 20 tasks. A task of a cluster
takes a millisecond."""


class Program:
    """Tasks that are connected, and depend on nothing but code and arguments.

    digests: of the tasks by number, inputs before their consumers
    handles: of the values by number
    sent: the numbers of outputs without handles
    copies: how many outputs have handles
    """

    def __init__(
        self, graph: Graph, digests: Mapping[int, str], known: Mapping[int, Iterable[Handle]],
        outputs: Mapping[int, Iterable[Use]], is_sent: bool,
    ) -> None:  # fmt: skip
        """Give outputs handles of their own.

        known: the handles that the consumers of a value have among each other
        outputs: what the caller of a run gets of each value
        is_sent: whether equal outputs alone need handles
        """
        self.graph, self.digests = graph, digests
        self._is_constant = Constants(graph)
        self.handles: dict[int, list[Handle]] = {}
        self.sent: set[int] = set()
        self.copies = 0
        for number in digests:
            for handle in known.get(number, ()):
                if inner := [use for use in handle.uses if use[0] is not None]:
                    self.handles.setdefault(number, []).append(Handle(inner, handle.originals))
            if is_sent and number in outputs and number not in known:
                self.sent.add(number)
            elif number in outputs and not self._is_constant(number):
                own = [Handle([use], [use[1]]) for use in outputs[number]]
                self.handles.setdefault(number, []).extend(own)
                self.copies += len(own)

    def is_rerunnable(self) -> bool:
        """Whether each task finds its inputs as they were, if it runs again.

        A value with one consumer is gone with it. Of several, all must be known not to write.
        """
        made = {(number, use): place for number, handles in self.handles.items()
                for place, handle in enumerate(handles, 1) for use in handle.uses}  # fmt: skip
        values: dict[int, list[tuple[int, int]]] = {}  # what each task gets: of a number, a handle
        for number in self.digests:
            sources = inputs_of(self.graph.tasks[self.graph.defining[number]])
            uses = self.graph.uses(number, sources, self.digests)
            values[number] = [(used, made.get((used, use), 0)) for used, use, _ in uses]
        times = Counter(itertools.chain(*values.values()))
        times.update({(number, 0): len(handles) for number, handles in self.handles.items()})
        times.update((number, 0) for number in self.sent)
        several = {
            value for value, count in times.items() if count > 1 and not self._is_constant(value[0])
        }
        for number in self.digests:
            node = self.graph.tasks[self.graph.defining[number]]
            if several.isdisjoint(values[number]) or is_reading(node):
                continue
            if not is_trusted(node):
                return False
            several.add((number, 0))  # it may be a part of what several tasks get
        return True

    def keys(self) -> Iterator[tuple[int, str]]:
        """The number and the key of each task: by what it does, and what is connected with it."""
        names = {number: key_split(self.graph.defining[number]) for number in self.digests}
        lines = []
        for number, digest in self.digests.items():
            # Consumers with one handle see what the others write into it.
            together = sorted(
                sorted((self.digests[user], place) for user, place in handle.uses if user)
                for handle in self.handles.get(number, ())
                if handle.uses[0][0] is not None
            )
            lines.append(repr((names[number], digest, together)))
        whole = hash_lines(sorted(lines))
        for number, digest in self.digests.items():
            yield number, f"{names[number]}-{hash_lines([digest, whole])}"


def connected(graph: Graph) -> list[list[int]]:
    """The numbers of tasks that are connected, inputs before their consumers."""
    sets: dict[int, set[int]] = {}
    for number, key in graph.defining.items():
        sources = {graph.numbers[source] for source in inputs_of(graph.tasks[key])}
        own = [sets.setdefault(other, {other}) for other in (number, *sources)]
        largest = max(own, key=len)
        for other in own:
            if other is not largest:
                largest |= other
                sets.update(dict.fromkeys(other, largest))
    groups: dict[int, list[int]] = {}
    for number in graph.defining:
        groups.setdefault(id(sets[number]), []).append(number)
    return list(groups.values())


def has_handle(node: Any) -> bool:
    """Whether a task makes a handle."""
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Task):
            if part.func is isolated or part.func is viewed:
                return True
            stack += [*part.args, *part.kwargs.values()]
        elif type(part) is dict:  # of a task that Dask has fused
            stack += part.values()
    return False


def pure_programs(
    graph: Graph, programs: Sequence[Sequence[int]], readings: Readings
) -> Iterator[dict[int, str]]:
    """The digests of the tasks of programs, of which none reads a clock, a file or a variable."""
    if not programs:
        return
    numbering = Numbering(graph.tasks, UNTRACKED, readings)
    numbering.add(graph.defining[number] for numbers in programs for number in numbers)
    known: list[str | None] = [None]
    for signature in itertools.islice(numbering.signatures, 1, None):
        known.append(signature_digest(signature, known, numbering.versions))
    for numbers in programs:
        found = [numbering.numbers[graph.defining[number]] for number in numbers]
        digests = [known[number] for number in found if number >= 0]
        # If two tasks had one digest, they would have one key.
        if None not in digests and len(set(digests)) == len(numbers):
            yield {number: str(digest) for number, digest in zip(numbers, digests, strict=True)}


def signature_digest(
    signature: Any, digests: Sequence[str | None], versions: Versions
) -> str | None:
    """The digest of what `Numbering` gave a number for. None if it has none.

    digests: of the numbers before
    """
    tag, *numbers = signature
    if isinstance(tag, int):  # a function and its arguments
        tag, numbers = "task", signature
    elif isinstance(tag, type):
        return hash_encoded((tag.__name__, encode(numbers[0])), versions)
    elif tag == "value":
        return hash_encoded(signature, versions)
    elif tag in ("held", "not merged"):
        return None
    elif tag == "call":  # by what it does, not by its key
        tag, numbers = "task", numbers[1:]
    elif tag == "one object":
        places, *numbers = numbers
        tag = f"{tag} {places}"
    lines = [tag]
    for item in numbers:
        name, number = ("", item) if isinstance(item, int) else item[1:]
        if (digest := digests[number]) is None:
            return None
        lines.append(f"{name!r}={digest}" if name else digest)
    return hash_lines(lines)


def hash_lines(lines: Sequence[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
