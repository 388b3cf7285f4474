"""A fixed random pyramid of convolutions: features of several scales, of signals of 1 to 3 axes, from a seed alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONVOLVE: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_POOL: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
_KERNELS, _FACTORS = {1: 15, 2: 3, 3: 3}, {1: 4, 2: 2, 3: 2}
"""Of sound, whose neighboring samples say little, filters are longer and scales lie farther apart."""


@final
class RandomPyramid(nn.Module):
    """Maps ``[batch, width, *size]`` at scales that halve (of sound: quarter), by random filters that never change.

    Each scale reads means of the signal and of the maps of the finer one. Filters have zero sum over positions, so that
    flat areas give 0, and a norm of sqrt(2), which keeps the variance of noise through the ReLU behind it (He et al.
    2015, arXiv 1502.01852). They are drawn uniformly, the same on every machine. What a random network tells apart is
    texture (Ustyuzhaninov et al. 2016, arXiv 1606.00021), not meaning.

    Args:
        axes: 1, 2 or 3.
        channels: of the signals.
        scales: how many; a signal too short for all of them has the finer ones alone.
        width: filters of each scale.
        seed: of the filters, from a generator of its own.

    Example:
        >>> import torch
        >>> from vqkit.models.perceptual.pyramid import RandomPyramid
        >>> [tuple(maps.shape) for maps in RandomPyramid(2, 3, scales=2, width=8)(torch.randn(1, 3, 9, 8))]
        [(1, 8, 9, 8), (1, 8, 5, 4)]
    """

    def __init__(self, axes: int, channels: int, *, scales: int = 4, width: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.axes, self.scales = axes, scales
        generator = torch.Generator().manual_seed(seed)
        kernel, rest = _KERNELS[axes], tuple(range(1, 2 + axes))
        for scale in range(scales):
            inputs = channels + (width if scale else 0)
            # Uniform, not normal: whole numbers over 2^24 are the same on every processor.
            filters = torch.rand(width, inputs, *[kernel] * axes, generator=generator).double()
            filters -= filters.mean(dim=rest[1:], keepdim=True)
            filters *= 2**0.5 / filters.square().sum(dim=rest, keepdim=True).sqrt()
            self.register_buffer(f"filters{scale}", filters.float(), persistent=False)

    def forward(self, signals: Tensor) -> list[Tensor]:
        """Maps of every scale, of signals ``[batch, channels, *size]`` with mean 0 and variance 1."""
        found: list[Tensor] = []
        for scale in range(self.scales):
            if scale:
                if max(signals.shape[2:]) == 1:
                    break
                signals = self._coarser(signals)
            inputs = signals if not found else torch.cat([signals, self._coarser(found[-1])], dim=1)
            filters = self.get_buffer(f"filters{scale}")
            around: list[Any] = [filters.shape[-1] // 2] * (2 * self.axes)
            padded = functional.pad(inputs, around, "replicate")
            found.append(functional.relu(_CONVOLVE[self.axes](padded, filters)))
        return found

    def _coarser(self, maps: Tensor) -> Tensor:
        blocks = [min(length, _FACTORS[self.axes]) for length in maps.shape[2:]]
        return _POOL[self.axes](maps, blocks, ceil_mode=True)
