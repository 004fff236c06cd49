"""Planning a run imports no module of the project and runs none of its code."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dask import delayed
from dask.task_spec import DataNode, Task, TaskRef

from pipeline import Store, share, share_report
from pipeline.cache.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent

RAN = "import os\nos.link(__file__, f'{__file__}.ran')\n"
"""What a module of the project does when it runs: it leaves a file beside its own."""

MODULES = {
    "script.py": "def g(x):\n    return x + 1\nprint(g(1))\n",
    "helper.py": "from other import RATE\ndef g(x):\n    return x * RATE\n",
    "other.py": "RATE = 3\n",
    "package/__init__.py": "",
    "package/sub.py": "def g(x):\n    return x - 1\n",
    "package/near.py": "def f(x):\n    from . import sub\n    return sub.g(x)\n",
    "here.py": "import there\ndef g(x):\n    return there.g(x)\n",
    "there.py": "def g(x):\n    import here\n    return x\n",
}

MAIN = """
import sys
from dask import delayed
from pipeline import Store, compute, digest, share, share_report
from pipeline.cache.plan import make_plan

def module(x):
    import helper
    return helper.g(x)

def script(x):
    from script import g
    return g(x)

def submodule(x):
    import package.sub
    return package.sub.g(x)

def relative(x):
    from package.near import f
    return f(x)

def nested(x):
    def inner():
        from package import sub
        return sub.g(x)
    return inner()

def circular(x):
    import here
    return here.g(x)

store, tasks = Store(sys.argv[1]), []
for function in (module, script, submodule, relative, nested, circular):
    twice = [delayed(function)(4), delayed(function)(4)]
    assert share_report(twice).after == 1, function
    share(*twice)
    digest(function)
    store.explain(*twice)
    make_plan(store, dict(twice[0].dask), [twice[0].key])
    tasks += twice
if sys.argv[2] == "store":  # as one run: a module that is imported counts in another way
    values = compute(*tasks, store=store, scheduler="sync")
    assert values == (12, 12, 5, 5, 3, 3, 3, 3, 3, 3, 4, 4), values
"""


@pytest.mark.slow
def test_no_module_of_the_project_is_imported_before_a_task_runs(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name, source in {**MODULES, "main.py": MAIN}.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source if name == "main.py" else RAN + source)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def ran(mode: str) -> list[str]:
        command = [sys.executable, str(project / "main.py"), str(tmp_path / "store"), mode]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        marks = sorted(project.rglob("*.ran"))
        for mark in marks:
            mark.unlink()
        return [mark.name.removesuffix(".py.ran") for mark in marks]

    assert ran("plan") == []
    assert len(ran("store")) == len(MODULES)  # the tasks themselves import them
    assert ran("store") == []  # all tasks are loaded


# What planning calls of the objects, classes and modules that tasks use

CALLS: list[str] = []

ALLOWED = {"__class__", "__getattribute__(__class__)"}
"""What `isinstance` reads."""


def recorded(name: str, result: Any = None) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        CALLS.append(name)
        return result(self, *args) if callable(result) else result

    return method


def found(self: Any, name: str) -> Any:
    CALLS.append(f"__getattr__({name})")
    raise AttributeError(name)


def sought(self: Any, name: str) -> Any:
    CALLS.append(f"__getattribute__({name})")
    return object.__getattribute__(self, name)


class Descriptor:
    __get__ = recorded("descriptor", 3)


def members() -> dict[str, Any]:
    cached = functools.cached_property(recorded("cached property"))
    cached.__set_name__(object, "cached")
    return {
        "__init__": lambda self: self.__dict__.update(x=1),
        "method": lambda self, x: x,
        "stated": property(recorded("property")),
        "cached": cached,
        "described": Descriptor(),
    }


OPERATIONS = {
    "__eq__": False, "__hash__": 7, "__repr__": "", "__str__": "", "__len__": 0, "__bool__": True,
    "__iter__": iter, "__contains__": False, "__getitem__": 1, "__array__": None, "__sizeof__": 64,
    "__lt__": False, "__ne__": True, "__int__": 1, "__index__": 1, "__float__": 1.0,
    "__format__": "", "__dir__": [], "__length_hint__": 0, "__copy__": None, "__deepcopy__": None,
    "__setattr__": None,
}  # fmt: skip

META = type(
    "Meta", (type,),
    {
        "__getattr__": found,
        **{name: recorded(f"meta {name}", value)
           for name, value in {"__repr__": "", "__len__": 0, "__bool__": True, "__iter__": iter,
                               "__instancecheck__": False, "__subclasscheck__": False}.items()},
        "stated": property(recorded("meta property")),
    },
)  # fmt: skip

CLASSES: dict[str, Any] = {
    "operations": type(
        "Operations", (), {**members(), **{n: recorded(n, v) for n, v in OPERATIONS.items()}}
    ),
    "getattr": type("GetAttr", (), {**members(), "__getattr__": found}),
    "getattribute": type("GetAttribute", (), {**members(), "__getattribute__": sought}),
    "class": type(
        "Class", (), {**members(), "__class__": property(recorded("__class__", lambda _: int))}
    ),
    "slots": type("Slots", (), {"__slots__": ("a", "b"), "__getattr__": found}),
    "properties": type(
        "Properties", (),
        {**members(), "__call__": lambda self, x: x,
         **{name: property(recorded(name)) for name in (
             "__signature__", "__text_signature__", "__wrapped__", "__name__", "__func__",
             "__self__", "__objclass__", "__dask_graph__x",
         )}},
    ),
    "signature": type("Signature", (), {**members(), "__signature__": Descriptor()}),
    "list": type(
        "List", (list,),
        {name: recorded(name, value) for name, value in (
            ("__iter__", list.__iter__), ("__len__", 0), ("__repr__", ""), ("__eq__", False),
        )},
    ),
    "dict": type(
        "Dict", (dict,),
        {name: recorded(name, value) for name, value in (
            ("__iter__", dict.__iter__), ("__len__", 0), ("__repr__", ""), ("items", dict.items),
            ("keys", dict.keys), ("values", dict.values), ("get", dict.get),
        )},
    ),
    "metaclass": META("WithMeta", (), members()),
}  # fmt: skip

FUNCTIONS = """
def of_argument(x): return x
def of_global(x): return thing
def of_attributes(x):
    return thing.x, thing.method(1), thing.stated, thing.missing.more, thing.cached, thing.described
