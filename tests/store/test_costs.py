"""What it takes to store a result."""

import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", durable=False)


def test_the_cost_of_storing_is_measured_once_and_leaves_nothing(store: Store) -> None:
    small, large = store.costs.of(0), store.costs.of(10**9)
    assert 0 < small < large < 100
    assert store.costs.of(0) == small
    assert len(store) == 0
    assert os.listdir(f"{store.url}/temporary") == []


def test_small_values_of_a_kind_take_what_the_quickest_took(store: Store) -> None:
    before = store.costs.of(100, "dict of DataFrame"), store.costs.of(100)
    splits = {0: pd.DataFrame({"x": [1]})}
    for seconds in (9.0, 0.5, 0.75):  # the first one may have imported pandas' format
        store.costs.note(splits, 100, seconds)
    assert before[0] < 0.5 < store.costs.of(100, "dict of DataFrame") < 0.6
    assert store.costs.of(100) == before[1]
