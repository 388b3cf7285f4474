"""Operations of float64 that ONNX Runtime has in float32 only, made of those that it has in both.

Networks for sound compute in fixed point, whose sums are exact in float64 in any order
(``vqkit.networks.sound.fixed_point``): a convolution may as well be a product of matrices, and gives the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_aten: Any = torch.ops.aten


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> Tensor:
    """A convolution; of float64 the products of its windows with the weight.

    Example:
        >>> import torch
        >>> from vqkit.export.formats.float64 import conv1d
        >>> x, weight = torch.randn(1, 4, 9).double(), torch.randn(6, 4, 3).double()
        >>> torch.allclose(conv1d(x, weight, stride=[2]), torch.nn.functional.conv1d(x, weight, stride=2))
        True
    """
    plain = x.dtype != torch.float64 or any(padding) or (groups not in (1, x.shape[1]))
    if plain:
        found: Tensor = _aten.convolution.default(
            x, weight, bias, list(stride), list(padding), list(dilation), False, [0], groups
        )
        return found
    kernel, step, reach = weight.shape[2], stride[0], dilation[0]
    count = (x.shape[2] - (kernel - 1) * reach - 1) // step + 1
    last = (count - 1) * step + 1
    taps = [_aten.slice.Tensor(x, 2, tap * reach, tap * reach + last, step) for tap in range(kernel)]
    if groups == 1 and kernel > _FEW:
        places = (
            torch.arange(count, device=x.device).unsqueeze(1) * step + torch.arange(kernel, device=x.device) * reach
        )
        windows = x.index_select(2, places.flatten()).unflatten(2, (count, kernel))  # [batch, inputs, count, kernel]
        found = torch.matmul(windows.transpose(1, 2).flatten(2), weight.flatten(1).t()).transpose(1, 2)
    elif groups == 1:
        found = sum(
            (torch.matmul(weight[:, :, tap], part) for tap, part in enumerate(taps)),
            start=torch.zeros((), dtype=x.dtype),
        )
    else:
        found = sum(
            (part * weight[:, 0, tap, None] for tap, part in enumerate(taps)), start=torch.zeros((), dtype=x.dtype)
        )
    return found if bias is None else found + bias[:, None]


_FEW = 16
"""Taps up to which a convolution is a sum of products of slices."""


def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
    dilation: Sequence[int] = (1,),
) -> Tensor:
    """A transposed convolution; of float64 products with each stride of the weight, added where they overlap.

    Example:
        >>> import torch
        >>> from vqkit.export.formats.float64 import conv_transpose1d
        >>> x, weight = torch.randn(1, 4, 9).double(), torch.randn(4, 6, 5).double()
        >>> there = torch.nn.functional.conv_transpose1d(x, weight, stride=2)
        >>> torch.allclose(conv_transpose1d(x, weight, stride=[2]), there)
        True
    """
    if x.dtype != torch.float64 or any(padding) or any(output_padding) or groups != 1 or dilation[0] != 1:
        found: Tensor = _aten.convolution.default(
            x, weight, bias, list(stride), list(padding), list(dilation), True, list(output_padding), groups
        )
        return found
    step, kernel = stride[0], weight.shape[2]
    parts = -(-kernel // step)
    outputs, count = weight.shape[1], x.shape[2]
    whole = functional.pad(weight, (0, parts * step - kernel))
    total = torch.zeros((), dtype=x.dtype)
    for number in range(parts):
        matrix = whole[:, :, number * step : (number + 1) * step].flatten(1)  # [inputs, outputs * step]
        made = torch.matmul(x.transpose(1, 2), matrix).unflatten(2, (outputs, step))
        total = total + functional.pad(made, (0, 0, 0, 0, number, parts - 1 - number))
    wide = total.transpose(1, 2).flatten(2)  # [batch, outputs, time * step]
    wide = wide[:, :, : (count - 1) * step + kernel]
    return wide if bias is None else wide + bias[:, None]


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """The exponential linear unit of arithmetic alone.

    Example:
        >>> import torch
        >>> from vqkit.export.formats.float64 import elu
        >>> x = torch.randn(9).double()
        >>> torch.allclose(elu(x), torch.nn.functional.elu(x))
        True
    """
    below = ((x.clamp_max(0) * input_scale).exp() - 1) * (alpha * scale)
    return torch.where(x > 0, x * scale, below)


def cos(x: Tensor) -> Tensor:
    """The cosine, as a sine.

    Example:
        >>> import torch
        >>> from vqkit.export.formats.float64 import cos
        >>> bool((cos(torch.randn(9).double()) <= 1).all())
        True
    """
    return torch.sin(x + math.pi / 2)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    _aten.conv1d.default: conv1d,
    _aten.conv_transpose1d.default: conv_transpose1d,
    _aten.elu.default: elu,
    _aten.cos.default: cos,
}
