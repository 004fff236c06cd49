"""The memo table as a grid: its cells, the bottom-up order, and the path of the result."""

from __future__ import annotations

from functools import cache, reduce
from itertools import pairwise
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import maximum, minimum, recurrence, task, trace
from pipeline.apps.gallery import GALLERY
from pipeline.apps.mlp import gradient, network
from pipeline.draw import PLAIN, compare
from pipeline.graph import arguments
from pipeline.page import Page, Section, scene
from pipeline.page.tables import EMPTY, MAX_CELLS, Cell, Grid, bottom_up, grid
from pipeline.schedule import observed
from tests.functions import binomial, chain, edit_distance, fib


def table_of(collection: Any) -> Grid:
    found = grid(compare(collection, PLAIN, 100))
    assert found is not None
    return found


def at(table: Grid, cell: Cell) -> tuple[str, str]:
    return table.rows[cell.row], table.columns[cell.column]


@recurrence
def halves(n: int) -> Any:
    return n if n < 2 else halves(n - 1 - n // 2) + halves(n // 2)


@recurrence
def boxes(a: int, b: int, c: int) -> Any:
    return 1 if a * b * c == 0 else boxes(a - 1, b, c) + boxes(a, b - 1, c) + boxes(a, b, c - 1)


@recurrence
def scaled(x: float) -> Any:
    return x if x < 1 else scaled(x / 2) + scaled(x / 3)


@recurrence
def coded(name: str) -> Any:
    return 1 if name == "z" else coded({"start": "mid", "mid": "z"}[name]) + coded("z")


@recurrence
def fewest(n: int, steps: tuple[int, ...] = (1, 3, 4)) -> Any:
    """The fewest steps whose sum is n."""
    if n == 0:
        return 0
    return reduce(minimum, [fewest(n - step, steps=steps) + 1 for step in steps if step <= n])


@recurrence
def named(n: int, *, k: int) -> Any:
    return 1 if k in (0, n) else named(n - 1, k=k - 1) + named(n - 1, k=k)


@recurrence
def jumps(n: int, state: int) -> Any:
    """Two arguments, one of which goes up while the other goes down, and back."""
    if n == 0:
        return state
    return jumps(n - 1, 1 - state) + jumps(n - 1, state)


def words(letters: str = "ab") -> st.SearchStrategy[str]:
    return st.text(letters, min_size=1, max_size=5)


GRIDS: dict[str, Any] = {
    **{name: problem.call for name, problem in GALLERY.items()},
    "fib": lambda: fib(9),
    "two outputs": lambda: trace([fib(5), fib(6)]),
    "an expression": lambda: fib(6) + 1,
    "with a task": lambda: edit_distance("ab", "cab"),
    "a least value": lambda: fewest(9),
    "a keyword": lambda: named(5, k=2),
    "halves": lambda: halves(60),
    "jumps": lambda: jumps(4, 1),
}


@pytest.mark.parametrize("name", GRIDS)
def test_each_cell_takes_what_its_call_takes(name: str) -> None:
    call = GRIDS[name]()
    table, graph = table_of(call), compare(call, PLAIN, 100).graph
    keys = {cell.key for cell in table.cells}

    def sources(key: Any) -> set[Any]:
        """The nearest cells that a task depends on."""
        return {
            near
            for source in graph.inputs(key)
            for near in ([source] if source in keys else sources(source))
        }

    for cell in table.cells:
        assert {table.cells[number].key for number in cell.sources} == sources(cell.key)
        assert len(set(cell.sources)) == len(cell.sources)
    assert len({(cell.row, cell.column) for cell in table.cells}) == len(keys)


@pytest.mark.parametrize("name", GRIDS)
def test_bottom_up_each_cell_comes_after_its_sources(name: str) -> None:
    table = table_of(GRIDS[name]())
    assert sorted(table.order.numbers) == [*range(len(table.cells))]
    turn = {number: place for place, number in enumerate(table.order.numbers)}
    for number, cell in enumerate(table.cells):
        assert all(turn[source] < turn[number] for source in cell.sources)


@pytest.mark.parametrize(
    ("name", "loop"),
    [
        ("fib", "left to right"),
        ("binomial", "row by row, left to right"),
        ("partitions", "row by row, right to left"),
        ("matrix-chain", "row by row from the last one, left to right"),
        ("with a task", "row by row from the last one, right to left"),
        ("hofstadter-female", "column by column, bottom to top"),
    ],
)
def test_the_order_is_that_of_two_loops_where_they_do(name: str, loop: str) -> None:
    table = table_of(GRIDS[name]())
    assert table.order.words == loop
    by_columns, is_last_first = loop.startswith("column"), "from the last" in loop
    is_backward = loop.endswith(("right to left", "bottom to top"))

    def turn(cell: Cell) -> tuple[int, int]:
        outer, inner = (cell.column, cell.row) if by_columns else (cell.row, cell.column)
        return (-outer if is_last_first else outer), (-inner if is_backward else inner)

    shown = [table.cells[number] for number in table.order.numbers]
    assert shown == sorted(shown, key=turn)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12, unique=True),
    st.data(),
)
def test_cells_of_any_dependencies_have_an_order(places: list[tuple[int, int]], data: Any) -> None:
    # A cell takes cells that come before it in some order: there is no cycle.
    cells = [
        Cell(str(place), *place, data.draw(st.lists(st.integers(0, number - 1), unique=True)))
        if number
        else Cell(str(place), *place)
        for number, place in enumerate(places)
    ]
    numbers = bottom_up(cells).numbers
    turn = {number: place for place, number in enumerate(numbers)}
    assert sorted(turn) == [*range(len(cells))]
    for number, cell in enumerate(cells):
        assert all(turn[source] < turn[number] for source in cell.sources)


