"""The gallery: published values, other ways to compute them, and the order of the tables."""

from __future__ import annotations

from functools import partial
from itertools import combinations, pairwise, permutations, product
from math import comb
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import Recurrence, count, task, trace
from pipeline.apps.gallery import (
    GALLERY,
    Problem,
    bell,
    binomial,
    catalan,
    coins,
    edit_distance,
    female,
    grid_paths,
    knapsack,
    lcs,
    male,
    matrix_chain,
    partitions,
    run_in_order,
    tabulate,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from pipeline import Call

words = st.text("abc", max_size=5)
few = settings(max_examples=25)
each_problem = pytest.mark.parametrize("problem", GALLERY.values(), ids=GALLERY)


def value(call: Call) -> Any:
    return call.compute(scheduler="sync")


@pytest.mark.parametrize(
    ("function", "published"),
    [
        (catalan, [1, 1, 2, 5, 14, 42, 132, 429, 1430, 4862, 16796, 58786]),
        (partitions, [1, 1, 2, 3, 5, 7, 11, 15, 22, 30, 42, 56, 77, 101, 135, 176]),
        (bell, [1, 1, 2, 5, 15, 52, 203, 877, 4140, 21147, 115975, 678570]),
        (female, [1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8, 8, 9, 9, 10, 11, 11, 12, 13, 13]),
        (male, [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 12, 13]),
    ],
    ids=["A000108", "A000041", "A000110", "A005378", "A005379"],
)
def test_terms_of_the_oeis(function: Recurrence, published: list[int]) -> None:
    assert trace([function(n) for n in range(len(published))]).compute() == published


@pytest.mark.parametrize(
    ("call", "published"),
    [
        (partitions(100), 190_569_292),  # P. A. MacMahon
        (catalan(30), 3_814_986_502_092_304),
        (bell(20), 51_724_158_235_372),
        (edit_distance("kitten", "sitting"), 3),
        (lcs("ABCBDAB", "BDCABA"), 4),  # CLRS, figure 15.8
        (knapsack(5, ((2, 12), (1, 10), (3, 20), (2, 15))), 37),  # Levitin, 8.2
        (knapsack(10, ((5, 10), (4, 40), (6, 30), (3, 50))), 90),
        (matrix_chain((30, 35, 15, 5, 10, 20)), 11_875),  # CLRS, figure 15.5
        (matrix_chain((30, 35, 15, 5, 10, 20, 25)), 15_125),
        (coins(100, (1, 5, 10, 25, 50)), 292),  # SICP, 1.2.2
        (coins(200, (1, 2, 5, 10, 20, 50, 100, 200)), 73_682),  # Project Euler 31
    ],
    ids=str,
)
def test_published_values(call: Call, published: int) -> None:
    assert value(call) == published


def test_binomials_are_those_of_the_library() -> None:
    asked = list(product(range(12), repeat=2))
    assert trace([binomial(n, k) for n, k in asked]).compute() == [comb(*each) for each in asked]
    assert value(binomial(200, 100)) == comb(200, 100)


def test_catalan_numbers_have_a_closed_form() -> None:
    assert value(catalan(100)) == comb(200, 100) // 101


def test_partitions_are_what_a_search_finds() -> None:
    def search(n: int, least: int) -> int:
        return sum(search(n - part, part) for part in range(least, n + 1)) if n else 1

    for n, least in product(range(12), range(1, 5)):
        assert value(partitions(n, least)) == search(n, least)


def test_bell_numbers_are_those_of_the_bell_triangle() -> None:
    row = [1]
    for n in range(40):
        assert value(bell(n)) == row[0]
        following = [row[-1]]
        for each in row:
            following.append(following[-1] + each)
        row = following


def test_paths_are_orders_of_steps() -> None:
    for down, right in product(range(5), repeat=2):
        orders = set(permutations("d" * down + "r" * right)) if down + right < 7 else None
        expected = comb(down + right, down) if orders is None else len(orders)
        assert value(grid_paths(down, right)) == expected


@few
@given(words, words)
def test_edit_distance_is_the_shortest_way_from_text_to_text(one: str, other: str) -> None:
    """Breadth first over all texts that one edit makes: no table, no recursion."""
    steps, seen = 0, {one}
    while other not in seen:
        steps += 1
        seen |= {
            text[:at] + letter + text[at + skipped :]
            for text in seen
            for at in range(len(text) + 1)
            for letter in ("", *set(other))
            for skipped in (0, 1)
        }
    assert value(edit_distance(one, other)) == steps


@few
@given(words, words)
def test_the_longest_common_subsequence_is_among_all_subsequences(one: str, other: str) -> None:
    found = [
        {chosen for size in range(len(text) + 1) for chosen in combinations(text, size)}
        for text in (one, other)
    ]
    assert value(lcs(one, other)) == max(map(len, found[0] & found[1]))


@few
@given(
    st.integers(0, 15),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 10**20)), max_size=6).map(tuple),
)
def test_a_knapsack_holds_the_best_of_all_subsets(
    capacity: int, items: tuple[tuple[int, int], ...]
) -> None:
    """Values beyond 64 bits stay exact."""
    subsets = [each for size in range(len(items) + 1) for each in combinations(items, size)]
    fit = [each for each in subsets if sum(weight for weight, _ in each) <= capacity]
    found = value(knapsack(capacity, items))
    assert found == max(sum(worth for _, worth in each) for each in fit)
    assert type(found) is int


