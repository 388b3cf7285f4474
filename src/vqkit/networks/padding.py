"""Any input size: pad to what the strided layers divide, crop back afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def grid_size(size: Sequence[int], downsampling: int) -> tuple[int, ...]:
    """Positions of the latent grid on each axis, for a signal of this size: the size over the factor, rounded up."""
    return tuple(-(-length // downsampling) for length in size)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row, column or sample until every axis of ``[batch, C, *size]`` is a multiple of ``multiple``."""
    missing = [(-length) % multiple for length in x.shape[2:]]
    if not any(missing):
        return x
    padding = [amount for after in reversed(missing) for amount in (0, after)]
    return functional.pad(x, padding, mode="replicate")


def grid_mask(mask: Tensor, downsampling: int) -> Tensor:
    """Positions ``[batch, *grid]`` of the latent grid that see any value that counts, of ``[batch, *size]`` bool."""
    for axis in range(1, mask.ndim):
        more = -mask.shape[axis] % downsampling
        shape = list(mask.shape)
        shape[axis] = more
        mask = torch.cat([mask, mask.new_zeros(shape)], dim=axis)
        mask = mask.unflatten(axis, (-1, downsampling)).any(dim=axis + 1)
    return mask


def crop_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first ``size`` values on each axis of ``[batch, C, *padded]``."""
    for axis, length in enumerate(size, start=2):
        if x.shape[axis] != length:
            x = x.narrow(axis, 0, length)
    return x
