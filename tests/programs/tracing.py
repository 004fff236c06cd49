"""Which functions really ran, in whatever process: each call appends to a file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import pure

if TYPE_CHECKING:
    from collections.abc import Callable


def traced(path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that appends the name of a function to a file whenever it runs."""

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @pure  # although it writes
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            with open(path, "a") as file:
                file.write(f"{function.__name__}\n")
            return function(*args)

        return wrapper

    return decorator


def ran(path: str | Path) -> set[str]:
    """The functions that ran since the last time."""
    file = Path(path)
    names = set(file.read_text().split()) if file.exists() else set()
    file.write_text("")
    return names
