"""The nearest code by float64 differences, all codes for each latent."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest(latents: Tensor, codebook: Tensor, metric: str = "euclidean") -> Tensor:
    """``[N]`` int64: the first of the best codes."""
    found = []
    for block in latents.double().split(64):
        if metric == "dot":
            cost = -(block[:, None] * codebook[None].double()).sum(-1)
        else:
            cost = (block[:, None] - codebook[None].double()).square().sum(-1)
        found.append(cost.argmin(1))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)
