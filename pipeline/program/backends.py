"""Backends: a program on the arrays of another library.

Each function of NumPy in a program is replaced by the library's. JAX has NumPy's functions under
NumPy's names. Of PyTorch's, the table lists those that mean the same, and mends some that do not.
Operators, and functions that are not NumPy's, stay: they do what the library's arrays do.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from pipeline.graph import GraphError, label, map_leaves
from pipeline.identity import ATOMS
from pipeline.program.operators import COMPARISONS, choose
from pipeline.program.program import Named, Program

Run = Callable[..., Any]


class Backend(NamedTuple):
    """How programs run on a library.

    namespace: has functions under NumPy's names, such as `tanh` and `linalg.inv`
    table: functions that take the place of others: by NumPy's name, or the function itself
    constant: a value of a program, as the library takes it
    guarded: a run that checks or converts its arguments, which have names
    jit: compiles a function of arrays
    in_64_bits: a context in which numbers are not narrowed to 32 bits
    """

    name: str
    namespace: Any
    table: Mapping[Any, Any]
    constant: Callable[[Any], Any]
    guarded: Callable[[Run, Sequence[str]], Run]
    jit: Callable[[Run], Run] | None = None
    in_64_bits: Callable[[], AbstractContextManager[Any]] = nullcontext

    def translated(self, program: Program) -> Program:
        """The program with the library's functions.

        Raises `GraphError` for a function of NumPy that has no counterpart.
        """
        steps = list(program.steps)
        for start, function, operands, _ in program.instructions():
            if function is None:
                steps[start + 1] = self.constant(operands[0])
                continue
            base = function.function if isinstance(function, Named) else function
            found = self.counterpart(base)
            if found is None:
                call = label(program.task_before(len(steps) - start - 4))
                raise GraphError(
                    f"{call} calls {_path(base)}, which has no counterpart for the backend "
                    f"{self.name}: use another function, or compile for numpy"
                )
            steps[start] = found
            if isinstance(function, Named):
                steps[start] = replace(function, function=found)
        constants = tuple(map(self.constant, program.constants))
        return replace(program, steps=tuple(steps), constants=constants)

    def counterpart(self, function: Any) -> Any:
        """The library's function for one of NumPy's, or None; any other function as it is."""
        inner = _inner(function)
        path = _path(inner)
        if path is None:
            return self.table.get(inner, function) if isinstance(inner, Hashable) else function
        if _get(np, path) is not inner:
            return None
        return self.table.get(path) or _get(self.namespace, path)


def _path(function: Any) -> str | None:
    """Where a function stands in NumPy, such as `linalg.inv`; None for any other function."""
    function = _inner(function)
    owner = getattr(function, "__self__", None)  # of a method of an array
    home = getattr(function, "__module__", None) or type(owner).__module__
    if isinstance(function, np.ufunc):
        home = "numpy"  # and none has the name of another library's
    root, *folders = home.split(".")
    name = getattr(function, "__name__", type(function).__name__)
    return ".".join([*folders, name]) if root == "numpy" else None


def _inner(function: Any) -> Any:
    """The function of a `@task`; any other function as it is."""
    return getattr(getattr(function, "__self__", None), "__wrapped__", function)


def _get(namespace: Any, path: str) -> Any:
    for name in path.split("."):
        namespace = getattr(namespace, name, None)
    return namespace


def _import(name: str, package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f"backend={name!r} needs the library {name}: pip install 'dask-memo[{name}]'"
        ) from error


def _jax() -> Backend:
    numpy, jax = _import("jax", "jax.numpy"), _import("jax", "jax")

    def guarded(run: Run, names: Sequence[str]) -> Run:
        def narrow(*values: Any) -> Any:
            if not jax.config.jax_enable_x64:
                for name, value in zip(names, values, strict=True):
                    if isinstance(value, np.ndarray) and value.dtype in _WIDE:
                        raise TypeError(
                            f"{name} is an array of {value.dtype}, and JAX computes in 32 bits: "
                            'call jax.config.update("jax_enable_x64", True), or pass a narrower '
                            "array"
                        )
            return run(*values)

        return narrow

    def item(value: Any, index: Any) -> Any:
        # NumPy's array takes no index that is traced.
        return (numpy.asarray(value) if isinstance(value, np.ndarray) else value)[index]

    table = {
        operator.getitem: item,
        **{getattr(math, name): getattr(numpy, name) for name in ("ceil", "floor", "trunc")},
        **{function: _comparison(numpy, function) for function, _ in COMPARISONS.values()},
        choose: partial(_chosen, numpy),
        min: _extreme(numpy, "min", operator.lt),
        max: _extreme(numpy, "max", operator.gt),
    }
    return Backend("jax", numpy, table, lambda value: value, guarded, jax.jit,
                   lambda: jax.enable_x64(True))  # fmt: skip


_WIDE = ("float64", "complex128", "int64", "uint64")


def _comparison(numpy: Any, function: Run) -> Run:
    """Of two Python numbers, an integer: JAX adds truth values as `or` does."""

    def call(*values: Any) -> Any:
        result = function(*values)
        are_numbers = all(getattr(value, "weak_type", type(value) in ATOMS) for value in values)
        return numpy.where(result, 1, 0) if are_numbers and hasattr(result, "ndim") else result

    return call


def _chosen(numpy: Any, condition: Any, first: Any, second: Any) -> Any:
    """`choose`, which would branch on a number that is traced."""
    if not isinstance(condition, numpy.ndarray) or condition.ndim:
        return choose(condition, first, second, numpy.where)
    shapes = numpy.shape(first), numpy.shape(second)
    if shapes[0] != shapes[1]:
        raise TypeError(
            f"the shape, {shapes[0]} or {shapes[1]}, depends on a value, which JAX does not "
            "support: choose between values of one shape"
        )
    return numpy.where(condition, first, second)


def _extreme(numpy: Any, name: str, is_better: Run) -> Run:
    def call(*values: Any) -> Any:
        best, *others = values if len(values) > 1 else values[0]
        for value in others:
            condition = is_better(value, best)
            if numpy.ndim(condition):
                raise TypeError(f"{name} compares numbers, not arrays: use numpy.{name}imum")
            best = _chosen(numpy, condition, value, best)
        return best

    return call


def _torch() -> Backend:
    torch = _import("torch", "torch")

    def tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray | np.generic):
            return value
        array = np.asarray(value)
        if not array.flags.writeable or min(array.strides, default=0) < 0:
            array = array.copy()  # PyTorch views no such memory
        return torch.as_tensor(array)

    def guarded(run: Run, _: Sequence[str]) -> Run:
        return lambda *values: run(*map(tensor, values))

    def of_tensors(function: Any, path: str, count: int | None = None) -> Any:
        """NumPy's functions take numbers, too, and make doubles of integers."""
        ufunc = _get(np, path)
        kept = (torch.Tensor, str, list, tuple) if count else torch.Tensor
        integers = isinstance(ufunc, np.ufunc) and (np.dtype(int),) * ufunc.nin + (None,)
        is_double = integers and ufunc.resolve_dtypes(integers)[-1] == "float64"

        def call(*operands: Any, **named: Any) -> Any:
            tensors: list[Any] = [
                value if isinstance(value, kept) else torch.as_tensor(np.asarray(value))
                for value in operands[:count]
            ]
            if is_double:
                tensors = [x if x.is_floating_point() or x.is_complex() else x.double()
                           for x in tensors]  # fmt: skip
            return function(*tensors, *operands[len(tensors) :], **named)

        return call

    def spread(function: Any) -> Any:
        """Of `std` and `var`, which divide by n - 1 if they are not told."""
        return lambda x, axis=None, ddof=0, keepdims=False: function(
            x, axis, correction=ddof, keepdim=keepdims
        )

    ufuncs = {path: _get(torch, path) for path in TORCH_UFUNCS.split()} | {
        "equal": torch.eq,
        "power": torch.pow,
        "sign": lambda x: torch.where(torch.isnan(x), x, torch.sign(x)),
        "where": lambda condition, *values: torch.where(condition.bool(), *values),
    }
    others = {path: _get(torch, path) for path in TORCH_SAME.split()} | {
        "dot": torch.matmul,
        "expand_dims": torch.unsqueeze,
        "max": torch.amax,
        "min": torch.amin,
        "reshape": lambda x, shape: x.reshape(shape),
        "std": spread(torch.std),
        "transpose": lambda x, axes=None: x.permute(
            tuple(range(x.ndim))[::-1] if axes is None else axes
        ),
        "var": spread(torch.var),
    }
    table: dict[Any, Run] = {path: of_tensors(own, path) for path, own in ufuncs.items()}
    table |= {path: of_tensors(own, path, 1) for path, own in others.items()}
    table[choose] = partial(choose, where=table["where"])
    return Backend("torch", None, table, partial(map_leaves, function=tensor), guarded)


