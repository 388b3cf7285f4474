"""Fixed-point arithmetic in float64: sums that are the same in any order, so in any batch, chunk, thread or device.

Floats do not add up alike in another order, and libraries choose the order by the shape of a batch and the number of
threads: the same frame of a sound gets latents that differ in their last bits, and now and then another token. Here
activations are multiples of 2^-15 below 2^10 in magnitude, and weights have so many bits that no sum of products leaves
the 53 bits of a float64. Every convolution is then exact, whoever computes it. What follows it is one rounding of one
number, the same everywhere (IEEE 754); functions are rounded to the grid again, and the test of them shows that no
number of their domain lies near a tie, so that any library gives the same.

The steps of activations are 3e-5 of a standard deviation of the signal, 16-bit audio at full scale has the same.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops.reproducible import exponent_of, with_value

FRACTION_BITS = 15
"""Activations are multiples of 2^-15."""
RANGE_BITS = 10
"""Activations lie in [-2^10, 2^10]; beyond they are clamped."""
ONE = 2.0**FRACTION_BITS
"""The whole number that stands for 1."""
_LIMIT = 1 << (FRACTION_BITS + RANGE_BITS)
_MANTISSA_BITS = 53
_FLOAT32_BITS = 24
_LEAST_BITS = 8


class _Grid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scaled = (x.double() * 2.0**FRACTION_BITS).round_().clamp_(-_LIMIT, _LIMIT)
        return scaled.mul_(2.0**-FRACTION_BITS)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def on_grid(x: Tensor) -> Tensor:
    """The nearest multiples of 2^-15 in [-1024, 1024], float64; the gradient is the identity.

    Example:
        >>> import torch
        >>> from vqkit.networks.sound.fixed_point import on_grid
        >>> on_grid(torch.tensor([0.5, 1e-9, 5000.0]))
        tensor([5.0000e-01, 0.0000e+00, 1.0240e+03], dtype=torch.float64)
    """
    result: Tensor = _Grid.apply(x)
    return result


def whole_numbers(x: Tensor) -> Tensor:
    """Numbers in units of 2^-15, float64, as they are."""
    return x.double() * ONE


def in_range(x: Tensor) -> Tensor:
    """Whole numbers in units of 2^-15, clamped to what ``on_grid`` allows, in their place."""
    return x.clamp_(-_LIMIT, _LIMIT)


def biased(x: Tensor, bias: Tensor) -> Tensor:
    """``on_grid(x + bias)``, in the place of ``x`` where no gradient is asked for.

    Args:
        x: ``[batch, channels, time]`` float64.
        bias: ``[channels]``.
    """
    if torch.is_grad_enabled():
        return on_grid(x + bias.double()[:, None])
    x += bias.double()[:, None]
    return x.mul_(2.0**FRACTION_BITS).round_().clamp_(-_LIMIT, _LIMIT).mul_(2.0**-FRACTION_BITS)


def rounded(x: Tensor, step: Tensor | float) -> Tensor:
    """The nearest multiples of ``step``, a power of two or several, of float64; the gradient is the identity.

    Example:
        >>> import torch
        >>> from vqkit.networks.sound.fixed_point import rounded
        >>> rounded(torch.tensor([0.3, 0.9], dtype=torch.float64), 0.5)
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    value = (x.detach() / step).round_().mul_(step)
    return with_value(x, value) if x.requires_grad else value


def weight_bits(terms: int) -> int:
    """Bits of a weight, so that a sum of so many products with activations is exact in float64; at most 24.

    Raises:
        ConfigError: more terms than leave a weight 8 bits (1,048,576).

    Example:
        >>> from vqkit.networks.sound.fixed_point import weight_bits
        >>> weight_bits(512 * 7), weight_bits(16)
        (16, 24)
    """
    bits = _MANTISSA_BITS - FRACTION_BITS - RANGE_BITS - math.ceil(math.log2(terms))
    if bits < _LEAST_BITS:
        most = 1 << (_MANTISSA_BITS - FRACTION_BITS - RANGE_BITS - _LEAST_BITS)
        raise ConfigError(f"a convolution sums {terms} products, exact arithmetic allows {most}: fewer channels")
    return min(bits, _FLOAT32_BITS)


def rounded_weight(weight: Tensor, terms: int) -> Tensor:
    """A weight in float64, rounded to ``weight_bits(terms)`` bits below the power of two that bounds it.

    Args:
        weight: of a convolution; its gradient passes.
        terms: products in one sum.
    """
    wide = weight.double()
    if torch.compiler.is_exporting():
        place = exponent_of(wide.detach().abs().max()) - weight_bits(terms)
        return rounded(wide, torch.pow(2.0, place.double()))
    bound = math.frexp(float(wide.detach().abs().max()))[1]
    return rounded(wide, 2.0 ** (bound - weight_bits(terms)))
