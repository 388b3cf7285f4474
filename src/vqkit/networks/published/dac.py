"""Networks of the Descript Audio Codec: dilated residual units with snake activations, for sound.

Kumar et al. 2023 (arXiv 2306.06546), section 3.1. The layers and the names of their tensors are those of ``DacModel``
of transformers, which has taken the weight normalization into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.networks.base import Network


class _DAC(Network):
    """What the encoder and the decoder share.

    Args:
        in_channels: of the signal (of a decoder: of the codewords).
        out_channels: of the latents (of a decoder: parameters of the likelihood).
        downsampling: samples in a frame; the product of ``strides``.
        strides: in the order of the encoder.
        filters: of an encoder: channels at the signal's rate, doubled with each stride; of a decoder: at the frames'
            rate, halved with each.
        axes: of the signal; only 1.

    Raises:
        ConfigError: a value out of range.
    """

    supported_axes = (1,)
    signal_moments = (0.0, 1.0)
    mirrored = ("strides",)

    def __init__(
        self, in_channels: int, out_channels: int, downsampling: int = 512, *, strides: Sequence[int] = (2, 4, 8, 8),
        filters: int = 64, axes: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        del downsampling
        if axes not in self.supported_axes:
            raise ConfigError(f"axes={axes}: a {type(self).__name__} is for signals of 1 axis, such as sound")
        if not strides or min(strides) < 1 or filters < 1:
            raise ConfigError(f"strides={shown(list(strides))}, filters={filters}: give whole numbers from 1")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.downsampling = math.prod(strides)
        self._strides, self._filters = list(strides), filters


@final
class DACEncoder(_DAC):
    """DAC encoder: ``[batch, in_channels, time]`` to ``[batch, out_channels, time / downsampling]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import DACEncoder
        >>> encoder = DACEncoder(1, 16, strides=[2, 4], filters=4)
        >>> encoder(torch.randn(2, 1, 80)).shape
        torch.Size([2, 16, 10])
    """

    def __init__(
        self, in_channels: int, out_channels: int, downsampling: int = 512, *, strides: Sequence[int] = (2, 4, 8, 8),
        filters: int = 64, axes: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, downsampling, strides=strides, filters=filters, axes=axes)
        self.conv1 = nn.Conv1d(in_channels, filters, 7, padding=3)
        self.block = nn.ModuleList(_Down(filters * 2**number, stride) for number, stride in enumerate(strides))
        width = filters * 2 ** len(strides)
        self.snake1 = _Snake(width)
        self.conv2 = nn.Conv1d(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Latents of a signal."""
        x = self.conv1(x)
        for block in self.block:
            x = block(x)
        latents: Tensor = self.conv2(self.snake1(x))
        return latents


@final
class DACDecoder(_DAC):
    """DAC decoder: ``[batch, in_channels, grid]`` to ``[batch, out_channels, grid * downsampling]``.

    After odd strides the layers give a few samples less; the last sample is repeated in their place.

    Example:
        >>> import torch
        >>> from vqkit.networks import DACDecoder
        >>> decoder = DACDecoder(16, 1, strides=[2, 4], filters=16)
        >>> decoder(torch.randn(2, 16, 10)).shape
        torch.Size([2, 1, 80])
    """

    def __init__(
        self, in_channels: int, out_channels: int, downsampling: int = 512, *, strides: Sequence[int] = (2, 4, 8, 8),
        filters: int = 1536, axes: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, downsampling, strides=strides, filters=filters, axes=axes)
        widths = [filters // 2**number for number in range(len(strides) + 1)]
        if widths[-1] < 1:
            raise ConfigError(f"filters={filters}: {len(strides)} strides halve it to nothing; give more")
        self.conv1 = nn.Conv1d(in_channels, filters, 7, padding=3)
        self.block = nn.ModuleList(
            _Up(before, width, stride)
            for before, width, stride in zip(widths, widths[1:], reversed(strides), strict=False)
        )
        self.snake1 = _Snake(widths[-1])
        self.conv2 = nn.Conv1d(widths[-1], out_channels, 7, padding=3)

    def forward(self, latents: Tensor) -> Tensor:
        """Parameters of the likelihood, from codewords."""
        x = self.conv1(latents)
        for block in self.block:
            x = block(x)
        emitted = torch.tanh(self.conv2(self.snake1(x)))
        missing = latents.shape[-1] * self.downsampling - emitted.shape[-1]
        return functional.pad(emitted, (0, missing), mode="replicate") if missing else emitted


class _Snake(nn.Module):
    """``x + sin^2(alpha x) / alpha`` (Ziyin et al. 2020, arXiv 2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).pow(2)


class _Unit(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.snake1, self.snake2 = _Snake(width), _Snake(width)
        self.conv1 = nn.Conv1d(width, width, 7, dilation=dilation, padding=3 * dilation)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv2(self.snake2(self.conv1(self.snake1(x))))
        return x + found


class _Units(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.res_unit1, self.res_unit2, self.res_unit3 = (_Unit(width, dilation) for dilation in (1, 3, 9))

    def run(self, x: Tensor) -> Tensor:
        found: Tensor = self.res_unit3(self.res_unit2(self.res_unit1(x)))
        return found


class _Down(_Units):
    def __init__(self, width: int, stride: int) -> None:
        super().__init__(width)
        self.snake1 = _Snake(width)
        self.conv1 = nn.Conv1d(width, 2 * width, 2 * stride, stride=stride, padding=math.ceil(stride / 2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv1(self.snake1(self.run(x)))
        return found


class _Up(_Units):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__(width)
        self.snake1 = _Snake(inputs)
        self.conv_t1 = nn.ConvTranspose1d(inputs, width, 2 * stride, stride=stride, padding=math.ceil(stride / 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.conv_t1(self.snake1(x)))
