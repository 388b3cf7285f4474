"""Rounding with straight-through gradients: what makes a network of integers learn.

Everything holds integers in tensors of floats: training computes with the very integers that the exact network
computes with (only its requantisation is float32 and may round a tie to the other side), and gradients pass the
rounding as if it were not there (Bengio et al. 2013, arXiv 1308.3432; Jacob et al. 2018, arXiv 1712.05877, section 3).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vqkit.deprecation import moved
from vqkit.exact.formats import Format


class _Parameter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parameter: Tensor, bits: int, low: int, high: int) -> Tensor:
        integers = scaled(parameter, bits).clamp_(low, high)
        ctx.save_for_backward(integers)
        ctx.settings = bits, low, high
        return integers

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (integers,) = ctx.saved_tensors
        bits, low, high = ctx.settings
        outward = ((integers >= high) & (gradient < 0)) | ((integers <= low) & (gradient > 0))
        return (gradient * 2.0**bits).masked_fill_(outward, 0.0), None, None, None


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int) -> Tensor:
        integers = (x + 0.5).floor_().clamp_(low, high)
        ctx.save_for_backward(integers)
        ctx.settings = low, high
        return integers

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (integers,) = ctx.saved_tensors
        low, high = ctx.settings
        outward = (integers >= high) & (gradient < 0)
        if low == 0:
            return torch.ops.aten.threshold_backward(gradient, integers, 0).masked_fill_(outward, 0.0), None, None
        outward |= (integers <= low) & (gradient > 0)
        return gradient.masked_fill(outward, 0.0), None, None


def scaled(parameter: Tensor, bits: int) -> Tensor:
    """round(parameter * 2^bits), ties to even: a power of two and a rounding, the same on every device.

    NaN becomes 0 and infinities the largest float, so that a damaged parameter gives the same integers everywhere too.
    """
    wide = parameter if parameter.dtype == torch.float64 else parameter.float()  # half has no room for the integers
    return torch.nan_to_num(wide * 2.0**bits).round_()


def quantized_parameter(parameter: Tensor, bits: int, low: int, high: int) -> Tensor:
    """``clamp(round(parameter * 2^bits), low, high)``, shaped as the parameter and of its dtype.

    The gradient is that of ``parameter * 2^bits``, but 0 where a step along it would go further beyond the clamp.
    """
    result: Tensor = _Parameter.apply(parameter, bits, low, high)
    return result


def quantized_activation(x: Tensor, target: Format) -> Tensor:
    """``clamp(floor(x + 1/2), low, high)``; the gradient is the identity, but 0 where a step would go beyond the clamp.

    So what has run into a clamp can come back: with a gradient of 0 there, a network whose activations have all grown
    too large, as a high learning rate can make them in a few steps, would stay a constant for ever. With ``low`` = 0
    the lower end is a ReLU, with its gradient.
    """
    result: Tensor = _Activation.apply(x, target.low, target.high)
    return result


__getattr__ = moved(
    __name__,
    {
        "quantised_activation": f"{__name__}:quantized_activation",
        "quantised_parameter": f"{__name__}:quantized_parameter",
    },
)
