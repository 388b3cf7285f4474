"""From integer logits to integer frequencies: a table made in decimal arithmetic, int64 divisions, no libm."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.exact.formats import LOGIT

TOTAL_BITS = 24
"""Frequencies sum to 2^24."""

WEIGHT_BITS = 30
"""The largest weight is 2^30: a product with 2^24 fits into int64."""

LARGEST_SIZE = 1 << 16
"""Values that a distribution may have."""


@lru_cache(maxsize=1)
def exponentials() -> tuple[int, ...]:
    """round(2^30 exp(-d / 64)) for d = 0, 1, 2, ... and at last a 0.

    Computed with 50 decimal digits: ``decimal`` rounds exp correctly, so these are the same integers everywhere.
    """
    found = [1 << WEIGHT_BITS]
    with localcontext() as context:
        context.prec = 50
        while found[-1]:
            exact = Decimal(1 << WEIGHT_BITS) * (Decimal(-len(found)) / (1 << LOGIT.bits)).exp()
            found.append(int((exact + Decimal("0.5")).to_integral_value(rounding="ROUND_FLOOR")))
    return tuple(found)


@lru_cache(maxsize=8)
def _table(device: torch.device) -> Tensor:
    return torch.tensor(exponentials(), dtype=torch.int64, device=device)


def weights_of(logits: Tensor) -> Tensor:
    """Integer weights, int64 ``[..., K]``, in proportion to exp(logits / 64); the largest is 2^30.

    Args:
        logits: integers of ``LOGIT`` in a tensor of floats, or of ints: ``[..., K]``.
    """
    table = _table(logits.device)
    below = (logits.amax(dim=-1, keepdim=True) - logits).clamp_max(len(table) - 1)
    return table.index_select(0, below.to(torch.int32).flatten()).view(below.shape)  # much faster than table[below]


def frequencies(weights: Tensor) -> Tensor:
    """Frequencies int64 ``[..., K]``, each 1 or more, that sum to exactly 2^24.

        f = 1 + w (2^24 - K) // sum(w),    and the first of the largest weights gets what is missing from 2^24

    Args:
        weights: int64 ``[..., K]``, each 0 to 2^30 and not all 0; K up to 65,536.

    Raises:
        ConfigError: more values than 65,536.
    """
    size = weights.shape[-1]
    if size > LARGEST_SIZE:
        raise ConfigError(f"a distribution over {size:,} values: exact frequencies are for {LARGEST_SIZE:,} at most")
    total = 1 << TOTAL_BITS
    found = _shares(weights, total - size).add_(1)
    largest = weights.argmax(dim=-1, keepdim=True)
    return found.scatter_add_(-1, largest, total - found.sum(dim=-1, keepdim=True))


def _shares(weights: Tensor, share: int) -> Tensor:
    """``weights * share // sum``, int64.

    A processor divides float64 several times faster than int64. The quotients of a divisor that is a little too large,
    and of one that is a little too small, have the true one between them: where all are equal below the point, which
    their sums tell, they are it.
    """
    sums = weights.sum(dim=-1, keepdim=True)
    if weights.device.type == "cpu":
        wide, scale = weights.double(), share / sums.double()
        low = wide.mul(scale * (1 - 2.0**-50)).floor_()
        if torch.equal(low.sum(dim=-1), wide.mul_(scale * (1 + 2.0**-50)).floor_().sum(dim=-1)):
            return low.long()
    return weights.mul(share).div_(sums, rounding_mode="trunc")


def frequencies_of(weights: Tensor, chosen: Tensor) -> Tensor:
    """``frequencies(weights)`` of one value in each row, int64 ``[rows]``, without those of all others.

    Only what the first of the largest weights gets needs all of a row.

    Args:
        weights: as of ``frequencies``, ``[rows, K]``.
        chosen: int64 ``[rows]``.
    """
    share = (1 << TOTAL_BITS) - weights.shape[1]
    own = weights.gather(1, chosen.unsqueeze(1)).squeeze(1)
    found = own.mul(share).div_(weights.sum(dim=1), rounding_mode="trunc").add_(1)
    largest = (weights.argmax(dim=1) == chosen).nonzero().squeeze(1)
    if len(largest):
        whole = frequencies(weights.index_select(0, largest))
        found[largest] = whole.gather(1, chosen[largest].unsqueeze(1)).squeeze(1)
    return found
