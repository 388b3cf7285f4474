"""Sums, linear maps and functions that give one vector the same numbers alone and among others, to the last bit.

Floats do not add up alike in another order, and libraries choose the order by the shape of a batch, the layout of
memory and the number of threads. Here a sum is made of operations on single numbers in an order that its count decides
(IEEE 754 rounds each in one way), or of whole numbers that no order rounds. So a quantizer in evaluation mode finds the
same code for a latent in a frame of a stream, in a whole recording and in a batch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_MANTISSA_BITS = 53
_ROW_BITS = 24
_LEAST_BITS = 8
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471805598903, 5.497923018708371e-14
_EXP_TERMS = 14
_EXP_LARGEST = 80.0
_TINY = 2.0**-1000


def is_reproducible(module: nn.Module) -> bool:
    """Whether a module computes in this way: in evaluation mode, outside of compiled graphs (exported ones do).

    Example:
        >>> from torch import nn
        >>> from vqkit.ops.reproducible import is_reproducible
        >>> is_reproducible(nn.Identity().eval()), is_reproducible(nn.Identity())
        (True, False)
    """
    return not module.training and (not torch.compiler.is_compiling() or torch.compiler.is_exporting())


def reproducible_sum(x: Tensor, dim: int) -> Tensor:
    """Sum along an axis by halves: an order that the length of the axis decides, not the layout or the batch.

    Example:
        >>> import torch
        >>> from vqkit.ops.reproducible import reproducible_sum
        >>> reproducible_sum(torch.arange(6.0).view(2, 3), dim=1)
        tensor([ 3., 12.])
    """
    count = x.shape[dim]
    if count == 0:
        return x.sum(dim=dim)
    while count > 1:
        half = count // 2
        pairs = x.narrow(dim, 0, half) + x.narrow(dim, half, half)
        x = torch.cat([pairs, x.narrow(dim, 2 * half, 1)], dim=dim) if count % 2 else pairs
        count = half + count % 2
    return x.squeeze(dim)


def reproducible_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``, each row the same whatever the others are; about as precise as float32.

    A row becomes whole numbers below 2^24 times a power of two, and so does a row of the weight, with so many bits that
    the sum of products is exact in float64. The gradient is that of the product.

    Args:
        x: ``[N, D]``. In float64 the plain product is taken.
        weight: ``[O, D]``.
        bias: ``[O]``.

    Example:
        >>> import torch
        >>> from vqkit.ops.reproducible import reproducible_linear
        >>> x, weight = torch.randn(100, 64), torch.randn(8, 64)
        >>> torch.equal(reproducible_linear(x, weight)[7:8], reproducible_linear(x[7:8], weight))
        True
    """
    bits = min(_ROW_BITS, _MANTISSA_BITS - _ROW_BITS - math.ceil(math.log2(max(1, x.shape[1]))))
    if torch.float64 in (x.dtype, weight.dtype) or bits < _LEAST_BITS or x.numel() == 0:
        return functional.linear(x, weight, bias)
    rows, row_scale = _whole(x.detach(), _ROW_BITS)
    columns, column_scale = _whole(weight.detach(), bits)
    exact = (rows @ columns.t()).mul_(row_scale).mul_(column_scale.t())
    if bias is not None:
        exact += bias.detach().double()
    value = exact.to(x.dtype)
    if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (x, weight, bias)):
        return with_value(functional.linear(x, weight, bias), value)
    return value


def reproducible_tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, float64, off by some 1e-16: the same wherever a number lies in memory; with the gradient.

    Libraries have several functions for it, and choose by layout. This one is sums, products and one quotient.

    Example:
        >>> import torch
        >>> from vqkit.ops.reproducible import reproducible_tanh
        >>> reproducible_tanh(torch.tensor([-0.5, 0.0, 30.0]))
        tensor([-0.4621,  0.0000,  1.0000], dtype=torch.float64)
    """
    wide = x.detach().double()
    size = (2 * wide.abs()).clamp_max_(_EXP_LARGEST)
    power = (size * _LOG2_E).round_()
    rest = (power * _LN2_HIGH).sub_(size).add_(power * _LN2_LOW)  # -size + power * ln 2
    small = torch.full_like(rest, 1.0)
    for term in range(_EXP_TERMS, 0, -1):
        small = small.mul_(rest).div_(term).add_(1.0)
    small.mul_(_power_of_two(-torch.nan_to_num(power)))  # exp(-size)
    value = (1 - small) / (1 + small)
    value = torch.where(wide < 0, -value, value)  # copysign, which not every runtime has
    if torch.is_grad_enabled() and x.requires_grad:
        return with_value(torch.tanh(x.double()), value)
    return value


class _Replacement(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def with_value(x: Tensor, value: Tensor) -> Tensor:
    """``value``, with the gradient of ``x``.

    Example:
        >>> import torch
        >>> from vqkit.ops.reproducible import with_value
        >>> x = torch.tensor(0.3, requires_grad=True)
        >>> y = with_value(x, x.detach().round())
        >>> y.backward()
        >>> y.item(), x.grad.item()
        (0.0, 1.0)
    """
    result: Tensor = _Replacement.apply(x, value)
    return result


def _whole(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Rows as whole numbers of at most 2^bits, float64, and the power of two ``[N, 1]`` that each is a multiple of."""
    wide = x.double()
    exponent = exponent_of(torch.nan_to_num(wide.abs().amax(dim=1, keepdim=True))).clamp(-900, 900) - bits
    return wide.mul_(_power_of_two(-exponent)).round_(), _power_of_two(exponent)


def exponent_of(x: Tensor) -> Tensor:
    """The exponent e of float64 numbers ``f * 2^e`` with ``0.5 <= f < 1``, of those above 0 (of 0 some small one).

    Example:
        >>> import torch
        >>> from vqkit.ops.reproducible import exponent_of
        >>> exponent_of(torch.tensor([1.0, 0.7, 8.5], dtype=torch.float64)).tolist()
        [1, 0, 4]
    """
    if not torch.compiler.is_exporting():
        return torch.frexp(x)[1]
    near = x.clamp_min(_TINY).log2().floor()  # of other runtimes, that cannot take numbers apart: off by one at most
    near = torch.where(_power_of_two(near) > x, near - 1, near)
    return torch.where(_power_of_two(near + 1) <= x, near + 1, near).long() + 1


def _power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent in float64, made of its bits (in exported graphs a power, which is as exact)."""
    if torch.compiler.is_exporting():
        return torch.pow(2.0, exponent.double())
    return ((exponent.long() + 1023) << 52).view(torch.float64)
