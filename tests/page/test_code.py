"""The source beside the picture: of the code that ran, with the lines that ran."""

from __future__ import annotations

import runpy
import sys
import warnings
from itertools import count as counter
from pathlib import Path
from typing import Any

import dask
import pytest

from pipeline import PipelineError, TaskGraph, recurrence, task, trace
from pipeline.apps.gallery import GALLERY
from pipeline.draw import PLAIN
from pipeline.page import scene
from pipeline.page.code import Code, code_of, observe_lines, source_of
from tests.functions import fib

SCRIPT = '''"""A script of a user's."""

from __future__ import annotations

from pipeline import recurrence


@recurrence
def steps(n: int) -> int:
    """In how many ways can one climb n steps?

    By one or two at a time.
    """
    if n < 2:
        return 1
    one = steps(
        n - 1
    )
    return one + steps(n - 2)
'''


def of_call(call: Any) -> tuple[TaskGraph, list[Any], Code]:
    graph = call.graph()
    keys = list(graph.tasks)
    return graph, keys, code_of(graph, keys)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "climb.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("name", GALLERY)
def test_each_input_of_a_task_has_a_line_that_calls_its_function(name: str) -> None:
    problem = GALLERY[name]
    graph, keys, code = of_call(problem.call())
    file = Path(sys.modules[problem.function.__module__].__file__ or "").read_text().splitlines()
    for key, place, made in zip(keys, code.places, code.calls, strict=True):
        assert place is not None
        source, first, last = place
        assert {keys[number] for number in made} == set(graph.inputs(key))
        lines = dict(code.sources[source].lines)
        for number, line in made.items():
            called = keys[number][0].rpartition("-")[0]
            assert f"{called}(" in lines[line]
        assert file[first - 1].strip().startswith("return")
        assert all(file[line - 1] == lines[line] for line in range(first, last + 1))


def test_lines_are_those_of_a_script_from_a_plain_decorator_on_without_the_docstring(
    script: Path,
) -> None:
    steps = runpy.run_path(str(script))["steps"]
    source = source_of(steps.__wrapped__)
    assert source is not None
    assert [number for number, _ in source.lines] == [8, 9, 14, 15, 16, 17, 18, 19]
    lines = SCRIPT.splitlines()
    assert all(text == lines[number - 1] for number, text in source.lines)
    _, keys, code = of_call(steps(4))
    assert code.places == [(0, 15, 15), (0, 15, 15), (0, 19, 19), (0, 19, 19), (0, 19, 19)]
    assert [key[1] for key in keys] == [1, 0, 2, 3, 4]
    assert code.calls == [{}, {}, {0: 16, 1: 19}, {2: 16, 0: 19}, {3: 16, 2: 19}]
    assert code.sizes == ["1 call", "1 call", "3 calls", "5 calls", "9 calls"]


def test_a_file_that_changed_since_it_ran_has_no_source(script: Path) -> None:
    steps = runpy.run_path(str(script))["steps"]
    script.write_text(SCRIPT.replace("n < 2", "n < 3"))
    assert source_of(steps.__wrapped__) is None
    _, keys, code = of_call(steps(4))
    assert (code.sources, code.places) == ([], [None] * len(keys))
    script.write_text(SCRIPT.replace("climb n steps", "climb up n steps"))
    assert source_of(steps.__wrapped__) is None  # the docstring is code, too
    script.write_text(SCRIPT + "# a comment below\n")
    assert source_of(steps.__wrapped__) is not None
    script.write_text(SCRIPT + "# a form feed \x0c and an escape\n'\\d'\n")
    with warnings.catch_warnings(action="error"):
        assert source_of(steps.__wrapped__) is not None
    script.write_text("def (")
    assert source_of(steps.__wrapped__) is None
    script.unlink()
    assert source_of(steps.__wrapped__) is None


def test_a_call_in_a_helper_has_the_line_of_the_body() -> None:
    def below(n: int) -> Any:
        return halved(n // 2)

    @recurrence
    def halved(n: int) -> Any:
        if n == 0:
            return 0
        rest = n % 2
        return below(n) + rest

    source = source_of(halved.__wrapped__)
    assert source is not None
    start = source.lines[0][0]
    lines = observe_lines(halved(5))
    assert lines is not None
    assert (lines.returned, lines.made) == (start + 5, {halved(2).key: start + 5})


def test_a_call_that_is_made_in_two_lines_has_no_line() -> None:
    @recurrence
    def twice(n: int) -> Any:
        if n == 0:
            return 1
        one = twice(n - 1)
        other = twice(n - 1)
        return one - other

    lines = observe_lines(twice(3))
    assert lines is not None
    assert lines.made == {}


def test_a_body_that_raises_in_a_second_run_has_its_def_line() -> None:
    runs = counter()

    @recurrence
    def once(n: int) -> Any:
        if next(runs):
            raise PipelineError("again")
        return n

    graph = once(3).graph()
    code = code_of(graph, list(graph.tasks))
    start = code.sources[0].lines[0][0]
    assert (code.places, code.calls) == ([(0, start, start)], [{}])


def test_the_source_of_a_lambda_is_its_lines() -> None:
    halved = recurrence(
        lambda n: n if n == 0 else halved(n // 2)
    )  # fmt: skip
    source = source_of(halved.__wrapped__)
    assert source is not None
    assert [text for _, text in source.lines] == ["lambda n: n if n == 0 else halved(n // 2)"]
    lines = observe_lines(halved(4))
    assert lines is not None
    assert lines.made == {halved(2).key: source.lines[0][0]}


def test_tasks_and_functions_in_c_have_no_source() -> None:
    @recurrence
    def largest(n: int) -> Any:
        return n if n == 0 else task(max)(largest(n - 1), n)

    _, keys, code = of_call(largest(2))
    assert len(code.sources) == 1
    assert [place is None for place in code.places] == [key[0].startswith("max") for key in keys]
    assert source_of(max) is None


def test_a_profile_that_goes_on_goes_on() -> None:
    def mine(*_: Any) -> None:
        pass

    before = sys.getprofile()
    sys.setprofile(mine)
    try:
        observe_lines(fib(5))
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(before)


def test_a_scene_has_the_code_of_calls_that_are_labelled_as_such() -> None:
    found = scene(trace([fib(5), fib(6)]))
    assert found.code is not None
    assert len(found.code.places) == 7
    assert None not in found.code.places
    assert scene(fib(40)).code is not None
    assert scene(fib(5), style=PLAIN._replace(label=str)).code is None
    assert scene(dask.delayed(abs)(-1)).code is None


def test_a_docstring_is_shown_as_paragraphs() -> None:
    source = source_of(GALLERY["edit-distance"].function.__wrapped__)
    assert source is not None
    assert source.doc[0] == "How few letters are put in, left out or replaced?"
    assert source.doc[1].startswith("An entry is the least of three")
