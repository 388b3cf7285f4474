"""Convolutions of whole numbers as matrix products, with the channels behind the time.

In the layout ``[batch, time, channels]`` the values that a tap of a window meets are a matrix already, one row for each
value that is emitted, and so are those of as many neighboring taps as the stride is wide: the rows overlap nowhere. A
convolution is then a few products that add up in one place, and nothing is copied. Where few values are emitted (a
frame of a stream) the windows are copied and one product does; sums of whole numbers are exact (``fixed_point``), so
that all ways give the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_FEW = 512
"""Emitted values up to which windows are copied: their products take less time than several calls."""


@dataclass(frozen=True, eq=False)
class Window:
    """The weight of a convolution as matrices.

    Attributes:
        whole: ``[kernel * inputs, outputs]``.
        groups: of neighboring taps, each the first one and a part of ``whole``.
        kernel: taps.
        stride: of the window.
        dilation: distance of its taps.
    """

    whole: Tensor
    groups: tuple[tuple[int, Tensor], ...]
    kernel: int
    stride: int
    dilation: int

    @classmethod
    def of(cls, weight: Tensor, stride: int = 1, dilation: int = 1) -> Window:
        """Of a weight ``[outputs, inputs, kernel]``."""
        outputs, inputs, kernel = weight.shape
        whole = weight.permute(2, 1, 0).reshape(kernel * inputs, outputs)
        size = stride if dilation == 1 else 1
        firsts = range(0, kernel, size)
        parts = whole.split(size * inputs)
        return cls(whole, tuple(zip(firsts, parts, strict=True)), kernel, stride, dilation)

    def sums(self, x: Tensor, count: int) -> Tensor:
        """``[batch, count, outputs]``: the sum of each window over ``x``.

        Args:
            x: ``[batch, time, inputs]`` whole numbers, padded: the last window ends where it ends.
            count: windows.
        """
        batch, length, inputs = x.shape
        x = x.contiguous()  # as the strides below say; a channel cut out of several is not
        if self.kernel == self.stride == 1:
            return torch.mm(x.reshape(batch * length, inputs), self.whole).view(batch, length, self.whole.shape[1])
        rows, step, reach = length * inputs, self.stride * inputs, self.dilation * inputs
        if inputs == 1 or batch * count <= _FEW:
            windows = x.as_strided((batch, count, self.kernel, inputs), (rows, step, reach, 1))
            found = torch.mm(windows.reshape(batch * count, self.kernel * inputs), self.whole)
            return found.view(batch, count, found.shape[1])
        total: Tensor | None = None
        for first, matrix in self.groups:
            size = (batch, count, matrix.shape[0])
            part = x.as_strided(size, (rows, step, 1), x.storage_offset() + first * reach)
            total = _added(total, part, matrix)
        assert total is not None
        return total


def _added(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """``total + left @ right`` in the place of ``total``; ``left`` is ``[batch, rows, columns]``."""
    if left.shape[0] > 1:
        right = right.expand(left.shape[0], -1, -1)
        return torch.bmm(left, right) if total is None else total.baddbmm_(left, right)
    if total is None:
        return (left[0] @ right).unsqueeze(0)
    total[0].addmm_(left[0], right)
    return total
