"""Rotations for optimized product quantization (Ge, He, Ke and Sun 2013)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_LEAST = 1e-12
"""Of the largest variance: what a direction counts with at least."""


@torch.no_grad()
def balanced_directions(vectors: Tensor, widths: Sequence[int]) -> Tensor:
    """Return principal directions as rows, dealt out to parts so that their products of variances are alike.

    From the largest variance on, each direction goes to the part with room whose product is least (Ge et al. 2013,
    section 3.2): optimal for Gaussian vectors.

    Args:
        vectors: ``[N, D]`` of mean 0.
        widths: directions of each part; D in all.

    Returns:
        An orthonormal matrix ``[D, D]`` in the dtype of the vectors.

    Example:
        >>> import torch
        >>> from vqkit.ops.linear.rotation import balanced_directions
        >>> vectors = torch.randn(1000, 4) * torch.tensor([8.0, 4.0, 2.0, 1.0])
        >>> found = balanced_directions(vectors, [2, 2])  # largest and smallest together
        >>> found.abs().argmax(dim=1).tolist()
        [0, 3, 1, 2]
    """
    wide = vectors.double()
    variances, columns = torch.linalg.eigh(wide.t() @ wide / max(len(wide), 1))
    variances, columns = variances.flip(0).clamp_min(0), columns.flip(1)
    if float(variances[0]) == 0:
        return torch.eye(len(variances), dtype=vectors.dtype, device=vectors.device)
    logs = (variances / variances[0]).clamp_min(_LEAST).log().tolist()
    parts: list[list[int]] = [[] for _ in widths]
    # relative to the mean, so that a part without a direction yet is not full of variance
    mean = sum(logs) / len(logs)
    for number in range(len(logs)):
        room = [part for part, width in enumerate(widths) if len(parts[part]) < width]
        chosen = min(room, key=lambda part: sum(logs[each] - mean for each in parts[part]))
        parts[chosen].append(number)
    order = [number for part in parts for number in part]
    return columns[:, order].t().to(vectors.dtype)


@torch.no_grad()
def nearest_rotation(vectors: Tensor, targets: Tensor) -> Tensor:
    """Return the orthonormal R with the least ``sum |R x - y|^2`` (orthogonal Procrustes; Schonemann 1966).

    Args:
        vectors: x, ``[N, D]``.
        targets: y, ``[N, D]``.

    Returns:
        ``[D, D]`` in the dtype of the vectors.

    Example:
        >>> import torch
        >>> from vqkit.ops.linear.rotation import nearest_rotation
        >>> x = torch.randn(50, 2)
        >>> turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        >>> torch.allclose(nearest_rotation(x, x @ turn.T), turn, atol=1e-5)
        True
    """
    left, _, right = torch.linalg.svd(targets.double().t() @ vectors.double())
    return (left @ right).to(vectors.dtype)