@pytest.mark.parametrize(
    "call", [binomial(6, 3), GALLERY["grid-paths"].call(), named(5, k=2)], ids=str
)
def test_integers_are_the_labels_of_rows_and_columns(call: Any) -> None:
    table = table_of(call)
    for cell in table.cells:
        assert list(at(table, cell)) == [text.removeprefix("k=") for text in arguments(cell.key)]


def test_prefixes_and_suffixes_have_the_letter_at_their_end() -> None:
    prefixes = table_of(GALLERY["edit-distance"].call("kitten", "sitting"))
    assert (prefixes.rows, prefixes.columns) == ([EMPTY, *"kitten"], [EMPTY, *"sitting"])
    assert prefixes.names == ("one", "other")
    for cell in prefixes.cells:
        lengths = (len(text) - 2 for text in cell.key[1:])
        assert (cell.row, cell.column) == tuple(lengths)
    suffixes = table_of(edit_distance("kitten", "sitting"))
    assert (suffixes.rows, suffixes.columns) == ([*"kitten", EMPTY], [*"sitting", EMPTY])
    for cell in suffixes.cells:
        texts = "kitten"[cell.row :], "sitting"[cell.column :]
        assert tuple(cell.key[1:]) == tuple(map(repr, texts))


def test_a_slice_has_a_row_for_its_start_and_a_column_for_its_stop() -> None:
    table = table_of(GALLERY["matrix-chain"].call())
    sizes = GALLERY["matrix-chain"].example[0]
    for cell in table.cells:
        start, stop = map(int, at(table, cell))
        assert cell.key[1] == sizes[start:stop]
    # A slice that stops before it starts is no cell that a loop would fill.
    assert (table.size, len(table.cells), len(table.outside)) == (15, 15, 10)


def test_items_go_down_and_numbers_across() -> None:
    table = table_of(GALLERY["knapsack"].call())
    assert table.names == ("items", "capacity")
    assert table.rows == [EMPTY, "(2, 12)", "(1, 10)", "(3, 20)", "(2, 15)"]
    assert table.columns == [*"012345"]


def test_each_function_of_a_mutual_recursion_has_a_row() -> None:
    table = table_of(GALLERY["hofstadter-female"].call())
    assert table.rows == ["female", "male"]
    for cell in table.cells:
        assert at(table, cell) == (cell.key[0].rpartition("-")[0], str(cell.key[1]))


def test_an_argument_that_is_the_same_in_all_calls_does_not_count() -> None:
    table = table_of(fewest(9))
    assert (table.names, table.rows) == (("", "n"), ["fewest"])
    assert table.columns == [*"0123456789"]


def test_cells_that_the_result_does_not_need_are_empty() -> None:
    table = table_of(GALLERY["knapsack"].call())
    shown = [number for _, numbers in table.lines for number in numbers]
    assert [number for number in shown if number is not None] == [*range(19)]
    assert (table.size, shown.count(None)) == (30, 11)
    assert table.notes(is_one=False)["run"].endswith("The result needs 19 of 30 cells.")
    assert table.notes(is_one=False)["loop"].endswith("also fills the 11 hatched cells.")
    assert "hatched" not in table_of(fib(6)).notes(is_one=True)["loop"]


