"""Layers of networks for sound: convolutions that are causal or centered, activations, and dilated residual units."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.networks.sound.fixed_point import (
    FRACTION_BITS,
    ONE,
    biased,
    in_range,
    on_grid,
    rounded,
    rounded_weight,
    weight_bits,
    whole_numbers,
)
from vqkit.networks.sound.passes import Pass
from vqkit.networks.sound.products import Window

ACTIVATIONS = ("elu", "snake")
_GAINS = {"elu": 1.0, "snake": 0.25}
"""Of the last convolution of a residual unit, so that networks begin with outputs of about 1 (measured: 0.9 to 2)."""
_LEAST_ALPHA = 2.0**-8


class Layer(nn.Module):
    """Base of the layers: ``layer(x, way)`` with ``x`` ``[batch, channels, time]``.

    Attributes:
        stride: values that it reads for each that it emits.
        emitted: values that it emits for each that it reads.
        left: values before one that it emits that it also sees, of those it reads.
        right: values behind it.
    """

    stride = emitted = 1
    left = right = 0

    _kept: tuple[list[Tensor], Any] | None = None
    _held: Tensor | None = None

    @abstractmethod
    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """The features that follow."""

    def spans(self) -> list[tuple[int, int, float]]:
        """Of each of its steps, first to last: ``left``, ``right``, and values read for one that is emitted."""
        return [(self.left, self.right, self.stride / self.emitted)]

    @abstractmethod
    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """The same without a gradient, in fixed point: whole numbers, units of 2^-15, ``[batch, time, channels]``."""

    def hold_weight(self) -> None:
        """Keep the weight in fixed point as it is now, for exported graphs, which then need not compute it."""

    def _prepare(self) -> Any:
        """What ``evaluate`` needs of the parameters."""
        return None

    def _prepared(self, way: Pass) -> Any:
        """``_prepare()``: as it was at the first chunk of a stream; else anew where a parameter has changed."""
        if way.state is not None and self in way.state.prepared:
            return way.state.prepared[self]
        now = [parameter.detach() for parameter in self._parameters.values() if parameter is not None]
        kept = self._kept
        if kept is None or not all(
            a.device == b.device and torch.equal(a, b) for a, b in zip(now, kept[0], strict=True)
        ):
            kept = [parameter.clone() for parameter in now], self._prepare()
            self._kept = kept
        if way.state is not None:
            way.state.prepared[self] = kept[1]
        return kept[1]


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

    def hold_weight(self) -> None:
        """See ``Layer.hold_weight``."""
        self._held = self._weight(Pass(exact=True)).detach()

    def _weight(self, way: Pass) -> Tensor:
        if way.exact and self._held is not None and torch.compiler.is_exporting():
            return self._held
        if not way.exact:
            return self.weight if self.length is None else self.weight * (self.length / _lengths(self.weight))
        weight = self.weight.double()
        if self.length is not None:
            weight = weight * (self.length.double() / _lengths(weight))
        return rounded_weight(weight, self._terms)

    @abstractmethod
    def _windows(self, weight: Tensor) -> Any:
        """The weight as ``evaluate`` multiplies with it."""

    def _prepare(self) -> tuple[Any, Tensor]:
        return self._windows(self._weight(Pass(exact=True))), whole_numbers(self.bias.double())

    def _biased(self, x: Tensor, way: Pass) -> Tensor:
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
        weight = self._weight(way)
        if self.stride == weight.shape[2] == 1 and not way.exact:
            return functional.linear(x.mT, weight[:, :, 0], self.bias).mT  # twice as fast
        x = functional.pad(way.with_context(self, way.ended(x), self.left), (0, self.right))
        return self._biased(functional.conv1d(x, weight, stride=self.stride, dilation=self.dilation), way)

    def _windows(self, weight: Tensor) -> Window:
        return Window.of(weight, self.stride, self.dilation)

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        window, bias = self._prepared(way)
        count = x.shape[1] // self.stride
        if self.left or self.right:
            x = way.padded(self, x, self.left, self.right)
        return in_range(window.sums(x, count).add_(bias).round_())


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
        self.emitted = stride
        self.left = 1
        self.right = 0 if causal else 1
        self._offset = stride if causal else stride + stride // 2

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``[batch, inputs, time]`` to ``[batch, outputs, time * stride]``."""
        count = x.shape[2] * self.emitted
        x = functional.pad(way.with_context(self, way.ended(x), self.left), (0, self.right))
        wide = functional.conv_transpose1d(x, self._weight(way), stride=self.emitted)
        return self._biased(wide[:, :, self._offset : self._offset + count], way)

    def _windows(self, weight: Tensor) -> Window:
        now, before = weight.split(
            self.emitted, dim=2
        )  # of a value, and of the one before it, [inputs, outputs, stride]
        return Window.of(torch.stack([before, now], dim=3).permute(2, 1, 0, 3).flatten(0, 1))

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        window, bias = self._prepared(way)
        batch, count = x.shape[:2]
        wide = window.sums(way.padded(self, x, self.left, self.right), count + self.right)
        first = self._offset - self.emitted
        wide = wide.view(batch, -1, bias.shape[0])[:, first : first + count * self.emitted]
        return in_range(wide.add_(bias).round_())


