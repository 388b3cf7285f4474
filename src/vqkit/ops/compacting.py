"""Rounding of weights in place to numbers that need few bits: float16, or what a module itself says."""

from __future__ import annotations

import math
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


def gridded(values: Tensor, bits: int = 7) -> Tensor:
    """Values as multiples of a power of two, below ``2 ** bits`` of them either way: with seven, a byte in files.

    A codebook needs no more: what its rounding leaves is some 40 dB below the codes, the latents are quantized to the
    rounded codes, and later codebooks see the rest.

    Example:
        >>> import torch
        >>> from vqkit.ops.compacting import gridded
        >>> gridded(torch.tensor([1.0, 0.3, -0.001]), bits=3).tolist()
        [1.0, 0.25, 0.0]
    """
    largest = float(values.abs().max()) if values.numel() else 0.0
    if not largest:
        return values + 0.0
    step = 2.0 ** max(math.ceil(math.log2(largest / (2**bits - 1))), -24)
    return halved((values / step).round() * step)
