"""`pipeline gallery`."""

from __future__ import annotations

import re
from dataclasses import asdict
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any, get_type_hints

import click
from dask.typing import Key

from pipeline import Call, contrast, count, report
from pipeline.apps.gallery import GALLERY, Problem, run_in_order, tabulate
from pipeline.cli.options import json_option, output_file, picture_option, race_of, race_option
from pipeline.cli.screen import (
    Bar,
    print_json,
    print_paragraph,
    print_result,
    print_table,
    print_text,
    task_bar,
)
from pipeline.graph import Count, label
from pipeline.identity import format_number, short_repr, shorten

LARGEST = 200
"""The largest argument and longest text: up to 40,000 tasks, in seconds."""

_MOST_NUMBERS = LARGEST // 4

_RULES: dict[Any, tuple[range, int, str]] = {
    int: (range(LARGEST + 1), 1, f"a whole number from 0 to {LARGEST}"),
    tuple[int, ...]: (range(1, 10**6 + 1), 1, "at most 50 whole numbers from 1 to 1,000,000"),
    tuple[tuple[int, int], ...]: (
        range(1, 10**6 + 1), 2, "at most 25 pairs, weight:value, from 1 to 1,000,000"
    ),
}  # fmt: skip
"""By type of an argument: valid numbers, how many an item has, and both in words."""

_ENDS = 6
"""Tasks that are listed from either end of a long order."""

_ARGUMENT_WIDTH = 40


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False, metavar="[NAME]", type=click.Choice(list(GALLERY)))
@click.argument("texts", nargs=-1, metavar="[ARGS ...]")
@picture_option("--save", text="Draw the tree beside the DAG, with values.")
@race_option
@click.option("--report", "page", type=output_file("html"), metavar="PATH.html",
              help="Save a page that shows tree and DAG step by step.")  # fmt: skip
@json_option
def gallery(
    name: str | None, texts: tuple[str, ...], save: Path | None, race_file: Path | None,
    page: Path | None,
) -> None:  # fmt: skip
    """Textbook recursions: their trees, their DAGs, and the order of their tables.

    Without NAME all are listed, each with an example of ARGS, which are the default.

    \b
    pipeline gallery
    pipeline gallery edit-distance kitten sitting
    pipeline gallery binomial 5 2 --race race.svg
    pipeline gallery knapsack 10 5:10,4:40,6:30,3:50 --save knapsack.svg
    """
    for text in texts:
        if text.startswith("--"):
            raise click.UsageError(f"no such option: {text}; see pipeline gallery --help")
    if name is None:
        if save or page or race_file:
            raise click.UsageError(
                "--save, --race and --report show one problem: name it, like binomial"
            )
        _list()
        return
    problem = GALLERY[name]
    call = call_of(problem, texts)
    race = race_of(call) if race_file else None
    with Bar("trace"):
        graph = call.graph()
    with task_bar():
        _, order = run_in_order(graph)
    table, counts = tabulate(graph, order), count(graph)
    _print(problem, call, counts, table)
    files = []
    with Bar("draw"):
        if save:
            files.append(contrast(call, values=table).save(save))
        if race and race_file:
            files.append(race.save(race_file))
        if page:
            title = f"{label(call.key, _ARGUMENT_WIDTH)}: {problem.question}"
            files.append(report(call, title=title).save(page))
    order = [{"call": label(key), "value": value} for key, value in table.items()]
    value = table[call.key]
    print_result({**_fields(problem, call, counts), "value": value, "order": order}, files)


def call_of(problem: Problem, texts: tuple[str, ...]) -> Call:
    """The call of a problem with arguments as a person types them, or with its example.

    Raises `click.UsageError` for the wrong number of arguments, and for one that does not fit.

    >>> call_of(GALLERY["knapsack"], ("10", "5:10,4:40"))
    knapsack(10, ((5, 10), (4, 40)))
    """
    kinds = get_type_hints(problem.function.body)
    names = list(signature(problem.function.body).parameters)[: len(problem.example)]
    try:
        if texts and len(texts) != len(names):
            raise ValueError(f"ARGS are {' '.join(names).upper()}, not {len(texts)} of them")
        pairs = zip(names, texts, strict=False)
        return problem.call(*(_argument(name, kinds[name], text) for name, text in pairs))
    except ValueError as error:
        raise click.UsageError(f"{problem.name}: {error}; give it like {_typed(problem)}") from None


