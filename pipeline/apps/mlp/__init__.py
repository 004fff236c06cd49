"""Multilayer perceptrons: backpropagation is the chain rule, memoized.

- `networks` – a network, one scalar variable at a time, each with a name
- `rules` – activations, losses, their derivatives, optimizers
- `chain` – the gradient as a recurrence: path sum or backpropagation
- `formulas` – the chain rule of one weight as text, LaTeX and MathML
- `counts` – how much work a gradient is, in closed form
- `pictures` – adjoints, networks with their paths, results of a training
- `lessons` – the lesson on backpropagation, as sections of a page
- `layers` – the same chain rule with arrays, a layer at a time
- `epochs` – training as a recurrence over epochs
- `data/` – the examples to learn from
"""

from pipeline.apps.mlp.chain import backward, forward, gradient, values
from pipeline.apps.mlp.formulas import Formula, formula
from pipeline.apps.mlp.networks import Network, NetworkError, network

__all__ = [
    "Formula",
    "Network",
    "NetworkError",
    "backward",
    "formula",
    "forward",
    "gradient",
    "network",
    "values",
]
