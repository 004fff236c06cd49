"""A small Dask scheduler: one task after another, in a chosen order, by the definition."""

from __future__ import annotations

import pickle
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import cloudpickle
import dask
from dask._task_spec import convert_legacy_graph
from dask.core import flatten
from dask.optimization import cull
from dask.order import order

from tests.isolation.described import ATOMS, described

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.isolation.programs import Program


class Reference:
    """Evaluates a graph task by task.

    seed: of the order; 0 for Dask's own order, -1 for the same from the other end
    copies: whether each task gets copies of its inputs and constants, as another process would
    """

    def __init__(self, seed: int = 0, copies: bool = False) -> None:
        self.seed, self.copies = seed, copies

    def __call__(self, dsk: Any, keys: Any, **_: Any) -> Any:
        graph = dsk.__dask_graph__() if hasattr(dsk, "__dask_graph__") else dsk
        # Schedulers run what the outputs need, whatever else is in the graph.
        tasks = cull(convert_legacy_graph(dict(graph)), list(flatten([keys])))[0]
        values: dict[Any, Any] = {}
        uses = Counter(flatten([keys]))
        uses.update(source for node in tasks.values() for source in node.dependencies)
        for key in self._ordered(tasks):
            node = tasks[key]
            inputs = {name: values[name] for name in node.dependencies}
            if self.copies:
                received, inputs = _received(node, inputs, uses)
                values[key] = _copied(received(inputs))
            else:
                values[key] = node(inputs)
        return dask.local.nested_get(keys, values)

    def _ordered(self, tasks: dict[Any, Any]) -> list[Any]:
        """The keys, inputs before their consumers."""
        ranks = order(tasks)
        if self.seed == -1:
            ranks = {key: -rank for key, rank in ranks.items()}
        elif self.seed:
            dice = Random(self.seed)  # noqa: S311 - an order
            ranks = {key: dice.random() for key in sorted(ranks, key=ranks.__getitem__)}
        waiting = {key: set(node.dependencies) for key, node in tasks.items()}
        ordered: list[Any] = []
        ready = [key for key, sources in waiting.items() if not sources]
        while ready:
            key = min(ready, key=ranks.__getitem__)
            ready.remove(key)
            ordered.append(key)
            for consumer, sources in waiting.items():
                if key in sources:
                    sources.remove(key)
                    if not sources:
                        ready.append(consumer)
        return ordered


def _received(
    node: Any, inputs: dict[Any, Any], uses: Counter[Any]
) -> tuple[Any, dict[Any, Any]]:  # fmt: skip
    """A task and its inputs as one message.

    What cannot be sent stays as it is, if no other task uses it. Raises `TypeError` otherwise:
    Dask fails between processes, and between threads the order counts.
    """
    try:
        received: tuple[Any, dict[Any, Any]] = pickle.loads(cloudpickle.dumps((node, inputs)))  # noqa: S301
    except Exception:
        copies = {key: _copied(value) for key, value in inputs.items()}
        for key, value in copies.items():
            if value is inputs[key] and uses[key] > 1 and not isinstance(value, ATOMS):
                raise TypeError(f"{key} cannot be sent to several tasks") from None
        return _copied(node), copies
    return received


def _copied(value: Any) -> Any:
    try:
        return pickle.loads(cloudpickle.dumps(value))  # noqa: S301
    except Exception:
        return value


ORDERS = (-1, 1, 2)
MANY_ORDERS = tuple(range(-1, 24))


def promised(program: Program, orders: Sequence[int] = ORDERS) -> tuple[str, ...] | None:
    """What Dask gives for a program, if all orders and copies agree; None if they do not."""

    def plain(scheduler: Any) -> tuple[str, ...]:
        outputs = program.build()
        if scheduler == "sync":
            return text_of(dask.compute(*outputs, scheduler=scheduler))
        tasks: dict[Any, Any] = {}
        for output in outputs:
            tasks |= output.__dask_graph__()
        values: tuple[Any, ...] = scheduler(tasks, [output.key for output in outputs])
        return text_of(values)

    return promised_by(plain, orders)


def promised_by(
    plain: Callable[[Any], tuple[str, ...]], orders: Sequence[int] = ORDERS
) -> tuple[str, ...] | None:
    """What a function gives on any of the schedulers; None if they differ or one fails."""
    values = None
    for scheduler in ("sync", *map(Reference, orders), Reference(copies=True)):
        try:
            found = plain(scheduler)
        except Exception:  # a writer took what another consumer needs
            return None
        if values is not None and found != values:
            return None
        values = found
    return values


def text_of(values: Sequence[Any]) -> tuple[str, ...]:
    """Values as text, one by one: the last may be an iterator over the first."""
    return tuple(str(described(value, True)) for value in values)
