"""The search for the nearest code: the one operation that every vector quantizer is made of."""

from __future__ import annotations

import torch
from torch import Tensor

_SCORES_PER_BLOCK = {"cpu": 1 << 20}
_SCORES_ELSEWHERE = 1 << 26
"""Scores held at a time: on the CPU 4 MiB in float32, read back while still in cache; elsewhere 256 MiB."""


@torch.no_grad()
def nearest_code(latents: Tensor, codebook: Tensor) -> Tensor:
    """Index of the codeword with the smallest Euclidean distance to each latent vector.

    Minimises ``|c|^2 / 2 - x.c``, which has the same minimiser as ``|x - c|^2``, by one matrix product per
    block of rows; the ``N x K`` table of distances never exists. The search runs in float32 whatever the
    autocast state (float64 stays float64), because bfloat16 scores confuse neighbouring codes.

    Args:
        latents: ``[N, D]``, floating.
        codebook: ``[K, D]``, floating, K >= 1.

    Returns:
        ``[N]`` int64.

    Raises:
        ValueError: when the shapes do not fit or the codebook is empty.
    """
    if latents.ndim != 2 or codebook.ndim != 2 or latents.shape[1] != codebook.shape[1]:
        raise ValueError(
            f"latents {tuple(latents.shape)} and codebook {tuple(codebook.shape)} do not fit: "
            "expected [N, D] and [K, D] with the same D"
        )
    if codebook.shape[0] == 0:
        raise ValueError("the codebook has no codes; a search needs at least 1")
    dtype = torch.float64 if torch.float64 in (latents.dtype, codebook.dtype) else torch.float32
    with torch.autocast(latents.device.type, enabled=False):
        latents, codebook = latents.to(dtype), codebook.to(dtype)
        half_norms = codebook.square().sum(dim=1).mul_(0.5)
        transposed = codebook.t()
        scores = _SCORES_PER_BLOCK.get(latents.device.type, _SCORES_ELSEWHERE)
        rows = max(1, scores // codebook.shape[0])
        if latents.shape[0] <= rows:
            return torch.addmm(half_norms, latents, transposed, alpha=-1.0).argmin(dim=1)
        indices = torch.empty(latents.shape[0], dtype=torch.int64, device=latents.device)
        for start in range(0, latents.shape[0], rows):
            block = latents[start : start + rows]
            indices[start : start + rows] = torch.addmm(half_norms, block, transposed, alpha=-1.0).argmin(dim=1)
        return indices
