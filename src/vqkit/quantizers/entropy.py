"""The entropy penalty: each latent sure of its code, all latents together spread over all codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqkit.deprecation import renamed_keyword
from vqkit.ops import global_mean


def position_weights(keep: Tensor | None, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """``[N]`` weights that sum to 1 over the positions that count, and how many those are.

    Args:
        keep: ``[N]`` bool, or None for all.
        vectors: ``[N, D]``.
    """
    weights = vectors.new_ones(vectors.shape[0]) if keep is None else keep.to(vectors.dtype)
    count = weights.sum()
    return weights / count.clamp_min(1), count


@renamed_keyword("across", "reduce_over_ranks")
def entropy_losses(
    entropy: Tensor,
    mean_probabilities: Tensor,
    count: Tensor,
    weight: float,
    diversity: float,
    *,
    reduce_over_ranks: bool,
) -> dict[str, Tensor]:
    """The two terms of the entropy penalty (Yu et al. 2023, arXiv 2310.05737, eq. 5), weighted; nats.

    ::

        entropy_loss   = weight *              mean_n H(p(code | latent n))
        diversity_loss = weight * diversity * (log K - H(mean_n p(code | latent n)))

    ``log K`` makes the second one zero at its best. Without any latent both are 0.

    Args:
        entropy: scalar, the mean over latents.
        mean_probabilities: ``[K]``.
        count: scalar, how many latents these are means of.
        weight: of both.
        diversity: of the second, on top.
        reduce_over_ranks: take the means over the latents of all processes.
    """
    mean = mean_probabilities
    if reduce_over_ranks:
        both = global_mean(torch.cat([mean_probabilities, entropy.reshape(1)]), count)
        mean, entropy = both[:-1], both[-1]
    spread = -(mean * mean.clamp_min(1e-30).log()).sum()
    there = mean.detach().sum()  # 1, or 0 without any latent
    return {
        "entropy_loss": weight * entropy,
        "diversity_loss": weight * diversity * (math.log(mean.numel()) - spread) * there.round(),
    }
