"""What the lesson on backpropagation says is so."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.apps.mlp import NetworkError, backward, counts, forward, gradient, network, values
from pipeline.apps.mlp.chain import local_values
from pipeline.apps.mlp.formulas import edges
from pipeline.apps.mlp.lessons import ALL, OFFERED, Switched, facts, lesson, needing
from pipeline.apps.mlp.networks import Network
from pipeline.apps.mlp.pictures import name_of
from pipeline.page import Choice, Equations, Figure, Page, Prose, Scene, Section, Steps, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.page import Part

NET = network((2, 2, 2, 1), "tanh", seed=3)
NUMBER = re.compile(r"(?<= )-?[\d.]+e?-?\d*(?=[,: ])")
DEEP = network((4, 4, 4, 4, 4, 2))


@pytest.fixture(scope="module")
def sections() -> dict[str, Section]:
    return {section.name: section for section in lesson(NET)}


def kind(parts: Iterable[Part], wanted: type[Any]) -> Any:
    """The first part of a type; also one of those that are lit together."""
    return next(part for part in flat(parts) if isinstance(part, wanted))


def flat(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield from part.parts if isinstance(part, Steps) else [part]


def tables(section: Section) -> dict[str, Table]:
    return {part.title: part for part in section.parts if isinstance(part, Table)}


def options(found: Iterable[Section]) -> Any:
    chain = next(section for section in found if section.name == "chain")
    return kind(chain.parts, Choice).options


def test_all_weights_of_a_small_network_are_shown_first_and_each_is_offered(
    sections: dict[str, Section],
) -> None:
    assert list(options(sections.values())) == [ALL, *NET.parameters]


def test_each_weight_has_its_picture_its_formulas_its_scene_and_its_adjoints(
    sections: dict[str, Section],
) -> None:
    for name, parts in options(sections.values()).items():
        if name != ALL:
            assert [type(part) for part in parts] == [Scene, Steps]
            assert [type(part) for part in flat(parts)] == [Scene, Figure, Equations, Table, Table]
            assert name in kind(parts, Figure).caption
        else:
            assert [type(part) for part in parts] == [Scene, Prose, Table]


def test_the_first_memo_table_holds_the_values(sections: dict[str, Section]) -> None:
    known = values(NET)
    rows = tables(sections["forward"])["The first memo table: values"].rows
    assert [row[0] for row in rows] == ["O1_1", "O1_2", "O2_1", "O2_2", "ŷ"]
    for node, z, output, *_ in rows:
        place = "3_1" if node == "ŷ" else node[1:]
        assert float(z) == pytest.approx(known[f"z{place}"], rel=1e-5)
        assert float(output) == pytest.approx(known[node], rel=1e-5)


def test_the_second_memo_table_holds_the_adjoints(sections: dict[str, Section]) -> None:
    rows = tables(sections["memory"])["The second memo table: adjoints"].rows
    tree = backward(NET, memoize=False)
    found = backward(NET, ["ŷ", "O2_2", "O2_1", "O1_2", "O1_1"]).compute()
    assert [row[0] for row in rows] == [f"∂L/∂{name}" for name in found]
    for (_, value, _, anew), (name, adjoint) in zip(rows, found.items(), strict=True):
        assert float(value) == pytest.approx(adjoint, rel=1e-5)
        assert int(anew) == sum(name_of(key[0]) == name for key in tree.tasks)


def test_the_tables_are_switched_on_and_off(sections: dict[str, Section]) -> None:
    rows = tables(sections["memory"])["Both tables, switched on and off"].rows
    assert [tuple(row[:5]) for row in rows] == [
        ("kept", "kept", 27, 20, 47), ("kept", "anew", 27, 60, 87),
        ("anew", "kept", 351, 20, 371), ("anew", "anew", 1387, 60, 1447),
    ]  # fmt: skip
    assert len(gradient(NET, memoize=False)) == 1447


def test_an_adjoint_is_told_to_be_shared_if_it_is_in_the_graphs_of_several_weights(
    sections: dict[str, Section],
) -> None:
    graphs = {name: set(map(name_of, backward(NET, name).tasks)) for name in NET.parameters}
    expected = gradient(NET).compute()
    for name, parts in options(sections.values()).items():
        if name == ALL:
            continue
        rows = [part for part in flat(parts) if isinstance(part, Table)][1].rows
        assert {row[0] for row in rows} == {f"∂L/∂{each}" for each in graphs[name]}
        tree = backward(NET, name, memoize=False)
        assert sum(int(row[4]) for row in rows) == len(tree)
        assert float(rows[-1][3]) == pytest.approx(expected[name], rel=1e-5)
        for adjoint, there, users, _, _, number in rows:
            needing = [each for each in graphs if adjoint[4:] in graphs[each]]
            assert int(number) == len(needing)
            assert bool(users) == (len(needing) > 1)
            later = [each for each in needing if NET[each].layer > NET[name].layer]
            before = [each for each in needing
                      if NET[each].layer == NET[name].layer and needing.index(each)
                      < needing.index(name)]  # fmt: skip
            assert there.startswith("yes") == bool(later or before)


def test_a_step_is_a_product_of_what_both_tables_hold(sections: dict[str, Section]) -> None:
    adjoints = backward(NET, ["ŷ", "O2_2", "O2_1", "O1_2", "O1_1"]).compute()
    expected = gradient(NET).compute()
    local = local_values(NET)
    for name, parts in options(sections.values()).items():
        if name == ALL:
            continue
        steps = kind_of_steps(parts)
        total = 0.0
        for step, (consumer, variable) in zip(steps.steps, edges(NET, name), strict=True):
            numbers = [
                float(text) for text in re.findall(r"(?<= )-?[\d.]+e?-?\d*(?=[,: ])", step.note)
            ]
            factors = [local(consumer, variable)]
            if consumer != "L":
                factors.insert(0, adjoints[consumer])
            assert numbers[: len(factors)] == pytest.approx(factors, rel=1e-4)
            assert step.task == f"∂L/∂{variable}"
            total += prod(factors) if variable == name else 0
        assert total == pytest.approx(expected[name])


def kind_of_steps(parts: Iterable[Part]) -> Steps:
    return next(part for part in parts if isinstance(part, Steps))


@pytest.mark.slow
def test_of_many_edges_the_first_have_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.apps.mlp.lessons.EDGES", 2)
    steps = kind_of_steps(options(lesson(NET))["w1_11"])
    assert [step.task for step in steps.steps] == ["∂L/∂ŷ", "∂L/∂O2_2"]
    assert steps.label == "An edge at a time, the first 2 of 6"


def test_the_formulas_tell_their_work(sections: dict[str, Section]) -> None:
    for name, parts in options(sections.values()).items():
        if name == ALL:
            continue
        (long, _), (short, _) = kind(parts, Equations).lines
        layer = NET[name].layer
        number = counts.paths(NET.sizes, layer)
        for text, work in (
            (long, counts.expanded(NET.sizes, layer)),
            (short, counts.backpropagation(NET.sizes, layer)),
        ):
            assert f" {work.multiplications} multiplication" in text
            assert f"+ {work.additions} addition" in text
        assert long.startswith(f"Expanded: {number} product")


def test_the_work_of_all_weights_is_that_of_the_counters(sections: dict[str, Section]) -> None:
    parts = options(sections.values())[ALL]
    rows = kind(parts, Table).rows
    assert [side.data["work"][-1] for side in kind(parts, Scene).sides] == [51, 23]
    assert [tuple(row[1:]) for row in rows] == [(51, 6, 57), (45, 6, 51), (21, 2, 23)]


@pytest.mark.slow
def test_of_a_larger_network_the_first_of_each_layer_and_those_asked_for_are_offered() -> None:
    assert len(DEEP.parameters) > OFFERED
    found = options(lesson(DEEP, ["b2_3"]))
    assert list(found) == ["b2_3", "w1_11", "w2_11", "w3_11", "w4_11", "w5_11", ALL]
    chain = next(section for section in lesson(DEEP) if section.name == "chain")
    told = kind(chain.parts, Prose).paragraphs
    assert "Of the 90 weights and biases, 5 can be chosen here." in told


def test_a_network_that_is_too_large_to_be_drawn_is_told_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.apps.mlp.pictures.WIRES", 2)
    first = options(lesson(network((3, 1))))["w1_11"]
    assert kind(first, Prose).paragraphs == ["3-1 has 3 edges: a picture shows 2 at the most."]
    with pytest.raises(NetworkError, match="no weight"):
        lesson(NET, ["O1_1"])


@pytest.mark.slow
def test_long_tables_are_cut_and_tell_it() -> None:
    table = tables(lesson(network((2, 40, 1)))[0])["The first memo table: values"]
    assert len(table.rows) == 30
    assert table.note.endswith("The first 30 of 41 rows.")


def test_a_page_is_small_and_well_formed() -> None:
    page = Page("2-2-2-1", lesson(NET)).render()
    assert len(page.encode()) < 1_500_000
    assert page.count("<math ") == 2 * len(NET.parameters)
    assert page.count("data-scene ") == len(NET.parameters) + 1
    assert page.count("<mfrac") == page.count("</mfrac>")


SHAPES = [
    (2, 2, 2, 1), (1, 1), (2, 3, 1), (2, 1, 2), pytest.param((3, 2, 4, 2), marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_counts_are_those_of_the_graphs(shape: Any) -> None:
    net = network(shape)
    memoize: dict[str, Any] = {
        "True": True, "forward": forward, "False": False,
        "lambda call: not forward(call)": lambda call: not forward(call),
    }  # fmt: skip
    switched = facts(net).switched
    assert {each.memoize for each in switched} == memoize.keys()
    for each in switched:
        assert each.tasks == len(gradient(net, memoize=memoize[each.memoize]))
        assert each.adjoints == len(backward(net, memoize=each.keeps_adjoints))


@pytest.mark.parametrize(("shape", "tasks", "adjoints"), [
    ((2, 2, 2, 1), 1_387, 60),
    pytest.param((4, 4, 4, 4, 4, 2), 13_188_902, 5_740, marks=pytest.mark.slow),
])  # fmt: skip
def test_both_tables_together_save_more_than_either(shape: Any, tasks: int, adjoints: int) -> None:
    both, values, kept_adjoints, none = facts(network(shape)).switched
    assert both.tasks < values.tasks < kept_adjoints.tasks < none.tasks
    assert none == Switched(False, False, "False", tasks, adjoints)


def test_the_kept_adjoints_are_the_slopes_of_the_loss() -> None:
    net = network((2, 3, 2), "tanh", seed=4)
    found = facts(net)
    for name in net.parameters:
        step = 1e-6
        above, below = (values(_moved(net, name, each))["L"] for each in (step, -step))
        assert found.adjoints[name].value == pytest.approx((above - below) / (2 * step), abs=1e-8)


def _moved(net: Network, name: str, step: float) -> Network:
    moved = {**net.weights, name: net.weights[name] + step}
    return Network(net.sizes, net.activation, net.loss, moved, net.x, net.y)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_adjoint_is_needed_by_those_in_whose_graphs_it_is(shape: Any) -> None:
    net = network(shape)
    graphs = {name: set(map(name_of, backward(net, name).tasks)) for name in net.parameters}
    last_first = sorted(net.parameters, key=lambda name: -net[name].layer)
    for adjoint in facts(net).adjoints:
        users = [name for name in last_first if adjoint in graphs[name]]
        found = needing(net, adjoint)
        assert found.number == len(users)
        assert found.own == users[: len(found.own)]
        assert all(net[each].layer <= found.layers for each in users[len(found.own) :])


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_asked_for_and_evaluated_anew(shape: Any) -> None:
    net = network(shape)
    found = facts(net)
    shared, tree = gradient(net), gradient(net, memoize=False)
    memos = {"value": found.values, "adjoint": found.adjoints}
    for key in shared.tasks:
        memo = memos[str(key[0]).partition("-")[0]][name_of(key)]
        assert memo.reads == sum(list(shared.inputs(user)).count(key) for user in shared.tasks)
        assert memo.anew == sum(occurrence[0] == key for occurrence in tree.tasks)


def test_who_needs_it_in_words() -> None:
    net = network((2, 2, 2, 1))
    words = {name: str(needing(net, name)) for name in ("ŷ", "O1_1", "w1_11")}
    assert words == {
        "ŷ": "layers 1 to 2; w3_11, w3_21, b3_1", "O1_1": "w1_11, w1_21, b1_1", "w1_11": "w1_11"
    }  # fmt: skip
    assert str(needing(network((9, 9, 1)), "ŷ")) == "layer 1; w2_11, …, b2_1"
