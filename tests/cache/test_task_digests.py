"""Digests of tasks: equal for equal tasks of any graph, in any process, and for no others."""

from __future__ import annotations

import operator
import random
import subprocess
import sys
import threading
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask._expr import ProhibitReuse
from dask._task_spec import Dict, _execute_subgraph
from dask.task_spec import Alias, DataNode, List, Task, TaskRef
from hypothesis import given

from pipeline import TaskGraph, recurrence, task, trace
from pipeline.cache.explaining import CodeDescriber
from pipeline.cache.running import open_collections
from pipeline.cache.task_digests import TaskDigests, alias_target
from pipeline.identity.digests import _PYTHON, library_version
from tests.functions import chain, scaled
from tests.graphs import graphs

if TYPE_CHECKING:
    from collections.abc import Callable


def digests(tasks: dict[Any, Any], *keys: Any) -> list[str | None]:
    result = TaskDigests(tasks)
    result.add(keys or tasks)
    return [result.digest(key) for key in keys or tasks]


def of(collection: Any) -> str | None:
    """The digest of the one output of a collection."""
    tasks, [key] = open_collections([collection])[:2]
    return digests(tasks, key)[0]


@given(graphs())
def test_tasks_of_one_digest_have_one_value(graph: TaskGraph) -> None:
    by_key = dict(zip(graph.tasks, digests(graph.tasks), strict=True))
    values: dict[str | None, int] = {}
    evaluated: dict[Any, Any] = {}
    for key, node in graph.tasks.items():
        evaluated[key] = node(evaluated)
        assert values.setdefault(by_key[key], evaluated[key]) == evaluated[key]


def test_a_digest_does_not_depend_on_keys() -> None:
    one = {"a": Task("a", abs, -1), "b": Task("b", max, TaskRef("a"), 2)}
    other = {"x": Task("x", abs, -1), "y": Task("y", max, TaskRef("x"), 2)}
    assert digests(one) == digests(other)
    assert len(set(digests(one))) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Task("x", max, 1, 2), Task("x", max, 2, 1)),
        (Task("x", max, 1), Task("x", min, 1)),
        (Task("x", max, 1), Task("x", max, 1.0)),
        (Task("x", dict, a=1), Task("x", dict, b=1)),
        (Task("x", dict, a=1, b=2), Task("x", dict, b=2, a=1)),
        (Task("x", sum, List(1, 2)), Task("x", sum, List(2, 1))),
        (Task("x", sum, List(1, 2)), Task("x", sum, [1, 2, 3])),
        (Task("x", len, List(1)), Task("x", len, Dict(a=1))),
        (Task("x", abs, True), Task("x", abs, 1)),
        (Task("x", len, "1"), Task("x", len, b"1")),
    ],
)
def test_other_tasks_have_other_digests(one: Task, other: Task) -> None:
    assert digests({"x": one}) != digests({"x": other})


def test_aliases_and_constant_tasks_count_by_their_values() -> None:
    tasks = {
        "d": DataNode("d", -1), "a": Task("a", abs, TaskRef("d")), "b": Task("b", abs, -1),
        "c": Alias("c", "a"),
    }  # fmt: skip
    _, a, b, c = digests(tasks)
    assert a == b == c


def test_impure_tasks_futures_and_their_consumers_have_no_digest() -> None:
    tasks = {
        "r": Task("r", random.random), "x": Task("x", abs, TaskRef("r")),
        "h": Task("h", abs, TaskRef("future")), "ok": Task("ok", abs, -1),
    }  # fmt: skip
    by_key = dict(zip(tasks, digests(tasks), strict=True))
    assert [key for key, digest in by_key.items() if digest is None] == ["r", "x", "h"]


def test_a_value_into_which_a_consumer_writes_has_a_digest() -> None:
    def changed(x: list[int]) -> list[int]:
        x.append(1)
        return x

    tasks = {"l": Task("l", sorted, [3, 1]), "c": Task("c", changed, TaskRef("l"))}
    assert all(digests(tasks))


def test_fused_tasks_have_the_digest_of_the_last_of_them() -> None:
    x = da.arange(4, chunks=2) + 1
    plain = x.__dask_graph__()
    fused = x.__dask_optimize__(plain, x.__dask_keys__())
    keys = x.__dask_keys__()
    assert any(getattr(node, "func", None) is _execute_subgraph for node in dict(fused).values())
    assert digests(dict(plain), *keys) == digests(dict(fused), *keys)


def test_a_call_has_the_digest_of_what_it_does() -> None:
    assert of(chain(3)) == of(chain(3)) != of(chain(2))
    assert of(scaled(1.0)) == of(scaled(1.0, 2.0)) != of(scaled(1.0, 2.5))
    assert of(scaled(1.0, offset=1.0)) != of(scaled(1.0, 1.0))
    tree = trace(chain(3), memoize=False)
    assert of(tree) == of(chain(3))


