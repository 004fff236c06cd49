"""Straight-line programs: many cheap tasks run as one.

- `operators` – the operators of Python, their functions and symbols, and what `where` does
- `program` – steps on a tape, and a program that is lowered from them
- `fusing` – which cheap tasks run together as a block: `fuse`, and what Dask calls before a run
- `ordered` – what Dask has fused, without the time that it takes to order it
- `compiling` – a graph as a function: its program as Python source
- `backends` – the same program on the arrays of JAX or PyTorch
- `flow` – the values that pass between the steps of a program
- `buffers` – memory that a compiled graph writes over in each run, instead of allocating
- `rematerialization` – a budget of memory: values over it are dropped and computed again
"""

from pipeline.program.backends import BACKENDS
from pipeline.program.compiling import CompiledGraph
from pipeline.program.fusing import (
    Block,
    LoadTask,
    Part,
    fuse,
    fuse_tasks,
    is_fusing,
    optimizer_of,
    runnable_tasks,
)
from pipeline.program.operators import BINARY, COMPARISONS, SYMBOLS, UNARY, choose
from pipeline.program.ordered import in_order
from pipeline.program.program import Named, Program, Tape, Traced, is_body
from pipeline.program.rematerialization import BudgetError

__all__ = [
    "BACKENDS",
    "BINARY",
    "COMPARISONS",
    "SYMBOLS",
    "UNARY",
    "Block",
    "BudgetError",
    "CompiledGraph",
    "LoadTask",
    "Named",
    "Part",
    "Program",
    "Tape",
    "Traced",
    "choose",
    "fuse",
    "fuse_tasks",
    "in_order",
    "is_body",
    "is_fusing",
    "optimizer_of",
    "runnable_tasks",
]