def of_class(x): return kind.method, kind.stated, kind.described, kind.missing, kind(), kind
def of_module(x): return module.here, module.gone, module
def of_default(x, y=thing): return y
def enclosing(inner):
    def of_closure(x): return inner
    return of_closure
of_closure = enclosing(thing)
def of_call(x): return thing(x)
"""


def programs(kind: Any) -> Iterator[tuple[Any, Any]]:
    """Functions that name an object and its class, each with an argument."""
    thing = kind()
    module = types.ModuleType("lazy_project")
    vars(module).update(__getattr__=lambda name: found(module, name), here=3)
    names = {"thing": thing, "kind": kind, "module": module, "__name__": "project"}
    exec(FUNCTIONS, names)  # noqa: S102 - functions of one project
    yield from ((names[name], 1) for name in names if name.startswith("of_"))
    yield names["of_argument"], thing
    yield names["of_argument"], [thing, {"key": (thing, kind)}]
    yield names["of_argument"], module
    yield names["of_argument"], functools.partial(names["of_argument"], thing)
    yield kind, 1
    yield thing, 1
    yield functools.partial(names["of_argument"], thing), 1
    if "method" in vars(kind):
        yield types.MethodType(vars(kind)["method"], thing), 1


@pytest.mark.parametrize("name", CLASSES)
def test_planning_calls_nothing_of_an_object_or_a_class(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    cases = list(programs(CLASSES[name]))
    for function, argument in cases:
        one = {key: Task(key, function, argument) for key in "ab"}
        two = {"d": DataNode("d", argument)}
        two |= {key: Task(key, function, TaskRef("d")) for key in "ab"}
        for tasks in (one, two):
            CALLS.clear()
            share_report(tasks, keys=["a", "b"])
            make_plan(store, tasks, ["a", "b"])
            assert set(CALLS) <= ALLOWED, function


def test_explaining_calls_nothing_of_an_object(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("getattr", "properties", "metaclass", "list", "dict"):
        for function, argument in programs(CLASSES[name]):
            if not isinstance(function, types.FunctionType):
                continue  # `delayed` itself reads the names of others
            collection = delayed(function)(DataNode("d", argument).value)
            CALLS.clear()
            share(collection)
            str(store.explain(collection))
            assert set(CALLS) <= ALLOWED, (name, function)