TORCH_SAME = """
    all any argmax argmin broadcast_to clip concatenate diagonal einsum kron mean moveaxis ones_like
    outer prod ravel squeeze stack sum swapaxes trace tril triu zeros_like
    linalg.cholesky linalg.det linalg.inv linalg.norm linalg.solve
"""
TORCH_UFUNCS = """
    absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or
    bitwise_xor ceil copysign cos cosh deg2rad divide exp exp2 expm1 float_power floor
    floor_divide fmax fmin greater greater_equal hypot isfinite isinf isnan less less_equal log
    log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul
    maximum minimum multiply negative not_equal positive rad2deg remainder sin sinh sqrt square
    subtract tan tanh trunc
"""

_BACKENDS: dict[str, Callable[[], Backend | None]] = {
    "numpy": lambda: None,
    "jax": _jax,
    "torch": _torch,
}
BACKENDS = tuple(_BACKENDS)
"""The libraries on whose arrays a compiled graph runs."""


def load_backend(name: str) -> Backend | None:
    """A backend; None for NumPy, on which a program runs as it is.

    Raises `GraphError` for an unknown name, and `ImportError` if the library is not installed.
    """
    if name not in _BACKENDS:
        raise GraphError(f"unknown backend {name!r}: it is one of {', '.join(BACKENDS)}")
    return _BACKENDS[name]()