@few
@given(st.lists(st.integers(1, 40), min_size=2, max_size=7).map(tuple))
def test_a_matrix_chain_is_the_best_of_all_orders_of_products(sizes: tuple[int, ...]) -> None:
    """An order of products takes away the inner sizes, one after the other."""

    def cost(order: tuple[int, ...]) -> int:
        left, total = list(range(len(sizes))), 0
        for each in order:
            at = left.index(each)
            total += sizes[left[at - 1]] * sizes[each] * sizes[left[at + 1]]
            left.remove(each)
        return total

    assert value(matrix_chain(sizes)) == min(map(cost, permutations(range(1, len(sizes) - 1))))


@few
@given(st.integers(0, 60), st.sets(st.integers(1, 20), max_size=4).map(lambda each: (*each,)))
def test_coins_are_counted_as_by_a_bottom_up_loop(amount: int, kinds: tuple[int, ...]) -> None:
    ways = [1] + [0] * amount
    for kind in kinds:
        for at in range(kind, amount + 1):
            ways[at] += ways[at - kind]
    assert value(coins(amount, kinds)) == ways[amount]


def test_the_married_sequences_are_those_of_two_lists() -> None:
    f, m = [1], [0]
    for n in range(1, 80):
        m.append(n - f[m[n - 1]])
        f.append(n - [*m, *m[-1:]][f[n - 1]])
    assert value(female(79)) == f[79]
    assert value(male(79)) == m[79]


def test_the_married_sequences_share_one_dag() -> None:
    """F(n) needs F and M up to n, M(n) needs no F(n): together they are no larger than F."""
    both = trace([female(12), male(12)])
    assert len(both) == count(female(12)).dag == 26
    assert both.compute() == [8, 7]


@each_problem
def test_tree_and_dag_give_equal_values(problem: Problem) -> None:
    call = problem.call()
    counts = count(call)
    tree = call.graph(memoize=False)
    assert len(tree) == counts.tree
    assert tree.compute(scheduler="sync") == value(call)
    assert counts.dag < counts.tree <= 100, "both fit into one picture"


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_examples_run_on_other_schedulers(scheduler: str, pool: Any) -> None:
    calls = [problem.call() for problem in GALLERY.values()]
    options = {"pool": pool} if scheduler == "processes" else {}
    found = trace(calls).compute(scheduler=scheduler, **options)
    assert found == [20, 14, 42, 20, 2, 3, 37, 11_875, 4, 2, 2, 203]


