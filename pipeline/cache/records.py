"""What a store knows of a task besides its value, and what a task passes on to its consumers.

A digest does not cover the files that a task reads. So a digest may have several variants, each an
entry with all that its result depends on. It is the result if nothing of that has changed.

A result can also be found by the content of its inputs: the digest of a task covers how its inputs
were made, but only their values matter. Notes map the content key of a task to its entry.
"""

import io
import json
import pickle
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from xxhash import xxh3_64_hexdigest

from pipeline.cache.tracking import (
    MADE,
    Input,
    Outcome,
    changed,
    is_in_place,
    merged,
    passed_on,
)
from pipeline.identity import (
    ATOMS,
    File,
    Versions,
    hash_encoded,
    is_library_class,
    library_name,
    library_version,
)
from pipeline.store import Entry, LostError, Store

MAX_VARIANTS = 8
"""Variants of one digest; another one replaces the oldest."""

_MAX_LISTED = 64
"""Inputs that an entry lists itself. Many entries may depend on more: they share a list."""

_MAX_RUNS = 16

_NOTED_SECONDS = 0.01
"""Seconds of work that other processes get to know: to note them takes a part of a millisecond."""


class Found(NamedTuple):
    """A result in a store.

    entry: holds the value
    inputs: what else it depends on
    is_by_content: whether it was found by the content of the inputs of the task
    """

    entry: Entry
    inputs: tuple[Input, ...] = ()
    is_by_content: bool = False

    @property
    def outcome(self) -> Outcome:
        """What a task passes on whose result is loaded."""
        content = self.entry.checksum.hex()
        return Outcome(passed_on(self.inputs, self.entry.digest, content), content)


# Results in a store


def variant(digest: str, place: int) -> str:
    """The digest of a variant; the first has that of the task."""
    return hash_encoded(("variant", digest, place), "ignore") if place else digest


def find(store: Store, digest: str, checked: dict[Any, Any]) -> tuple[Found | None, str]:
    """A result whose inputs are as they were; if there is none, what has changed.

    checked: what `changed` knows already
    """
    why = ""
    for place in range(MAX_VARIANTS):
        entry = store.entry(variant(digest, place))
        if entry is None:
            break
        inputs = _inputs_of(store, entry)
        why = why or ("evicted" if inputs is None else changed(inputs, checked))
        if inputs is None or changed(inputs, checked):
            continue
        holder = store.entry(entry.target) if entry.target else entry
        if holder is not None and (not entry.target or holder.checksum == entry.meant):
            return Found(holder, inputs, bool(entry.target)), ""
    return None, why


def fetch(store: Store, digests: Iterable[str], checked: dict[Any, Any]) -> None:
    """Request what `find` reads of many tasks together."""
    rest = list(digests)
    for place in range(MAX_VARIANTS):
        names = [variant(digest, place) for digest in rest]
        store.fetch(names)
        entries = {digest: store.entry(name) for digest, name in zip(rest, names, strict=True)}
        found = [entry for entry in entries.values() if entry]
        store.fetch([row[1] for entry in found for row in entry.inputs[:1] if row[0] == "list"])
        store.fetch([entry.target for entry in found if entry.target])
        rest = [
            digest
            for digest, entry in entries.items()
            if entry and ((inputs := _inputs_of(store, entry)) is None or changed(inputs, checked))
        ]
        if not rest:
            break


def free_variant(store: Store, digest: str, inputs: Iterable[Input]) -> str:
    """The digest under which a result is stored that depends on some inputs."""
    content = _content_of(inputs)
    if not content:
        return digest
    ages: dict[str, float] = {}
    for place in range(MAX_VARIANTS):
        name = variant(digest, place)
        entry = store.entry(name)
        before = _inputs_of(store, entry) if entry else None
        if entry is None or not before or _content_of(before) == content:
            return name
        ages[name] = entry.created
    return min(ages, key=lambda name: ages[name])


def _content_of(inputs: Iterable[Input]) -> set[tuple[Any, ...]]:
    return {item[:3] for item in inputs if item.kind not in MADE}


def listed(store: Store, inputs: tuple[Input, ...]) -> list[list[Any]]:
    """Inputs as an entry has them. A long list is an entry that others may use, too."""
    if len(inputs) <= _MAX_LISTED:
        return list(map(list, inputs))
    name = hash_encoded(("inputs", inputs), "ignore")
    if name not in store:
        store.put(name, list(map(list, inputs)))
    return [["list", name, "", 0, 0]]


def _inputs_of(store: Store, entry: Entry) -> tuple[Input, ...] | None:
    """The inputs of an entry. None if their list is lost."""
    if not entry.inputs:
        return ()
    try:
        [[kind, name, *_], *_] = entry.inputs
        return _list(store, name) if kind == "list" else _as_inputs(entry.inputs)
    except (KeyError, TypeError):
        return None


@lru_cache(256)
def _list(store: Store, name: str) -> tuple[Input, ...]:
    return _as_inputs(store.get(name))


def _as_inputs(rows: Iterable[Any]) -> tuple[Input, ...]:
    return tuple(Input(*row) for row in rows)


def put_back(store: Store, inputs: Iterable[Input]) -> None:
    """Put files back that the tasks before a result made, for tasks that run. Raises `LostError`.

    Such a task may open one by its path, without an argument that is its `File`.
    """
    if all(is_in_place(item) for item in inputs if item.kind == "made"):
        return
    for item in inputs:
        if item.kind == "entry":
            opened = store.open(item.name)
            if opened is None or opened[0].checksum.hex() != item.content:
                raise LostError(item.name)
            store.value(*opened)


# Results by the content of inputs


