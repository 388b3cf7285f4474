"""Blocks of ConvNeXt for sound: a depthwise convolution, a norm over channels, and a small network in every frame."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from vqkit.networks.sound import layers as parts
from vqkit.networks.sound.fixed_point import ONE, in_range, on_grid, rounded, rounded_weight
from vqkit.networks.sound.layers import Convolution, Layer, make_activation
from vqkit.networks.sound.passes import Pass

_COARSE = 2.0**-11
"""Grid of the values whose squares are summed: squares below 2^20 and multiples of 2^-22, so sums of 2^11 are exact."""
_EPSILON = 1e-6
_FEW = 8
"""Values up to which all taps of a depthwise convolution are multiplied at once."""


@final
class RMSNorm(Layer):
    """Root mean square normalization over the channels of a frame (Zhang and Sennrich 2019, arXiv 1910.07467).

    ``gain * x / sqrt(mean x^2 + 1e-6)``. In fixed point the squares are those of values rounded to 2^-11, whose sum is
    exact in float64; what follows are single operations that IEEE 754 rounds alike everywhere.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """The normalized features."""
        if not way.exact:
            return x * (x.square().mean(dim=1, keepdim=True) + _EPSILON).rsqrt() * self.gain[:, None]
        power = rounded(x, _COARSE).square().sum(dim=1, keepdim=True) / x.shape[1]
        return on_grid(x / (power + _EPSILON).sqrt() * self.gain.double()[:, None])

    def _prepare(self) -> Tensor:
        return self.gain.detach().double()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        coarse = (x * (1 / (ONE * _COARSE))).round_().mul_(_COARSE)
        power = coarse.square_().sum(dim=2, keepdim=True) / x.shape[2]
        return in_range((x / (power + _EPSILON).sqrt_()).mul_(self._prepared(way)).round_())


@final
class DepthwiseConvolution(Layer):
    """A convolution of each channel by itself, one value emitted for each that is read; padded with zeros.

    Args:
        channels: in and out.
        kernel: values that it sees, odd.
        causal: whether all padding is on the left.
    """

    def __init__(self, channels: int, kernel: int, *, causal: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel).uniform_(-1, 1) * math.sqrt(3 / kernel))
        self.right = 0 if causal else kernel // 2
        self.left = kernel - 1 - self.right

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, channels, time]`` to the same shape."""
        x = way.with_context(self, way.ended(x), self.left)
        x = nn.functional.pad(x, (0, self.right))
        if not way.exact:
            return nn.functional.conv1d(x, self.weight, groups=x.shape[1])
        return on_grid(nn.functional.conv1d(x, self._rounded(), groups=x.shape[1]))

    def hold_weight(self) -> None:
        """See ``Layer.hold_weight``."""
        self._held = self._rounded().detach()

    def _rounded(self) -> Tensor:
        if self._held is not None and torch.compiler.is_exporting():
            return self._held
        return rounded_weight(self.weight, self.weight.shape[2])

    def _prepare(self) -> tuple[Tensor, list[Tensor]]:
        weight = self._rounded()[:, 0]
        return weight.contiguous(), list(weight.T.contiguous())

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        count, (weight, taps) = x.shape[1], self._prepared(way)
        x = way.padded(self, x, self.left, self.right)
        if count <= _FEW:  # a frame of a stream: two calls in place of two a tap
            return in_range((x.unfold(1, len(taps), 1) * weight).sum(dim=3).round_())
        total = x[:, :count] * taps[0]
        for number, tap in enumerate(taps[1:], 1):
            total.addcmul_(x[:, number : number + count], tap)
        return in_range(total.round_())


@final
class Block(Layer):
    """``x + W2 act(W1 norm(depthwise(x)))``, with ``expansion`` times the channels inside.

    Args:
        channels: in and out.
        kernel: of the depthwise convolution, odd.
        expansion: channels inside, as a multiple.
        activation: of ``ACTIVATIONS``.
        causal: see ``Convolution``.
        gain: standard deviation of what the block adds at first.
    """

    def __init__(
        self, channels: int, kernel: int, expansion: int, activation: str, *, causal: bool, gain: float
    ) -> None:
        super().__init__()
        inner = channels * expansion
        ways = {"causal": causal, "weight_norm": False}
        self.body = parts.Sequence(
            DepthwiseConvolution(channels, kernel, causal=causal),
            RMSNorm(channels),
            Convolution(channels, inner, 1, **ways),
            make_activation(activation, inner),
            Convolution(inner, channels, 1, gain=gain, **ways),
        )

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """The input plus the block's body."""
        y: Tensor = x + self.body(x, way)
        return on_grid(y) if way.exact else y

    def spans(self) -> list[tuple[int, int, float]]:
        """See ``Layer.spans``."""
        return self.body.spans()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        return in_range(self.body.evaluate(x, way).add_(x))
