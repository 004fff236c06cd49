"""Mutants that need no test, each with its reason: `tests.judge.mutants` counts them."""

from __future__ import annotations

from typing import NamedTuple


class Equivalent(NamedTuple):
    """A mutant that no test can notice, or that only costs time."""

    file: str
    line: str  # the source, as it stands there
    mutation: str
    reason: str


IDENTITY = ("arrays", "attributes", "code/bytecode", "encoder", "code/references", "text")
ARRAYS, ATTRIBUTES, BYTECODE, ENCODER, REFERENCES, TEXT = (
    f"pipeline/identity/{name}.py" for name in IDENTITY
)
SHORTCUT = "a shortcut: what is not in the set is shown, too"
THREADS = "in one thread or in several, the hash of a block is the same"

EQUIVALENT: tuple[Equivalent, ...] = (
    Equivalent(ARRAYS, "elif array.nbytes < 4 * BLOCK:", "4 * BLOCK → 4 + BLOCK", THREADS),
    Equivalent(
        ARRAYS,
        "elif array.nbytes < 4 * BLOCK:",
        "if array.nbytes < 4 * BLOCK: → if False:",
        THREADS,
    ),
    Equivalent(
        ARRAYS,
        "with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:  # hashing frees the GIL",
        "os.cpu_count() or 1 → os.cpu_count() and 1",
        THREADS,
    ),
    Equivalent(
        ARRAYS,
        "with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:  # hashing frees the GIL",
        "os.cpu_count() or 1 → 1",
        THREADS,
    ),
    Equivalent(
        BYTECODE,
        "pairs = [(name, code.co_consts[instruction.arg or 0])]",
        "instruction.arg or 0 → instruction.arg",
        "`KW_NAMES` always has an argument",
    ),
    Equivalent(
        BYTECODE,
        "reached, before = [0] * len(states), list[int]()  # the states that may follow, as bits",
        "0 → 1",
        "the first instruction, which has the bit, is in no loop and equals no other",
    ),
    Equivalent(
        ENCODER,
        'return f"function {value.__qualname__} {code_content(value.__code__)}"',
        "' ' → ' X'",
        "functions of one name are in the same order",
    ),
    Equivalent(
        ATTRIBUTES,
        "return member.__get__(owner, kind) if is_builtin else _unbound(member, kind)",
        "member.__get__(owner, kind) → member.__get__(owner)",
        "a descriptor of Python finds the class of an object that is not None",
    ),
    Equivalent(
        BYTECODE,
        'return _State("", ())  # nothing leads here',
        "'' → 'X'",
        "no state leads to that of an instruction that does nothing",
    ),
    Equivalent(
        REFERENCES,
        'package = variables.get("__name__") or ""',
        "'' → 'X'",
        "a name without a dot is in no package",
    ),
    Equivalent(
        TEXT,
        "_PLAIN = {int, float, complex, bool, str, bytes, type(None)}",
        "bool, str, bytes, type(None)} → bool, str, type(None)}",
        SHORTCUT,
    ),
    Equivalent(
        TEXT,
        "_PLAIN = {int, float, complex, bool, str, bytes, type(None)}",
        "complex, bool, str, bytes, type(None → complex, bool, bytes, type(None",
        SHORTCUT,
    ),
    Equivalent(
        TEXT,
        'return f"{format_number(years if years < 10 else round(years))} years"',
        "years < 10 → years <= 10",
        "ten years are a round number of years",
    ),
    Equivalent(
        TEXT,
        'return f"{float(number):.3g}" if number >= 10 else f"{float(number):.2g}"',
        "number >= 10 → number > 10",
        "ten is a round number, which the line before returns",
    ),
    Equivalent(
        "pipeline/cache/task_digests.py",
        "if number is None:",
        "if number is None: → if True:",
        "a number saves memory: equal signatures have equal digests under any numbers",
    ),
    Equivalent(
        "pipeline/share/rebuilding.py",
        'if isinstance(collection, Delayed | GraphCollection) or hasattr(collection, "expr"):',
        "Delayed | GraphCollection → GraphCollection | GraphCollection",
        "a delayed value has every attribute, `expr` too",
    ),
    Equivalent(
        ATTRIBUTES,
        "size = base.__basicsize__ + _POINTER * (len(slots) + (offsets[0] > 0) + (offsets[1] > 0))",
        "len(slots) + (offsets[0] → len(slots) - (offsets[0]",
        "since Python 3.11 the attributes of a plain class have no positive offset",
    ),
    Equivalent(
        BYTECODE,
        'pairs = [("NOP", None)]',
        "[('NOP', None)] → []",
        "no jump leads to the instruction that sets a docstring",
    ),
)
