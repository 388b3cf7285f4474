"""Patch discriminators for signals of one, two and three axes: a logit for each patch, at one or several scales."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_POOLS: dict[int, Any] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_MOST_WIDTH = 512
_SLOPE = 0.2


@final
class PatchDiscriminator(nn.Module):
    """A logit for every patch of a signal: convolutions that halve the resolution, without normalization.

    Isola et al. 2017 (arXiv 1611.07004, section 3.2.2), as VQGAN takes it; several scales: Wang et al. 2018 (arXiv
    1711.11585). Convolutions are spectrally normalized (Miyato et al. 2018, arXiv 1802.05957) where that is asked for;
    batch normalization would make what is said of an item depend on the others.

    Args:
        axes: 1, 2 or 3.
        channels: of the signals.
        width: channels of the first layer; every further one has twice as many, up to 512.
        layers: that halve the resolution: a patch is about ``3 * 2 ** layers`` wide.
        scales: of the signal that are looked at, each half as fine as the one before.

    Example:
        >>> import torch
        >>> from vqkit.objectives.adversaries.patches import PatchDiscriminator
        >>> [each.shape for each in PatchDiscriminator(2, 3, width=8, layers=2, scales=2)(torch.rand(2, 3, 32, 32))]
        [torch.Size([2, 1, 8, 8]), torch.Size([2, 1, 4, 4])]
    """

    def __init__(self, axes: int, channels: int, *, width: int, layers: int, scales: int = 1) -> None:
        super().__init__()
        self.axes = axes
        self.networks = nn.ModuleList(_network(axes, channels, width, layers) for _ in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits ``[batch, 1, *patches]`` at each scale, of signals ``[batch, channels, *size]``."""
        found = []
        for number, network in enumerate(self.networks):
            if number and min(x.shape[2:]) >= 2:
                x = _POOLS[self.axes](x, 2)
            logits: Tensor = network(x)
            found.append(logits)
        return found


def _network(axes: int, channels: int, width: int, layers: int) -> nn.Sequential:
    convolution = _CONVOLUTIONS[axes]
    made: list[nn.Module] = []
    for _ in range(layers):
        made += [_Halving(convolution(channels, width, 4, stride=2, padding=1)), nn.LeakyReLU(_SLOPE)]
        channels, width = width, min(2 * width, _MOST_WIDTH)
    made += [convolution(channels, channels, 3, padding=1), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*made, convolution(channels, 1, 3, padding=1))


@final
class _Halving(nn.Module):
    """A strided convolution of signals of any size: sides of one value are padded to two."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        short = [max(0, 2 - length) for length in reversed(x.shape[2:])]
        if any(short):
            x = functional.pad(x, [width for each in short for width in (0, each)])
        made: Tensor = self.convolution(x)
        return made


def time_logits(logits: Tensor) -> Tensor:
    """Logits ``[batch, 1, rows, frames]`` of a spectrogram as ``[batch, rows, frames]``: patches along time.

    Example:
        >>> import torch
        >>> from vqkit.objectives.adversaries.patches import time_logits
        >>> time_logits(torch.zeros(2, 1, 5, 7)).shape
        torch.Size([2, 5, 7])
    """
    return torch.squeeze(logits, 1)