def _argument(name: str, kind: Any, text: str) -> Any:
    """An argument of some type. Numbers are typed as 1,5,10 or 1-5-10, pairs as 5:10,4:40.

    Raises `ValueError` for a text that does not fit.
    """
    if kind is str:
        if len(text) > LARGEST:
            raise ValueError(f"{name} has {len(text):,} letters, and must have {LARGEST} at most")
        return text
    valid, length, rule = _RULES[kind]
    try:
        items = [text] if kind is int else re.split("[-,]", text)
        rows = [tuple(map(int, item.split(":"))) for item in items]
    except ValueError:
        rows = []
    numbers = [*chain(*rows)]
    if (
        0 < len(numbers) <= _MOST_NUMBERS
        and all(len(row) == length for row in rows)
        and all(number in valid for number in numbers)
    ):
        return numbers[0] if kind is int else tuple(numbers if length == 1 else rows)
    raise ValueError(f"{name} is {short_repr(text, 30)}, and must be {rule}")


def _typed(problem: Problem) -> str:
    """A problem with its example, as a person types it."""
    return " ".join((problem.name, *map(_as_typed, problem.example)))


def _as_typed(argument: Any, separator: str = ",") -> str:
    if isinstance(argument, tuple):
        return separator.join(_as_typed(item, ":") for item in argument)
    return str(argument)


def _fields(problem: Problem, call: Call, counts: Count) -> dict[str, Any]:
    """A problem and the counts of a call, in JSON's types."""
    return {
        "name": problem.name,
        "arguments": [_as_typed(argument) for argument in call.args[: len(problem.example)]],
        "question": problem.question,
        "source": problem.source,
        "table": problem.table,
        **asdict(counts),
        "sharing": counts.sharing,
    }


def _list() -> None:
    problems = [_fields(problem, problem.call(), count(problem.call()))
                for problem in GALLERY.values()]  # fmt: skip
    print_json(problems)
    rows = [
        (str(fields["tree"]), str(fields["dag"]), format_number(fields["sharing"]),
         " ".join((fields["name"], *fields["arguments"])), fields["question"])
        for fields in problems
    ]  # fmt: skip
    print_table(("tree", "DAG", "sharing", "problem", "question"), rows, left=2)
    print_text("tree and DAG in tasks; pipeline gallery bell 10 shows one of them")


def _print(problem: Problem, call: Call, counts: Count, table: dict[Key, int]) -> None:
    """Print counts and table; the table is in the order in which the DAG ran."""
    value = shorten(table[call.key], 60)
    print_paragraph(f"{label(call.key, _ARGUMENT_WIDTH)} = {value}")
    print_paragraph(f"{problem.question} Source: {problem.source}.")
    print_text()
    numbers = (shorten(counts.tree), str(counts.dag), format_number(counts.sharing),
               str(counts.depth), str(counts.width))  # fmt: skip
    print_table(("tree tasks", "DAG", "sharing", "depth", "width"), [numbers])
    print_text()
    rows = [(str(number), shorten(entry), label(key, _ARGUMENT_WIDTH))
            for number, (key, entry) in enumerate(table.items(), 1)]  # fmt: skip
    if len(rows) > 2 * _ENDS + 1:
        rows[_ENDS:-_ENDS] = [("…", "…", f"{len(rows) - 2 * _ENDS:,} more")]
    print_table(("run", "value", "call"), rows, left=1)
    print_text()
    print_paragraph(
        "Dask ran the DAG in this order: each task once, after those that it takes, as top-down "
        "memoization does, too. Any such order is one of a bottom-up table: a loop that fills a "
        f"table in this one, each entry from those before it, ends with {value}. The table as "
        f"people fill it: {problem.table}."
    )
