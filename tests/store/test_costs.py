"""What it takes to store a result."""

import os
from pathlib import Path

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
