"""Training as a recurrence."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline import Store, compute, measure, trace
from pipeline.apps.mlp.data import Examples, digits
from pipeline.apps.mlp.epochs import Plan, State, predicted, training
from pipeline.apps.mlp.layers import Layers
from pipeline.apps.mlp.rules import OPTIMIZERS

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Layers((64, 12, 10), "tanh")
DIGITS = digits()


def same(one: State, other: State) -> bool:
    return one.history == other.history and all(
        np.array_equal(each, other.parameters[name]) for name, each in one.parameters.items()
    )


PLANS = {"batches": Plan(SMALL), "shards": Plan(SMALL, batch=0, shards=3)}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_scheduler_gives_the_same_bits(scheduler: str, plan: Plan) -> None:
    with threadpool_limits(1, "blas"):
        expected = training(plan, DIGITS)(3).compute(scheduler="sync")
        assert same(training(plan, DIGITS)(3).compute(), expected)
    assert [epoch.number for epoch in expected.history] == [1, 2, 3]


def test_a_longer_run_contains_a_shorter_one() -> None:
    state = training(Plan(SMALL), DIGITS)
    short, long = state(2).graph(), state(4).graph()
    assert set(short.tasks) < set(long.tasks)
    other = training(Plan(SMALL), digits())
    assert other(2).key == state(2).key
    assert training(Plan(SMALL, rate=0.1), DIGITS)(2).key != state(2).key
    assert training(Plan(SMALL), digits(1))(2).key != state(2).key


@pytest.mark.slow
def test_a_sweep_with_a_store_runs_what_is_new_in_it(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=["epoch", "start", "data"])

    def ran(rates: list[float], epochs: int) -> dict[str, int]:
        plans = [replace(PLANS["batches"], rate=rate) for rate in rates]
        asked = trace(lambda: [training(plan, DIGITS)(epochs) for plan in plans])
        with measure() as measured:
            (found,) = compute(asked, store=store, scheduler="sync")
        assert [len(each.history) for each in found] == [epochs] * len(rates)
        return {name: total.tasks for name, total in measured.functions.items() if name != "state"}

    assert ran([0.01, 0.003], 3) == {"start": 1, "data": 1, "epoch": 6}
    assert ran([0.01, 0.003, 0.001], 3) == {"epoch": 3}  # start and data are loaded
    assert ran([0.003, 0.001], 5) == {"epoch": 4}
    assert ran([0.01, 0.003, 0.001], 2) == {}


def test_a_sweep_shares_what_its_runs_have_in_common() -> None:
    plans = [Plan(SMALL, rate=rate) for rate in (0.001, 0.003, 0.01)]
    graph = trace([training(plan, DIGITS)(2) for plan in plans])
    names = [str(key[0]).partition("-")[0] for key in graph.tasks]
    assert (names.count("data"), names.count("start"), names.count("epoch")) == (1, 1, 6)


def test_shards_are_the_whole_batch() -> None:
    plans = [Plan(SMALL, "sgd", rate=0.5, batch=0, shards=shards) for shards in (1, 2, 5)]
    whole, *others = [training(plan, DIGITS)(4).compute(scheduler="threads") for plan in plans]
    for each in others:
        for name, expected in whole.parameters.items():
            np.testing.assert_allclose(each.parameters[name], expected, rtol=1e-12, atol=1e-13)
    graph = training(plans[2], DIGITS)(1).graph()
    assert sum(str(key[0]).startswith("shard-") for key in graph.tasks) == 5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(optimizer: str) -> None:
    rate = {"adam": 0.003, "momentum": 0.05, "sgd": 0.2}[optimizer]
    state = training(Plan(SMALL, optimizer, rate), DIGITS)(8).compute(scheduler="sync")
    assert state.history[-1].loss < state.history[0].loss / 2
    assert state.history[-1].accuracy > 0.9
    assert state.steps == 8 * 45


@pytest.mark.slow
def test_digits_are_learned() -> None:
    """At least 97 % of the held-out fifth, the median over five seeds."""
    found = []
    for seed in range(5):
        plan = Plan(Layers((64, 64, 32, 10)), seed=seed)
        state = training(plan, digits(seed))(30).compute(scheduler="sync")
        found.append(state.history[-1].accuracy)
    assert median(found) >= 0.97


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights() -> None:
    plan = Plan(Layers((64, 12, 10), "identity", "mse"), "sgd", rate=3.0)
    state = training(plan, DIGITS)
    end = state(30).compute(scheduler="sync")
    assert end.stopped is not None
    assert not np.isfinite(end.stopped.loss)
    last = end.stopped.number - 1
    assert same(end, state(last).compute(scheduler="sync"))
    assert all(np.isfinite(each).all() for each in end.parameters.values())


def test_float32_stays_float32() -> None:
    state = training(Plan(SMALL, dtype="float32"), DIGITS)(1).compute(scheduler="sync")
    assert {each.dtype for each in state.parameters.values()} == {np.dtype("float32")}


def test_predictions_are_labels() -> None:
    x = np.eye(3)
    parameters: dict[str, Any] = {"w1": np.eye(3), "b1": np.zeros(3)}
    assert predicted(Layers((3, 3)), parameters, x).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("options", "message"), [
    ({"optimizer": "adagrad"}, "'adagrad': it is one of sgd, momentum, adam"),
    ({"batch": 2.5}, "batch=2.5, .* whole numbers"), ({"seed": -1}, "seed=-1: .* 0 or more"),
    ({"rate": float("inf")}, "rate=inf: "), ({"rate": 0}, "rate=0: .* above 0"),
    ({"rate": float("nan")}, "rate=nan: "), ({"batch": -1}, "batch=-1: .* at least 1"),
    ({"dtype": "float16"}, "'float16': it is float32 or float64"),
    ({"shards": 2}, "shards are parts of a batch of all"), ({"shards": 0, "batch": 0}, "shards=0"),
])  # fmt: skip
def test_what_cannot_be_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(SMALL, **options)


def test_batches_are_drawn_anew_each_epoch_and_cover_all_rows() -> None:
    rows = 10
    x = np.arange(rows, dtype=float)[:, None]
    examples = Examples(x, np.zeros(rows, int), x, np.zeros(rows, int), "numbers")
    layers = Layers((1, 1), "identity", "mse")
    plan = Plan(layers, "sgd", rate=1e-300, batch=3)
    state = training(plan, examples)(2).compute(scheduler="sync")
    weight = state.parameters["w1"][0, 0]
    whole = np.mean((x * weight - 1) ** 2)
    assert [epoch.loss for epoch in state.history] == pytest.approx([whole, whole])
    assert state.steps == 8


def test_the_weights_that_are_kept_have_a_finite_loss() -> None:
    plan = Plan(Layers((64, 64, 32, 10)), "sgd", rate=1e300, batch=0)
    state = training(plan, DIGITS)(3).compute(scheduler="sync")
    assert state.stopped is not None
    assert state.stopped.number == len(state.history) + 1
    assert all(np.isfinite(epoch.loss) for epoch in state.history)
