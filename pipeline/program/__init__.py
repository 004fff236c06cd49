"""Straight-line programs: many cheap tasks run as one."""

from pipeline.program.fusing import Block, Loading, Part, fuse, fused
from pipeline.program.optimizer import optimizer_of, ready
from pipeline.program.program import Program

__all__ = ["Block", "Loading", "Part", "Program", "fuse", "fused", "optimizer_of", "ready"]
