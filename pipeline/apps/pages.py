"""Whole pages: Fibonacci, backpropagation, and the way from the one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline import Store, compute, page, report
from pipeline.apps import growth
from pipeline.apps.fibonacci import fib_call
from pipeline.apps.memory import gradient_memory
from pipeline.apps.mlp.chain import gradient
from pipeline.apps.mlp.lessons import lesson
from pipeline.apps.mlp.networks import Network
from pipeline.page import Page

_IDEA = (
    "Memoization stores the results of calls, and returns them when the same call occurs again. "
    "The tree evaluates every call, the DAG equal calls (one subproblem) once."
)

_WORDS = (
    "Naive Fibonacci needs memoization, and backpropagation is it: the chain rule, memoized. A "
    "call's key is its function and its arguments. The memo table has a row for each key. If a "
    "call's key is there, that is a hit: its value is read. If not, that is a miss: the call is "
    "evaluated, and its value kept. Every read of a value after the first is a hit."
)

_FIBONACCI = (
    "fib(n) = fib(n - 1) + fib(n - 2). The tree evaluates every call anew, and the same calls "
    "occur again and again: each has one colour. The work grows as 1.618ⁿ, to 331 million calls "
    "for fib(40). The DAG (a directed graph without cycles) evaluates each call once. Its "
    "consumers, the calls that need its value, read the memo table. Dask, a library that runs "
    "graphs, runs both. A task is one node of a graph: here, the evaluation of one call.",
    "The recursion goes top-down, from fib(n) to fib(0). A loop goes bottom-up: it fills the table "
    "from fib(0) on. The order in which the DAG runs is such an order: the two are one.",
)

_MEMORY = (
    "Memoization spends memory to save time. How much is a choice: a run keeps the values of some "
    "calls, and computes the others again for each consumer."
)

_BRIDGE = (
    "fib(n + 1) and fib(n + 2) both need fib(n). If each computes it anew, the work grows "
    "exponentially. In a network, an early weight reaches the loss along many paths, and the same "
    "happens. The chain rule is ∂L/∂v = Σ ∂L/∂c · ∂c/∂v, over the consumers c of v, which are "
    "computed from v. It is a recurrence, too: a derivative follows from others of its kind. "
    "Unfolded, it is a sum over all paths from v to the loss. Memoized, it computes each ∂L/∂c "
    "once, and that is backpropagation.",
    "For Fibonacci the base is 1.618, and the exponent n. For a network the base is the width of "
    "the layers, and the exponent their number.",
)


def fibonacci_page(
    n: int,
    rate: float,
    points: Sequence[growth.FibonacciGrowth] | None = None,
    *,
    store: Store | None = None,
) -> Page:
    """The page of fib(n): its evaluation, and how it grows.

    rate: naive calls a second, of `fibonacci.naive_rate`
    points: of `measure_fibonacci`, which runs now if they are missing
    """
    first, *others = report(fib_call(n), rate=rate, store=store).sections
    parts = [first.parts[0], page.Prose([_WORDS, *_FIBONACCI])]
    evaluation = page.Section("fibonacci", "Why naive Fibonacci is slow", parts)
    grown = growth.fibonacci_parts(points or growth.measure_fibonacci(), rate)
    section = page.Section("fibonacci-growth", "How Fibonacci grows", grown)
    return Page(f"fib({n})", [evaluation, *others, section], _IDEA)


def mlp_page(
    net: Network,
    weights: Iterable[str] | None = None,
    points: Sequence[growth.GradientGrowth] | None = None,
    *,
    store: Store | None = None,
) -> Page:
    """The page of a network's gradients: its paths, the chain rule, growth and memory.

    weights: the first ones to offer
    points: of `measure_gradients`, which runs now if they are missing
    store: to compute the gradients of all weights with
    """
    forward, chain, *others = lesson(net, weights)
    sections = [chain, forward, *others]  # the scene is on the first screen
    if store is not None:
        graph = gradient(net)
        before, explained = store.done, store.explain(graph)
        compute(graph, store=store)
        sections.append(page.store_section(store, before, explained, "backpropagation-store"))
    grown = growth.gradient_parts(points or growth.measure_gradients())
    sections += [
        page.Section("backpropagation-growth", "How a gradient grows", grown),
        page.Section("backpropagation-memory", "Memory against time", gradient_memory(), _MEMORY),
    ]
    return Page(f"Backpropagation in {net}", sections)


def tour(first: Page, second: Page, more: Iterable[page.Section] = ()) -> Page:
    """One page of Fibonacci's and of a network's, and of more sections."""
    bridge = page.Section("bridge", "The same in backpropagation", [page.Prose(_BRIDGE)])
    later = sorted(second.sections, key=lambda section: section.name != "forward")
    sections = [*first.sections, bridge, *later, *more]
    return Page("Why memoization works", sections, first.lead)
