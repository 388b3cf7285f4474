"""The divergence of each group of latent numbers, held at a target while a VAE trains."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops.buffers import SteadyBuffers
from vqkit.ops.collectives import all_reduce_sum_

_RATE = 0.02
"""By how much, relatively, a weight changes in a step at most."""
_LEAST, _MOST = 1e-3, 1e3
_FOLLOW = 0.02
"""Of the running mean of the precisions, in a step."""


@final
class DivergenceTarget(SteadyBuffers):
    """KL(q || N(0, I)) of each group of latent numbers, free up to a target and charged beyond it.

    ::

        loss_g   = weight_g max(KL_g - target, 0)                  at each position of each signal
        weight_g *= exp(0.02 clamp((mean KL_g - target) / target, -1, 1))      after each step, within 0.001 ... 1000

    What a group may have for free it takes, since the reconstruction always gains by it; so KL comes to the target from
    below and is pressed to it from above, at each position and not on average only. The weights follow as the
    multipliers of a constrained problem do. Xu et al. (2025, arXiv 2512.06609, section 3.3) hold the target by three
    weights with a band around it ("target divergence constraint").

    Args:
        latent_dim: latent numbers at a position.
        group_size: numbers in a group; None: all of them.
        bits: the target.

    Raises:
        ConfigError: a group that does not divide the numbers, or a target out of range.

    Example:
        >>> from vqkit.models import DivergenceTarget
        >>> DivergenceTarget(8, 4, bits=9.0).weights.shape  # one for each group
        torch.Size([2])
    """

    weights: Tensor
    precision: Tensor

    def __init__(self, latent_dim: int, group_size: int | None, bits: float) -> None:
        super().__init__()
        if not 0 < bits < 64:
            raise ConfigError(f"group_bits={bits}: give the bits of an index, such as 9 for 512 codes (0: no target)")
        self.group_size = check_group(latent_dim, group_size)
        self.nats = bits * math.log(2)
        self.register_buffer("weights", torch.ones(latent_dim // self.group_size))
        self.register_buffer("precision", torch.ones(latent_dim))

    def charged(self, kl: Tensor) -> Tensor:
        """What is charged for ``[batch, latent_dim, *grid]`` nats of each number: ``[batch, groups, *grid]``."""
        excess = (grouped(kl, self.group_size) - self.nats).clamp_min(0)
        return excess * self.weights.clone().view(-1, *[1] * (kl.ndim - 2)).to(kl.dtype)

    @torch.no_grad()
    def follow(self, kl: Tensor, log_variance: Tensor, counted: Tensor | None) -> None:
        """Adapt the weights, and the mean precision of each number, to a batch of all processes.

        Args:
            kl: ``[batch, latent_dim, *grid]`` nats.
            log_variance: of q, the same shape.
            counted: ``[batch, *grid]`` bool, positions that count; None: all.
        """
        groups, precision = (_rows(each) for each in (grouped(kl, self.group_size), torch.exp(-log_variance)))
        if counted is not None:
            groups, precision = groups[counted.flatten()], precision[counted.flatten()]
        sums, precisions = groups.sum(dim=0).double(), precision.sum(dim=0).double()
        count = sums.new_tensor(float(len(groups)))
        all_reduce_sum_(count, sums, precisions)
        away = ((sums / count.clamp_min(1) / self.nats) - 1).clamp(-1, 1).nan_to_num(0.0) * (count > 0)
        self.weights.mul_(torch.exp(_RATE * away)).clamp_(_LEAST, _MOST)
        mean = (precisions / count.clamp_min(1)).to(self.precision.dtype)
        weight = _FOLLOW * ((count > 0) & torch.isfinite(mean).all()).to(mean.dtype)
        self.precision.lerp_(mean.nan_to_num(1.0), weight.expand_as(mean))

    def watched(self, kl: Tensor, counted: Tensor | None) -> dict[str, Any]:
        """Numbers for the log: the mean bits of a group and position, and the mean weight."""
        groups = _rows(grouped(kl.detach(), self.group_size))
        groups = groups if counted is None else groups[counted.flatten()]
        return {"group_kl_bits": groups.mean() / math.log(2), "kl_weight": self.weights.mean().clone()}


def check_group(latent_dim: int, group_size: int | None) -> int:
    """Return the numbers in a group: those that were asked for, or all.

    Raises:
        ConfigError: they do not divide the latent numbers.
    """
    size = latent_dim if group_size is None else group_size
    if size < 1 or latent_dim % size:
        raise ConfigError(f"group_size={size}: give a divisor of latent_dim={latent_dim}; each group gets one index")
    return size


def grouped(kl: Tensor, group_size: int) -> Tensor:
    """``[batch, latent_dim, *grid]`` summed over the numbers of each group: ``[batch, groups, *grid]``."""
    return kl.unflatten(1, (-1, group_size)).sum(dim=2)


def _rows(values: Tensor) -> Tensor:
    """``[batch, channels, *grid]`` as ``[batch * positions, channels]``."""
    return values.movedim(1, -1).flatten(0, -2)
