"""The identity of a call: what is one subproblem, and what is not."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
import types
from functools import partial
from typing import Any

import numpy as np
import pytest
from dask import delayed
from dask.core import validate_key
from dask.task_spec import Task as DaskTask
from dask.task_spec import TaskRef
from dask.utils import key_split

from pipeline import File, UnkeyableError, compute, recurrence, task
from pipeline.graph import (
    display_key,
    function_name,
    function_prefix,
    label,
    occurrence,
    occurrence_number,
    short_label,
    subproblem,
)
from tests.functions import binomial, edit_distance, fib


def test_a_key_is_the_name_and_token_and_then_the_arguments() -> None:
    head, *arguments = fib(5).key
    assert head.startswith("fib-")
    assert arguments == [5]


def test_dask_groups_the_tasks_of_a_function() -> None:
    assert key_split(fib(5).key) == "fib"
    assert key_split(occurrence(fib(5).key, 3)) == "fib"


@pytest.mark.parametrize("call", [fib(5), edit_distance("a", "b'\"\n"), binomial(3, k=True)])
def test_a_cluster_accepts_the_key(call: Any) -> None:
    validate_key(call.key)
    validate_key(occurrence(call.key, 2))


def test_positional_keyword_and_default_arguments_are_one_subproblem() -> None:
    assert binomial(6).key == binomial(n=6).key == binomial(6, 2).key == binomial(k=2, n=6).key


def test_keyword_only_and_variadic_arguments_differ() -> None:
    @recurrence
    def f(*args: int, scale: int = 1, **rest: int) -> int:
        return 0

    keys = [f().key, f(1).key, f(1, 2).key, f(1, scale=2).key, f(1, other=2).key, f(2, 1).key]
    assert len(set(keys)) == len(keys)
    assert f(1, scale=1).key == f(1).key
    assert f(1, a=1, b=2).key == f(1, b=2, a=1).key
    assert repr(f(1, scale=2, b="x")) == "f(1, b='x', scale=2)"


def test_occurrences_know_their_subproblem_and_number() -> None:
    key = fib(5).key
    assert subproblem(occurrence(key, 3)) == key
    assert occurrence_number(occurrence(key, 3)) == 3
    assert subproblem(key) is key
    assert occurrence_number(key) == 1


def test_labels_read_as_calls() -> None:
    assert label(fib(5).key) == "fib(5)"
    assert label(occurrence(fib(5).key, 3)) == "fib(5)"
    assert repr(edit_distance("ab", "c")) == "edit_distance('ab', 'c')"

    @recurrence
    def f(x: Any) -> Any:
        return x

    assert repr(f((1, (2,)))) == "f((1, (2,)))"
    assert repr(f(frozenset({2, 1}))) == "f({1, 2})"
    assert repr(f(1.5)) == "f(1.5)"
    assert repr(f("x" * 10_000)).startswith("f('xxxxxxxxxxxxxxxxxxxxxxx…#")


def test_function_names_in_dasks_keys() -> None:
    assert function_name("inc-2ad4ee41-6f65-4da5-8a2c-9a4fbf6b8e0a") == "inc"
    assert (
        function_name(("sum-aggregate-8f14e45fceea167a5a36dedd4bea2543", 0, 1)) == "sum-aggregate"
    )
    assert function_name("x1") == "x1"


def test_too_many_arguments_raise_as_the_call_would() -> None:
    with pytest.raises(TypeError, match=r"fib\(\) takes 1 positional argument but 2"):
        fib(1, 2)


def _make(body: str, scope: dict[str, Any] | None = None) -> Any:
    """A function as a notebook cell would define it, again and again."""
    scope = {"__name__": "__main__", **(scope or {})}
    exec(body, scope)  # noqa: S102 - the sources are below
    return scope["f"]


SAME = "def f(x):\n    return x + 1"


@pytest.mark.parametrize(
    "other",
    ["def f(x):\n\n\n    return x + 1  # more", "\n\n\ndef f(x): return x + 1"],
    ids=["comments and lines", "place"],
)
def test_the_token_ignores_how_a_function_is_written(other: str) -> None:
    assert function_prefix(_make(SAME)) == function_prefix(_make(other))


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 2",
        "def f(x):\n    return x - 1",
        "def f(x, y=0):\n    return x + 1",
        "def f(x, *, y=0):\n    return x + 1",
        "def f(x):\n    return (lambda: x + 1)()",
    ],
)
def test_the_token_covers_the_code(other: str) -> None:
    assert function_prefix(_make(SAME)) != function_prefix(_make(other))


def test_the_token_covers_globals_helpers_and_closures() -> None:
    body = "def f(x):\n    return x + GLOBAL"
    assert function_prefix(_make(body, {"GLOBAL": 1})) != function_prefix(
        _make(body, {"GLOBAL": 2})
    )
    assert function_prefix(_make(body, {"GLOBAL": [1]})) == function_prefix(
        _make(body, {"GLOBAL": [1]})
    )

    helper = "def helper(x):\n    return x * {}\ndef f(x):\n    return helper(x)"
    assert function_prefix(_make(helper.format(2))) != function_prefix(_make(helper.format(3)))

    def outer(value: object) -> Any:
        return lambda: value

    assert function_prefix(outer(1)) != function_prefix(outer(1.0))
    assert function_prefix(outer(1)) == function_prefix(outer(1))
    assert function_prefix(outer(partial(max, 1))) != function_prefix(outer(partial(max, 2)))


def test_the_token_ignores_unrelated_globals_and_values_without_content() -> None:
    body = "def f(x):\n    return LOCK and x"
    assert function_prefix(_make(body, {"LOCK": threading.Lock(), "OTHER": 1})) == function_prefix(
        _make(body, {"LOCK": threading.Lock(), "OTHER": 2})
    )


def test_the_token_covers_what_a_decorator_does() -> None:
    def shifted(by: int) -> Any:
        def decorate(function: Any) -> Any:
            @functools.wraps(function)
            def wrapper(n: int) -> int:
                return int(function(n)) + by

            return wrapper

        return decorate

    def plain(n: int) -> int:
        return n

    calls = [
        recurrence(function)(1) for function in (plain, shifted(10)(plain), shifted(20)(plain))
    ]
    assert compute(*calls, scheduler="sync") == (1, 11, 21)
    assert compute(*(task(call.function.__wrapped__)(1) for call in calls)) == (1, 11, 21)


def test_bound_methods_and_builtins_count_with_their_object() -> None:
    class Scale:
        def __init__(self, by: int) -> None:
            self.by = by

        def times(self, x: int) -> int:
            return self.by * x

        @recurrence
        def power(self, n: int) -> Any:
            return 1 if n == 0 else self.by * self.power(n - 1)

    @recurrence
    def applied(function: Any, n: int) -> Any:
        return function(n)

    assert compute(task(Scale(2).times)(5), task(Scale(3).times)(5)) == (10, 15)
    assert compute(applied(Scale(2).power, 3), applied(Scale(3).power, 3)) == (8, 27)
    assert compute(task("a".upper)(), task("b".upper)()) == ("A", "B")
    assert compute(task({1: "a"}.get)(1), task({1: "b"}.get)(1)) == ("a", "b")


def test_a_value_without_content_hides_no_other() -> None:
    class Model:
        def __init__(self, k: int) -> None:
            self.k, self.lock = k, threading.Lock()

    def made(model: Model) -> Any:
        return task(lambda x: x * model.k)

    assert compute(made(Model(2))(3), made(Model(3))(3)) == (6, 9)
    body = "def f(x):\n    return PATTERN.match(x) is not None"
    assert function_prefix(_make(body, {"PATTERN": re.compile("a")})) != function_prefix(
        _make(body, {"PATTERN": re.compile("b")})
    )


def test_class_attributes_and_the_methods_that_self_reaches_count() -> None:
    class Weights:
        unit = 1

        def weigh(self) -> int:
            return self.unit

        @recurrence
        def total(self, n: int) -> Any:
            return self.weigh() + (self.total(n - 1) if n else 0)

    before = Weights().total(2).graph()
    Weights.unit = 10
    after = Weights().total(2).graph()
    Weights.weigh = lambda self: 100  # type: ignore[method-assign]
    last = Weights().total(2).graph()
    assert compute(before, after, last, scheduler="sync") == (3, 30, 300)


def test_attributes_of_the_projects_modules_count() -> None:
    module = types.ModuleType("settings_of_the_project")
    module.__file__ = __file__
    module.K = 1  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    body = "def f(x):\n    return x + settings.K"
    one = function_prefix(_make(body, {"settings": module}))
    module.K = 2  # type: ignore[attr-defined]
    two = function_prefix(_make(body, {"settings": module}))
    module.other = 3  # type: ignore[attr-defined]
    assert one != two
    assert two == function_prefix(_make(body, {"settings": module}))
    del sys.modules[module.__name__]


def test_numpy_numbers_count_by_type_and_value() -> None:
    values = [np.float32(0.1), np.float64(0.1), np.longdouble(0.1), 0.1, np.int8(1), np.bool_(True)]
    with np.printoptions(legacy="1.25"):
        keys = [task(float)(value).key for value in values]
    assert len(set(keys)) == len(values)
    assert keys == [task(float)(value).key for value in values]


def test_outside_of_a_trace_a_key_covers_the_present_code_and_globals() -> None:
    scope: dict[str, Any] = {"__name__": "__main__", "recurrence": recurrence, "V": 1}
    exec("@recurrence\ndef g(n):\n    return V", scope)  # noqa: S102
    key = scope["g"](1).key
    scope["V"] = 2
    assert scope["g"](1).key != key


def test_long_tuples_make_short_keys() -> None:
    calls = [task(len)(tuple(range(n))) for n in (3000, 3001)]
    assert calls[0].key != calls[1].key
    assert all(len(repr(call.key)) < 200 and len(repr(call)) < 60 for call in calls)


def test_numpys_units_and_wrapped_functions_count() -> None:
    times = [np.timedelta64(5, unit) for unit in ("ns", "ps", "Y", "M")]
    assert len({task(str)(time).key for time in times}) == 4

    def scaled(k: int) -> Any:
        return functools.cache(lambda x: x * k)

    assert compute(task(scaled(2))(5), task(scaled(3))(5)) == (10, 15)
    with pytest.raises(UnkeyableError, match="no module holds it"):
        task(np.frompyfunc(lambda x: x + 1, 1, 1))(5)


def test_members_of_classes_and_proxies_count() -> None:
    class A:
        w = staticmethod(lambda: 1)

        @functools.cached_property
        def v(self) -> int:
            return 1

    def used(mapping: Any) -> Any:
        return lambda: mapping

    body = "def f(x):\n    return A.w()"
    before = function_prefix(_make(body, {"A": A}))
    A.w = staticmethod(lambda: 2)
    assert function_prefix(_make(body, {"A": A})) != before
    proxies = [types.MappingProxyType({"a": k}) for k in (1, 2)]
    assert function_prefix(used(proxies[0])) != function_prefix(used(proxies[1]))


def test_modules_count_wherever_in_a_function_they_are_named() -> None:
    outer, inner = types.ModuleType("outer_of_project"), types.ModuleType("inner_of_project")
    outer.__file__ = inner.__file__ = __file__
    outer.inner = inner  # type: ignore[attr-defined]
    sys.modules.update({outer.__name__: outer, inner.__name__: inner})
    bodies = [
        "def f(n):\n    return [outer.K for _ in range(n)]",
        "def f(n):\n    return (lambda: outer.inner.K)()",
        "def f(n):\n    import inner_of_project as m\n    return m.K",
    ]
    seen = []
    for k in (1, 2):
        outer.K = inner.K = k  # type: ignore[attr-defined]
        seen.append([function_prefix(_make(body, {"outer": outer})) for body in bodies])
    assert all(one != two for one, two in zip(*seen, strict=True))
    for module in (outer, inner):
        del sys.modules[module.__name__]


def test_a_recurrence_and_a_task_of_one_function_have_different_keys() -> None:
    def f(x: int) -> int:
        return x

    assert recurrence(f)(1).key != task(f)(1).key


def test_defaults_without_content_count_by_their_parameter() -> None:
    one, two = object(), object()

    @recurrence
    def f(a: Any = one, b: Any = two) -> Any:
        return (a is one, b is two)

    assert f(one, 1).compute(scheduler="sync") == (True, False)
    with pytest.raises(UnkeyableError):
        f(two, 1)


def test_many_functions_that_name_each_other_are_keyed_at_once() -> None:
    names = [f"f{n}" for n in range(30)]
    calls = " + ".join(f"{name}(x)" for name in names)
    source = "\n".join(f"def {name}(x):\n    return {n} + {calls}" for n, name in enumerate(names))
    assert function_prefix(_make(source + "\nf = f0")) == function_prefix(
        _make(source + "\nf = f0")
    )
    assert function_prefix(_make(source + "\nf = f0")) != function_prefix(
        _make(source + "\nf = f1")
    )
    shared = Shared(1)
    for _ in range(20):
        shared = Shared((shared, shared))
    assert task(id)(shared).key


class Shared:
    """An object that holds others."""

    def __init__(self, held: Any) -> None:
        self.held = held


def test_recursion_among_functions_ends() -> None:
    body = "def g(x): return f(x)\ndef f(x): return g(x)"
    assert function_prefix(_make(body)) == function_prefix(_make(body))


def test_a_changed_global_changes_the_key_of_the_next_trace() -> None:
    scope: dict[str, Any] = {"__name__": "__main__", "recurrence": recurrence, "STEP": 1}
    exec("@recurrence\ndef f(n):\n    return n if n < 3 else f(n - STEP)", scope)  # noqa: S102
    call = scope["f"](9)
    (before,) = call.graph().keys
    scope["STEP"] = 2
    (after,) = call.graph().keys
    assert before != after
    assert len(call.graph()) == 5
    scope["STEP"] = 1
    assert call.graph().keys == [before]


def test_keys_are_equal_in_every_process() -> None:
    program = (
        "from tests.functions import *; import numpy as np\n"
        "from pipeline.identity import encode\n"
        "print(fib(5).key, edit_distance('a', 'b').key, (fib(2) + square(fib(3))).graph().keys,"
        "encode({'a': {1, 2, 'x'}, 'b': np.arange(3)}), encode(frozenset('hello')))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(seen) == 1


def test_delayed_calls_are_named_by_function_and_constants() -> None:
    one = delayed(round)(2.5, ndigits=1)
    assert short_label(display_key(one.key, one.dask[one.key], 1)) == "round(2.5, ndigits=1)"
    other = delayed(max)(one, one)
    assert short_label(display_key(other.key, other.dask[other.key], 2)) == "max"
    mixed = delayed(max)(one, 3)
    assert short_label(display_key(mixed.key, mixed.dask[mixed.key], 3)) == "max(…, 3)"


def test_data_files_and_functions_are_shown_in_short() -> None:
    for value, shown in ((File("a/long/path/to/data-01.csv"), "…"), (len, "len"), ("x" * 99, "…")):
        node = DaskTask("f-1", max, value)
        assert shown in short_label(display_key("f-1", node, 1))
    node = DaskTask("f-1", max, File("a/very/long/path/to/data-01.csv"))
    assert short_label(display_key("f-1", node, 1)).endswith("data-01.csv)")


def test_blocks_are_named_by_their_place_without_tokens() -> None:
    key = ("mean-agg-8f14e45fceea167a5a36dedd4bea2543", 0, 2)
    assert short_label(display_key(key, DaskTask(key, max, TaskRef("x")), 5)) == "mean-agg(0, 2)"
    nested = "finalize-hlgfinalizecompute-8f14e45fceea167a5a36dedd4bea2543-" + "0" * 32
    assert (
        short_label(display_key(nested, DaskTask(nested, max, TaskRef("x")), 5))
        == "finalize-hlgfinalizecompute"
    )
    array = ("array-8e02dbc6-e571-11f1-97f6-02fc00000001", 0, 0)
    assert short_label(display_key(array, DaskTask(array, max, TaskRef("x")), 5)) == "array(0, 0)"
