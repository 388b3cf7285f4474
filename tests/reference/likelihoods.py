"""Likelihoods in float64, one position at a time, from differences of SciPy's distribution functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]


def bin_probability(distribution: Any, level: int, levels: int, mean: float, std: float, at: float, s: float) -> float:
    """Probability of one level under a distribution with location ``at`` and scale ``s``, in a network's numbers.

    Level l has the value ``l / (levels - 1)`` and stands for all values up to half-way to its neighbours; the outermost
    ones reach to infinity.
    """
    top = levels - 1
    below = -np.inf if level == 0 else ((level - 0.5) / top - mean) / std
    above = np.inf if level == top else ((level + 0.5) / top - mean) / std
    one = distribution(loc=at, scale=s)
    if below > at:  # above the location the upper tail has the digits
        return float(one.sf(below) - one.sf(above))
    return float(one.cdf(above) - one.cdf(below))


def gaussian(raw: Array, log_scale: Array, level: list[int], levels: int, mean: float, std: float) -> float:
    """log p of one position: ``raw [C]``, ``log_scale [C]``, one level per channel."""
    total = 0.0
    for c, one in enumerate(level):
        total += np.log(bin_probability(stats.norm, one, levels, mean, std, raw[c], np.exp(log_scale[c])))
    return total


def mixture(
    raw: Array, level: list[int], levels: int, mean: float, std: float, components: int, conditional: bool
) -> float:
    """log p of one position of what a decoder emits, ``raw [outputs]``, for any number of components.

    The order of raw: M weights (only if M > 1), M x C means, M x C log scales (doubled, less 2, at least -7), M x pairs
    coefficients (to which 1 is added where the earlier channel is the one just before).
    """
    channels = len(level)
    numbers = [(one / (levels - 1) - mean) / std for one in level]
    queue = [float(each) for each in raw]

    def take(count: int) -> list[float]:
        taken = queue[:count]
        del queue[:count]
        return taken

    weights = np.exp(take(components)) if components > 1 else np.ones(1)
    means = [take(channels) for _ in range(components)]
    scales = [[np.exp(max(2 * each - 2, -7.0)) for each in take(channels)] for _ in range(components)]
    total = 0.0
    for m in range(components):
        product = weights[m] / weights.sum()
        for c in range(channels):
            at = means[m][c]
            if conditional:
                for e, slope in enumerate(take(c)):
                    at += (slope + (1.0 if e == c - 1 else 0.0)) * (numbers[e] - means[m][e])
            product *= bin_probability(stats.logistic, level[c], levels, mean, std, at, scales[m][c])
        total += product
    assert not queue
    return float(np.log(total))