@each_problem
def test_each_task_is_one_entry_of_the_table(problem: Problem) -> None:
    """Least and greatest belong to the task of the call in whose body they stand."""
    heads = {key[0].rsplit("-", 1)[0] for key in problem.call().graph().tasks}
    married = {"female", "male"}
    name = problem.function.__name__
    assert heads == (married if name in married else {name})


def test_the_entries_of_an_edit_distance_are_a_whole_table() -> None:
    assert count(edit_distance("kitten", "sitting")).dag == 7 * 8


@each_problem
def test_the_run_order_fills_a_table(problem: Problem) -> None:
    graph = problem.call().graph()
    found, order = run_in_order(graph)
    assert len(order) == len(set(order)) == len(graph)
    assert set(order) == set(graph.tasks)
    table = tabulate(graph, order)
    assert list(table) == order
    assert table[problem.call().key] == found == value(problem.call())


@each_problem
def test_a_loop_without_any_graph_fills_the_same_table(problem: Problem) -> None:
    """The textbook's body, with a dict in place of the calls, never meets a missing entry."""
    call = problem.call()
    found = {call.key: call}
    waiting = [call]

    def note(made: Call) -> int:
        if made.key not in found:
            found[made.key] = made
            waiting.append(made)
        return 0

    while waiting:
        run_body(waiting.pop(), note)
    graph = call.graph()
    table = tabulate(graph, run_in_order(graph)[1])
    filled: dict[Any, Any] = {}
    for key in table:
        filled[key] = run_body(found[key], lambda made: filled[made.key])
    assert filled == table


def run_body(call: Call, look_up: Callable[[Call], int]) -> Any:
    """What the body of a call returns when each call in it has a value."""
    body: Any = call.function.body
    functions = {
        problem.function.__name__: partial(lambda function, *args: look_up(function(*args)),
                                           problem.function)
        for problem in GALLERY.values()
    }  # fmt: skip
    plain = {"_least": lambda *each: min(each), "_greatest": lambda *each: max(each)}
    return FunctionType(body.__code__, {**body.__globals__, **functions, **plain})(*call.args)


def test_in_another_order_an_entry_is_missing() -> None:
    graph = binomial(6, 3).graph()
    _, order = run_in_order(graph)
    with pytest.raises(KeyError):
        tabulate(graph, reversed(order))


@few
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(GALLERY)))
def test_every_order_of_the_dag_is_an_order_of_the_table(random: Random, name: str) -> None:
    """Any task that is ready may be next: there are many tables' orders, and one result."""
    graph = GALLERY[name].call().graph()
    order: list[Any] = []
    while len(order) < len(graph):
        ready = [
            key for key in graph.tasks
            if key not in order and all(each in order for each in graph.inputs(key))
        ]  # fmt: skip
        order.append(random.choice(ready))
    assert tabulate(graph, order)[graph.keys[0]] == value(GALLERY[name].call())


@each_problem
def test_what_is_told_of_a_problem(problem: Problem) -> None:
    assert GALLERY[problem.name] is problem
    assert problem.question.endswith("?")
    assert problem.source
    assert not problem.table.endswith(".")


def test_equal_chains_are_one_subproblem_wherever_they_stand() -> None:
    """Ten square matrices of one size have one chain of each length."""
    assert count(matrix_chain((7,) * 11)).dag == 10
    assert count(matrix_chain(tuple(range(1, 12)))).dag == 55


def test_counts_of_large_trees_are_exact() -> None:
    """3ⁿ calls of the Catalan recursion, 2ⁿ of Bell's, 2 C(n, k) − 1 of Pascal's."""
    assert count(catalan(100)).tree == 3**100
    assert count(bell(100)).tree == 2**100
    assert count(binomial(100, 50)).tree == 2 * comb(100, 50) - 1


def test_a_call_of_the_gallery_goes_into_a_task() -> None:
    assert value(task(sum)([bell(3), catalan(3)])) == 10


def test_neighbours_in_the_married_sequences_differ_by_one_at_most() -> None:
    for function in (female, male):
        found = trace([function(n) for n in range(60)]).compute()
        assert {after - before for before, after in pairwise(found)} <= {0, 1}
