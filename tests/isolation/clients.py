"""Clients of one scheduler, as Dask's runs them: one task after another, in a random order.

A key is one task for all clients. Its value is kept while somebody needs it, and computed again
for a client that comes later.
"""

from __future__ import annotations

import pickle
from random import Random
from typing import TYPE_CHECKING, Any

import cloudpickle

from pipeline.share import task_dict
from pipeline.share.merging import Merged
from tests.isolation.reference import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.isolation.programs import Program


class SendError(Exception):
    """A value that Dask could not send either: a lock, a generator."""


class Clients:
    """Programs of several clients, shared as on a cluster.

    runs: of each task, by key
    """

    def __init__(self, seed: int) -> None:
        self.runs: list[Any] = []
        self._dice = Random(seed)  # noqa: S311 - an order
        self._tasks: dict[Any, Any] = {}
        self._values: dict[Any, Any] = {}
        self._wanted: list[list[Any]] = []

    def run(self, programs: Sequence[Program]) -> list[tuple[str, ...]]:
        """The values of each program. Later ones come while the first runs; some leave at once."""
        texts: dict[int, tuple[str, ...]] = {}
        waiting = list(programs)
        while waiting or len(texts) < len(programs):
            if waiting and (not self._ready() or self._dice.random() < 0.2):
                self._submit(waiting.pop(0))
            if ready := self._ready():
                key = self._dice.choice(ready)
                node = _received(self._tasks[key])
                self._values[key] = node({name: self._values[name] for name in node.dependencies})
                self.runs.append(key)
            for place, keys in enumerate(self._wanted):
                if place not in texts and all(key in self._values for key in keys):
                    texts[place] = text_of(_received(tuple(self._values[key] for key in keys)))
                    if self._dice.random() < 0.5:  # else it persists them
                        self._wanted[place] = []
            self._release()
        return [texts[place] for place in range(len(programs))]

    def _submit(self, program: Program) -> None:
        tasks, keys = program.tasks()
        place: Any = self._dice.choice(["cluster", "sent"])
        merged = Merged(task_dict(tasks), [], keys, place)
        outputs = [merged.output_key(key) for key in keys]
        for key, node in merged.tasks.items():
            known: Any = self._tasks.setdefault(key, node)
            assert known.dependencies == node.dependencies, key
        self._wanted.append(outputs)

    def _needed(self) -> set[Any]:
        """The tasks that must run."""
        needed: set[Any] = set()
        stack = [key for keys in self._wanted for key in keys]
        while stack:
            key = stack.pop()
            if key not in self._values and key not in needed:
                needed.add(key)
                stack += self._tasks[key].dependencies
        return needed

    def _ready(self) -> list[Any]:
        return sorted(key for key in self._needed()
                      if self._values.keys() >= self._tasks[key].dependencies)  # fmt: skip

    def _release(self) -> None:
        """Drop the values that nobody needs."""
        kept = {key for keys in self._wanted for key in keys}
        for key in self._needed():
            kept |= self._tasks[key].dependencies
        self._values = {key: value for key, value in self._values.items() if key in kept}


def _received(part: Any) -> Any:
    """A task as a worker gets it, or values as a client does. Raises `SendError`."""
    try:
        return cloudpickle.loads(cloudpickle.dumps(part))
    except (TypeError, pickle.PicklingError) as error:
        raise SendError from error