def content_key(form: str, contents: Iterable[str], versions: Versions) -> str:
    """The name of a task by what it does, and by the content of its inputs."""
    # The methods of a library's objects, which a store has, are not content.
    libraries = [library_version(name, versions) for name in ("numpy", "pandas")]
    return hash_encoded((form, *libraries, *contents), versions)


def brings_code(value: Any) -> bool:
    """Whether a value has functions of the project, or objects of its classes.

    A task may call their methods, which the content of the value does not cover.
    """
    if type(value) in ATOMS or _is_plain_array(value):
        return False
    if type(value) in (list, tuple) and ATOMS.issuperset(map(type, value)):
        return False
    try:
        _Walk(io.BytesIO(), 5, buffer_callback=lambda _: None).dump(value)
    except Exception:  # it is found, or cannot be looked at
        return True
    return False


class _Walk(pickle.Pickler):
    """Looks at all objects that a value holds. Raises `LookupError` for one of the project."""

    def reducer_override(self, value: Any) -> Any:
        if _is_plain_array(value):
            return int, ()  # else a part of a table would be copied
        kind = value if isinstance(value, type) else type(value)
        is_own = type(value) is FunctionType and library_name(value) is None
        if is_own or not (kind is File or is_library_class(kind)):
            raise LookupError(kind)
        return NotImplemented


def _is_plain_array(value: Any) -> bool:
    return type(value) is np.ndarray and not value.dtype.hasobject


def find_by_content(store: Store, key: str, checked: dict[Any, Any]) -> Found | None:
    """The result of a task with a content key, and what the task itself read."""
    return _found_by(store, store.notes.on(f"content-{key}"), checked)


def find_all_by_content(
    store: Store, keys: Iterable[str], checked: dict[Any, Any]
) -> dict[str, Found]:
    """The results of tasks by their content keys, requested together."""
    topics = {f"content-{key}": key for key in keys}
    with store.fetching():
        noted = store.notes.on_all(topics)
        names = [note.digest for lines in noted.values() for note in _content_notes(lines)]
        store.fetch(store.distant(names))
        found = {key: _found_by(store, noted.get(topic, []), checked)
                 for topic, key in topics.items()}  # fmt: skip
    return {key: result for key, result in found.items() if result is not None}


class _ContentNote(NamedTuple):
    """The entry that has the result of a task, the checksum of that, and what the task read."""

    digest: str
    meant: str
    inputs: tuple[Input, ...]


def _content_notes(lines: Iterable[Any]) -> Iterator[_ContentNote]:
    for line in lines:
        with suppress(TypeError, ValueError, AttributeError):  # anybody may have noted it
            [text, check] = line
            if xxh3_64_hexdigest(text.encode()) == check:
                digest, meant, rows = json.loads(text)
                yield _ContentNote(str(digest), meant, _as_inputs(rows))


def _found_by(store: Store, lines: list[Any], checked: dict[Any, Any]) -> Found | None:
    for digest, meant, inputs in _content_notes(reversed(lines)):
        with suppress(TypeError, ValueError, AttributeError):
            if changed(inputs, checked) or (entry := store.entry(digest)) is None:
                continue
            if entry.checksum.hex() == meant:  # not another variant in its place
                return Found(entry, inputs, True)
    return None


def note_content(store: Store, key: str, entry: Entry, inputs: Iterable[Input]) -> None:
    """Note which entry has the result of a task with a content key.

    inputs: what the task itself read
    """
    text = json.dumps([entry.digest, entry.checksum.hex(), list(map(list, inputs))])
    store.notes.add(f"content-{key}", [text, xxh3_64_hexdigest(text.encode())])


# Outcomes of the tasks of a run

_outcomes: OrderedDict[str, dict[str, Outcome]] = OrderedDict()
"""By run and digest, as far as this process knows them."""


_interrupted: deque[str] = deque(maxlen=256)
"""The runs that have ended with an error, by name."""


class Run(NamedTuple):
    """A run through a store.

    name: no other run has it
    is_local: whether all of its tasks run in this process
    begun: seconds since 1970
    behind: the most seconds that a loaded result took from nothing
    """

    name: str
    is_local: bool
    begun: float
    behind: float = 0.0

    def pass_on(self, store: Store, digest: str, outcome: Outcome) -> None:
        """Note the outcome of a task. Equal tasks of a run pass on what any of them read."""
        if self.is_local and self.is_interrupted():  # nobody would forget what its threads note
            return
        known = _outcomes.setdefault(self.name, {})
        if (before := known.get(digest)) is not None and before != outcome:
            both = merged([before, outcome])
            outcome = both._replace(content=outcome.content, seconds=outcome.seconds)
        known[digest] = outcome
        if not self.is_local:
            while len(_outcomes) > _MAX_RUNS:  # a worker does not know when a run ends
                _outcomes.popitem(last=False)
            if outcome.inputs or outcome.why or outcome.seconds > _NOTED_SECONDS:
                store.notes.add(f"outcome-{digest}", [self.name, *outcome])

    def passed_on(self, store: Store, digest: str) -> Outcome:
        """The outcome of a task, in whichever process it ran."""
        known = _outcomes.get(self.name, {}).get(digest)
        if known is None and not self.is_local:
            notes = store.notes.on(f"outcome-{digest}")
            rows = [
                note[1:] for note in notes if isinstance(note, list) and note[:1] == [self.name]
            ]
            if rows:
                outcomes = [Outcome(_as_inputs(row[0]), *row[1:]) for row in rows]
                return merged(outcomes)._replace(seconds=outcomes[-1].seconds)
        return known or Outcome()

    def is_interrupted(self) -> bool:
        """Whether it has ended with an error, in this process, before all of its tasks have."""
        return self.name in _interrupted

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Forget the outcomes. Threads that wait for a task of this run end their waits."""
        _outcomes.pop(self.name, None)
        if kind is not None:
            _interrupted.append(self.name)
