"""Arrays of JAX, by their elements; they come back on the default device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, UnreadableError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, is_of, parts_of


def _dump(array: Any) -> Any:
    import jax

    if isinstance(array, jax.core.Tracer):
        raise UnstorableError(noun(array), "it has no value while JAX traces; return it from jit")
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.extended):
        raise UnstorableError(noun(array), f"{array.dtype} is no number; use jax.random.key_data")
    if array.weak_type:
        why = "its dtype is weak, and would come back strong; give it one: jnp.asarray(x, dtype)"
        raise UnstorableError(noun(array), why)
    if array.sharding != jax.numpy.zeros(()).sharding:
        why = f"it is on {array.sharding}, not on the default device; use jax.device_get"
        raise UnstorableError(noun(array), why)
    elements = np.asarray(array)
    if elements.dtype.type.__module__ == "numpy":
        return elements
    # Small floats, which npy does not know.
    return elements.dtype.name, list(elements.shape), np.frombuffer(elements.tobytes(), np.uint8)


def _load(tree: Any) -> Any:
    import jax

    elements = tree if type(tree) is np.ndarray else _small(tree)
    made = jax.numpy.asarray(elements) if elements.dtype.isnative else None
    if made is None or made.dtype != elements.dtype:
        raise UnreadableError(
            f"an array of {elements.dtype}, which JAX does not make here: call "
            'jax.config.update("jax_enable_x64", True)'
        )
    return made


def _small(tree: Any) -> Any:
    import ml_dtypes

    name, shape, data = parts_of(tree, str, list, np.ndarray)
    kind = vars(ml_dtypes).get(name)
    if not (isinstance(kind, type) and issubclass(kind, np.generic)):
        raise CodecError(f"an array of JAX of {name!r:.100}")
    if not is_of(shape, int) or math.prod(shape) * np.dtype(kind).itemsize != data.nbytes:
        raise CodecError(f"an array {shape} of {name} in {data.nbytes} bytes")
    return data.view(kind).reshape(shape)


FORMATS = {"jax.Array": LibraryFormat(_dump, _load, is_family=True)}
