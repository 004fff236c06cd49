"""What the judge records of a computation: ours beside Dask's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from dask import delayed
from dask.base import compute

from tests.judge.__main__ import Verdict
from tests.judge.plugin import Judge, Record, read_records


class Wrong(Judge):
    """Adds one to each result, and raises for a text."""

    def share(self, plain: Any, args: Any, options: Any) -> Any:
        return tuple(value + 1 for value in plain(*args, **options))


def judged(judge: Judge, value: Any) -> Any:
    return judge.judged(compute)(value, scheduler="sync")


def test_another_value_is_a_difference_and_the_test_gets_ours() -> None:
    judge = Wrong("share", Path("records"))
    assert judged(judge, delayed(abs)(-1)) == (2,)
    assert judge.record.differences == {"1": "result[0]: 2 for 1"}


def test_an_error_of_ours_alone_is_a_difference() -> None:
    judge = Wrong("share", Path("records"))
    with pytest.raises(TypeError):
        judged(judge, delayed(str)(-1))
    assert judge.record.differences["1"].startswith("raised TypeError")


def test_alone_a_computation_is_made_once(tmp_path: Path) -> None:
    judge, made = Judge("plain", tmp_path), list[str]()
    for name in ("plain", "alone"):
        judge.mode = name
        setattr(judge, name, judge.plain)
        judged(judge, delayed(made.append)(name))
    assert made == ["plain", "plain", "alone"]


def test_equal_values_and_equal_errors_are_no_difference() -> None:
    judge = Judge("share", Path("records"))
    assert judged(judge, delayed(abs)(-1)) == (1,)
    with pytest.raises(ZeroDivisionError):
        judged(judge, delayed(divmod)(1, 0))
    assert judge.record.compared == 2
    assert not judge.record.differences


def test_what_dask_does_not_promise_is_no_difference() -> None:
    judge = Wrong("share", Path("records"))
    judged(judge, delayed(next)(itertools.count()))
    assert judge.record.compared == 1
    assert not judge.record.differences


def test_a_computation_within_another_is_a_part_of_it() -> None:
    judge = Judge("plain", Path("records"))
    assert judged(judge, delayed(lambda: judged(judge, delayed(abs)(-1)))()) == ((1,),)
    assert judge.record.compared == 1


def test_only_what_dask_alone_passes_is_a_new_failure(tmp_path: Path) -> None:
    names = ("ours", "both")
    ours = {name: Record(name, "failed", 1, {"1": "text"}) for name in names}
    plain = {
        "ours": Record("ours", "passed", 1),
        "both": Record("both", "failed", 1, {"1": "text"}),
    }
    verdict = Verdict("bag", "share", ours, plain)
    assert [record.test for record in verdict.new_failures] == ["ours"]
    assert verdict.differences == [("ours", "text")]
    assert verdict.suspects == {"ours", "both"}


def test_a_test_with_a_reason_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.judge.__main__.REASONS", {"counts[*": "it counts runs"})
    ours = {name: Record(name, "passed", 1, {"1": "text"}) for name in ("counts[a]", "other")}
    assert Verdict("bag", "cold", ours, {}).differences == [("other", "text")]


def test_the_last_record_of_a_test_counts(tmp_path: Path) -> None:
    judge = Judge("plain", tmp_path / "records")
    judge.record = Record("test")
    judge.write()
    assert read_records(judge.out)["test"].outcome == "crashed"
    judge.record.outcome = "passed"
    judge.write()
    assert read_records(judge.out)["test"].outcome == "passed"
