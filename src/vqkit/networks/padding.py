"""Any input size: pad to what the strided layers divide, crop back afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.coding import grid_of, per_axis


def grid_size(size: Sequence[int], downsampling: int | Sequence[int]) -> tuple[int, ...]:
    """Positions of the latent grid on each axis, for a signal of this size: the size over the factor, rounded up.

    Example:
        >>> from vqkit.networks import grid_size
        >>> grid_size((30, 31), 4)
        (8, 8)
    """
    return grid_of(size, downsampling)


def pad_to_multiple(x: Tensor, multiple: int | Sequence[int]) -> Tensor:
    """Repeat the last row, column or sample until every axis of ``[batch, C, *size]`` is a multiple of ``multiple``.

    Args:
        x: signals.
        multiple: for all axes, or one number for each.

    Example:
        >>> import torch
        >>> from vqkit.networks import pad_to_multiple
        >>> pad_to_multiple(torch.rand(1, 3, 30, 31), 4).shape
        torch.Size([1, 3, 32, 32])
    """
    if torch.compiler.is_exporting():
        return _padded(x, per_axis(multiple, x.ndim - 2))
    missing = [-length % step for length, step in zip(x.shape[2:], per_axis(multiple, x.ndim - 2), strict=True)]
    if not any(missing):
        return x
    padding = [amount for after in reversed(missing) for amount in (0, after)]
    return functional.pad(x, padding, mode="replicate")


def _padded(x: Tensor, steps: Sequence[int]) -> Tensor:
    """The same as values at places, for a graph that asks no question of the size."""
    for axis, step in enumerate(steps, start=2):
        if step > 1:
            length = x.shape[axis]
            places = torch.arange((length + step - 1) // step * step, device=x.device)
            x = x.index_select(axis, places.clamp_max(length - 1))
    return x


def repeat_last(x: Tensor, mask: Tensor) -> Tensor:
    """The last value that counts in place of those behind it, of ``[batch, C, time]``; zeros where there is none.

    An item that was padded is so what it would be alone, up to where ``pad_to_multiple`` ends.

    Args:
        x: signals.
        mask: ``[batch, time]`` bool, False where an item was padded.

    Example:
        >>> import torch
        >>> from vqkit.networks import repeat_last
        >>> repeat_last(torch.tensor([[[1.0, 2.0, 9.0]]]), torch.tensor([[True, True, False]]))
        tensor([[[1., 2., 2.]]])
    """
    places = torch.arange(x.shape[2], device=x.device)
    last = torch.where(mask, places, -1).cummax(dim=1).values.unsqueeze(1)
    return torch.where(last >= 0, x.gather(2, last.clamp_min(0).expand_as(x)), x.new_zeros(()))


def silenced(numbers: Tensor, mask: Tensor, *, last: bool = False) -> Tensor:
    """Signals ``[batch, C, *size]`` with zeros, or ``last`` values again (``repeat_last``), where they do not count.

    A mask ``[batch, C, *size]`` is of single values, which may lie anywhere: zeros stand for them.
    """
    if mask.ndim == numbers.ndim:
        return torch.where(mask, numbers, numbers.new_zeros(()))
    return repeat_last(numbers, mask) if last else torch.where(mask.unsqueeze(1), numbers, numbers.new_zeros(()))


def grid_mask(mask: Tensor, downsampling: int | Sequence[int]) -> Tensor:
    """Positions ``[batch, *grid]`` of the latent grid that see any value that counts, of ``[batch, *size]`` bool.

    Example:
        >>> import torch
        >>> from vqkit.networks import grid_mask
        >>> grid_mask(torch.arange(8)[None] < 5, 4)  # 5 of 8 samples count: both positions see some
        tensor([[True, True]])
    """
    for axis, step in enumerate(per_axis(downsampling, mask.ndim - 1), start=1):
        more = -mask.shape[axis] % step
        shape = list(mask.shape)
        shape[axis] = more
        mask = torch.cat([mask, mask.new_zeros(shape)], dim=axis)
        mask = mask.unflatten(axis, (-1, step)).any(dim=axis + 1)
    return mask


def positions_of(mask: Any, axes: int) -> Any:
    """A mask ``[batch, *size]``: of one of single values ``[batch, C, *size]`` the positions with any that counts.

    Example:
        >>> import torch
        >>> from vqkit.networks.padding import positions_of
        >>> positions_of(torch.tensor([[[True, False], [False, False]]]), 1)
        tensor([[ True, False]])
    """
    return mask if mask is None or not axes or mask.ndim != 2 + axes else mask.any(1)


def frames_of(mask: Any, downsampling: int | Sequence[int], shape: Sequence[int]) -> Tensor:
    """``grid_mask`` of a mask that came with codes of a grid.

    Args:
        mask: ``[batch, *size]`` bool, a tensor or an array.
        downsampling: of each axis.
        shape: ``[batch, *grid]`` of the codes.

    Raises:
        ValueError: the mask of another batch or another size.

    Example:
        >>> import torch
        >>> from vqkit.networks.padding import frames_of
        >>> frames_of(torch.arange(7)[None] < 3, 4, (1, 2))
        tensor([[ True, False]])
    """
    mask = torch.as_tensor(mask)
    found = grid_mask(mask.bool(), downsampling) if mask.ndim == len(shape) else mask
    if found.shape != tuple(shape):
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)}, which is no batch of {shape[0]} signals on a grid of "
            f"{tuple(shape[1:])} with downsampling {downsampling}: give [batch, *size], as to encode"
        )
    return found


def crop_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first ``size`` values on each axis of ``[batch, C, *padded]``.

    Example:
        >>> import torch
        >>> from vqkit.networks import crop_to
        >>> crop_to(torch.rand(1, 3, 32, 32), (30, 31)).shape
        torch.Size([1, 3, 30, 31])
    """
    for axis, length in enumerate(size, start=2):
        if x.shape[axis] != length:
            x = x.narrow(axis, 0, length)
    return x
