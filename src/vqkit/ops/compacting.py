"""Rounding of weights in place to numbers that need few bits: float16, or what a module itself says."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

_LARGEST = 65504.0
"""Of float16."""


@runtime_checkable
class Compacts(Protocol):
    """A module that rounds what it owns itself: codebooks, layers of integers."""

    def compact_(self) -> None:
        """Round own parameters and buffers in place; those of sub-modules are theirs."""


@torch.no_grad()
def compact_weights(model: nn.Module) -> None:
    """Round each parameter of a model in place: modules that ``Compacts`` do it, others have theirs as float16.

    Buffers that no module rounds stay as they are.

    Example:
        >>> import torch
        >>> from vqkit.ops.compacting import compact_weights
        >>> layer = torch.nn.Linear(1, 1)
        >>> _ = layer.weight.data.fill_(1 / 3)
        >>> compact_weights(layer)
        >>> layer.weight.item()
        0.333251953125
    """
    for module in model.modules():
        if isinstance(module, Compacts):
            module.compact_()
            continue
        for parameter in module.parameters(recurse=False):
            parameter.copy_(halved(parameter))


def halved(values: Tensor) -> Tensor:
    """Values as float16 has them, in their own dtype; positive zeros only, which integers have too."""
    return values.clamp(-_LARGEST, _LARGEST).half().to(values.dtype) + 0.0
