"""The identity of a call.

A Dask key is all that decides whether two calls are one task or two, so this file decides what
`pipeline` memoizes. The key of a subproblem is the function's name and code token, then its bound
arguments; the key of an occurrence is the key of its subproblem and a number:

    ("fib-<code token>", 5)            the subproblem fib(5), a task of the DAG
    (("fib-<code token>", 5), 3)       its third occurrence, a task of the tree
"""

from __future__ import annotations

import re
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.identity import UnkeyableError, encode, freeze_array, short_hash

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping

    from dask.typing import Key

_LAZY = re.compile(r"@[0-9a-f]{24}$")
_DIGEST = re.compile(r"@[0-9a-f]{24}|(?<=#[0-9a-f]{6})[0-9a-f]{18}")
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TOKEN = re.compile(rf"-?({_UUID}|[0-9a-f]{{32}})(?=-|$)|-[0-9a-f]{{12,}}(?=-|$)")


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

    Without a signature (some builtins have none) keywords are only sorted by name. Raises
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
    """The argument as it is now: arrays become immutable copies, once; all else stays itself.

    A lazy call reads its arguments after the caller has gone on, so an array is copied, and a list
    is refused. The copy is passed down a recursion as it is, and hashed only once. Raises
    `UnkeyableError` for lists, dicts, sets, bytearrays, and what is derived from them.
    """
    kind = type(value)
    if kind is tuple:
        return tuple(map(freeze, value))
    for mutable, remedy in _MUTABLE.items():
        if isinstance(value, mutable):
            raise UnkeyableError(
                f"no key for a {kind.__name__}: it can change after the call; pass {remedy}"
            )
    if isinstance(value, np.ndarray):
        return freeze_array(value)
    return value


_MUTABLE: Mapping[type, str] = {
    list: "a tuple",
    set: "a frozenset",
    dict: "a tuple of its items",
    bytearray: "bytes",
    deque: "a tuple",
}


def call_key(head: str, args: tuple[Key, ...], kwargs: Mapping[str, Key]) -> Key:
    """The key of a subproblem, from its prefix and its encoded arguments."""
    return (head, *args, *(("kw", *item) for item in kwargs.items()))


def occurrence(key: Key, number: int) -> Key:
    """The key of one evaluation of a subproblem in the tree. Numbers start at 1."""
    return (key, number)


def subproblem(key: Key) -> Key:
    """The subproblem that a key is of: in the DAG, the key itself.

    >>> subproblem((("fib-0123456789ab", 5), 3))
    ('fib-0123456789ab', 5)
    """
    # The first item of any other tuple key is a string: Dask's own rule.
    return key[0] if isinstance(key, tuple) and isinstance(key[0], tuple) else key


def occurrence_number(key: Key) -> int:
    """Which evaluation of its subproblem a key names, in the order of the naive recursion.

    Starts at 1; a key of the DAG has the one occurrence 1.
    """
    return 1 if subproblem(key) is key else key[1]


def function_name(key: Key) -> str:
    """The function's name in a key.

    >>> function_name(("fib-0123456789ab", 5)), function_name("sum-aggregate-8f14e45fceea167a5a36dedd4bea2543")
    ('fib', 'sum-aggregate')
    """
    while isinstance(key, tuple):
        key = key[0]
    return _without_token(str(key))


@lru_cache(4096)
def _without_token(head: str) -> str:
    return _TOKEN.sub("", head)


def label(key: Key, width: int = 200) -> str:
    """The call that a key is of, as a person writes it; arguments are cut off at `width`.

    Where there is no room for all of an argument that is a call itself, it is left out.

    >>> label((("lcs-0123456789ab", "'abc'", ("kw", "start", 2)), 3))
    "lcs('abc', start=2)"
    """
    key = subproblem(key)
    if not isinstance(key, tuple):
        return function_name(key)
    head, *arguments = key
    if head == "expression":
        return _cut(str(arguments[0]), 3 * width)
    shown = [
        "…" if isinstance(each, str) and len(each) > width + 25 and _LAZY.search(each)
        else _cut(_argument(each), width)
        for each in arguments
    ]  # fmt: skip
    return f"{function_name(head)}({', '.join(shown)})"


def arguments(key: Key, width: int = 60) -> list[str]:
    """The arguments in a key, as a person writes them, each cut off at `width`.

    >>> arguments(("lcs-0123456789ab", "'abc'", ("kw", "start", 2)))
    ["'abc'", 'start=2']
    """
    key = subproblem(key)
    return [_cut(_argument(each), width) for each in key[1:]] if isinstance(key, tuple) else []


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


_BRACKETS = {"list": ("[", "]"), **dict.fromkeys(("set", "frozenset", "dict"), ("{", "}"))}


def _argument(encoded: Key) -> str:
    if not isinstance(encoded, tuple):
        return _DIGEST.sub("", str(encoded))
    if encoded and encoded[0] == "kw":
        return f"{encoded[1]}={_argument(encoded[2])}"
    brackets = ("(", ",)") if len(encoded) == 1 else ("(", ")")
    if encoded and isinstance(encoded[0], str) and encoded[0] in _BRACKETS:
        brackets, tag, encoded = _BRACKETS[encoded[0]], encoded[0], encoded[1:]
        if tag == "dict":
            return ", ".join(": ".join(map(_argument, item)) for item in encoded).join(brackets)
    return ", ".join(map(_argument, encoded)).join(brackets)
