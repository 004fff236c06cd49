"""The order in which entries go."""

from __future__ import annotations

from pipeline.store.eviction import Candidate, leaving


def order(*candidates: Candidate) -> list[str]:
    return [each.digest for each in leaving(candidates, 1000.0)]


def test_what_is_quick_to_compute_goes_before_what_is_slow() -> None:
    assert order(Candidate("slow", 10, 0.0, 9.0), Candidate("quick", 10, 0.0, 1.0)) == [
        "quick", "slow",
    ]  # fmt: skip


def test_what_is_large_goes_before_what_is_small() -> None:
    assert order(Candidate("small", 1, 0.0, 1.0), Candidate("large", 9, 0.0, 1.0)) == [
        "large", "small",
    ]  # fmt: skip


def test_what_was_not_used_for_long_goes_before_what_was() -> None:
    assert order(Candidate("new", 1, 999.0, 1.0), Candidate("old", 1, 1.0, 1.0)) == ["old", "new"]


def test_the_three_weigh_against_each_other() -> None:
    hour = Candidate("an hour of work, large and old", 10**9, 0.0, 3600.0)
    instant = Candidate("nothing, small and new", 10**4, 999.0, 0.0)
    kept = Candidate("a second, small and new", 10**4, 999.0, 1.0)
    assert order(kept, instant, hour)[-1] == kept.digest


def test_a_use_in_the_future_and_no_work_at_all_are_no_error() -> None:
    assert order(Candidate("a", 0, 2000.0, 0.0)) == ["a"]
