"""The arithmetic of exact networks: integers in tensors of floats, no rounding that any device could do differently.

Tensors are *rows*, ``[..., positions, channels]``. The storage dtype (float32 or float64) holds integers only. Products
are plain matrix products of int8 values over at most ``FAN_IN`` terms: each partial sum is an integer below 2^24, which
float32 holds exactly, so the order of summation, FMA, threads, batches and libraries cannot matter. Reduced precisions
that a user may have switched on (TF32, bfloat16 inputs) hold int8 values exactly too and sum in float32. On
processors that have fast products of int8 the sums are int32, which are the same integers (``products``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from vqkit.exact.formats import BIAS_BITS, Format
from vqkit.exact.products import exact_matmul

_GATHERED = 1 << 21
"""Bytes that a convolution gathers at once."""


@final
@dataclass(frozen=True)
class Affine:
    """``clamp((sums * multiplier + (bias << (shift - 8)) + (1 << (shift - 1))) >> shift, low, high)`` per channel.

    Sums below 2^24 (times the number of pieces of a large fan-in), multipliers below 2^15 and biases below 2^31 need
    less than 2^53, so float64 gives the integers that int64 gives; where a device has no float64, int64 is used.

    Attributes:
        multiplier: int64 ``[channels]``.
        bias: int64 ``[channels]``, in 1/256 of the output's unit.
        shift: 8 or more.
        target: of the output.
        scale: float64 ``[channels]``, multiplier / 2^shift; None where a device has no float64.
        offset: float64 ``[channels]``, bias / 2^8 + 1/2.
    """

    multiplier: Tensor
    bias: Tensor
    shift: int
    target: Format
    scale: Tensor | None
    offset: Tensor | None

    @classmethod
    def of(cls, multiplier: Tensor, bias: Tensor, shift: int, target: Format) -> Affine:
        """With what float64 needs, where the device has it."""
        assert shift >= BIAS_BITS, "a bias has bits below the sums' unit"
        if multiplier.device.type == "mps":
            return cls(multiplier, bias, shift, target, None, None)
        scale, offset = multiplier.double() * 2.0**-shift, bias.double() * 2.0**-BIAS_BITS + 0.5
        return cls(multiplier, bias, shift, target, scale, offset)

    def __call__(self, sums: Tensor, storage_dtype: torch.dtype) -> Tensor:
        """Integers of the target in a storage dtype, or int8, shaped as ``sums`` ``[..., channels]``."""
        if self.scale is None or self.offset is None:
            return self.by_int64(sums, storage_dtype)
        exact = torch.addcmul(self.offset, sums.double(), self.scale)
        return _whole(exact, self.target, storage_dtype)

    def by_int64(self, sums: Tensor, storage_dtype: torch.dtype) -> Tensor:
        """The same in int64."""
        half = 1 << (self.shift - 1)
        shifted = (sums.long() * self.multiplier + (self.bias << (self.shift - BIAS_BITS)) + half) >> self.shift
        return shifted.clamp_(self.target.low, self.target.high).to(storage_dtype)


@final
@dataclass(frozen=True)
class IntegerConv:
    """A convolution as a gather and a matrix product, then requantised.

    Attributes:
        weight: storage_dtype ``[taps * inputs, outputs]``, integers in [-127, 127].
        affine: of the sums.
        small: the weight as int8, where products are to be of int8; else None.
    """

    weight: Tensor
    affine: Affine
    small: Tensor | None = None

    def __call__(
        self, rows: Tensor, neighbors: Tensor | None = None, storage_dtype: torch.dtype | None = None
    ) -> Tensor:
        """``[batch, m, outputs]`` from int8 rows ``[batch, n, inputs]``.

        The gathered rows are made piece by piece, small enough for a processor's cache.

        Args:
            rows: integers in [-127, 127].
            neighbors: int64 ``[m, taps]``, row numbers; n stands for a position outside, which is 0. None: one tap,
                the row itself.
            storage_dtype: of what is returned, int8 for a target of such; None: that of the rows.
        """
        weight, storage_dtype = self.weight, rows.dtype if storage_dtype is None else storage_dtype
        if self.small is not None:
            rows, weight = rows.to(torch.int8), self.small
        if neighbors is None:
            return self.affine(exact_matmul(rows, weight), storage_dtype)
        each = neighbors.shape[1] * rows.shape[-1] * rows.element_size()
        some = max(1, _GATHERED // (each * len(neighbors)))
        found = []
        for part in rows.split(some):
            padded = torch.nn.functional.pad(part, (0, 0, 0, 1))
            pieces = neighbors.split(max(1, _GATHERED // (each * len(part))))
            done = [self.affine(exact_matmul(gathered(padded, piece), weight), storage_dtype) for piece in pieces]
            found.append(done[0] if len(done) == 1 else torch.cat(done, dim=1))
        return found[0] if len(found) == 1 else torch.cat(found)


@final
@dataclass(frozen=True)
class IntegerRescale:
    """``clamp((stream + bias + half) >> shift, low, high)``: from the stream to int8, per channel.

    Attributes:
        offset: storage_dtype ``[channels]``, bias / 2^shift + 1/2: exact, below 2^10 with 6 bits below the point.
        shift: of the two formats.
        target: of the output.
    """

    offset: Tensor
    shift: int
    target: Format

    def __call__(self, rows: Tensor, storage_dtype: torch.dtype | None = None) -> Tensor:
        """int8 rows from rows of the stream, in their dtype or in int8; needs 23 bits, so float32 is exact."""
        scaled = torch.add(self.offset, rows, alpha=2.0**-self.shift)
        return _whole(scaled, self.target, rows.dtype if storage_dtype is None else storage_dtype)


def _whole(exact: Tensor, target: Format, storage_dtype: torch.dtype) -> Tensor:
    """``clamp(floor(exact))``; writes to its argument."""
    if storage_dtype == torch.int8 and target.low == 0:  # what is not below 0 is cut off as floor does
        return exact.clamp_(target.low, target.high).to(storage_dtype)
    return exact.floor_().clamp_(target.low, target.high).to(storage_dtype)


def gathered(rows: Tensor, neighbors: Tensor) -> Tensor:
    """``[batch, m, taps * channels]``: the rows ``[batch, n, channels]`` of each position's neighbours side by side."""
    found = rows.index_select(1, neighbors.flatten())
    return found.view(len(rows), len(neighbors), neighbors.shape[1] * rows.shape[-1])


def add_to_stream(stream: Tensor, branch: Tensor, target: Format) -> Tensor:
    """``clamp(stream + branch)``."""
    return (stream + branch).clamp_(target.low, target.high)
