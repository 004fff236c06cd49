"""Functions whose results a store keeps: called as they are, without a graph."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import os
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from threading import Thread
from typing import (
    Any,
    Concatenate,
    NamedTuple,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)
from uuid import uuid4

import numpy as np
from dask.delayed import Delayed
from dask.task_spec import Task

from pipeline.cache.explaining import CodeDescriber
from pipeline.cache.explanation import Explanation, explain
from pipeline.cache.records import MAX_VARIANTS, Found, Run, find, variant
from pipeline.cache.saving import Load, Save, computing, made_now, task_details
from pipeline.cache.task_digests import TaskDigests, call_digest
from pipeline.cache.tracking import Watcher, add_effect, add_inputs, changed
from pipeline.identity import ATOMS, display_name, held
from pipeline.share import (
    DECLARED,
    SIMPLE,
    STORING,
    Impurity,
    KeptFunction,
    Readings,
    kept_function,
    number_of_declarations,
)
from pipeline.store import MISSING, LostError, Store, StoreError
from pipeline.trace import CallForm, Recurrence, form_of, set_form
from pipeline.trace import Task as LazyTask

_MOST_NAMES = 10_000
"""Digests of calls that a function remembers, and results that it has found."""


P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class MemoizedFunction(Protocol[P, R_co]):
    """A function whose results a store keeps. It is called as it was before."""

    __name__: str
    store: Store

    @property
    def __wrapped__(self) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **named: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(
        self: MemoizedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = ...
    ) -> Callable[Q, R]: ...

    def call(self, *args: P.args, **named: P.kwargs) -> R_co:
        """Compute the result, and store it in the place of what was stored."""

    def is_stored(self, *args: P.args, **named: P.kwargs) -> bool:
        """Whether a call would load its result."""

    def forget(self, *args: P.args, **named: P.kwargs) -> bool:
        """Remove the result of a call. False if none was stored."""

    def explain(self, *args: P.args, **named: P.kwargs) -> Explanation:
        """What a call would do, and why: what changed since the nearest result."""


class Memoizer(Protocol):
    """A decorator that memoizes."""

    def __call__(self, function: Callable[P, R], /) -> MemoizedFunction[P, R]: ...


@overload
def memoize(
    function: Callable[P, R],
    *,
    store: Store | str | os.PathLike[str],
    ignore: Iterable[str] = ...,
    version: str | int | None = ...,
) -> MemoizedFunction[P, R]: ...


@overload
def memoize(
    function: None = ...,
    *,
    store: Store | str | os.PathLike[str],
    ignore: Iterable[str] = ...,
    version: str | int | None = ...,
) -> Memoizer: ...


def memoize(function: Any = None, *, store: Any, ignore: Any = (), version: Any = None) -> Any:
    """A function whose results a store keeps, called as it is; a decorator without a function.

    A result is loaded if the function, all that it reaches, its arguments, and the files and
    variables that it read are the same. Equal calls of threads and processes compute once. Each
    caller has a value of his own. `delayed(f)(3)` in a graph with the same store has the result
    of `f(3)`, and the other way round.

    function: a function, a method in its class, or an `async` function
    store: or its URL
    ignore: names of parameters that do not change the result, such as `n_jobs`
    version: text that counts in place of the code, with the name of the function, and the values
        that it closes over: with the same version, results of other code are loaded

    Raises `StoreError` for wrong options, and `TypeError` for what is no function, and for a
    generator, whose values come one by one.

    >>> from pipeline import Store
    >>> store = Store("memory://squares")
    >>> @memoize(store=store)
    ... def square(n):
    ...     print("computing")
    ...     return n * n
    >>> square(3), square(n=3), square.is_stored(3)
    computing
    (9, 9, True)
    >>> square.forget(3), square.is_stored(3)
    (True, False)
    """
    if function is None:
        return functools.partial(memoize, store=store, ignore=ignore, version=version)
    if isinstance(function, staticmethod | classmethod):
        inner = memoize(function.__func__, store=store, ignore=ignore, version=version)
        return type(function)(inner)
    _check(function)
    if version is not None and not isinstance(version, str | int):
        raise StoreError(f'version={version!r}: give text, such as "3"')
    store = store if isinstance(store, Store) else Store(store)
    function = function if form_of(function) is None else function.__wrapped__
    try:
        form = CallForm(function, ignore, None if version is None else str(version))
    except ValueError as error:
        raise StoreError(str(error)) from error
    return _wrapped(_Memoized(form, store))


def _check(function: Any) -> None:
    """Raise `TypeError` for what cannot be memoized."""
    name = display_name(function)
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{function!r} cannot be memoized: give a function")
    if isinstance(held(function, "__func__", function), Recurrence | LazyTask):
        raise TypeError(
            f"{name} makes graphs: a call has no value yet; memoize the function below its "
            "decorator, or compute its calls with a store"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{name} is a generator: its values come one by one, and a stored result is one "
            f"value; memoize a function that returns list({name}(…))"
        )


def _wrapped(memoized: _Memoized) -> MemoizedFunction[..., Any]:
    """A plain function, which pickle finds by its name, and a class binds as a method."""
    function = memoized.form.function
    wrapper: Any
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **named: Any) -> Any:
            return await memoized.awaited(args, named)
    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **named: Any) -> Any:
            return memoized(args, named)

    set_form(wrapper, memoized.form)
    memoized.wrapper = wrapper
    wrapper.store = memoized.store
    for method in (memoized.call, memoized.is_stored, memoized.forget, memoized.explain):
        setattr(wrapper, method.__name__, method)
    return cast("MemoizedFunction[..., Any]", wrapper)


class _Name(NamedTuple):
    """The digest of a call; empty where it has none, and why."""

    digest: str
    why: Impurity | str = ""


class _Read(NamedTuple):
    """What is known of the function, while all that it reaches is the same.

    digest: of the function
    kept: None if the version counts in its place
    """

    digest: str
    kept: KeptFunction | None
    declarations: tuple[int, int]

    def is_same(self) -> bool:
        if self.kept is None:
            return self.declarations == number_of_declarations()
        return self.kept.is_same()


class _Memoized:
    """A function, its store, and what is known of its calls in this process."""

    wrapper: Any

    def __init__(self, form: CallForm, store: Store) -> None:
        self.form, self.store = form, store
        self.__wrapped__ = form.function
        self._read: _Read | None = None
        self._names: dict[Any, _Name] = {}
        self._found: dict[str, Found] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _Memoized, (self.form, self.store), {"wrapper": self.wrapper}

    def __dask_tokenize__(self) -> Any:
        form = self.form
        code = form.function if form.version is None else (form.name, form.version)
        return ("memoized", code, sorted(form.ignore))

    # Calls

    def __call__(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        name = self._name(args, named)
        if not name.digest or name.digest == computing.get():  # a graph stores what it computes
            return self._unstored(name, args, named)
        value = self._loaded(name.digest)
        if value is not MISSING:
            return value
        return self._computed(name.digest, self.form.function, args, named)

    async def awaited(self, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The result of a coroutine function. Others wait in threads, so that the loop goes on."""
        name = self._name(args, named)
        if not name.digest or name.digest == computing.get():
            return await self._unstored(name, args, named)
        value = self._loaded(name.digest)
        if value is not MISSING:
            return value
        return await self._in_thread(self._computed, name.digest, args, named)

    async def _in_thread(self, compute: Callable[..., Any], digest: str, *call: Any) -> Any:
        """Compute a result: all but the coroutine itself runs in a new thread."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def run(*args: Any, **named: Any) -> Any:  # in a copy of the context: it is observed
            coroutine = cast("Coroutine[Any, Any, Any]", self.form.function(*args, **named))
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        def work() -> None:
            try:
                outcome = functools.partial(_settle, done, compute(digest, run, *call))
            except BaseException as error:
                outcome = functools.partial(_fail, done, error)
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(outcome)

        Thread(target=contextvars.copy_context().run, args=[work], daemon=True).start()
        return await done

    def _unstored(self, name: _Name, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if not name.digest:
            self.store.counts.skipped += 1
            self._refuse(str(name.why))
        return self.form.function(*args, **named)

    def _refuse(self, why: str) -> None:
        if why:
            self.store.failures.refuse({display_name(self.form.function): why})
            self.store.failures.emit_warnings()

    # What a call is

    def _name(self, args: tuple[Any, ...], named: dict[str, Any]) -> _Name:
        read = self._read
        if read is not None and read.is_same():
            # The form is as it was, too, if the code of the function counts.
            is_whole = not named and len(args) == self.form.required and read.kept is not None
            if is_whole and SIMPLE.issuperset(kinds := tuple(map(type, args))):
                return self._names.get((kinds, args)) or self._new_name(read, kinds, args)
        else:
            read = self._learn()
        by_place, by_name = self.form.arguments(args, named)
        if read is not None and not by_name and _are_plain(by_place):
            return _Name(call_digest(read.digest, by_place, self.store.versions))
        return self._name_of_task(by_place, by_name)

    def _new_name(self, read: _Read, kinds: tuple[type, ...], args: tuple[Any, ...]) -> _Name:
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        name = self._names[kinds, args] = _Name(call_digest(read.digest, args, self.store.versions))
        return name

    def _learn(self) -> _Read | None:
        """Read the function. None if it has no digest, or its arguments decide whether it has."""
        self._read = None
        self._names.clear()
        digests = self._task_digests({})
        function = self.form.function
        try:
            number = digests.function_number(self.wrapper)
        except Exception:  # the task says why
            return None
        kept = kept_function(function, self.store.versions)
        digest = digests.of_function(self.wrapper)
        is_checked = number.is_checked or number.is_used_up or self.form.state
        if digest and kept is not None and not is_checked:
            kept = kept if self.form.version is None else None
            self._read = _Read(digest, kept, number_of_declarations())
        return self._read

    def _task_digests(self, tasks: dict[Any, Any]) -> TaskDigests:
        scope = DECLARED if self.store.purity == "declared" else STORING
        return TaskDigests(tasks, scope, Readings(self.store.versions))

    def _task(self, args: tuple[Any, ...], named: dict[str, Any]) -> Task:
        key = f"{display_name(self.form.function)}-{'0' * 32}"
        return self.form.task(Task(key, self.wrapper, *args, **named))

    def _name_of_task(self, args: tuple[Any, ...], named: dict[str, Any]) -> _Name:
        task = self._task(args, named)
        digests = self._task_digests({task.key: task})
        digests.add([task.key])
        digest = digests.digest(task.key)
        return _Name(digest or "", digests.reasons.get(task.key, "its content cannot be hashed"))

    # Its result

    def _loaded(self, digest: str) -> Any:
        """The stored result; `MISSING` if there is none that is current."""
        store, found = self.store, self._found.get(digest)
        if found is not None and store.memory is not None:
            inputs, entry = found.inputs, found.entry
            is_current = not inputs or not changed(inputs, {})
            value = store.memory.get(entry.digest, entry.checksum) if is_current else MISSING
            if value is not MISSING:
                if inputs:
                    add_inputs(found.outcome.inputs)  # for a task that this call is a part of
                store.count_hit(entry)
                return value
        opened = store.open(digest)
        if opened is None:
            return MISSING
        entry, payload = opened
        try:
            if not (entry.inputs or entry.target):
                return self._counted(Found(entry), store.value(entry, payload))
            result, _ = find(store, digest, {})
            if result is None:
                return MISSING
            entry = result.entry
            return self._counted(
                result, Load(store, entry.digest, entry.checksum, inputs=result.inputs)()
            )
        except LostError:
            return MISSING

    def _counted(self, found: Found, value: Any) -> Any:
        store = self.store
        if store.memory is not None:
            if len(self._found) >= _MOST_NAMES:
                self._found.clear()
            self._found[found.entry.digest] = found
        store.count_hit(found.entry)
        if store.failures.has_warnings:
            store.failures.emit_warnings()
        return value

    def _computed(
        self, digest: str, function: Callable[..., Any], args: tuple[Any, ...],
        named: dict[str, Any], is_anew: bool = False,
    ) -> Any:  # fmt: skip
        """Compute the result, and store it; or load what another thread or process has stored."""
        store, task = self.store, self._task(args, named)
        digests = self._task_digests({task.key: task})
        digests.add([task.key])
        details = task_details(task.key, task, digests)
        if details.code:
            describe = functools.partial(CodeDescriber(store.versions), self.form.function)
            store.notes.add_once(f"code-{details.code}", describe)
        plain = Task(task.key, self.form.function, *task.args, **task.kwargs)
        run = Run(uuid4().hex, True, time.time())
        is_kept = display_name(self.form.function) not in store.skip
        called = functools.partial(self._calling, digest, function, named)
        save = Save(
            store, digest, called, details.function, made_now(details), run,
            Watcher(store, digests)(plain), is_always=True, is_anew=is_anew, is_kept=is_kept,
        )  # fmt: skip
        store.counts.misses += 1
        with run:
            value = save(*args)
            why = run.passed_on(store, digest).why
        self._refuse(why.partition(": ")[2])
        store.log_soon()
        store.failures.emit_warnings()
        return value

    def _calling(
        self, digest: str, function: Callable[..., Any], named: dict[str, Any], *args: Any
    ) -> Any:
        """Call the function, and look whether it changes its arguments: a hit would not."""
        value = function(*args, **named)
        if not ATOMS.issuperset(map(type, (*args, *named.values()))):
            after = self._name(args, named).digest
            if after != digest:
                add_effect("it changed its arguments, which a stored result does not")
        return value

    # What a memoized function offers

    def call(self, *args: Any, **named: Any) -> Any:
        name = self._name(args, named)
        is_async = inspect.iscoroutinefunction(self.form.function)
        if not name.digest:
            return self._unstored(name, args, named)
        if is_async:
            compute = functools.partial(self._computed, is_anew=True)
            return self._in_thread(compute, name.digest, args, named)
        return self._computed(name.digest, self.form.function, args, named, is_anew=True)

    def is_stored(self, *args: Any, **named: Any) -> bool:
        digest = self._name(args, named).digest
        return bool(digest) and find(self.store, digest, {})[0] is not None

    def forget(self, *args: Any, **named: Any) -> bool:
        digest = self._name(args, named).digest
        if not digest:
            return False
        self._found.pop(digest, None)
        names = [variant(digest, place) for place in range(MAX_VARIANTS)]
        return sum(map(self.store.remove, names)) > 0

    def explain(self, *args: Any, **named: Any) -> Explanation:
        task = self._task(args, named)
        return explain(self.store, Delayed(task.key, {task.key: task}))


def _are_plain(values: tuple[Any, ...]) -> bool:
    """Whether `call_digest` knows all values, and no two are one object."""
    others = [value for value in values if type(value) not in ATOMS]
    return all(map(_is_plain, others)) and len(set(map(id, others))) == len(others)


def _is_plain(value: Any, depth: int = 3) -> bool:
    """Whether a value is an array of numbers, or a container of atoms."""
    kind = type(value)
    if kind is np.ndarray:
        return not value.dtype.hasobject
    if kind not in _CONTAINERS or not depth:
        return False
    items = [*value, *value.values()] if kind is dict else value
    return all(type(item) in ATOMS or _is_plain(item, depth - 1) for item in items)


_CONTAINERS = {list, tuple, dict, set, frozenset}


def _settle(done: asyncio.Future[Any], value: Any) -> None:
    if not done.cancelled():
        done.set_result(value)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.cancelled():
        done.set_exception(error)
