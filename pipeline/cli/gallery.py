"""`pipeline gallery`."""

from __future__ import annotations

import re
from dataclasses import asdict
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import click

from pipeline import contrast, count, report
from pipeline.apps.gallery import GALLERY, Problem, run_in_order, tabulate
from pipeline.cli.progress import Bar, Tasks
from pipeline.cli.screen import (
    as_json,
    check_file,
    check_picture,
    fill,
    one_of,
    print_json,
    print_table,
    say,
)
from pipeline.graph import label
from pipeline.identity import format_number, short_repr, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask.typing import Key

    from pipeline import Call, Count

MOST = 200
"""The largest argument and longest text: up to 40,000 tasks, in seconds. A list has a quarter."""

_ENDS = 6
"""Tasks that are listed from either end of a long order."""

_ARGUMENT = 40
"""Characters of an argument that are shown."""


@click.command(
    context_settings={"ignore_unknown_options": True}, short_help="other textbook recursions"
)
@click.argument("name", default="", metavar="[NAME", shell_complete=one_of(GALLERY))
@click.argument("texts", nargs=-1, metavar="[ARGS ...]]")
@click.option("--save", type=click.Path(path_type=Path), metavar="PATH.svg|png|pdf|dot",
              help="Draw the tree beside the DAG, with values.")  # fmt: skip
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="PATH.html",
              help="Save a page that shows tree and DAG step by step.")  # fmt: skip
@as_json
def gallery(
    name: str, texts: tuple[str, ...], save: Path | None, page: Path | None, is_json: bool
) -> None:
    """Textbook recursions: their trees, their DAGs, and the order of their tables.

    Without NAME all are listed, each with an example of ARGS, which NAME alone stands for.

    \b
    pipeline gallery
    pipeline gallery edit-distance kitten sitting
    pipeline gallery knapsack 10 5:10,4:40,6:30,3:50 --save knapsack.svg
    """
    for each in (name, *texts):
        if each.startswith("--"):
            raise click.UsageError(f"no such option: {each}; see pipeline gallery --help")
    if not name:
        if save is not None or page is not None:
            raise click.UsageError("--save and --report show one problem: name it, like binomial")
        _list(is_json)
        return
    problem = _problem(name)
    call = call_of(problem, texts)
    if save is not None:
        check_picture(save)
    if page is not None:
        check_file(page, "html")
    solved = solve(call)
    if not is_json:
        _tell(problem, solved)
    with Bar("draw"):
        files = _saved(problem, solved, save, page)
    if is_json:
        order = [{"call": label(key), "value": each} for key, each in solved.table.items()]
        told = {"value": solved.value, "order": order, "files": list(map(str, files))}
        print_json({**_fields(problem, call, solved.counts), **told})
        return
    for path in files:
        say(f"saved {path}")


def _problem(name: str) -> Problem:
    if name not in GALLERY:
        near = get_close_matches(name, GALLERY) or GALLERY
        raise click.UsageError(
            f"no problem {short_repr(name, 30)} in the gallery: give {' or '.join(near)}"
        )
    return GALLERY[name]


def call_of(problem: Problem, texts: tuple[str, ...]) -> Call:
    """The call whose arguments are written in some texts; without any, that of the example.

    Raises `click.UsageError` where they are too many, too few, or not what the recurrence takes.

    >>> call_of(GALLERY["knapsack"], ("10", "5:10,4:40"))
    knapsack(10, ((5, 10), (4, 40)))
    """
    kinds = get_type_hints(problem.function.body)
    names = list(signature(problem.function.body).parameters)[: len(problem.example)]
    try:
        if texts and len(texts) != len(names):
            raise ValueError(f"ARGS are {' '.join(names).upper()}, not {len(texts)} of them")
        read = [_READ[kinds[name]](name, text) for name, text in zip(names, texts, strict=False)]
    except ValueError as error:
        remedy = f"give it like {_written(problem)}"
        raise click.UsageError(f"{problem.name}: {error}; {remedy}") from None
    return problem.call(*read)


def _whole(name: str, text: str, least: int = 0, most: int = MOST) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else -1
    if not least <= number <= most:
        rule = f"must be a whole number from {least} to {most:,}"
        raise ValueError(f"{name} is {short_repr(text, 30)}, and {rule}")
    return number


def _text(name: str, text: str) -> str:
    if len(text) > MOST:
        raise ValueError(f"{name} has {len(text):,} letters, and must have {MOST} at most")
    return text


