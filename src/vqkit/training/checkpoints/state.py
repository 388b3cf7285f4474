"""The whole state of a run as named tensors, so that it can be saved without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vqkit.checking import check_fields
from vqkit.training.distributed import full, is_sharded

_VALUES = {
    "seconds": float,
    "evaluations_done": int,
    "sums": Mapping[str, str],
    "summed": int,
    "restarts": int | None,
    "monitor": Mapping[str, Any] | None,
    "log_size": int,
}
_MORE_VALUES = {
    "step_seconds": float,
    "watching_seconds": float,
    "doctor": Mapping[str, Any] | None,
    "best": Mapping[str, Any],
    "sharp": Mapping[str, Any],
    "discriminators": Mapping[str, Any],
}
"""What a checkpoint keeps beside the tensors; the second, newer versions only."""


def collect(model: nn.Module, shadow: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that the next step depends on, by name, on the CPU.

    Sharded tensors are gathered, so every process must call it.
    """
    tensors = {**module_tensors("model", model), **module_tensors("average", shadow)}
    tensors |= optimizer_tensors("optimizer", model, optimizer)
    tensors["random/torch"] = torch.get_rng_state()
    if _on_cuda(model):
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    return tensors


def restore(
    tensors: Mapping[str, Tensor], model: nn.Module, shadow: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """The inverse of ``collect``: put a run exactly where it was, sharded or not.

    Raises:
        KeyError, RuntimeError: tensors that are not the model's.
    """
    restore_module("model", tensors, model)
    restore_module("average", tensors, shadow)
    restore_optimizer("optimizer", tensors, model, optimizer)
    torch.set_rng_state(tensors["random/torch"])
    if "random/cuda" in tensors and _on_cuda(model):
        torch.cuda.set_rng_state(tensors["random/cuda"])


def module_tensors(part: str, module: nn.Module) -> dict[str, Tensor]:
    """Return copies of a module's tensors, named ``part/name``, on the CPU."""
    return {f"{part}/{name}": _copy(tensor) for name, tensor in module.state_dict().items()}


def optimizer_tensors(part: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return copies of an optimizer's tensors, named ``part/parameter/key``, on the CPU."""
    return {
        f"{part}/{name}/{key}": _copy(value)
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_module(part: str, tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Do the inverse of ``module_tensors``."""
    own = module.state_dict()
    module.load_state_dict({name: _like(tensors[f"{part}/{name}"], tensor) for name, tensor in own.items()})


def restore_optimizer(
    part: str, tensors: Mapping[str, Tensor], module: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Do the inverse of ``optimizer_tensors``."""
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{part}/"):
            name, _, own = key.removeprefix(f"{part}/").rpartition("/")
            states.setdefault(name, {})[own] = value
    for name, parameter in module.named_parameters():
        found = states.get(name)
        if found:
            other = next((value for value in found.values() if value.ndim and value.shape != parameter.shape), None)
            if other is not None:
                raise RuntimeError(f"{part}/{name} is {tuple(other.shape)}, the model's is {tuple(parameter.shape)}")
            optimizer.state[parameter] = {key: _like(value, parameter.detach()) for key, value in found.items()}


def _on_cuda(model: nn.Module) -> bool:
    return any(parameter.is_cuda for parameter in model.parameters())


def _copy(tensor: Tensor) -> Tensor:
    return full(tensor).detach().cpu().contiguous().clone()


def _like(value: Tensor, own: Tensor) -> Tensor:
    """A whole tensor as ``own`` has it: on its device, in its memory format, sharded in its way."""
    value = value.to(own.device)
    if is_sharded(own) and value.shape == own.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value, own.device_mesh, own.placements)
    if value.shape == own.shape and value.ndim:
        return torch.empty_like(own, dtype=value.dtype).copy_(value)
    return value.clone()


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """The values beside the tensors of a checkpoint.

    Raises:
        ValueError: something is missing, of another type or out of range.
    """
    found = check_fields(values, _VALUES, _MORE_VALUES)
    if min(found["seconds"], found["evaluations_done"], found["summed"], found["log_size"]) < 0:
        raise ValueError("it counts below 0")
    return found
