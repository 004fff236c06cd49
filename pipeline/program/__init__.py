"""Straight-line programs: many cheap tasks run as one."""

from pipeline.program.fusing import Block, LoadTask, Part, fuse, fuse_tasks
from pipeline.program.optimizer import optimizer_of, runnable_tasks
from pipeline.program.program import Program

__all__ = [
    "Block",
    "LoadTask",
    "Part",
    "Program",
    "fuse",
    "fuse_tasks",
    "optimizer_of",
    "runnable_tasks",
]
