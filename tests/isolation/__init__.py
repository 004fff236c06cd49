"""Random Dask programs whose functions write into their arguments, and what plain Dask gives.

- `pool` – the functions: sources, readers, writers, and those that return parts of their arguments
- `described` – any value as text, to compare two values strictly
- `programs` – random straight-line programs over the pool
- `reference` – a small scheduler: tasks in a chosen order, inputs as they are or copied
"""