def _numbers(name: str, text: str) -> tuple[int, ...]:
    # A dash or a comma after a number, so that one before it is a sign.
    parts = re.split("(?<=[0-9])[-,]", text)
    if len(parts) > MOST // 4:
        raise ValueError(f"{name} has {len(parts):,} numbers, and must have {MOST // 4} at most")
    return tuple(_whole(f"each of {name}", each, 1, 10**6) for each in parts)


def _pairs(name: str, text: str) -> tuple[tuple[int, int], ...]:
    if not re.fullmatch("[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*", text):
        raise ValueError(f"{name} is {short_repr(text, 30)}, and must be pairs, weight:value")
    numbers = _numbers(name, text.replace(":", ","))
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


_READ: dict[Any, Callable[[str, str], Any]] = {
    int: _whole,
    str: _text,
    tuple[int, ...]: _numbers,
    tuple[tuple[int, int], ...]: _pairs,
}


def _written(problem: Problem) -> str:
    """A problem with its example, as a person writes it."""
    return " ".join((problem.name, *map(_as_text, problem.example)))


def _as_text(argument: Any, separator: str = ",") -> str:
    if isinstance(argument, tuple):
        return separator.join(_as_text(each, ":") for each in argument)
    return str(argument)


class Solved(NamedTuple):
    """What the run of a call came to.

    table: the entries in the order in which the DAG ran, as the bottom-up loop found them
    """

    call: Call
    counts: Count
    value: int
    table: dict[Key, int]


def solve(call: Call) -> Solved:
    """Run a call, and fill its table in the order of that run."""
    with Bar("trace"):
        graph = call.graph()
    with Tasks():
        value, order = run_in_order(graph)
    return Solved(call, count(graph), value, tabulate(graph, order))


def _fields(problem: Problem, call: Call, counts: Count) -> dict[str, Any]:
    """What is known without a run, in JSON's types."""
    texts = [_as_text(each) for each in call.args[: len(problem.example)]]
    about = {"question": problem.question, "source": problem.source, "table": problem.table}
    numbers = {**asdict(counts), "sharing": counts.sharing}
    return {"name": problem.name, "arguments": texts, **about, **numbers}


def _list(is_json: bool) -> None:
    found = [(each, each.call(), count(each.call())) for each in GALLERY.values()]
    if is_json:
        print_json([_fields(*each) for each in found])
        return
    rows = [(str(counts.tree), str(counts.dag), format_number(counts.sharing), _written(each), each.question)
            for each, _, counts in found]  # fmt: skip
    print_table(("tree", "DAG", "sharing", "problem", "question"), rows, left=2)
    say("tree and DAG in tasks; pipeline gallery bell 10 shows one of them")


def _tell(problem: Problem, solved: Solved) -> None:
    call, counts, value, table = solved
    fill(f"{label(call.key, _ARGUMENT)} = {shorten(value, 60)}")
    fill(f"{problem.question} Source: {problem.source}.")
    say()
    numbers = (shorten(counts.tree), str(counts.dag), format_number(counts.sharing),
               str(counts.depth), str(counts.width))  # fmt: skip
    print_table(("tree tasks", "DAG", "sharing", "depth", "width"), [numbers])
    say()
    rows = [(str(number), shorten(entry), label(key, _ARGUMENT))
            for number, (key, entry) in enumerate(table.items(), 1)]  # fmt: skip
    if len(rows) > 2 * _ENDS + 1:
        rows[_ENDS:-_ENDS] = [("…", "…", f"{len(rows) - 2 * _ENDS:,} more")]
    print_table(("run", "value", "call"), rows, left=1)
    say()
    fill(
        "Dask ran the DAG in this order: each task once, after those that it takes, as top-down "
        "memoization does, too. Any such order is one of a bottom-up table: a loop that fills a "
        f"table in this one, each entry from those before it, ends with "
        f"{shorten(table[call.key], 60)}. The table as people fill it: {problem.table}."
    )


def _saved(problem: Problem, solved: Solved, save: Path | None, page: Path | None) -> list[Path]:
    """The contrast and the page, where they are wanted."""
    files = []
    if save is not None:
        files.append(contrast(solved.call, values=solved.table).save(save))
    if page is not None:
        title = f"{label(solved.call.key, _ARGUMENT)}: {problem.question}"
        files.append(report(solved.call, title=title).save(page))
    return files
