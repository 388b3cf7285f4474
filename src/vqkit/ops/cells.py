"""Cells of a grid: what stands at cell^axes positions of a fine grid, as channels of one position of a coarse one."""

from __future__ import annotations

from torch import Tensor


def fold_cells(values: Tensor, cell: int) -> Tensor:
    """Put the positions of each cell into the channels (space to depth, for any number of axes).

    Args:
        values: ``[batch, D, *fine]``, each axis of the grid a multiple of ``cell``.
        cell: positions on each axis of a cell.

    Returns:
        ``[batch, D * cell^axes, *coarse]``; within a channel the positions of a cell are in reading order.

    Example:
        >>> import torch
        >>> from vqkit.ops.cells import fold_cells
        >>> fold_cells(torch.arange(8.0).view(1, 1, 2, 4), 2)[0, :, 0]
        tensor([[0., 2.],
                [1., 3.],
                [4., 6.],
                [5., 7.]])
    """
    batch, channels, *grid = values.shape
    axes = len(grid)
    split = [size for length in grid for size in (length // cell, cell)]
    order = [0, 1, *range(3, 2 * axes + 2, 2), *range(2, 2 * axes + 2, 2)]
    coarse = [length // cell for length in grid]
    return values.reshape(batch, channels, *split).permute(order).reshape(batch, channels * cell**axes, *coarse)


def unfold_cells(values: Tensor, cell: int) -> Tensor:
    """Undo ``fold_cells``: ``[batch, D * cell^axes, *coarse]`` to ``[batch, D, *(coarse * cell)]``.

    Example:
        >>> import torch
        >>> from vqkit.ops.cells import fold_cells, unfold_cells
        >>> values = torch.randn(2, 3, 4, 8)
        >>> torch.equal(unfold_cells(fold_cells(values, 2), 2), values)
        True
    """
    batch, channels, *grid = values.shape
    axes = len(grid)
    order = [0, 1, *(each for axis in range(axes) for each in (2 + axes + axis, 2 + axis))]
    fine = [length * cell for length in grid]
    own = channels // cell**axes
    return values.reshape(batch, own, *[cell] * axes, *grid).permute(order).reshape(batch, own, *fine)
