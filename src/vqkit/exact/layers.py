"""Layers that train with gradients and then are integers: float parameters, and the int8 network derived from them.

In training mode ``forward`` computes with fake-quantised parameters and ordinary convolutions. In evaluation mode it
computes the integers themselves, without gradient. Both take and give integers in tensors of floats, ``[batch,
channels, *grid]``; faster, for some positions only, are the integer forms (``integers()``) on rows.

Derivation scales by powers of two, rounds and clamps, element by element: the same integers on every device, so a
folder holds the float parameters alone. It is done once, and again after anything has changed a parameter.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqkit.errors import ConfigError
from vqkit.exact.formats import (
    ACTIVATION,
    BIAS_BITS,
    BIAS_LIMIT,
    GAIN_BITS,
    GAIN_LIMIT,
    STREAM,
    WEIGHT_LIMIT,
    Format,
    weight_bits,
)
from vqkit.exact.integers import Affine, IntegerConv, IntegerRescale
from vqkit.exact.neighbors import neighbors
from vqkit.exact.products import INT8_FAN_IN, int8_helps
from vqkit.exact.rounding import quantized_activation, quantized_parameter, scaled


class ExactLayer(nn.Module):
    """Abstract: float parameters, and integers that are derived from them and kept until they change.

    They are kept in evaluation mode only, until the mode, the device or the type changes, or a parameter in a way that
    autograd counts (``load_state_dict``, ``copy_``, ``lerp_``). Writing into ``parameter.data``, and a step of a fused
    optimiser, it does not count: after those call ``eval()`` again, as everything does that trains.

    Attributes:
        storage_dtype: float32 or float64: what holds the integers in evaluation mode. The results are the same.
        int8: whether products may be of int8 where that is faster. The results are the same.
    """

    storage_dtype: torch.dtype
    int8: bool

    def __init__(self) -> None:
        super().__init__()
        self.storage_dtype, self.int8 = torch.float32, True
        self._derived: tuple[object, Any] | None = None

    @abstractmethod
    def _derive(self) -> Any:
        """The integer form, from the parameters alone."""

    @abstractmethod
    def _rounding(self) -> dict[str, tuple[int, int, int]]:
        """Of each parameter by name: the bits below the point, the least and the largest integer."""

    @torch.no_grad()
    def compact_(self) -> None:
        """Set the parameters to the numbers that the integers stand for; what the layer computes stays the same."""
        for name, (bits, low, high) in self._rounding().items():
            parameter = self.get_parameter(name)
            parameter.copy_(scaled(parameter, bits).clamp_(low, high) * 2.0**-bits + 0.0)

    @torch.no_grad()
    def _integers(self) -> Any:
        if self.training:
            return self._derive()
        state = (
            self.storage_dtype,
            self.int8,
            [
                (id(each), each._version, each.data_ptr(), each.device)
                for each in self._parameters.values()
                if each is not None
            ],
        )
        if self._derived is None or self._derived[0] != state:
            self._derived = state, self._derive()
        return self._derived[1]

    def train(self, mode: bool = True) -> Self:
        """As of every module; forgets the integers."""
        self._derived = None
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._derived = None
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_derived": None}


@final
class ExactConv(ExactLayer):
    """A convolution of int8 activations with int8 weights, requantised per channel; zeros outside of the grid.

        out = clamp(floor((sum of w a) * multiplier / 2^shift + bias + 1/2))

    with w = round(weight 2^b), multiplier = round((1 + gain) 2^12), both clamped. b follows from the fan-in alone.

    Args:
        inputs: channels, at most ``FAN_IN`` * 2^9 / taps.
        outputs: channels.
        axes: of the grid, 0 to 3.
        kernel: odd width on each axis, usually 1 or 3.
        source: of the activations that it reads, int8.
        target: of the output: ``ACTIVATION`` (with a ReLU), ``SIGNED``, ``STREAM`` or ``LOGIT``.
        zero: whether the weights start at 0: for the last layer of a residual branch, or of logits.

    Raises:
        ConfigError: axes above 3, an even kernel, or a kernel above 1 without axes.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        axes: int,
        kernel: int = 1,
        source: Format = ACTIVATION,
        target: Format = ACTIVATION,
        zero: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= axes <= 3:
            raise ConfigError(f"axes={axes}: exact convolutions have 0 to 3 axes")
        if kernel < 1 or kernel % 2 == 0:
            raise ConfigError(f"kernel={kernel}: give an odd number, as 1 or 3")
        if axes == 0:
            kernel = 1
        fan_in = inputs * kernel**axes
        self.axes, self.kernel, self.source, self.target = axes, kernel, source, target
        self.weight_bits = weight_bits(fan_in)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, *[kernel] * axes))
        if not zero:
            nn.init.normal_(self.weight, std=(2.0 / fan_in) ** 0.5)
        self.gain = nn.Parameter(torch.zeros(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.shift = GAIN_BITS + self.weight_bits + source.bits - target.bits

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, outputs, *grid]`` integers of ``target`` from ``[batch, inputs, *grid]`` integers of ``source``."""
        if not self.training:
            return on_rows(x, lambda rows: self.integers()(rows, self._neighbors(x)))
        weight = quantized_parameter(self.weight, self.weight_bits, -WEIGHT_LIMIT, WEIGHT_LIMIT)
        sums = _convolution(x, weight)
        shape = [-1, *[1] * self.axes]
        gain = quantized_parameter(self.gain, GAIN_BITS, 1 - (1 << GAIN_BITS), GAIN_LIMIT - (1 << GAIN_BITS))
        scale = (gain + float(1 << GAIN_BITS)) * 2.0**-self.shift
        offset = quantized_parameter(self.bias, self._bias_bits, -BIAS_LIMIT, BIAS_LIMIT) * 2.0**-BIAS_BITS
        return quantized_activation(torch.addcmul(offset.view(shape), sums, scale.view(shape)), self.target)

    def integers(self) -> IntegerConv:
        """The integer form, on the parameters' device."""
        found: IntegerConv = self._integers()
        return found

    @property
    def _bias_bits(self) -> int:
        return self.target.bits + BIAS_BITS

    def _rounding(self) -> dict[str, tuple[int, int, int]]:
        return {
            "weight": (self.weight_bits, -WEIGHT_LIMIT, WEIGHT_LIMIT),
            "gain": (GAIN_BITS, 1 - (1 << GAIN_BITS), GAIN_LIMIT - (1 << GAIN_BITS)),
            "bias": (self._bias_bits, -BIAS_LIMIT, BIAS_LIMIT),
        }

    def _derive(self) -> IntegerConv:
        weight = scaled(self.weight, self.weight_bits).clamp_(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        flat = weight.movedim(1, -1).flatten(1).t().to(self.storage_dtype).contiguous()
        gain = scaled(self.gain, GAIN_BITS).clamp_(1 - (1 << GAIN_BITS), GAIN_LIMIT - (1 << GAIN_BITS))
        bias = scaled(self.bias, self._bias_bits).clamp_(-BIAS_LIMIT, BIAS_LIMIT).long().clamp_(-BIAS_LIMIT, BIAS_LIMIT)
        small = None
        if self.int8 and len(flat) <= INT8_FAN_IN and int8_helps(flat.device):
            small = flat.to(torch.int8)
        return IntegerConv(flat, Affine.of(gain.long() + (1 << GAIN_BITS), bias, self.shift, self.target), small)

    def _neighbors(self, x: Tensor) -> Tensor | None:
        return None if self.kernel == 1 else neighbors(tuple(x.shape[2:]), self.kernel).to(x.device)


@final
class ExactRescale(ExactLayer):
    """From the residual stream to int8: a bias per channel, a shift, a clamp (with ``ACTIVATION``: a ReLU).

    Args:
        channels: of the stream.
        source: of the stream.
        target: ``ACTIVATION`` or ``SIGNED``.
    """

    def __init__(self, channels: int, *, source: Format = STREAM, target: Format = ACTIVATION) -> None:
        super().__init__()
        self.source, self.target = source, target
        self.shift = source.bits - target.bits
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, channels, *grid]`` integers of ``target`` from integers of ``source``."""
        if not self.training:
            return on_rows(x, self.integers())
        bias = quantized_parameter(self.bias, self.source.bits, self.source.low, self.source.high)
        moved = torch.add(bias.view(-1, *[1] * (x.ndim - 2)), x) * 2.0**-self.shift
        return quantized_activation(moved, self.target)

    def integers(self) -> IntegerRescale:
        """The integer form, on the parameters' device."""
        found: IntegerRescale = self._integers()
        return found

    def _rounding(self) -> dict[str, tuple[int, int, int]]:
        return {"bias": (self.source.bits, self.source.low, self.source.high)}

    def _derive(self) -> IntegerRescale:
        bias = scaled(self.bias, self.source.bits).clamp_(self.source.low, self.source.high).to(self.storage_dtype)
        return IntegerRescale(bias * 2.0**-self.shift + 0.5, self.shift, self.target)


@final
class ExactEmbedding(ExactLayer):
    """A table of integers: the row of each index, for the stream.

    Args:
        rows: of the table.
        channels: of a row.
        std: standard deviation of the first values; 0: zeros.
        target: of the values.
    """

    def __init__(self, rows: int, channels: int, *, std: float = 1.0, target: Format = STREAM) -> None:
        super().__init__()
        self.target = target
        self.weight = nn.Parameter(torch.zeros(rows, channels))
        if std:
            nn.init.normal_(self.weight, std=std)

    def forward(self, indices: Tensor) -> Tensor:
        """``[..., channels]`` integers from int64 indices ``[...]``."""
        if not self.training:
            return F.embedding(indices, self.integers())
        limits = self.target.bits, self.target.low, self.target.high
        if indices.numel() < len(self.weight):
            return quantized_parameter(F.embedding(indices, self.weight), *limits)
        return F.embedding(indices, quantized_parameter(self.weight, *limits))

    def integers(self) -> Tensor:
        """The table, storage_dtype ``[rows, channels]``."""
        found: Tensor = self._integers()
        return found

    def _rounding(self) -> dict[str, tuple[int, int, int]]:
        return {"weight": (self.target.bits, self.target.low, self.target.high)}

    def _derive(self) -> Tensor:
        return scaled(self.weight, self.target.bits).clamp_(self.target.low, self.target.high).to(self.storage_dtype)


def set_storage_dtype(network: nn.Module, storage_dtype: torch.dtype, *, int8: bool | None = None) -> None:
    """Let all exact layers of a network hold their integers in float32 or in float64; the results are the same.

    Args:
        network: any.
        storage_dtype: float32 or float64.
        int8: whether products may be of int8, where that is faster; None: with float32.
    """
    for module in network.modules():
        if isinstance(module, ExactLayer):
            module.storage_dtype = storage_dtype
            module.int8 = storage_dtype == torch.float32 if int8 is None else int8


@torch.no_grad()
def on_rows(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of rows ``[batch, n, channels]`` to ``[batch, channels, *grid]``."""
    rows = x.flatten(2).mT if x.ndim > 2 else x.unsqueeze(1)
    out = function(rows.contiguous())
    return out.mT.reshape(len(x), out.shape[-1], *x.shape[2:])


def _convolution(x: Tensor, weight: Tensor) -> Tensor:
    """Of any number of axes, with zeros around the grid; for training only: a library may use Winograd's algorithm."""
    if x.ndim == 2:
        return F.linear(x, weight)
    convolution = (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3]
    return convolution(x, weight, padding=weight.shape[-1] // 2)
