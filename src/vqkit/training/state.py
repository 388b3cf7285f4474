"""The whole state of a run as named tensors, so that it can be saved without pickle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from vqkit.training.parallel import full


def collect(model: nn.Module, shadow: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that the next step depends on, by name, on the CPU.

    Sharded tensors are gathered, so every process must call it.
    """
    tensors: dict[str, Tensor] = {}
    for part, module in (("model", model), ("average", shadow)):
        for name, tensor in module.state_dict().items():
            tensors[f"{part}/{name}"] = _copy(tensor)
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{name}/{key}"] = _copy(value)
    tensors["random/torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    return tensors


def restore(
    tensors: Mapping[str, Tensor], model: nn.Module, shadow: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """The inverse of ``collect``: put a run exactly where it was, sharded or not."""
    for part, module in (("model", model), ("average", shadow)):
        own = module.state_dict()
        module.load_state_dict({name: _like(tensors[f"{part}/{name}"], tensor) for name, tensor in own.items()})
    for name, parameter in model.named_parameters():
        prefix = f"optimizer/{name}/"
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if found:
            optimizer.state[parameter] = {key: _like(value, parameter.detach()) for key, value in found.items()}
    torch.set_rng_state(tensors["random/torch"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])


def _copy(tensor: Tensor) -> Tensor:
    return full(tensor).detach().cpu().contiguous().clone()


def _like(value: Tensor, own: Tensor) -> Tensor:
    """A whole tensor as ``own`` has it: on its device, in its memory format, sharded in its way."""
    value = value.to(own.device)
    if isinstance(own, DTensor) and value.shape == own.shape:
        return distribute_tensor(value, own.device_mesh, own.placements)
    if value.shape == own.shape and value.ndim:
        return torch.empty_like(own, dtype=value.dtype).copy_(value)
    return value.clone()