@final
class ELU(Layer):
    """Exponential linear unit (Clevert et al. 2016, arXiv 1511.07289), of EnCodec and SoundStream."""

    def forward(self, x: Tensor, way: Pass) -> Tensor:
        """``x`` where positive, else ``exp(x) - 1``."""
        x = functional.elu(x)
        return on_grid(x) if way.exact else x

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        del way
        result: Tensor = torch.ops.aten.elu(x, ONE, 1.0, 1 / ONE).round_()
        return result


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
        step = _step(alpha.detach())
        return on_grid(x + rounded(rounded(alpha * x, step).sin().square(), step) / alpha)

    def _prepare(self) -> tuple[Tensor, ...]:
        alpha = self.alpha.detach().clamp_min(_LEAST_ALPHA).double()
        step = _step(alpha)
        return alpha / (step * ONE), step, alpha, 1 / step, step * ONE

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        inward, step, alpha, steps, outward = self._prepared(way)
        y = (x * inward).round_().mul_(step).sin_().square_()
        return in_range(y.mul_(steps).round_().mul_(outward).div_(alpha).add_(x).round_())


def _step(alpha: Tensor) -> Tensor:
    """Of the grid on which the phase ``alpha * x`` lies, a power of two."""
    exponent = torch.frexp(alpha)[1].clamp_max(1) - 1 - FRACTION_BITS
    return torch.ldexp(torch.ones_like(alpha), exponent)


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

    def spans(self) -> list[tuple[int, int, float]]:
        """See ``Layer.spans``."""
        return [span for layer in self.layers for span in layer.spans()]  # type: ignore[operator]

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        for layer in self.layers:
            x = layer.evaluate(x, way)  # type: ignore[operator]
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

    def spans(self) -> list[tuple[int, int, float]]:
        """See ``Layer.spans``."""
        return self.body.spans()

    def evaluate(self, x: Tensor, way: Pass) -> Tensor:
        """See ``Layer.evaluate``."""
        return in_range(self.body.evaluate(x, way).add_(x))


def reach_of(layer: Layer) -> int:
    """Frames on each side of one that the result of layers depends on; a frame is the longer of what they read or emit.

    Example:
        >>> from vqkit.networks.sound.layers import Convolution, reach_of
        >>> reach_of(Convolution(1, 8, 7, causal=True, weight_norm=False))
        6
    """
    spans = layer.spans()
    last = math.prod(step for _, _, step in spans)  # values that are read for one that is emitted
    length = 1 / max(1.0, last)  # of a value, in frames
    left = right = 0.0
    for before, behind, step in spans:
        left, right = left + before * length, right + behind * length
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
