"""The walk over a value that gives its tree, and the walk over a tree that gives its value.

The tree stands in `codec`: what stands for itself, and arrays of a tag and its parts. Buffers are
taken in the order of the walks, each once.
"""

from __future__ import annotations

import dataclasses
import pickle
from functools import partial
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any

import cloudpickle
import msgpack
import numpy as np

from pipeline.store import npy, tables
from pipeline.store.forms import BIG, BY_KIND, BY_TAG, form_of
from pipeline.store.storables import CodecError, UnreadableError, UnstorableError, noun, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DEEP = 200
_LEAST, _MOST = -(2**63), 2**64 - 1
_LONG = 1 << 16
"""Length from which texts and bytes have buffers of their own."""

_PLAIN = frozenset({NoneType, bool, float, int, str, bytes})

packed = partial(msgpack.packb, unicode_errors="surrogatepass")
"""A tree as bytes."""


def _are_plain(values: Sequence[Any]) -> bool:
    """Whether values stand for themselves, all of them; a million take some 20 ms."""
    kinds = set(map(type, values))
    if not kinds <= _PLAIN:
        return False
    if int in kinds:
        whole = values if len(kinds) == 1 else [each for each in values if type(each) is int]
        if min(whole) < _LEAST or max(whole) > _MOST:
            return False
    if str in kinds or bytes in kinds:
        return all(len(each) < _LONG for each in values if type(each) in (str, bytes))
    return True


class _Tag:
    """The tags that take a buffer; all others are those of forms."""

    ALL = range(1, 6)
    ARRAY, TABLE, PICKLE, TEXT, BYTES = ALL


