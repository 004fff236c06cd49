"""Names for the tasks of any Dask graph: what a person would call them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dask.task_spec import Alias, DataNode, Task, TaskRef

from pipeline.graph.keys import function_name, label, subproblem
from pipeline.graph.tasks import CallTask
from pipeline.identity import ATOMS, encode, short_repr

if TYPE_CHECKING:
    from dask.typing import Key


def display_key(key: Key, node: Any, number: int) -> Key:
    """A key that says what a task does, and is no other's if its number is no other's.

    Of a call it is the call's own; of a block of a collection, its name and place; of any other
    task, its function and constants.

    >>> from dask import delayed
    >>> x = delayed(round)(2.5, 1)
    >>> display_key(x.key, x.dask[x.key], 7)
    ('round-000000000007', '2.5', 1)
    """
    if isinstance(node, CallTask):
        return subproblem(key)
    head = f"{function_name(key)}-{number:012x}"
    if isinstance(key, tuple):
        return (head, *key[1:])
    if isinstance(node, DataNode):
        return (head, _shown(node.value))
    if not isinstance(node, Task) or all(isinstance(each, TaskRef | Alias) for each in node.args):
        return (head,)
    args = [_shown(each) for each in node.args]
    kwargs = [("kw", each, _shown(value)) for each, value in sorted(node.kwargs.items())]
    return (head, *args, *kwargs)


def _shown(value: Any) -> Key:
    if isinstance(value, DataNode):
        value = value.value
    if type(value) in ATOMS:
        return encode(value)
    if isinstance(value, TaskRef | Task):
        return "…"
    if isinstance(value, os.PathLike):  # its end tells more than its beginning
        path = os.fspath(value)
        return path if len(path) < 16 else f"…{path[-15:]}"
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return short_repr(value, 14)


def short_label(key: Key, width: int = 40) -> str:
    """The display_key of a task, as a person writes it: `round(2.5, 1)`, or `add` without constants."""
    return label(key, width).removesuffix("()")
