"""Whether a call is a function of its arguments alone: only such tasks are merged or stored.

- `impurities` – the table of functions that are random, read the time of day, or reach outside
- `lookups` – what the table says of a value, and of a call by its arguments
- `facts` – what one value does when it is called; the marks of `pure` and `impure`
- `members` – the functions in members of classes, and which functions keep something
- `walk` – what a function reaches: one walk over its call graph, which serves all verdicts
- `needs` – what a task reads besides its arguments, and Python does not report
- `verdicts` – the verdict on a function and on a call; `pure` and `impure`
"""
