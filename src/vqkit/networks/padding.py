"""Any input size: pad to what the strided layers divide, crop back afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.coding import grid_of, per_axis


def grid_size(size: Sequence[int], downsampling: int | Sequence[int]) -> tuple[int, ...]:
    """Positions of the latent grid on each axis, for a signal of this size: the size over the factor, rounded up."""
    return grid_of(size, downsampling)


def pad_to_multiple(x: Tensor, multiple: int | Sequence[int]) -> Tensor:
    """Repeat the last row, column or sample until every axis of ``[batch, C, *size]`` is a multiple of ``multiple``.

    Args:
        x: signals.
        multiple: for all axes, or one number for each.
    """
    missing = [-length % step for length, step in zip(x.shape[2:], per_axis(multiple, x.ndim - 2), strict=True)]
    if not any(missing):
        return x
    padding = [amount for after in reversed(missing) for amount in (0, after)]
    return functional.pad(x, padding, mode="replicate")


def grid_mask(mask: Tensor, downsampling: int | Sequence[int]) -> Tensor:
    """Positions ``[batch, *grid]`` of the latent grid that see any value that counts, of ``[batch, *size]`` bool."""
    for axis, step in enumerate(per_axis(downsampling, mask.ndim - 1), start=1):
        more = -mask.shape[axis] % step
        shape = list(mask.shape)
        shape[axis] = more
        mask = torch.cat([mask, mask.new_zeros(shape)], dim=axis)
        mask = mask.unflatten(axis, (-1, step)).any(dim=axis + 1)
    return mask


def crop_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first ``size`` values on each axis of ``[batch, C, *padded]``."""
    for axis, length in enumerate(size, start=2):
        if x.shape[axis] != length:
            x = x.narrow(axis, 0, length)
    return x
