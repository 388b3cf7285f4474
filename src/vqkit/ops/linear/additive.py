"""Codebooks whose codewords add up to vectors, by least squares for given indices (Babenko and Lempitsky 2014)."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.ops.assignment.statistics import code_sums, index_histogram

MOST_UNKNOWNS = 4096
"""Codes in all whose normal equations are solved at once; of more, a codebook at a time."""
_SWEEPS = 3


@torch.no_grad()
def fitted_codebooks(vectors: Tensor, indices: Tensor, codebooks: Tensor, *, ridge: float = 1.0) -> Tensor:
    """Return the codebooks with the least squared error of ``x = sum_m c_m[i_m]`` for the indices that are given.

    With ``ridge * |c - before|^2`` for each code, so that one without vectors stays where it was and what no data
    decide (a constant moved from one codebook to another) does not drift. Solved in float64; where there are more than
    4,096 codes in all, one codebook after the other, three times.

    Args:
        vectors: ``[N, D]``.
        indices: int64 ``[N, M]``.
        codebooks: ``[M, K, D]``, those before.
        ridge: weight of the codebooks before, in vectors.

    Returns:
        ``[M, K, D]`` in their dtype.

    Example:
        >>> import torch
        >>> from vqkit.ops.linear.additive import fitted_codebooks
        >>> vectors, indices = torch.tensor([[1.0], [3.0], [11.0]]), torch.tensor([[0, 0], [1, 0], [0, 1]])
        >>> found = fitted_codebooks(vectors, indices, torch.zeros(2, 2, 1), ridge=1e-9)
        >>> [round(float(found[0, i] + found[1, j]), 3) for i, j in indices]
        [1.0, 3.0, 11.0]
    """
    levels, size, _ = codebooks.shape
    if levels * size > MOST_UNKNOWNS:
        return _one_by_one(vectors, indices, codebooks, ridge)
    before = codebooks.double().flatten(0, 1)
    sums = torch.cat([code_sums(vectors.double(), indices[:, level], size) for level in range(levels)])
    gram = _together(indices, size).flatten(2, 3).flatten(0, 1)
    gram.diagonal().add_(ridge)
    solved = torch.cholesky_solve(sums + ridge * before, torch.linalg.cholesky(gram))
    return solved.view(codebooks.shape).to(codebooks.dtype)


def _together(indices: Tensor, size: int) -> Tensor:
    """How often codes occur together, ``[M, K, M, K]`` float64."""
    levels = indices.shape[1]
    counts = torch.zeros(levels, size, levels, size, dtype=torch.float64, device=indices.device)
    for first in range(levels):
        for second in range(first, levels):
            pairs = index_histogram(indices[:, first] * size + indices[:, second], size * size).view(size, size)
            counts[first, :, second], counts[second, :, first] = pairs, pairs.t()
    return counts


def _one_by_one(vectors: Tensor, indices: Tensor, codebooks: Tensor, ridge: float) -> Tensor:
    found = codebooks.clone()
    levels, size, _ = codebooks.shape
    left = vectors - summed_codes(found, indices)
    for level in [*range(levels)] * _SWEEPS:
        own = indices[:, level]
        left += found[level][own]
        counts = index_histogram(own, size).unsqueeze(1)
        found[level] = (code_sums(left, own, size) + ridge * codebooks[level]) / (counts + ridge)
        left -= found[level][own]
    return found


def summed_codes(codebooks: Tensor, indices: Tensor) -> Tensor:
    """Return the sums ``[N, D]`` of the codewords of indices ``[N, m]`` of the first m codebooks, added in order."""
    total = codebooks[0][indices[:, 0]]
    for level in range(1, indices.shape[1]):
        total = total + codebooks[level][indices[:, level]]
    return total
