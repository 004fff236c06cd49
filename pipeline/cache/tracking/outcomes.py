"""What a task passes on to its consumers, besides its value."""

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.cache.tracking.inputs import Input


class Outcome(NamedTuple):
    """What a task passes on to its consumers, besides its value.

    inputs: what it and all before it read that no digest covers
    content: the checksum of its value; empty if it is not known
    why: why neither its value nor a value that depends on it is stored; empty if they may be
    seconds: of work that is not stored; each consumer gets its part of those of its inputs
    """

    inputs: tuple[Input, ...] = ()
    content: str = ""
    why: str = ""
    seconds: float = 0.0


def passed_on(inputs: tuple[Input, ...], digest: str, checksum: str) -> tuple[Input, ...]:
    """The inputs of a result as its consumers have them: they may need the files that it is.

    digest, checksum: of its entry
    """
    made = [item._replace(kind="made") for item in inputs if item.kind == "result"]
    if not made:
        return inputs
    others = (item for item in inputs if item.kind != "result")
    return tuple(sorted({*others, *made, Input("entry", digest, checksum)}))


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    """What depends on several outcomes, without a content.

    Two tasks that read one file with two contents say that it changed meanwhile.
    """
    inputs: dict[tuple[str, str], Input] = {}
    why, seconds = "", 0.0
    for outcome in outcomes:
        why = why or outcome.why
        seconds += outcome.seconds
        for item in outcome.inputs:
            if inputs.setdefault(item[:2], item).content != item.content:
                why = why or f"{item.name} changed during the run"
    return Outcome(tuple(sorted(inputs.values())), "", why, seconds)
