"""Layers of networks for sound: convolutions that are causal or centered, activations, and dilated residual units."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.networks.sound.fixed_point import FRACTION_BITS, biased, on_grid, rounded, rounded_weight, weight_bits
from vqkit.networks.sound.passes import Pass

ACTIVATIONS = ("elu", "snake")
_GAINS = {"elu": 1.0, "snake": 0.25}
"""Of the last convolution of a residual unit, so that networks begin with outputs of about 1 (measured: 0.9 to 2)."""
_LEAST_ALPHA = 2.0**-8


class Layer(nn.Module):
    """Base of the layers: ``layer(x, way)`` with ``x`` ``[batch, channels, time]``."""

    @abstractmethod
    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """The features that follow."""


class _Weighted(Layer):
    """A weight and a bias, the weight as it is or as a direction and a length for each of its outermost channels.

    Weight normalization (Salimans and Kingma 2016, arXiv 1602.07868): ``w = length * direction / |direction|``.
    """

    def __init__(
        self, shape: tuple[int, int, int], outputs: int, terms: int, *, weight_norm: bool, gain: float = 1.0
    ) -> None:
        super().__init__()
        weight_bits(terms)
        self._terms = terms
        bound = gain * math.sqrt(3 / terms)  # a gain of 1 keeps the variance (LeCun et al. 1998)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.length: nn.Parameter | None = None
        if weight_norm:
            self.length = nn.Parameter(_lengths(self.weight.detach()))

    def weight_for(self, way: Pass) -> Tensor:
        """The weight in the arithmetic of a pass."""
        if not way.exact:
            return self.weight if self.length is None else self.weight * (self.length / _lengths(self.weight))
        if way.state is not None and self in way.state.weights:
            return way.state.weights[self]
        weight = self.weight.double()
        if self.length is not None:
            weight = weight * (self.length.double() / _lengths(weight))
        weight = rounded_weight(weight, self._terms)
        if way.state is not None:
            way.state.weights[self] = weight
        return weight

    def with_bias(self, x: Tensor, way: Pass) -> Tensor:
        """Add the bias, which comes last so that the sum before it is exact."""
        return biased(x, self.bias) if way.exact else x + self.bias[:, None]


def _lengths(weight: Tensor) -> Tensor:
    return weight.square().sum(dim=(1, 2), keepdim=True).sqrt().clamp_min(torch.finfo(torch.float32).tiny)


@final
class Convolution(_Weighted):
    """A convolution that reads ``stride`` values for each that it emits; padded with zeros.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: values that it sees, at least ``stride``.
        stride: of the window.
        dilation: distance of the values that it sees.
        causal: whether all padding is on the left, so that it sees no later value than those of its own stride.
        weight_norm: see ``_Weighted``.
        gain: standard deviation of what it emits at first, for inputs of 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        causal: bool,
        weight_norm: bool,
        stride: int = 1,
        dilation: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__((outputs, inputs, kernel), outputs, inputs * kernel, weight_norm=weight_norm, gain=gain)
        self.stride, self.dilation = stride, dilation
        padding = (kernel - 1) * dilation + 1 - stride
        self.right = 0 if causal else padding // 2
        self.left = padding - self.right

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, inputs, time]`` to ``[batch, outputs, time / stride]``."""
        x = functional.pad(way.with_context(self, way.ended(x), self.left), (0, self.right))
        return self.with_bias(
            functional.conv1d(x, self.weight_for(way), stride=self.stride, dilation=self.dilation), way
        )


@final
class Upsampling(_Weighted):
    """A transposed convolution with a window of two strides: ``stride`` values for each that it reads.

    Args:
        inputs: channels.
        outputs: channels.
        stride: values emitted for one that is read.
        causal: whether a value depends on its own position and the one before; else it also sees the next one.
        weight_norm: see ``_Weighted``.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, causal: bool, weight_norm: bool) -> None:
        super().__init__((inputs, outputs, 2 * stride), outputs, 2 * inputs, weight_norm=weight_norm)
        self.stride = stride
        self.left = 1
        self.right = 0 if causal else 1
        self._offset = stride if causal else stride + stride // 2

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, inputs, time]`` to ``[batch, outputs, time * stride]``."""
        count = x.shape[2] * self.stride
        x = functional.pad(way.with_context(self, way.ended(x), self.left), (0, self.right))
        wide = functional.conv_transpose1d(x, self.weight_for(way), stride=self.stride)
        return self.with_bias(wide[:, :, self._offset : self._offset + count], way)


@final
class ELU(Layer):
    """Exponential linear unit (Clevert et al. 2016, arXiv 1511.07289), of EnCodec and SoundStream."""

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``x`` where positive, else ``exp(x) - 1``."""
        x = functional.elu(x)
        return on_grid(x) if way.exact else x


@final
class Snake(Layer):
    """``x + sin(a x)^2 / a`` with a learned for each channel (Liu et al. 2020, arXiv 2006.08195), of BigVGAN and DAC.

    a is at least 2^-8, where the unit is linear for all that networks emit.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """The activation of ``x``."""
        alpha = self.alpha[:, None].clamp_min(_LEAST_ALPHA)
        if not way.exact:
            return x + (alpha * x).sin().square() / alpha
        alpha = alpha.double()
        exponent = torch.frexp(alpha.detach())[1].clamp_max(1) - 1 - FRACTION_BITS
        step = torch.ldexp(torch.ones_like(alpha.detach()), exponent)
        return on_grid(x + rounded(rounded(alpha * x, step).sin().square(), step) / alpha)


@final
class Sequence(Layer):
    """Layers, one after the other."""

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """What the last layer gives."""
        for layer in self.layers:
            x = layer(x, way)
        return x


@final
class ResidualUnit(Layer):
    """``x + conv1(act(conv(act(x))))``, the first convolution dilated (van den Oord et al. 2016, arXiv 1609.03499).

    Args:
        channels: in and out; inside half as many.
        kernel: of the dilated convolution, odd.
        dilation: of it.
        activation: of ``ACTIVATIONS``.
        causal: see ``Convolution``.
        weight_norm: see ``_Weighted``.
    """

    def __init__(
        self, channels: int, kernel: int, dilation: int, activation: str, *, causal: bool, weight_norm: bool
    ) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.body = Sequence(
            make_activation(activation, channels),
            Convolution(channels, inner, kernel, dilation=dilation, causal=causal, weight_norm=weight_norm),
            make_activation(activation, inner),
            Convolution(inner, channels, 1, causal=causal, weight_norm=weight_norm, gain=_GAINS[activation]),
        )

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """The input plus the unit's body."""
        y: Tensor = x + self.body(x, way)
        return on_grid(y) if way.exact else y


def reach_of(network: nn.Module) -> int:
    """Frames on each side of one that a network's result depends on, by the padding of its layers in their order."""
    layers = [layer for layer in network.modules() if hasattr(layer, "left") and hasattr(layer, "right")]
    steps = [1 / layer.stride if isinstance(layer, Upsampling) else layer.stride for layer in layers]
    last = math.prod(steps)  # values that are read for one that is emitted; below 1 where more are emitted
    length = 1 / max(1.0, last)  # of a value, in frames
    left = right = 0.0
    for layer, step in zip(layers, steps, strict=True):
        left, right = left + layer.left * length, right + layer.right * length
        length *= step
    return math.ceil(max(left, right) - 1e-9)


def make_activation(name: str, channels: int) -> Layer:
    """Return an activation of ``ACTIVATIONS``.

    Raises:
        ConfigError: another name.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation={name!r}: choose one of {', '.join(ACTIVATIONS)}")
    return ELU() if name == "elu" else Snake(channels)
