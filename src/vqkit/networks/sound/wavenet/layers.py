"""Layers of a WaveNet: gated dilated convolutions, and the features by which a sample is told to them."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.networks.sound.fixed_point import on_grid, rounded_weight, weight_bits
from vqkit.networks.sound.layers import Convolution
from vqkit.networks.sound.passes import Pass

_COMPANDING = 8.0
_OCTAVES = 4
FEATURES = 2 + 2 * _OCTAVES
"""Numbers by which a sample is told to the first layer, for each channel."""


@final
class Gate(nn.Module):
    """``tanh(w_f * x + c_f) sigmoid(w_g * x + c_g)``: equation 3 of arXiv 1609.03499, the condition c with the bias."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation, self._terms = dilation, 4 * width  # twice the products, so that the condition fits too
        weight_bits(self._terms)
        bound = math.sqrt(3 / (2 * width))
        self.weight = nn.Parameter(torch.empty(2 * width, width, 2).uniform_(-bound, bound))

    def rounded(self) -> Tensor:
        """The weight of exact arithmetic, float64."""
        return rounded_weight(self.weight, self._terms)

    def forward(self, x: Tensor, condition: Tensor, way: Pass) -> Tensor:
        """``[batch, width, dilation + time]`` to ``[batch, width, time]``."""
        weight = self.rounded() if way.exact else self.weight
        z = functional.conv1d(x, weight, dilation=self.dilation) + condition
        if not way.exact:
            value, gate = z.chunk(2, dim=1)
            return value.tanh() * gate.sigmoid()
        value, gate = on_grid(z).chunk(2, dim=1)
        return on_grid(on_grid(value.tanh()) * on_grid(((gate / 2).tanh() + 1) / 2))


@final
class Residual(nn.Module):
    """``x + w * active + b``, rounded once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = Convolution(width, width, 1, causal=False, weight_norm=False)

    def forward(self, x: Tensor, active: Tensor, way: Pass) -> Tensor:
        """Both ``[batch, width, time]``."""
        change = functional.conv1d(active, self.convolution._weight(way))
        change = change + self.convolution.bias.to(change.dtype)[:, None]
        return on_grid(x + change) if way.exact else x + change


def features(numbers: Tensor, exact: bool) -> Tensor:
    """A sample as the first layer reads it: itself, companded, and waves over the companded scale.

    A linear layer makes of these about any function of a sample, as of WaveNet's one-hot levels, whatever the
    likelihood's levels are.

    Args:
        numbers: ``[batch, channels, ...]``.
        exact: whether rounded to fixed point, in float64.

    Returns:
        ``[batch, FEATURES * channels, ...]``.
    """
    numbers = on_grid(numbers) if exact else numbers
    companded = (_COMPANDING * numbers).asinh() / 2
    found = [numbers, companded]
    for octave in range(_OCTAVES):
        found += [(2**octave * companded).sin(), (2**octave * companded).cos()]
    joined = torch.cat(found, dim=1)
    return on_grid(joined) if exact else joined


@final
class Stack(nn.Module):
    """Convolutions with rectifiers between."""

    def __init__(self, *convolutions: Convolution) -> None:
        super().__init__()
        self.layers = nn.ModuleList(convolutions)

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """What the last one gives."""
        for number, layer in enumerate(self.layers):
            x = layer(x.relu() if number else x, way)
        return x
