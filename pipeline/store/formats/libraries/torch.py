"""Tensors of PyTorch, by safetensors; they come back as dense tensors on the CPU, as they were.

A state dict is an ordered dict of tensors. Tensors that share memory come back apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.store.entry import CodecError, UnstorableError, noun
from pipeline.store.formats.libraries import LibraryFormat, is_of, parts_of, refused


def _dump(tensor: Any) -> Any:
    import torch
    from safetensors.torch import save

    if reason := _why_not(tensor):
        raise UnstorableError(noun(tensor), reason)
    plain = tensor.detach().resolve_conj().resolve_neg()
    # Dimensions from the longest stride to the shortest: so the layout in memory is kept.
    order = sorted(range(plain.ndim), key=lambda place: -plain.stride(place))
    plain = plain.permute(order).contiguous()
    is_wide = plain.dtype == torch.complex128  # which safetensors does not know
    data = save({"": torch.view_as_real(plain) if is_wide else plain})
    return np.frombuffer(data, np.uint8), order, is_wide, tensor.requires_grad


def _why_not(tensor: Any) -> str:
    """Why a tensor would not come back as it is; nothing, if it would."""
    import torch

    if tensor.device.type != "cpu":
        return f"it is on {tensor.device}; return tensor.cpu()"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return f"its layout is {tensor.layout}; return a dense tensor, tensor.to_dense()"
    if tensor.grad_fn is not None or tensor.grad is not None:
        return "it belongs to a gradient; return tensor.detach()"
    if any(getattr(tensor, "names", ())) or tensor._backward_hooks:
        return "it has names of dimensions, or hooks; return tensor.detach().rename(None)"
    if vars(tensor):
        return f"it has attributes, {', '.join(vars(tensor))}; return tensor.detach()"
    return ""


def _load_tensor(tree: Any) -> Any:
    import torch
    from safetensors.torch import load

    data, order, is_wide, has_gradient = parts_of(tree, np.ndarray, list, bool, bool)
    tensors = load(data.tobytes())
    if list(tensors) != [""] or not is_of(order, int):
        raise CodecError(f"{len(tensors)} tensors in place of one")
    plain = torch.view_as_complex(tensors[""]) if is_wide else tensors[""]
    inverse = [order.index(place) for place in range(plain.ndim)]
    return plain.permute(inverse).requires_grad_(has_gradient)


def _load_parameter(tree: Any) -> Any:
    import torch

    tensor = _load_tensor(tree)
    return torch.nn.Parameter(tensor.detach(), requires_grad=tensor.requires_grad)


FORMATS = {
    "torch.Tensor": LibraryFormat(_dump, _load_tensor),
    "torch.nn.Parameter": LibraryFormat(_dump, _load_parameter),
    "torch.nn.Module": refused(
        "loading a module would run its code; return module.state_dict()", is_family=True
    ),
}
