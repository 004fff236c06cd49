"""Functions whose results a store keeps, called without a graph.

- `memoized` – `memoize`, and what a memoized function offers
"""
