"""Mixtures of discretised logistics over 256 levels: in integers for files, and the same in floats for training.

Level v has the mass of the interval [v - 1/2, v + 1/2] under a mixture of logistic distributions; levels 0 and 255 have
what lies beyond them too (Salimans et al. 2017, arXiv 1701.05517, section 2.1). Means are integers in 1/32 level,
logarithms of scales in 1/64 nat. One table of the logistic function, made with integers and ``decimal``, serves all.

A level is coded as two symbols of 16 values: its sixteenth (level // 16), then its place in it (level % 16). So only
32 values of the distribution function are computed, not 256, and the coder's tables are short.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from vqkit.exact.formats import LOGIT, Format
from vqkit.exact.probabilities import TOTAL_BITS, frequencies, weights_of

LEVELS = 256
PART = 16
"""Levels in a part; parts."""

UNIT_BITS = 5
"""Means are in 1/32 level."""

LOG_SCALE = Format(LOGIT.bits, -133, 266)
"""Logarithms of scales, from 1/8 level to 64 levels."""

_Z_BITS = 10  # of an argument of the logistic function
_Z_LIMIT = 16 << _Z_BITS
_INVERSE_BITS = 12  # of an inverse scale, below 1/1024 a unit
_DIGITS = 100  # bits of the powers that the table is made of
_DROPPED = 2 * TOTAL_BITS - 38  # so that weights of ``frequencies`` stay below 2^39
_TOTAL = 1 << 2 * TOTAL_BITS - _DROPPED


@final
@dataclass(frozen=True)
class Mixture:
    """M logistics for each of a number of rows.

    Attributes:
        means: ``[rows, M]``, integers in 1/32 level.
        log_scales: ``[rows, M]``, integers of ``LOG_SCALE``.
        logits: ``[rows, M]``, integers of ``LOGIT``.
    """

    means: Tensor
    log_scales: Tensor
    logits: Tensor


@lru_cache(maxsize=1)
def logistic_table() -> tuple[int, ...]:
    """round(2^24 / (1 + exp(-z / 1024))) for z = -16384 .. 16384.

    Powers of round(2^100 exp(-1/1024)) by integers, to more digits than are kept: the same integers everywhere.
    """
    one = 1 << _DIGITS
    with localcontext() as context:
        context.prec = 60
        ratio = int(Decimal(one) * (Decimal(-1) / (1 << _Z_BITS)).exp())
    power, above = one, []
    for _ in range(_Z_LIMIT + 1):
        above.append(((one << TOTAL_BITS + 1) + one + power) // (2 * (one + power)))
        power = power * ratio >> _DIGITS
    return (*((1 << TOTAL_BITS) - each for each in reversed(above[1:])), *above)


@lru_cache(maxsize=1)
def inverse_scales() -> tuple[int, ...]:
    """round(2^17 exp(-s / 64)) for all s of ``LOG_SCALE``: what one unit of 1/32 level is, in 1/2^22 of the scale."""
    one = 1 << _INVERSE_BITS + _Z_BITS - UNIT_BITS
    with localcontext() as context:
        context.prec = 50
        exact = [
            Decimal(one) * (Decimal(-each) / (1 << LOG_SCALE.bits)).exp()
            for each in range(LOG_SCALE.low, LOG_SCALE.high + 1)
        ]
        return tuple(int((each + Decimal("0.5")).to_integral_value(rounding="ROUND_FLOOR")) for each in exact)


@lru_cache(maxsize=8)
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    logistic = torch.tensor(logistic_table(), dtype=torch.int64, device=device)
    return logistic, torch.tensor(inverse_scales(), dtype=torch.int64, device=device)


def coarse_frequencies(mixture: Mixture) -> Tensor:
    """Frequencies of level // 16, int64 ``[rows, 16]``, each 1 or more, that sum to 2^24; exact."""
    edges = torch.arange(1, PART, device=mixture.means.device) * PART
    inner = _distribution(mixture, edges[None])
    return frequencies(torch.diff(inner, prepend=inner.new_zeros(len(inner), 1), append=_full(inner)) + 1)


def fine_frequencies(mixture: Mixture, coarse: Tensor) -> Tensor:
    """Frequencies of level % 16 given level // 16, int64 ``[rows, 16]``, each 1 or more, that sum to 2^24; exact.

    Args:
        mixture: of the rows.
        coarse: int64 ``[rows]``, level // 16 of each.
    """
    edges = torch.arange(PART + 1, device=coarse.device) + (coarse * PART).unsqueeze(1)
    found = _distribution(mixture, edges)
    found[:, 0].masked_fill_(coarse == 0, 0)
    found[:, -1].masked_fill_(coarse == LEVELS // PART - 1, _TOTAL)
    return frequencies(torch.diff(found) + 1)


def _full(rows: Tensor) -> Tensor:
    return rows.new_full((len(rows), 1), _TOTAL)


def _distribution(mixture: Mixture, edges: Tensor) -> Tensor:
    """2^38 times the probability of a level below each edge: int64 ``[rows, E]`` from ``[rows or 1, E]`` levels."""
    logistic, inverse = _tables(mixture.means.device)
    means = mixture.means.to(torch.int64).unsqueeze(2)
    scales = inverse[mixture.log_scales.to(torch.int64) - LOG_SCALE.low].unsqueeze(2)
    weights = frequencies(weights_of(mixture.logits)).unsqueeze(2)
    below = (edges << UNIT_BITS).sub_(1 << UNIT_BITS - 1).unsqueeze(1) - means
    below = below.mul_(scales).add_(1 << _INVERSE_BITS - 1) >> _INVERSE_BITS
    place = below.clamp_(-_Z_LIMIT, _Z_LIMIT).add_(_Z_LIMIT)
    found = logistic.index_select(0, place.flatten()).view(place.shape)  # much faster than logistic[place]
    return found.mul_(weights).sum(dim=1) >> _DROPPED


def mixture_nats(mixture: Mixture, levels: Tensor) -> Tensor:
    """-log p of levels, in float32 with gradients: for training, ``[rows]`` from a mixture and ``[rows]`` levels."""
    level = levels.to(mixture.means.dtype).unsqueeze(1)
    inverse = torch.exp(mixture.log_scales * -(2.0**-LOG_SCALE.bits))
    centered = level - mixture.means * 2.0**-UNIT_BITS
    above = ((centered + 0.5) * inverse).masked_fill(level == LEVELS - 1, 1e4)
    below = ((centered - 0.5) * inverse).masked_fill(level == 0, -1e4)
    right = centered > 0  # mirrored there: the difference of two numbers near 1 would have no digits
    inside = torch.sigmoid(torch.where(right, -below, above)) - torch.sigmoid(torch.where(right, -above, below))
    weights = torch.softmax(mixture.logits * 2.0**-LOGIT.bits, dim=1)
    return -torch.log((weights * inside).sum(dim=1) + 1e-10)
