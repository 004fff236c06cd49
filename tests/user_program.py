"""A user's program: typed, and with no library that the package does not need itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline import Call, Store, compute, count, recurrence, share_report, task


@recurrence
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@task
def squares(length: int) -> np.ndarray[Any, Any]:
    return np.arange(length) ** 2


def main() -> None:
    store = Store("cache")

    @store.memoize
    def doubled(number: int) -> int:
        return 2 * number

    call: Call = fib(10)
    tasks: int = count(call).tree
    number, array = compute(call, squares(3), store=store)
    print(number, array.tolist(), doubled(3), tasks)
    print(store.explain(call).totals)
    print(share_report([squares(3), squares(3)]).after)


if __name__ == "__main__":
    main()
