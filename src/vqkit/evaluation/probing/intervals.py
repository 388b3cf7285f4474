"""Confidence intervals of a share of items: Wilson's, and the bootstrap's of any figure of resampled items."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vqkit.errors import ConfigError

_NORMAL = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""
_AT_ONCE = 1 << 20
"""Items drawn at a time."""


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % confidence interval of a share: Wilson's score interval (Wilson 1927), good for few items and for 0 and 1.

    Args:
        hits: successes among independent trials.
        count: trials.

    Raises:
        ConfigError: no trials, or more successes than trials.

    Example:
        >>> from vqkit.evaluation.probing import wilson_interval
        >>> low, high = wilson_interval(10, 10)
        >>> round(low, 4), high
        (0.7225, 1.0)
    """
    if not 0 <= hits <= count or count < 1:
        raise ConfigError(f"hits={hits}, count={count}: give 1 trial or more, and at most as many successes")
    share, square = hits / count, _NORMAL**2 / count
    middle = (share + square / 2) / (1 + square)
    reach = _NORMAL / (1 + square) * math.sqrt(share * (1 - share) / count + square / count / 4)
    return max(0.0, middle - reach) if hits else 0.0, min(1.0, middle + reach) if hits < count else 1.0


def bootstrap_interval(
    count: int,
    figure: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % confidence interval of a figure of ``count`` items: percentiles over resampled items (Efron 1979).

    Whole items are drawn, so that what belongs to one item (its positions, say) stays together.

    Args:
        count: items.
        figure: the figure of each resample, ``[R]``, from the items drawn for it, int64 ``[R, count]``; NaN where it
            has none.
        resamples: R, of all calls together.
        seed: of the draws; the same gives the same interval.

    Returns:
        Lower and upper bound; NaN where more than half of the resamples have no figure.

    Example:
        >>> import numpy as np
        >>> from vqkit.evaluation.probing import bootstrap_interval
        >>> right = np.arange(100) % 4 > 0
        >>> low, high = bootstrap_interval(100, lambda drawn: right[drawn].mean(axis=1))
        >>> 0.6 < low < 0.75 < high < 0.9
        True
    """
    if count < 1 or resamples < 1:
        raise ConfigError(f"count={count}, resamples={resamples}: give 1 or more of each")
    rng = np.random.Generator(np.random.Philox(seed))
    rows = max(1, _AT_ONCE // count)
    found = [
        figure(rng.integers(0, count, (min(rows, resamples - start), count))) for start in range(0, resamples, rows)
    ]
    values = np.concatenate(found)
    values = values[np.isfinite(values)]
    if 2 * len(values) < resamples:
        return math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
