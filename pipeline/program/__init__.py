"""Straight-line programs: many cheap tasks run as one.

- `program` – a program, its steps and slots, and how tasks are lowered to one
- `fusing` – which cheap tasks run together as a block: `fuse`, and what Dask calls before a run
- `compiling` – a graph as a function: its program as Python source
- `backends` – the same program on the arrays of JAX or PyTorch
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
from pipeline.program.program import Program
from pipeline.program.rematerialization import BudgetError

__all__ = [
    "BACKENDS",
    "Block",
    "BudgetError",
    "CompiledGraph",
    "LoadTask",
    "Part",
    "Program",
    "fuse",
    "fuse_tasks",
    "is_fusing",
    "optimizer_of",
    "runnable_tasks",
]
