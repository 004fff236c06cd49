"""The identity of a call, and its label for people.

A Dask key alone decides whether two calls are one task or two, so this file decides what
`pipeline` memoizes. The key of a subproblem is the function's name and code token, then its bound
arguments; the key of an occurrence is the key of its subproblem and a number:

    ("fib-<code token>", 5)            the subproblem fib(5), a task of the DAG
    (("fib-<code token>", 5), 3)       its third occurrence, a task of the tree
"""

from __future__ import annotations

import inspect
import os
import re
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from dask.task_spec import Alias, DataNode, Task, TaskRef
from dask.typing import Key

from pipeline.identity import (
    ATOMS,
    UnkeyableError,
    cut,
    display_name,
    encode,
    freeze_array,
    short_hash,
    short_repr,
)

_LAZY = re.compile(r"@[0-9a-f]{24}$")
"""The digest at the end of an argument that is a call."""
_DIGEST = re.compile(r"@[0-9a-f]{24}|(?<=#[0-9a-f]{6})[0-9a-f]{18}")
"""What a label leaves out of an argument: digests of calls, and the rest of other hashes."""
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TOKEN = re.compile(rf"-?({_UUID}|[0-9a-f]{{32}})(?=-|$)|-[0-9a-f]{{12,}}(?=-|$)")
"""Tokens in the first item of a key, ours and Dask's."""


def function_prefix(function: Callable[..., Any]) -> str:
    """The first item of a subproblem's key: the function's name and code token.

    The token changes with the function's code, defaults and closure values, and with the functions
    and values of the project that it names. Libraries count by name.
    """
    title = getattr(function, "__name__", type(function).__name__).strip("<>")
    return f"{title}-{short_hash(encode(function))[:12]}"


def bind_arguments(
    function: Callable[..., Any], signature: inspect.Signature | None, args: Any, kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments bound to the signature, defaults applied: `f(1)` and `f(x=1)` are one call.

    Without a signature, as of some built-ins, keywords are only sorted by name. Raises
    `TypeError`, as the call itself would.
    """
    if signature is None:
        return tuple(args), dict(sorted(kwargs.items()))
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{getattr(function, '__name__', function)}(): {error}") from None
    bound.apply_defaults()
    return bound.args, dict(sorted(bound.kwargs.items()))


def freeze(value: Any) -> Any:
    """The argument as it is now: an immutable copy of an array; any other value itself.

    A lazy call reads its arguments after the caller has gone on, so it copies arrays and refuses
    lists. A recursion passes the copy on as it is, and it is hashed only once. Raises
    `UnkeyableError` for lists, dicts, sets, bytearrays, and their subclasses.
    """
    match value:
        case np.ndarray():
            return freeze_array(value)
        case tuple() if type(value) is tuple:
            return tuple(map(freeze, value))
        case list() | deque():
            remedy = "a tuple"
        case set():
            remedy = "a frozenset"
        case dict():
            remedy = "a tuple of its items"
        case bytearray():
            remedy = "bytes"
        case _:
            return value
    kind = type(value).__name__
    raise UnkeyableError(f"no key for a {kind}: it can change after the call; pass {remedy}")


def occurrence(key: Key, number: int) -> Key:
    """The key of one evaluation of a subproblem in the tree. Numbers start at 1."""
    return (key, number)


def subproblem(key: Key) -> Key:
    """The subproblem of a key: in the DAG, the key itself."""
    # The first item of any other tuple key is a string: Dask's own rule.
    return key[0] if isinstance(key, tuple) and isinstance(key[0], tuple) else key


def occurrence_number(key: Key) -> int:
    """The number of an evaluation, in the order of the naive recursion; 1 for a key of the DAG."""
    return 1 if subproblem(key) is key else key[1]


def function_name(key: Key) -> str:
    """The function's name in a key.

    >>> function_name("sum-aggregate-8f14e45fceea167a5a36dedd4bea2543")
    'sum-aggregate'
    """
    while isinstance(key, tuple):
        key = key[0]
    return _without_tokens(str(key))


_without_tokens = lru_cache(4096)(partial(_TOKEN.sub, ""))


def label(key: Key, width: int = 200) -> str:
    """The call of a key, as a person writes it, with arguments cut off at `width`.

    An argument that is a call, and longer than that, is an ellipsis.

    >>> label((("lcs-0123456789ab", "'abc'", ("kw", "start", 2)), 3))
    "lcs('abc', start=2)"
    """
    key = subproblem(key)
    if not isinstance(key, tuple):
        return function_name(key)
    prefix, *encoded = key
    if prefix == "expression":
        return cut(str(encoded[0]), 3 * width)
    shown = arguments(key, width)
    for place, value in enumerate(encoded):
        if isinstance(value, str) and len(value) > width + 25 and _LAZY.search(value):
            shown[place] = "…"
    return f"{function_name(prefix)}({', '.join(shown)})"


def arguments(key: Key, width: int = 60) -> list[str]:
    """The arguments in a key, as a person writes them, each cut off at `width`."""
    key = subproblem(key)
    return [cut(_argument(value), width) for value in key[1:]] if isinstance(key, tuple) else []


def _argument(encoded: Key) -> str:
    if not isinstance(encoded, tuple):
        return _DIGEST.sub("", str(encoded))
    match encoded:
        case ("kw", name, value):
            return f"{name}={_argument(value)}"
        case ("dict", *items):
            return f"{{{', '.join(': '.join(map(_argument, item)) for item in items)}}}"
        case ("set" | "frozenset", *members):
            return f"{{{', '.join(map(_argument, members))}}}"
        case ("list", *members):
            return f"[{', '.join(map(_argument, members))}]"
        case (member,):
            return f"({_argument(member)},)"
    return f"({', '.join(map(_argument, encoded))})"


def display_key(key: Key, node: Any, number: int) -> Key:
    """A key that describes a task to a person, unique if the number is.

    For a block of a collection, its name and place; for any other task, its function and
    constants. A call's key describes it already.

    >>> from dask import delayed
    >>> x = delayed(round)(2.5, 1)
    >>> display_key(x.key, x.dask[x.key], 7)
    ('round-000000000007', '2.5', 1)
    """
    head = f"{function_name(key)}-{number:012x}"
    if isinstance(key, tuple):
        return (head, *key[1:])
    if isinstance(node, DataNode):
        return (head, _constant(node.value))
    if not isinstance(node, Task) or all(isinstance(item, TaskRef | Alias) for item in node.args):
        return (head,)
    named = (("kw", name, _constant(value)) for name, value in sorted(node.kwargs.items()))
    return (head, *map(_constant, node.args), *named)


def _constant(value: Any) -> Key:
    """A constant of a task, in short; an ellipsis for a value that is not known."""
    value = value.value if isinstance(value, DataNode) else value
    if type(value) in ATOMS:
        return encode(value)
    if isinstance(value, TaskRef | Task):
        return "…"
    if isinstance(value, os.PathLike):  # the end of a path says more than its beginning
        path = os.fspath(value)
        return path if len(path) < 16 else f"…{path[-15:]}"
    if callable(value):
        return display_name(value)
    return short_repr(value, 14)


def short_label(key: Key, width: int = 40) -> str:
    """The label of a `display_key`: `round(2.5, 1)`, or `add` without constants."""
    return label(key, width).removesuffix("()")
