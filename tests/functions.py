"""Recurrences and tasks that several tests use; importable, so that workers find them."""

from __future__ import annotations

from typing import Any

from pipeline import recurrence, task


@recurrence
def fib(n: int) -> Any:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@recurrence
def binomial(n: int, k: int = 2) -> Any:
    return 1 if k in (0, n) else binomial(n - 1, k - 1) + binomial(n - 1, k=k)


@recurrence
def edit_distance(a: str, b: str) -> Any:
    if not a or not b:
        return len(a) + len(b)
    return task(min)(
        edit_distance(a[1:], b) + 1,
        edit_distance(a, b[1:]) + 1,
        edit_distance(a[1:], b[1:]) + (a[0] != b[0]),
    )


@recurrence
def catalan(n: int) -> Any:
    return 1 if n == 0 else sum(catalan(i) * catalan(n - 1 - i) for i in range(n))


@recurrence
def female(n: int) -> Any:
    return 1 if n == 0 else n - 1 + female(n - 1) - female(n - 1) + male_of(n - 1)


@recurrence
def male_of(n: int) -> Any:
    return 0 if n == 0 else n - female(n - 1)


@task
def square(x: Any) -> Any:
    return x * x


@task
def fail(x: Any) -> Any:
    raise ZeroDivisionError(f"no {x}")


@recurrence
def failing(n: int) -> Any:
    return fail(n) if n == 0 else failing(n - 1) + 1


@task
def scaled(x: float, rate: float = 2.0, *, offset: float = 0.0) -> float:
    return x * rate + offset


@recurrence
def chain(n: int) -> Any:
    return scaled(1.0) if n == 0 else scaled(chain(n - 1), 3.0, offset=1.0) + n
