"""The whole state of a run as named tensors and JSON values, so that it can be saved without pickle."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

_OPTIONS = StateDictOptions(full_state_dict=True, cpu_offload=True)
_FLAT = StateDictOptions(full_state_dict=True, cpu_offload=True, flatten_optimizer_state_dict=True)


def collect(
    model: nn.Module, shadow: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything that the next step depends on; sharded tensors are gathered (call it on every process).

    Returns:
        Tensors by name, and JSON values by name.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {
        "model": get_model_state_dict(model, options=_OPTIONS),
        "average": get_model_state_dict(shadow, options=_OPTIONS),
        "optimizer": get_optimizer_state_dict(model, optimizer, options=_FLAT),
    }
    for part, entries in parts.items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{part}/{name}"] = value.detach().cpu().contiguous().clone()
            else:
                values[f"{part}/{name}"] = value
    tensors["random/torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    return tensors, values


def restore(
    tensors: dict[str, Tensor],
    values: dict[str, Any],
    model: nn.Module,
    shadow: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """The inverse of ``collect``: put a run exactly where it was."""

    def part(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for source in (tensors, values):
            found |= {
                key.removeprefix(f"{name}/"): value for key, value in source.items() if key.startswith(f"{name}/")
            }
        return found

    options = StateDictOptions(full_state_dict=True, strict=True)
    set_model_state_dict(model, part("model"), options=options)
    set_model_state_dict(shadow, part("average"), options=options)
    flat = StateDictOptions(full_state_dict=True, flatten_optimizer_state_dict=True)
    set_optimizer_state_dict(model, optimizer, part("optimizer"), options=flat)
    torch.set_rng_state(tensors["random/torch"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])
