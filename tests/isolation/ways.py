"""The ways to compute a program with this package, each as the text of its values."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import dask

import pipeline
from pipeline import PipelineError, Store, StoreWarning, share
from tests.isolation.reference import MANY_ORDERS, Reference, promised, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.isolation.programs import Program


class Keeping(NamedTuple):
    """What a store keeps.

    every: results of each so many-th function are always stored; 0 for the outputs alone
    pickle: whether values without a format are stored, too
    """

    every: int
    pickle: bool

    def store(self, program: Program, folder: str) -> Store:
        """A new store object over a folder."""
        names = sorted({line.function.__name__ for line in program.lines if line.name})
        keep = names[:: self.every] if self.every else []
        return Store(folder, keep=keep, pickle=self.pickle, durable=False)


def shared(program: Program, scheduler: Any) -> tuple[str, ...]:
    """Shared, then computed by a scheduler of Dask, or in a chosen order."""
    return text_of(dask.compute(*share(program.build()), scheduler=scheduler))


def shared_in_part(program: Program, seed: int) -> tuple[str, ...]:
    """Outputs that are shared one by one or not at all, computed together."""
    outputs = [share(output) if (place + seed) % 3 else output
               for place, output in enumerate(program.build())]  # fmt: skip
    return text_of(dask.compute(*outputs, scheduler=Reference(seed)))


def in_order(program: Program, seed: int) -> tuple[str, ...]:
    """Shared, and the shared tasks in a chosen order."""
    return shared(program, Reference(seed))


def shared_dict(program: Program, seed: int) -> tuple[str, ...]:
    """The tasks as a plain dict, shared."""
    tasks, keys = program.tasks()
    return text_of(Reference(seed)(share(tasks, keys=keys), keys))


def through_store(
    program: Program, folder: str, keeping: Keeping, scheduler: str | None = "sync",
    share: bool = False,
) -> tuple[str, ...]:  # fmt: skip
    """Through a store in a folder."""
    store = keeping.store(program, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        values = pipeline.compute(*program.build(), scheduler=scheduler, share=share, store=store)
    return text_of(values)


_REMEDIES = ("@impure", "copy", "skip=", "give ", "use ", "run it again")


def check(
    expected: tuple[str, ...], compute: Callable[..., tuple[str, ...]], program: Program,
    *arguments: Any,
) -> None:  # fmt: skip
    """Assert that a way gives what Dask promises, or an error of this package with a remedy."""
    try:
        values = compute(program, *arguments)
    except PipelineError as error:
        if not any(remedy in str(error) for remedy in _REMEDIES):
            raise AssertionError(f"{error!r} names no remedy") from error
        return
    except Exception as error:
        if promised(program, MANY_ORDERS) == expected:
            raise AssertionError(f"{compute.__name__}{arguments} raises {error!r}") from error
        return
    if values != expected and promised(program, MANY_ORDERS) == expected:
        differing = _differing(values, expected)
        raise AssertionError(f"{compute.__name__}{arguments} differs\n{differing}")


def _differing(values: Sequence[str], expected: Sequence[str]) -> str:
    pairs = enumerate(zip(values, expected, strict=True))
    return "\n".join(
        f"output {place}: {value} and not {other}"
        for place, (value, other) in pairs if value != other
    )  # fmt: skip
