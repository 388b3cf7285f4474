"""Fixed numbers of features of signals of any size: means over equal parts of the grid, of latents and of indices."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor


def pooling_matrix(grid: Sequence[int], parts: int) -> Tensor:
    """Weights of the positions of a grid in the mean of each of ``parts`` equal parts along every axis.

    Part s of n positions holds those from ``floor(s n / parts)`` to ``ceil((s + 1) n / parts)``, as torch's adaptive
    average pooling has it: one at least, so that of a grid of fewer positions than parts neighbors are alike.

    Args:
        grid: lengths of the axes, each 1 or more; () for a single vector.
        parts: along every axis.

    Returns:
        float32 ``[parts ** axes, positions]``, rows that sum to 1.

    Example:
        >>> from vqkit.evaluation.probing import pooling_matrix
        >>> pooling_matrix((4,), 2).tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    return functools.reduce(torch.kron, (_axis_weights(length, parts) for length in grid), torch.ones(1, 1))


@functools.lru_cache(maxsize=1024)
def _axis_weights(length: int, parts: int) -> Tensor:
    """``[parts, length]``; do not change it."""
    weights = torch.zeros(parts, length)
    for part in range(parts):
        first, last = part * length // parts, -(-(part + 1) * length // parts)
        weights[part, first:last] = 1 / (last - first)
    return weights


def pooled(latents: Tensor, parts: int) -> Tensor:
    """Means of latents over equal parts of their grid.

    Args:
        latents: ``[batch, D, *grid]``, or ``[batch, D]``, which stays as it is.
        parts: along every axis.

    Returns:
        ``[batch, parts ** axes * D]``, one part after another.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.probing import pooled
        >>> pooled(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), 2)
        tensor([[1.5000, 3.5000]])
    """
    for axis in range(2, latents.ndim):
        weights = _axis_weights(latents.shape[axis], parts).to(latents)
        latents = (latents.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return latents.flatten(2).transpose(1, 2).flatten(1) if latents.ndim > 2 else latents


def index_shares(indices: Sequence[Tensor], parts: int, codes: Sequence[Tensor]) -> Tensor:
    """Shares of codes among the indices of each part of the grid: one-hot vectors, averaged.

    Args:
        indices: of each item, int64 ``[*grid, codebooks]``; grids may differ.
        parts: along every axis.
        codes: of each codebook the codes that have a share of their own, int64 without repeats; all others share one.

    Returns:
        float32 ``[items, parts ** axes * (len(codes) + 1, summed over codebooks)]``.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.probing import index_shares
        >>> one = torch.tensor([5, 5, 7, 9]).unsqueeze(1)
        >>> index_shares([one], 1, [torch.tensor([5, 7])])
        tensor([[0.5000, 0.2500, 0.2500]])
    """
    tables = []
    for book, kept in enumerate(codes):
        largest = max(int(kept.max()), *(int(each[..., book].max()) for each in indices))
        table = torch.full((largest + 1,), len(kept), dtype=torch.int64)
        table[kept] = torch.arange(len(kept))
        tables.append(table)
    rows = []
    for each in indices:
        weights = pooling_matrix(tuple(each.shape[:-1]), parts)
        shares = []
        for book, table in enumerate(tables):
            places = table[each[..., book].flatten()]
            one = torch.zeros(len(weights), len(codes[book]) + 1)
            shares.append(one.index_add_(1, places, weights))
        rows.append(torch.cat(shares, dim=1).flatten())
    return torch.stack(rows)


def frequent_codes(indices: Sequence[Tensor], most: int) -> list[Tensor]:
    """Of each codebook the codes that occur, the most frequent ``most`` of them, in ascending order.

    Args:
        indices: of each item, int64 ``[*grid, codebooks]``.
        most: how many at most.

    Returns:
        int64 tensors, one for each codebook.
    """
    found = []
    for book in range(indices[0].shape[-1]):
        counts = torch.bincount(torch.cat([each[..., book].flatten() for each in indices]))
        order = counts.argsort(descending=True, stable=True)
        found.append(order[: min(most, int((counts > 0).sum()))].sort().values)
    return found


def default_parts(axes: int) -> int:
    """Parts along every axis by default: 8 of sound, 4 x 4 of images, 2 x 2 x 2 of video; 1 of vectors."""
    return (1, 8, 4, 2)[axes] if axes <= 3 else 2