@pytest.mark.parametrize(
    "call",
    [
        lambda: boxes(2, 2, 2),
        lambda: scaled(7.0),
        lambda: coded("start"),
        lambda: chain(0),
        lambda: fib(0) + task(abs)(-3),
        lambda: gradient(network((2, 2, 2, 1))),
        lambda: da.ones((4, 4), chunks=2).sum(),
    ],
    ids=["three arguments", "floats", "words", "one call", "a task", "a network", "an array"],
)
def test_other_arguments_have_no_grid(call: Any) -> None:
    found = grid(compare(call(), PLAIN, 100))
    assert found is None


def test_a_table_over_the_limit_is_a_sentence() -> None:
    assert MAX_CELLS == 900
    assert len(table_of(fib(899)).cells) == 900
    large = table_of(fib(900))
    assert (large.cells, large.rows, large.columns) == ((), (), ())
    assert large.size > large.most == 900
    html = Page("large", [Section("one", "One", [scene(fib(1500))])]).render()
    assert "has over 900 cells: too many to show." in html
    assert "data-cell>" not in html


def test_rows_and_columns_without_a_call_are_left_out_of_a_large_table() -> None:
    table = table_of(halves(100_000))
    assert table.is_sparse
    assert {int(column) for column in table.columns} == {cell.key[1] for cell in table.cells}
    assert table.notes(is_one=False)["run"].endswith(
        "Rows and columns without a call are left out."
    )
    assert not table_of(halves(60)).is_sparse


def values_of(table: Grid, call: Any) -> list[Any]:
    graph = trace(call)
    values: dict[Any, Any] = {}
    for key, node in graph.tasks.items():
        values[key] = node(values)
    return [values[cell.key] for cell in table.cells]


def steps_of(table: Grid) -> list[int]:
    """The cells of a path without branches, from the result on."""
    assert all(source in table.cells[cell].sources for cell, source in table.path)
    for (_, source), (cell, _) in pairwise(table.path):
        assert source == cell
    return [table.path[0][0], *(source for _, source in table.path)] if table.path else []


@settings(deadline=None, max_examples=40)
@given(words(), words("abc"), st.sampled_from([GALLERY["edit-distance"].call, edit_distance]))
def test_the_path_of_an_edit_distance_costs_what_the_distance_is(
    one: str, other: str, function: Any
) -> None:
    call = function(one, other)
    table = table_of(call)
    values = values_of(table, call)
    steps = steps_of(table)

    def rest(cell: Cell) -> tuple[str, str]:
        first, second = (text[1:-1] for text in cell.key[1:])
        return first, second

    assert rest(table.cells[steps[0]]) == (one, other)
    for number, source in pairwise(steps):
        (first, second), (fewer, less) = rest(table.cells[number]), rest(table.cells[source])
        gone, put = len(first) - len(fewer), len(second) - len(less)
        assert (gone, put) in {(1, 0), (0, 1), (1, 1)}
        end = -1 if function is not edit_distance else 0
        cost = int(first[end] != second[end]) if gone and put else 1
        assert values[number] == values[source] + cost
    assert "" in rest(table.cells[steps[-1]])


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=4, unique=True),
)
def test_the_path_of_a_knapsack_has_the_items_of_the_result(
    capacity: int, items: list[tuple[int, int]]
) -> None:
    call = GALLERY["knapsack"].call(capacity, tuple(items))
    found = grid(compare(call, PLAIN, 100))
    assert found is not None
    values = values_of(found, call)
    weight = value = 0
    for cell, source in found.path:
        (_, room, chosen), (_, left, _) = found.cells[cell].key, found.cells[source].key
        heavy, worth = chosen[-1]
        is_in = room != left
        assert room - left == heavy * is_in
        assert values[cell] == values[source] + worth * is_in
        weight, value = weight + heavy * is_in, value + worth * is_in
    if found.path:
        assert weight <= capacity
        assert value == call.compute()


