"""Applications, on the public API alone: Fibonacci, textbook recurrences, neural networks.

- `fibonacci` – the naive recursion beside the DAG
- `gallery` – other textbook recurrences, and the order of their tables
- `mlp/` – backpropagation as the memoized chain rule; networks that learn
- `growth` – how the work grows: measured, drawn, counted on sliders
- `memory` – what memory a gradient takes for the time it takes
- `pages` – the pages of `pipeline report`
"""
