"""Beam search for several codebooks whose codewords add up to a vector: additive, residual and product quantization.

The squared error of a sum of codewords is ``|x|^2 + sum_m offer[m, i_m] + sum_{j<m} 2 c_j . c_m``, where the offer of
code k of codebook m is ``|c_mk|^2 - 2 x . c_mk``. A search by levels keeps the best prefixes at each (Babenko and
Lempitsky 2014); with a product, whose codewords are orthogonal to one another, it is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Cross = Callable[[int, Tensor], Tensor]
"""Of a codebook m and chosen indices ``[n, m]``: twice the products of their sum with each code of it, ``[n, K]``."""

SCORES = 1 << 20
"""Numbers of a table of scores (rows x beams x K) that stay in a processor's cache."""


def rows_at_once(width: int, codebook_size: int) -> int:
    """Vectors whose tables of scores, ``width`` beams each, are searched at a time."""
    return max(1, SCORES // (width * codebook_size))


def beam_search(offers: Tensor, cross: Cross | None, width: int) -> tuple[Tensor, Tensor]:
    """Return the best choices of one codeword from each codebook, best first, and their costs.

    Each row is computed by itself, by operations on single numbers in a fixed order: it does not depend on the others.

    Args:
        offers: ``[n, M, K]``, what each code costs alone.
        cross: what codes cost together with those chosen before (None: nothing, as in a product).
        width: prefixes that are kept at each level.

    Returns:
        Indices ``[n, w, M]`` int64 and costs ``[n, w]``, w the width or all choices that there are.

    Example:
        >>> import torch
        >>> from vqkit.ops.assignment.beam import beam_search
        >>> indices, costs = beam_search(torch.tensor([[[3.0, 1.0], [0.5, 4.0]]]), None, 3)
        >>> indices.tolist(), costs.tolist()
        ([[[1, 0], [0, 0], [1, 1]]], [[1.5, 3.5, 5.0]])
    """
    rows, levels, size = offers.shape
    costs, first = offers[:, 0].topk(min(width, size), dim=1, largest=False)
    indices = first.unsqueeze(2)
    for level in range(1, levels):
        beams = costs.shape[1]
        scores = costs.unsqueeze(2) + offers[:, level].unsqueeze(1)
        if cross is not None:
            scores += cross(level, indices.reshape(rows * beams, level)).view(rows, beams, size)
        costs, beam, code = _best(scores, min(width, beams * size))
        kept = indices.gather(1, beam.unsqueeze(2).expand(-1, -1, level))
        indices = torch.cat([kept, code.unsqueeze(2)], dim=2)
    return indices, costs


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ``count`` least of scores ``[n, beams, K]``, ascending, with their beams and codes, ``[n, count]`` each.

    The best lie within the ``count`` codes whose best beam is best: a minimum over beams costs less than a search.
    """
    rows, beams, size = scores.shape
    if beams == 1 or count >= size:
        costs, place = scores.view(rows, beams * size).topk(count, dim=1, largest=False)
        return costs, place // size, place % size
    codes = scores.amin(dim=1).topk(count, dim=1, largest=False).indices
    among = scores.gather(2, codes.unsqueeze(1).expand(-1, beams, -1)).view(rows, beams * count)
    costs, place = among.topk(count, dim=1, largest=False)
    return costs, place // count, codes.gather(1, place % count)