@settings(deadline=None, max_examples=30)
@given(words(), words())
def test_the_path_of_a_common_subsequence_meets_each_of_its_letters(one: str, other: str) -> None:
    call = GALLERY["lcs"].call(one, other)
    table = table_of(call)
    values = values_of(table, call)
    gains = [values[cell] - values[source] for cell, source in table.path]
    for (cell, source), gain in zip(table.path, gains, strict=True):
        first, second = (text[1:-1] for text in table.cells[cell].key[1:])
        assert gain == (first[-1] == second[-1])
        assert source in table.cells[cell].sources
    # Where no letters are compared twice, the recurrence chooses nothing.
    assert sum(gains) == (call.compute() if table.path else 0)


def test_a_choice_may_have_two_sources() -> None:
    call = GALLERY["matrix-chain"].call()
    table = table_of(call)
    values = values_of(table, call)
    sources: dict[int, list[int]] = {}
    for cell, source in table.path:
        sources.setdefault(cell, []).append(source)
    assert len(sources) == 4  # products of five matrices
    for cell, pair in sources.items():
        first, second = (table.cells[source].key[1] for source in pair)
        product = first[0] * second[0] * second[-1]
        assert values[cell] == values[pair[0]] + values[pair[1]] + product


def test_the_path_of_the_fewest_steps_is_as_long_as_the_result() -> None:
    @cache
    def plain(n: int) -> int:
        return 0 if n == 0 else 1 + min(plain(n - step) for step in (1, 3, 4) if step <= n)

    for n in (6, 9, 13):
        steps = steps_of(table_of(fewest(n)))
        assert len(steps) - 1 == plain(n) == fewest(n).compute()


def test_a_source_that_a_choice_leaves_out_explains_nothing() -> None:
    # The least value falls as the first source grows: that source does not explain it.
    @recurrence
    def lowest(n: int) -> Any:
        return n if n < 2 else minimum(100 - lowest(n - 1), lowest(n - 2) + 1)

    steps = steps_of(table_of(lowest(7)))
    assert steps == [7, 5, 3, 1]

    @recurrence
    def game(n: int, turn: int) -> Any:
        if n < 2:
            return n + turn
        one, other = game(n - 1, 1 - turn), game(n - 2, 1 - turn) * 2
        return (maximum if turn else minimum)(one, other)

    call = game(9, 1)
    table = table_of(call)
    values = values_of(table, call)
    assert len(table.path) >= 4
    for cell, source in pairwise(steps_of(table)):
        is_next = table.cells[cell].key[1] - table.cells[source].key[1] == 1
        assert values[cell] == values[source] * (1 if is_next else 2)


def test_where_nothing_is_chosen_there_is_no_path() -> None:
    for name in ("fib", "binomial", "catalan", "hofstadter-female", "coins", "two outputs"):
        assert table_of(GRIDS[name]()).path == []


def test_a_task_does_not_run_for_a_path() -> None:
    ran = []

    def cost(n: int) -> int:
        ran.append(n)
        return n

    @recurrence
    def dearest(n: int) -> Any:
        return task(cost)(n) if n < 2 else maximum(dearest(n - 1), dearest(n - 2)) + 1

    assert table_of(dearest(5)).path == []
    assert ran == []


def test_a_float_may_be_the_least() -> None:
    @recurrence
    def cheapest(n: int) -> Any:
        return 0.5 if n < 2 else minimum(cheapest(n - 1) * 1.5, cheapest(n - 2) + np.float64(0.1))

    table = table_of(cheapest(6))
    assert steps_of(table)[0] == 6


def test_ranks_are_those_of_the_run_and_of_the_loop() -> None:
    shown = scene(binomial(6, 3))
    assert shown.table is not None
    cells = shown.data["table"]["cells"]
    ran = [*observed(binomial(6, 3).graph()).seconds]
    for number, cell in enumerate(cells):
        key = shown.table.cells[number].key
        assert cell["run"] == [ran.index(key), ran.index(key)]
        assert cell["loop"][0] == shown.table.order.numbers.index(number)
        assert cell["value"] == str(binomial(*key[1:]).compute())
        box = shown.sides[-1].data["boxes"][cell["box"]]
        assert shown.data["subproblems"][box["of"]]["key"] == repr(key)


def test_cells_whose_boxes_are_folded_away_have_values() -> None:
    shown = scene(GALLERY["edit-distance"].call("intentions", "executions"))
    cells = shown.data["table"]["cells"]
    assert len(cells) == 121
    assert any(cell["box"] is None for cell in cells)
    assert all(cell["value"] is not None and cell["run"] is not None for cell in cells)
    assert cells[-1]["value"] == "5"
