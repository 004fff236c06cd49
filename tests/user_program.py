"""A user's program: typed, and with no library that the package does not need itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import numpy as np

from pipeline import Call, Store, compute, count, memoize, recurrence, share_report, task
from pipeline.cache import Explanation

if TYPE_CHECKING:
    from collections.abc import Callable


@recurrence
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@task
def squares(length: int) -> np.ndarray[Any, Any]:
    return np.arange(length) ** 2


STORE = Store("cache")


@STORE.memoize
def doubled(number: int) -> int:
    return 2 * number


@STORE.memoize(ignore=["retries"])
async def fetch(name: str, *, retries: int = 3) -> bytes:
    return name.encode()


class Sensor:
    def __init__(self, offset: float) -> None:
        self.offset = offset

    @memoize(store=STORE, version="1")
    def at(self, hour: int) -> float:
        return self.offset + hour


async def check_types(sensor: Sensor) -> None:
    """What a type checker knows of memoized functions. Each mistake is an error. Never called."""
    assert_type(doubled(3), int)
    assert_type(doubled.call(number=3), int)
    assert_type(doubled.is_stored(3), bool)
    assert_type(doubled.forget(3), bool)
    assert_type(doubled.explain(3), Explanation)
    assert_type(await fetch("a", retries=1), bytes)
    assert_type(sensor.at(3), float)
    assert_type(Sensor.at.is_stored(sensor, 3), bool)
    doubled("3")  # type: ignore[arg-type]
    doubled.is_stored("3")  # type: ignore[arg-type]
    doubled.explain(3, 4)  # type: ignore[call-arg]
    fetch.forget("a", tries=1)  # type: ignore[call-arg]
    sensor.at("noon")  # type: ignore[arg-type]


def print_what_is_missing() -> None:
    """Each use of a library that the package does not need itself is an error that names it."""
    graph = fib(5).graph()
    uses: list[Callable[[], object]] = [
        lambda: graph.compile(backend="jax"),
        lambda: graph.compile(backend="torch"),
        lambda: Store("s3://bucket/cache").digests(),
    ]
    for use in uses:
        try:
            use()
        except ImportError as error:
            print(error)


def main() -> None:
    call: Call = fib(10)
    tasks: int = count(call).tree
    number, array = compute(call, squares(3), store=STORE)
    print(number, array.tolist(), doubled(3), Sensor(0.5).at(3), tasks)
    print(STORE.explain(call).totals)
    print(share_report([squares(3), squares(3)]).after)
    print_what_is_missing()


if __name__ == "__main__":
    main()
