"""The layers that the networks are made of, for any number of axes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.networks.base import Network, NetworkShape
from vqkit.spelling import setting

_CONV: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_MORE_POSITIONS = 3
"""Positions that the strided layers and the first and last convolutions see beyond those of the residual blocks."""


def convolution(axes: int, inputs: int, outputs: int, kernel: int) -> nn.Module:
    """A convolution that keeps the size (odd kernel, zero padding); for 0 axes, a linear layer."""
    if axes == 0:
        return nn.Linear(inputs, outputs)
    return _CONV[axes](inputs, outputs, kernel, padding=kernel // 2)


def halving(axes: int, inputs: int, outputs: int) -> nn.Module:
    """The paper's strided convolution: window 4 on each axis, stride 2, halves every (even) axis."""
    return _CONV[axes](inputs, outputs, 4, stride=2, padding=1)


def doubling(axes: int, inputs: int, outputs: int, upsampling: str) -> nn.Module:
    """Doubles every axis: the paper's transposed convolution (window 4, stride 2), or resize and convolve.

    ``"resize"`` repeats each value twice on every axis and applies a window of 3: no checkerboard, more work.
    """
    if upsampling == "resize":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), convolution(axes, inputs, outputs, 3))
    return _TRANSPOSED[axes](inputs, outputs, 4, stride=2, padding=1)


class ConvNetwork(Network):
    """Base of the convolutional encoder and decoder: what they say of themselves (see ``vqkit.networks.base``).

    Args:
        axes: spatial axes of the signal.
        channels: of the signal (of a decoder: the parameters of its likelihood).
        code_dim: numbers at each position of the grid.
        downsampling: a power of two, on every axis.
        hidden_channels: width at the grid's resolution.
        residual_blocks: how many.
        residual_channels: width inside a residual block.
        widths: channels after each halving, from the signal inwards; None: see ``layer_widths``.
        upsampling: ``"transposed"`` (the paper's) or ``"resize"``.
        head_channels: width of one more layer at the signal's resolution; 0: none.
    """

    _shape: NetworkShape

    def _describe(self, inputs: int, outputs: int, axes: int, downsampling: int, residual_blocks: int) -> None:
        self._shape = NetworkShape(inputs, outputs, (downsampling,) * axes, residual_blocks + _MORE_POSITIONS)

    @property
    def in_channels(self) -> int:
        """Channels that it reads."""
        return self._shape.in_channels

    @property
    def out_channels(self) -> int:
        """Channels that it emits."""
        return self._shape.out_channels

    @property
    def downsampling(self) -> int | tuple[int, ...]:
        """Values of the signal per position; of vectors 1."""
        return self._shape.downsampling or 1

    @property
    def halo(self) -> int | None:
        """Receptive field, in positions on each side (or a few more)."""
        return self._shape.halo


class ResidualBlock(nn.Module):
    """``x + conv1(relu(conv3(relu(x))))``: ReLU, 3x3, ReLU, 1x1 (arXiv 1711.00937, section 4.1).

    Shapes: ``[batch, channels, *grid]`` in and out.

    Example:
        >>> import torch
        >>> from vqkit.networks import ResidualBlock
        >>> ResidualBlock(axes=2, channels=16, residual_channels=8)(torch.rand(2, 16, 4, 4)).shape
        torch.Size([2, 16, 4, 4])
    """

    def __init__(self, axes: int, channels: int, residual_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            convolution(axes, channels, residual_channels, 3),
            nn.ReLU(inplace=True),
            convolution(axes, residual_channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input plus the block's body."""
        result: Tensor = x + self.body(x)
        return result


def layer_widths(downsampling: int, hidden_channels: int, widths: Sequence[int] | None) -> list[int]:
    """Channels after each halving, from the signal inwards.

    Args:
        downsampling: a power of two, 1 or more.
        hidden_channels: the width of the innermost layer.
        widths: one per halving, or None: half of ``hidden_channels`` everywhere but at the innermost halving (as in
            sonnet's example).

    Raises:
        ConfigError: downsampling is not a power of two, or ``widths`` has another length or a number below 1.

    Example:
        >>> from vqkit.networks import layer_widths
        >>> layer_widths(8, 128, None)
        [64, 64, 128]
    """
    if not isinstance(downsampling, int) or downsampling < 1 or downsampling & (downsampling - 1):
        raise ConfigError(
            f"downsampling={downsampling}: each layer halves, so give a power of two: 1, 2, 4, 8, 16 "
            f"...; other networks ({setting('encoder')}, {setting('decoder')}) may have any"
        )
    halvings = downsampling.bit_length() - 1
    if widths is None:
        return [max(1, hidden_channels // 2)] * (halvings - 1) + [hidden_channels] * (halvings > 0)
    if len(widths) != halvings or min(widths, default=1) < 1:
        raise ConfigError(
            f"widths={list(widths)}: downsampling={downsampling} halves {halvings} times, so give {halvings} numbers "
            "of channels, each at least 1"
        )
    return list(widths)