def test_a_body_counts_by_its_operations_and_their_places() -> None:
    x, y = scaled(1.0), scaled(2.0)
    distinct = [
        of(value) for value in (x + y, y + x, x - y, x + 1, 1 + x, x + 2, x + y + 1, [x, y])[:7]
    ]
    assert len(set(distinct)) == 7


def test_calls_of_impure_functions_have_no_digest() -> None:
    assert of(task(random.random)() + 1) is None
    assert of(task(np.random.default_rng)() + 1) is None
    assert of(task(np.random.default_rng)(1)) is None  # its result changes as it is used


def test_digests_are_equal_in_another_process() -> None:
    program = (
        "import operator; import numpy as np; from dask import delayed;"
        "from tests.cache.test_task_digests import chain, of;"
        "print(of(chain(4)), of(delayed(operator.add)(np.arange(3), 2)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": "."},
    )  # fmt: skip
    assert process.stdout.split() == [of(chain(4)), of(delayed(operator.add)(np.arange(3), 2))]


def test_the_code_of_a_function_and_the_content_of_a_value_have_digests() -> None:
    task_digests = TaskDigests({})
    assert task_digests.of_function(abs) != task_digests.of_function(max)
    assert task_digests.of_value(1) != task_digests.of_value(1.0)
    assert task_digests.of_value(iter([])) == ""


NUMPY = library_version("numpy").removeprefix("numpy ")
RATE = 0.5


def helper(x: float) -> float:
    return x * RATE


def makes(offset: int) -> object:
    def made(x: float, power: int = 2) -> float:
        return float(np.sin(helper(x)) ** power + offset)

    return made


def test_a_description_names_all_that_a_digest_covers() -> None:
    description = CodeDescriber()(makes(3))
    assert description["its own"]["closure value `offset`"] == "3"
    assert description["its own"]["defaults"] == "(2,)"
    assert description["helper `helper`"]["global `RATE`"] == "0.5"
    assert description["helper `helper`"]["in"] == " in test_task_digests.py"
    assert description["libraries"]["numpy"] == NUMPY


def test_a_function_without_a_digest_is_described_in_part() -> None:
    assert CodeDescriber()(iter([])) == {}


SORTED = {"a": Task("a", sorted, [2, 1]), "b": Task("b", sorted, [2, 1])}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Task("x", abs, -1), "ec60f633fdf31cc8bd004c82c3e9bbdb"),
        (Task("x", max, 1, 2.0), "3d506c5d307740447077e2b10a169a4b"),
        (Task("x", dict, a=1, b="c"), "e2f42ecc6022964a728d979a693548eb"),
        (Task("x", sum, List(1, 2)), "8bde796d6080d5d21faca2475ebf8186"),
        (Task("x", sum, [1, 2]), "8852bd86b037d0248e03d88f8cb0b256"),
        (DataNode("x", {"a": 1}), "508dbc763a2892f3ca5a6ed0b43f25ed"),
        (Task("x", len, Dict(a=1)), "50147efe8683970605dbadbcbce7186b"),
        (DataNode("x", 5), "4e92afcf14ce36002940266fad499ae4"),
        (DataNode("x", None), "6330034d3dbd5a7a9c7fa758338420cb"),
        (Task("x", operator.add, TaskRef("a"), TaskRef("b")), "3b8d1d74f66940235fa1442413c68817"),
        (Task("x", operator.add, TaskRef("a"), TaskRef("a")), "3b8d1d74f66940235fa1442413c68817"),
        (Alias("x", "a"), "7c9aab118e682bc45684f673528c5b91"),
    ],
    ids=str,
)  # fmt: skip
def test_the_digest_of_a_task_does_not_change_from_year_to_year(
    node: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_PYTHON, "minor", "python 3.11")
    assert digests({**SORTED, "x": node}, "x") == [expected]


def writes_and_reads(items: list[int], others: list[int]) -> int:
    items.append(1)
    return len(others)


def test_which_arguments_are_one_object_counts() -> None:
    same = Task("x", writes_and_reads, TaskRef("a"), TaskRef("a"))
    equal = Task("x", writes_and_reads, TaskRef("a"), TaskRef("b"))
    items, others = [1], [1]
    assert digests({**SORTED, "x": same}, "x") != digests({**SORTED, "x": equal}, "x")
    tasks = {
        "same": Task("same", writes_and_reads, items, items),
        "equal": Task("equal", writes_and_reads, items, others),
        "again": Task("again", writes_and_reads, others, items),
    }
    same_one, equal_one, again = digests(tasks)
    assert same_one != equal_one == again


def locked() -> object:
    return LOCK


LOCK = threading.Lock()
HELD = object()


def holding() -> object:
    return HELD


def unpacked(x: float, y: float = 2.0) -> float:
    return x * y


