"""The residual block of exact networks."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from vqkit.exact.formats import STREAM
from vqkit.exact.integers import add_to_stream
from vqkit.exact.layers import ExactConv, ExactRescale
from vqkit.exact.rounding import quantized_activation


@final
class ExactBlock(nn.Module):
    """``stream + point(relu(wide(relu(stream + bias))))``, all integers; it starts as the identity.

    The stream is int16; the convolution over neighbours and the one over channels read int8. There is no
    normalisation (its means and variances are sums of floats): weights start at He's variance, and each channel of a
    convolution learns a gain.

    Args:
        channels: of the stream.
        axes: of the grid, 0 to 3.
        hidden_channels: between the two convolutions; None: as the stream.
        kernel: of the first convolution.
    """

    def __init__(self, channels: int, *, axes: int, hidden_channels: int | None = None, kernel: int = 3) -> None:
        super().__init__()
        hidden = channels if hidden_channels is None else hidden_channels
        self.enter = ExactRescale(channels)
        self.wide = ExactConv(channels, hidden, axes=axes, kernel=kernel)
        self.point = ExactConv(hidden, channels, axes=axes, target=STREAM, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """The stream after this block, ``[batch, channels, *grid]``; see ``ExactLayer`` for the two modes."""
        added = x + self.point(self.wide(self.enter(x)))
        return quantized_activation(added, STREAM) if self.training else added.clamp_(STREAM.low, STREAM.high)

    @torch.no_grad()
    def rows(self, stream: Tensor, neighbors: Tensor, kept: Tensor | None = None) -> Tensor:
        """The stream after this block at some positions, ``[..., m, channels]``; exact.

        Args:
            stream: rows ``[..., n, channels]``.
            neighbors: int64 ``[m, taps]``, see ``IntegerConv``.
            kept: int64 ``[m]``, the rows of ``stream`` that these positions are; None: all, as they are.
        """
        wide, point = self.wide.integers(), self.point.integers()
        within = stream.dtype if wide.small is None or point.small is None else torch.int8
        branch = wide(self.enter.integers()(stream, within), neighbors, within)
        branch = point(branch, None, stream.dtype)
        return add_to_stream(stream if kept is None else stream.index_select(-2, kept), branch, STREAM)
