"""What a function reaches, and where the project ends."""

from __future__ import annotations

import collections.abc
import json.decoder
import operator
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import pipeline
import pipeline.apps.fibonacci
from pipeline.identity import Library, closure_values, definition_parts, library_name
from pipeline.identity.code.references import is_held, references_of
from tests.functions import fib
from tests.names import shown

if TYPE_CHECKING:
    from types import FunctionType


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (len, "builtins.len"),
        (operator.add, "_operator.add"),
        (json.dumps, "json.dumps"),
        (collections.OrderedDict, "collections.OrderedDict"),
        (np.sum, "numpy.sum"),
        (np.sin, "numpy.sin" if hasattr(np.sin, "__module__") else None),  # NumPy 2.0: no module
        (np.ndarray, "numpy.ndarray"),
        (str.upper, None),  # a method descriptor: encoded by what pickle makes of it
        (pipeline.contrast, "pipeline.contrast"),
        (pipeline.task, "pipeline.task"),
    ],
)
def test_the_values_of_a_library_have_its_name(value: Any, name: str | None) -> None:
    assert library_name(value) == name


@pytest.mark.parametrize("value", ["a".upper, [].append, fib, library_name.__code__, 3, lambda: 1])
def test_other_values_have_no_library_name(value: Any) -> None:
    assert library_name(value) is None


def test_the_parts_of_a_function() -> None:
    closed = 7

    def f(x: int, y: int = 5, *, z: int = 6) -> object:
        return closed, operator, [x for _ in (1, 2)]

    parts = list(definition_parts(cast("FunctionType", f)))
    assert (5,) in parts
    assert {"z": 6} in parts
    assert 7 in parts
    assert ("operator", operator) in parts


def test_the_parts_of_a_class() -> None:
    class Base:
        pass

    class Derived(Base):
        """Documentation says nothing of what a class does."""

        size = 3

        @property
        def area(self) -> int:
            return 9

    members: Any = list(definition_parts(Derived))[2:]  # after its bases and its metaclass
    named = dict(members)
    assert next(iter(definition_parts(Derived))) == (Base,)
    assert named["size"] == 3
    assert callable(named["area"][0])
    assert "__doc__" not in named


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.linalg.norm, "numpy.linalg.norm"),
        (json.decoder.JSONDecoder, "json.decoder.JSONDecoder"),
        (json.decoder.JSONDecoder.decode, "json.decoder.JSONDecoder.decode"),
        (collections.abc.Mapping, "collections.abc.Mapping"),
        (type("NotThere", (), {"__module__": "json"}), None),
        (type("JSONDecoder", (), {"__module__": "json"}), None),
        (type("Own", (json.decoder.JSONDecoder,), {}), None),
        (pipeline.digest, "pipeline.digest"),
        (library_name, "pipeline.identity.library_name"),
        (definition_parts, "pipeline.identity.definition_parts"),
        (is_held, "pipeline.identity.code.references.is_held"),
        (type(iter([])), "builtins.list_iterator"),
        (pipeline.apps.fibonacci.fib, None),
    ],
    ids=shown,
)
def test_a_name_is_that_under_which_a_library_offers_a_value(value: Any, name: str | None) -> None:
    assert library_name(value) == name


def test_what_a_module_holds_under_a_name() -> None:
    assert is_held(json.decoder.JSONDecoder.decode, "json.decoder", "JSONDecoder.decode")
    assert not is_held(json.loads, "json", "dumps")
    assert not is_held(json.loads, "json", "not_there")
    assert not is_held(json.loads, "no_such_module", "loads")


def test_the_values_of_a_closure() -> None:
    one, two = 1, [2]

    def f() -> object:
        return one, two

    def g() -> object:
        return later

    assert closure_values(cast("FunctionType", f)) == {"one": 1, "two": [2]}
    assert closure_values(cast("FunctionType", g)) == {}
    assert "an empty cell" in list(definition_parts(cast("FunctionType", g)))
    later = 3
    assert closure_values(cast("FunctionType", g)) == {"later": 3}
    assert closure_values(cast("FunctionType", closure_values)) == {}