marked = task(unpacked)


class Clock:
    def now(self) -> float:
        return time.time()


def measured(clock: Clock) -> float:
    return clock.now()


def drawn(seed: int | None = None) -> float:
    return float(np.random.default_rng(seed).normal())


def test_a_function_has_the_digest_of_what_the_user_wrote() -> None:
    task_digests = TaskDigests({})
    assert task_digests.of_function(marked.run) == task_digests.of_function(unpacked) != ""
    assert task_digests.of_function(locked) not in ("", task_digests.of_function(unpacked))
    assert task_digests.of_function(holding) == ""
    assert task_digests.of_function(random.random) == ""
    assert task_digests.of_value(HELD) == ""
    assert task_digests.of_value([1]) == TaskDigests({}).of_value([1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: task(random.random)() + 1, lambda: marked(task(random.random)()),
        lambda: task(np.random.default_rng)(), lambda: task(iter)((1, 2)),
        lambda: task(max)(task(iter)((1, 2)), 3), lambda: task(open)("f.csv"),
        lambda: task(holding)(), lambda: task(measured)(Clock()),
        lambda: task(unpacked)(1.0, holding), lambda: marked(1.0, np.random.default_rng(0)),
    ],
)  # fmt: skip
def test_a_call_that_may_have_another_value_has_no_digest(make: Callable[[], Any]) -> None:
    assert of(make()) is None  # made here: `random` may be used since these tests were collected


def test_a_step_that_is_given_its_seed_has_a_digest() -> None:
    draws = task(drawn)
    assert of(draws(3)) not in (None, of(draws(4)))
    assert of(draws(seed=3)) == of(draws(3))
    assert of(draws(None)) is None
    assert of(draws()) is None
    assert of(marked(draws(3), draws(4))) != of(marked(draws(4), draws(3)))


@recurrence
def renames(n: int) -> Any:
    return marked(1.0) if n == 0 else renames(n - 1)


def test_a_task_that_only_passes_a_value_on_has_the_digest_of_that_value() -> None:
    assert of(renames(3)) == of(marked(1.0))
    passed = Task("p", ProhibitReuse._identity, TaskRef("a"))
    again = Task("q", ProhibitReuse._identity, passed)
    a, p, q = digests({"a": SORTED["a"], "p": passed, "q": again})
    assert a == p == q
    assert alias_target(passed) == alias_target(again) == "a"
    assert alias_target(Alias("y", "a")) == "a"
    assert alias_target(TaskRef("a")) is None
    assert alias_target(SORTED["a"]) is None


def closed_over(limit: int) -> Any:
    def outer(x: float, y: int = 1, *, z: str = "z") -> Any:
        return limit, helper(x), Kind(), np.sin, SETTINGS["rate"], nested.__name__

    def nested() -> int:
        return limit

    return outer


SETTINGS = {"rate": 2}


class Base:
    pass


class Kind(Base):
    size = 3


def test_a_description_is_complete() -> None:
    description = CodeDescriber()(closed_over(3))
    here = " in test_task_digests.py"
    kind = {"metaclass": "builtins.type of python", "in": here}
    plain = {"defaults": "None", "keyword defaults": "None", "in": here}
    codes = {name: parts.pop("code") for name, parts in description.items() if "code" in parts}
    assert len(set(codes.values())) == 3
    assert description == {
        "its own": {
            "defaults": "(1,)", "keyword defaults": "('dict', (\"'z'\", \"'z'\"))", "in": here,
            "title": "helper `closed_over.<locals>.outer`",
            "closure value `limit`": "3",
            "closure value `nested`": "definition closed_over.<locals>.nested",
            "global `Kind`": "definition Kind", "global `SETTINGS`": "('dict', (\"'rate'\", 2))",
            "global `helper`": "definition helper", "global `np`": MODULE,
        },
        "helper `closed_over.<locals>.nested`": {**plain, "closure value `limit`": "3"},
        "helper `helper`": {**plain, "global `RATE`": "0.5"},
        "class `Kind`": {**kind, "bases": "('definition Base',)", "`size`": "3"},
        "class `Base`": {**kind, "bases": "('builtins.object of python',)"},
        "libraries": {"numpy": NUMPY},
    }  # fmt: skip


MODULE = f"module numpy of numpy {NUMPY}"


def test_definitions_of_one_name_are_both_described() -> None:
    def named(number: int) -> Any:
        def inner() -> int:
            return number

        return inner

    one, other = named(1), named(2)
    description = CodeDescriber()(lambda: (one, other))
    names = [name for name in description if "inner" in name]
    assert len(names) == 2
    assert names[1] == f"{names[0]}′"
    values = [description[name]["closure value `number`"] for name in names]
    assert values == ["1", "2"]


