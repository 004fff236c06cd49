"""Multilayer perceptrons: backpropagation is the chain rule, memoized."""

from pipeline.apps.mlp.chain import backward, forward, gradient, values
from pipeline.apps.mlp.formula import Formula, formula
from pipeline.apps.mlp.network import Network, NetworkError, network

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