def named(source: str, **variables: Any) -> list[tuple[str, Any, bool]]:
    """What the function `f` of a program names."""
    exec(source, variables)  # noqa: S102 - each is a program
    entries = references_of(variables["f"])
    return [(entry.name, entry.value, entry.is_last) for entry in entries]


MODULE: Any = ModuleType("of_the_project")
MODULE.rate, MODULE.inner = 3, ModuleType("of_the_project.inner")
MODULE.inner.deep = 4


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return x", [("x", 1, True)]),
        ("return len(x)", [("len", len, True), ("x", 1, True)]),
        ("return not_there", []),
        ("return m.rate", [("m", MODULE, False), ("m.rate", 3, True)]),
        ("return m.rate.real", [("m", MODULE, False), ("m.rate", 3, False)]),
        ("return m.not_there", [("m", MODULE, False)]),
        ("return m.inner.deep",
         [("m", MODULE, False), ("m.inner", MODULE.inner, False),
          ("m.inner.deep", 4, True)]),
        ("return m.rate()", [("m", MODULE, False), ("m.rate", 3, True)]),
        ("return x()", [("x", 1, True)]),
        ("import json\n return json.dumps",
         [("json", Library("json"), False), ("json", json, False),
          ("json.dumps", json.dumps, True)]),
        ("from json import dumps as d\n return d",
         [("d", Library("json", "dumps"), False), ("d", json.dumps, True)]),
        ("import no_such_module_at_all as n\n return n",
         [("n", None, False), ("n", None, True)]),
        ("from .. import far\n return far",
         [("far", None, False), ("far", None, True)]),
    ],
)  # fmt: skip
def test_what_a_function_names(body: str, expected: list[Any]) -> None:
    assert named(f"def f():\n {body}", x=1, m=MODULE) == expected


def test_a_local_variable_hides_what_is_imported_elsewhere() -> None:
    assert named("def f(json):\n return json.dumps") == []
    assert named("def f():\n import json\n def g(): return json\n return g")[1][1] is json


class Rates:
    """A class of the project, with an attribute."""

    fast = 3


def helper() -> None: ...


helper.rate = 3  # type: ignore[attr-defined] # as programs do


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return Rates.fast", ["Rates"]),  # which counts with all its attributes
        ("return helper.rate", ["helper", "helper.rate"]),
        ("return m.inner.deep", ["m", "m.inner", "m.inner.deep"]),
        ("return json.dumps", ["json"]), ("return np.linalg.norm", ["np"]),
        ("return task.rate", ["task"]), ("from json import dumps\n return dumps", ["dumps"]),
    ],
)  # fmt: skip
def test_what_counts_of_what_a_function_names(body: str, names: list[str]) -> None:
    variables: dict[str, Any] = {
        "Rates": Rates, "helper": helper, "m": MODULE, "json": json, "np": np,
        "task": pipeline.task,
    }  # fmt: skip
    exec(f"def f():\n {body}", variables)  # noqa: S102 - each is a program
    parts = list(definition_parts(variables["f"]))[3:]
    assert [name for name, _ in cast("list[tuple[str, Any]]", parts)] == names


@pytest.mark.parametrize(
    "name",
    [
        "__doc__", "__module__", "__firstlineno__", "_abc_impl", "__static_attributes__",
        "__slotnames__", "__annotations__", "__annotations_cache__", "__annotate__",
        "__annotate_func__", "__type_params__", "__parameters__", "__orig_bases__",
        "_value2member_map_", "_unhashable_values_", "_hashable_values_", "_unhashable_values_map_",
    ],
)  # fmt: skip
def test_a_member_that_does_nothing_does_not_count(name: str) -> None:
    plain, other = type("A", (), {}), type("A", (), {name: "other"})
    assert list(definition_parts(plain)) == list(definition_parts(other))
    assert list(definition_parts(plain)) != list(definition_parts(type("A", (), {"x": 1})))