def test_a_method_is_described_by_its_function() -> None:
    assert CodeDescriber()(Clock().now)["its own"] == CodeDescriber()(Clock.now)["its own"]


def test_code_that_no_file_holds_is_in_no_place() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("def f(): return 1", "<cell>", "exec"), names)  # noqa: S102 - as a cell is
    assert CodeDescriber()(names["f"])["its own"]["in"] == ""


MODULE_OF_SETTINGS: Any = ModuleType("settings_of_the_project")
vars(MODULE_OF_SETTINGS).update(rate=3, __file__="/home/ann/settings.py")


def settings() -> Any:
    return MODULE_OF_SETTINGS


def test_a_module_of_the_project_is_described_as_one() -> None:
    assert CodeDescriber()(settings)["module `settings_of_the_project`"] == {
        "`rate`": "3", "in": " in settings.py"
    }  # fmt: skip


# Functions that reach each other: each is read once per plan

PROJECT = """
SCALES = [1.0, 2.0]
SETTINGS = {"rate": 1}
class Model:
    slope = 3
    def predict(self, x):
        return shared(x) * self.slope
MODEL = Model()
def shared(x):
    return x * SCALES[0] + SETTINGS["rate"]
def made(offset):
    def inner(x):
        return shared(x) + offset
    return inner
inner = made(1)
def even(n):
    return shared(n) if n else odd(n - 1)
def odd(n):
    return MODEL.predict(n) if n else even(n - 1)
def near(x, start=SCALES):
    return inner(x)
def alone(x):
    return x
"""


def project() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "project_of_tests"}
    exec(PROJECT, names)  # noqa: S102 - a project
    return names


FUNCTIONS = ("even", "odd", "near", "inner", "shared", "alone")


def of_project(names: dict[str, Any]) -> dict[str, str]:
    task_digests = TaskDigests({})
    return {name: task_digests.of_function(names[name]) for name in FUNCTIONS}


def rebound(names: dict[str, Any]) -> None:
    names["SCALES"] = [2.0, 2.0]


def mutated(names: dict[str, Any]) -> None:
    names["SCALES"].append(3.0)


def deeply_mutated(names: dict[str, Any]) -> None:
    names["SETTINGS"]["more"] = [1]


def redefined(names: dict[str, Any]) -> None:
    exec("def shared(x): return x", names)  # noqa: S102 - as in a notebook


def recompiled(names: dict[str, Any]) -> None:
    names["shared"].__code__ = names["alone"].__code__


def patched(names: dict[str, Any]) -> None:
    names["Model"].slope = 4


def repatched(names: dict[str, Any]) -> None:
    names["Model"].predict = lambda self, x: x


def set_on_an_object(names: dict[str, Any]) -> None:
    names["MODEL"].slope = 5


def in_a_closure(names: dict[str, Any]) -> None:
    names["inner"].__closure__[0].cell_contents = 2


def new_default(names: dict[str, Any]) -> None:
    names["near"].__defaults__ = (1,)


ALL_BUT_ALONE = {"even", "odd", "near", "inner", "shared"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (rebound, ALL_BUT_ALONE),
        (mutated, ALL_BUT_ALONE),
        (deeply_mutated, ALL_BUT_ALONE),
        (redefined, ALL_BUT_ALONE),
        (recompiled, ALL_BUT_ALONE),
        (patched, {"even", "odd"}),
        (repatched, {"even", "odd"}),
        (set_on_an_object, {"even", "odd"}),
        (in_a_closure, {"near", "inner"}),
        (new_default, {"near"}),
    ],
)
def test_what_changed_between_plans_changes_all_digests_that_cover_it(
    change: Callable[[dict[str, Any]], None], expected: set[str]
) -> None:
    names = project()
    before = of_project(names)
    assert of_project(names) == before
    change(names)
    after = of_project(names)
    assert {name for name in FUNCTIONS if after[name] != before[name]} == expected
    assert after == {name: TaskDigests({}).of_function(names[name]) for name in FUNCTIONS}


def test_a_definition_is_read_once_however_many_functions_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["pipeline.identity.encoder"]
    parts, read = module.definition_parts, []

    def counted(definition: Any) -> Any:
        read.append(definition)
        return parts(definition)

    monkeypatch.setattr(module, "definition_parts", counted)
    of_project(project())
    names = [definition.__name__ for definition in read]
    assert sorted(names) == sorted({*FUNCTIONS, "Model", "predict"})


def test_functions_that_share_what_has_no_content_have_each_its_reason() -> None:
    names: dict[str, Any] = {"empty": object()}
    exec("def inner(): return empty\ndef one(): inner()\ndef other(): inner()", names)  # noqa: S102
    result = TaskDigests({name: Task(name, names[name]) for name in ("one", "other")})
    result.add(result.tasks)
    for name, reason in result.reasons.items():
        assert str(reason).startswith(f"{name} reaches <object object at ")
