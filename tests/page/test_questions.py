"""What a quiz asks of a scene."""

from __future__ import annotations

import dask.array as da

from pipeline import count
from pipeline.graph import occurrences
from pipeline.page import scene
from pipeline.page.questions import questions
from tests.functions import binomial, fib


def asked(what: object) -> dict[str, str]:
    found = questions(scene(what))
    assert all(len(each.answers) == 1 and not each.choices and each.why for each in found)
    return {each.text: each.answers[0] for each in found}


def test_the_answers_are_what_is_counted() -> None:
    call = binomial(6, 3)
    found, times = asked(call), occurrences(call.graph())
    assert len(found) == 5
    often = {text: answer for text, answer in found.items() if text.startswith("How often")}
    for text, answer in often.items():
        [key] = [key for key in times if f"binomial({key[1]}, {key[2]})" in text]
        assert answer == str(times[key])
        assert call.graph().inputs(key)
    counts = count(call)
    assert found["How many tasks are there on the left?"] == str(counts.tree)
    assert found["How many tasks are there on the right?"] == str(counts.dag)


def test_a_graph_of_one_task_is_asked_for_its_size() -> None:
    assert list(asked(fib(0)).values()) == ["1", "1"]


def test_a_number_that_nobody_types_is_not_asked_for() -> None:
    found = asked(fib(200))
    assert "How many tasks are there on the left?" not in found
    assert found["How many tasks are there on the right?"] == "201"
    assert all(answer.isdigit() for answer in found.values())


def test_a_graph_as_it_was_built_is_asked_for_too() -> None:
    x = da.ones((20, 20), chunks=10)
    found = asked((x + x.T).sum())
    left, right = scene((x + x.T).sum()).sides
    assert list(found.values())[-2:] == [str(left.data["count"]), str(right.data["count"])]
