"""Which tasks are equal: equal tasks get equal numbers.

- `numbering` – `Numbering`: the numbers of the tasks of a graph, and why some equal no others
- `objects` – the objects that a task has, which its function may write into
- `readings` – what was read of constants and functions, kept while nothing changes it
- `shuffles` – the tasks of Dask's shuffles, which pass more than values to each other
"""