class Writer:
    """One walk over a value, which gives its tree, and the buffers in their order."""

    def __init__(self) -> None:
        self.depth = 0
        self.buffers: list[tuple[Any, ...]] = []  # each of one or more parts

    def tree(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value if _are_plain((value,)) else self.long(value)
        if self.depth == _DEEP:
            raise UnstorableError(
                noun(value), f"it is nested over {_DEEP} deep, or contains itself; return it flat"
            )
        self.depth += 1
        tree = self.walk(value, kind)
        self.depth -= 1
        return tree

    def long(self, value: int | str | bytes) -> Any:
        if isinstance(value, int):
            return [BIG.tag, *map(self.tree, BIG.apart(value))]
        if isinstance(value, str):
            return self.taking(_Tag.TEXT, value.encode("utf-8", "surrogatepass"))
        return self.taking(_Tag.BYTES, value)

    def taking(self, tag: int, *buffer: Any) -> list[Any]:
        self.buffers.append(buffer)
        return [tag]

    def walk(self, value: Any, kind: type) -> Any:
        form = form_of(kind, value)
        if form is not None:
            parts = form.apart(value)
            if kind in (set, frozenset):
                return [form.tag, *self.in_order(parts)]
            if _are_plain(parts):
                return [form.tag, *parts]
            # No map: a StopIteration from within would pass for its end.
            return [form.tag, *[self.tree(each) for each in parts]]
        if kind is np.ndarray:
            tree = self.taking(_Tag.ARRAY, *npy.buffers(value))
            return [*tree, True] if value.dtype.isalignedstruct else tree
        if tables.is_table(kind):
            head, columns = tables.apart(value)
            tree = self.tree(head)
            tables.check(value, head, columns)
            return [*self.taking(_Tag.TABLE, columns), tree]
        raise _refusal(value, kind)

    def in_order(self, elements: Any) -> Iterator[Any]:
        """The trees of a set's elements, by their bytes: its own order differs by process."""
        if _are_plain(elements):
            yield from sorted(elements, key=packed)
            return
        known = []
        for each in elements:
            begun = len(self.buffers)
            tree = self.tree(each)
            buffers = self.buffers[begun:]
            del self.buffers[begun:]
            known.append((packed(tree) + b"".join(chain.from_iterable(buffers)), tree, buffers))
        for _, tree, buffers in sorted(known, key=itemgetter(0)):
            self.buffers += buffers
            yield tree


class Reader:
    """One walk over a tree, which takes the buffers in their order."""

    def __init__(self, buffers: list[memoryview], pickle: bool) -> None:
        self.buffers = buffers
        self.pickle = pickle
        self.taken = 0
        self.depth = 0

    def value(self, tree: Any) -> Any:
        kind = type(tree)
        if kind in _PLAIN:
            return tree
        if kind is not list or not tree or type(tree[0]) is not int or self.depth == _DEEP:
            raise CodecError(f"no tree: a {kind.__name__}, or one nested over {_DEEP} deep")
        self.depth += 1
        made = self.formed(*tree) if tree[0] in BY_TAG else self.from_buffer(*tree)
        self.depth -= 1
        return made

    def formed(self, tag: int, *parts: Any) -> Any:
        form = BY_TAG[tag]
        if not _PLAIN.issuperset(map(type, parts)):
            parts = tuple([self.value(each) for each in parts])  # no map, as above
        if form.types is not None and not set(map(type, parts)) <= set(form.types):
            raise CodecError(f"parts of other types than those of a {form.kind.__name__}")
        return form.together(*parts)

    def from_buffer(self, tag: int, *heads: Any) -> Any:
        if tag not in _Tag.ALL:
            raise UnreadableError(f"no value has the tag {tag}: a newer release may know it")
        head = [self.value(each) for each in heads]
        if self.taken == len(self.buffers):
            raise CodecError("a value without its buffer")
        view = self.buffers[self.taken]
        self.taken += 1
        match tag, head:
            case _Tag.ARRAY, [] | [True]:
                return npy.read(view, *head)
            case _Tag.TABLE, [_]:
                return tables.together(head[0], view)
            case _Tag.PICKLE, []:
                return _unpickled(view, self.pickle)
            case _Tag.TEXT, []:
                return str(view, "utf-8", "surrogatepass")
            case _Tag.BYTES, []:
                return bytes(view)
        raise CodecError(f"no value has the tag {tag} and {len(head)} parts")


def _unpickled(view: memoryview, pickle: bool) -> Any:
    if not pickle:
        raise UnreadableError(
            "a pickle, which may run any code: open the store with Store(pickle=True)"
        )
    try:
        return cloudpickle.loads(view)
    except AttributeError as error:  # a module without what it had where this was pickled
        raise UnreadableError(f"a pickle of what is missing here: {error}") from error


def pickled(value: Any) -> tuple[list[Any], list[tuple[Any, ...]]]:
    """The tree of a value that is pickled as one, and its buffer."""
    return [_Tag.PICKLE], [(_as_pickle(value),)]


def _as_pickle(value: Any) -> bytes:
    try:
        data = pickle.dumps(value, protocol=5)
        # Another process has another __main__.
        return cloudpickle.dumps(value, protocol=5) if b"__main__" in data else data
    except Exception:  # pickle knows functions by their names alone, cloudpickle by their code
        try:
            return bytes(cloudpickle.dumps(value, protocol=5))
        except Exception as error:
            raise UnstorableError(
                noun(value), f"pickle has no format for it either: {error}; return what it holds"
            ) from error


def _refusal(value: Any, kind: type) -> UnstorableError:
    name = type_name(kind)
    if dataclasses.is_dataclass(kind):
        return UnstorableError(
            noun(value), f"no format for {name}; mark the class with @pipeline.storable"
        )
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        why = f"{name} would come back as a plain tuple; mark the class with @pipeline.storable"
        return UnstorableError(noun(value), f"{why}, or return a tuple")
    for base in (*BY_KIND, int, float, str, bytes, np.ndarray):
        if issubclass(kind, base):
            why = f"{name} would come back as a plain {base.__name__}; return such a one"
            return UnstorableError(noun(value), f"{why}, or use Store(pickle=True)")
    return UnstorableError(
        noun(value),
        f"no format for {name}; return numbers, text, containers, arrays or tables, or use "
        "Store(pickle=True)",
    )
