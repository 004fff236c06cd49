"""Whole pages: Fibonacci, backpropagation, and the way from the one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import Page, compute, report
from pipeline.apps.costs import fibonacci_growth, mlp_growth
from pipeline.apps.fibonacci import fibonacci
from pipeline.apps.fibonacci import growth as measured_fibonacci
from pipeline.apps.mlp.chain import gradient
from pipeline.apps.mlp.growth import growth as measured_mlp
from pipeline.apps.mlp.lesson import lesson
from pipeline.apps.space import fibonacci_space, mlp_space
from pipeline.page import Prose, Section, store_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline import Store
    from pipeline.apps import fibonacci as fibonacci_module
    from pipeline.apps.mlp import growth as growth_module
    from pipeline.apps.mlp.network import Network
    from pipeline.page import Part

_IDEA = (
    "Memoization stores the results of calls and returns them when the same call occurs again. "
    "Naive Fibonacci needs it, and backpropagation is it: the chain rule, memoized."
)

_FIBONACCI = (
    "fib(n) = fib(n - 1) + fib(n - 2). On the left every call is evaluated anew, and the same "
    "calls occur again and again: one colour is one of them. The work grows as 1.618ⁿ, to 331 "
    "million calls for fib(40). On the right, in the DAG (a directed graph without cycles), each "
    "is evaluated once, and the memo table has it for whoever asks again.",
    "Recursion, or a loop that fills a table? The order in which the DAG runs is the order of such "
    "a table, from the bottom up: the two are one.",
)


def fibonacci_page(
    n: int,
    rate: float,
    points: Sequence[fibonacci_module.Growth] | None = None,
    *,
    store: Store | None = None,
    quiz: bool = False,
) -> Page:
    """The page of fib(n): its evaluation, how it grows, and what its memory takes.

    rate: naive calls a second, of `fibonacci.naive_rate`
    points: of `fibonacci.growth`; without them, it is measured now
    """
    page = report(fibonacci(n), rate=rate, store=store, quiz=quiz)
    first, *others = page.sections
    first = Section("fibonacci", "Why naive Fibonacci is slow", [Prose(_FIBONACCI), *first.parts])
    points = points or measured_fibonacci()
    grown = _costs("fibonacci-growth", "How Fibonacci grows", fibonacci_growth(points, rate))
    space = _costs("fibonacci-space", "Fibonacci: space and time", fibonacci_space())
    return Page(f"fib({n})", [first, *others, grown, space], _IDEA, quiz)


def mlp_page(
    net: Network,
    weights: Iterable[str] | None = None,
    points: Sequence[growth_module.Growth] | None = None,
    *,
    store: Store | None = None,
    quiz: bool = False,
) -> Page:
    """The page of a network's gradients: its paths, the chain rule, growth and memory.

    weights: that are offered first
    points: of `mlp.growth.growth`; without them, it is measured now
    store: through which the gradients of all weights are computed
    """
    sections = lesson(net, weights, quiz)
    if store is not None:
        asked = gradient(net)
        before = store.done
        explained = store.explain(asked)
        compute(asked, store=store)
        sections.append(store_section(store, before, explained, "backpropagation-store"))
    points = points or measured_mlp()
    grown = _costs("backpropagation-growth", "How a gradient grows", mlp_growth(points))
    space = _costs("backpropagation-space", "A gradient: space and time", mlp_space())
    return Page(f"Backpropagation in {net}", [*sections, grown, space], _IDEA, quiz)


def _costs(name: str, title: str, parts: Sequence[Part]) -> Section:
    return Section(name, title, parts, _TRADE if name.endswith("space") else "", is_secret=True)


_TRADE = (
    "Memoization spends memory to save time. A predicate on calls chooses how much: those for "
    "which it is true are kept, the others computed again for each consumer."
)


_BRIDGE = (
    "fib(n) is needed by fib(n + 1) and by fib(n + 2); computed for each of them anew, the work "
    "grows exponentially. In a network, an early weight reaches the loss along many paths, and the "
    "same happens: the chain rule, ∂L/∂v = Σ ∂L/∂c · ∂c/∂v over the consumers c of v, is a "
    "recurrence, too. Unfolded, it is a sum over all paths from v to the loss. Memoized, each "
    "∂L/∂c is computed once, and that is backpropagation.",
    "There the base is 1.618, and the exponent n; here the base is the width of the layers, and "
    "the exponent their number.",
)


def tour(first: Page, second: Page, more: Iterable[Section] = ()) -> Page:
    """One page of Fibonacci's and of a network's, and of more sections."""
    bridge = Section("bridge", "From Fibonacci to backpropagation", [Prose(_BRIDGE)])
    sections = [*first.sections, bridge, *second.sections, *more]
    return Page("Why memoization works", sections, _IDEA, first.quiz or second.quiz)
