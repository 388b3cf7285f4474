"""BD-rate: how much more, or fewer, bits one codec needs than another for the same quality, over a range of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError

Point = tuple[float, float]
"""Rate (any unit, above 0) and quality (higher is better)."""
Method = Literal["pchip", "cubic"]
_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BdRate:
    """A BD-rate and what it is over.

    Attributes:
        percent: average difference of rate at equal quality: -20 needs a fifth fewer bits than the anchor.
        low, high: the range of quality.
    """

    percent: float
    low: float
    high: float


def bd_rate(
    anchor: Sequence[Point], other: Sequence[Point], *, method: Method = "pchip", highest_rate: float = math.inf
) -> BdRate | None:
    """The average difference of rate at equal quality (Bjontegaard 2001, VCEG-M33).

    Log rate as a function of quality for both curves; the integral of their difference over the common range of
    quality, divided by the range; as a percentage. Of a curve's points only those count that no other one beats, at
    less rate and no less quality.

    Args:
        anchor: points of the codec that is compared with, in any order.
        other: those of the codec that is judged.
        method: ``pchip`` goes through the points by monotone cubics (Fritsch and Carlson 1980); ``cubic`` is the
            original's one polynomial, fitted by least squares to the points in the common range and their nearest
            neighbours outside: exact for four points, and coarse for many over a wide range.
        highest_rate: the range ends at the quality where the first of the curves reaches this rate.

    Returns:
        The figure, or None where the curves have no quality in common.

    Raises:
        DataError: a rate that is not above 0, a value that is not finite.
    """
    curves = [_undominated(each) for each in (anchor, other)]
    if min(len(each) for each in curves) < 2:
        return None
    through = [_MonotoneCubic(each) for each in curves]
    low = max(each[0][1] for each in curves)
    high = min(_reach(curve, points, highest_rate) for curve, points in zip(through, curves, strict=True))
    if not high > low:
        return None
    if method == "cubic":
        integrals = [_polynomial_integral(points, low, high) for points in curves]
    else:
        integrals = [each.integral(low, high) for each in through]
    difference = (integrals[1] - integrals[0]) / (high - low)
    return BdRate(100 * math.expm1(difference), low, high)


def _undominated(points: Sequence[Point]) -> list[Point]:
    """The points that are on the way up, by quality: strictly more quality for strictly more rate."""
    for rate, quality in points:
        if not 0 < rate < math.inf or not math.isfinite(quality):
            raise DataError(f"a point of rate {rate} and quality {quality}: rates are above 0, and both are finite")
    found: list[Point] = []
    for rate, quality in sorted(points, key=lambda each: (each[0], -each[1])):
        if not found or quality > found[-1][1]:
            found.append((rate, quality))
    return found


class _MonotoneCubic:
    """ln rate as a function of quality, both rising: cubic Hermite pieces that never overshoot the points.

    The slope at an inner point is the weighted harmonic mean of those of the secants beside it, and at an end that of
    the parabola through three points, or 0 where that falls (Fritsch and Butland 1984; Moler 2004,
    ``pchiptx``).
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.x = np.array([quality for _, quality in points])
        self.y = np.log([rate for rate, _ in points])
        h, secant = np.diff(self.x), np.diff(self.y) / np.diff(self.x)
        slope = np.full(len(self.x), secant[0])
        if len(h) > 1:
            left, right = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
            slope[1:-1] = (left + right) / (left / secant[:-1] + right / secant[1:])
            for end, one, two in ((0, 0, 1), (-1, -1, -2)):
                parabola = ((2 * h[one] + h[two]) * secant[one] - h[one] * secant[two]) / (h[one] + h[two])
                slope[end] = max(parabola, 0.0)
        bend = (3 * secant - 2 * slope[:-1] - slope[1:]) / h
        self.powers = np.stack([self.y[:-1], slope[:-1], bend, (secant - slope[:-1] - bend * h) / h**2])

    def __call__(self, quality: float) -> float:
        piece = int(np.clip(np.searchsorted(self.x, quality, side="right") - 1, 0, len(self.x) - 2))
        return float((quality - self.x[piece]) ** np.arange(4) @ self.powers[:, piece])

    def integral(self, low: float, high: float) -> float:
        """Over qualities within the range of the points."""
        steps = [np.clip(bound, self.x[:-1], self.x[1:]) - self.x[:-1] for bound in (low, high)]
        return float(sum((steps[1] ** n - steps[0] ** n) @ self.powers[n - 1] / n for n in (1, 2, 3, 4)))

    def inverse(self, log_rate: float) -> float:
        """The quality at a rate within the range of the points, by bisection to the last bit."""
        low, high = float(self.x[0]), float(self.x[-1])
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self(middle) < log_rate else (low, middle)
        return high


def _reach(curve: _MonotoneCubic, points: Sequence[Point], highest_rate: float) -> float:
    """The best quality of a curve within a rate; -inf where its first point is above that."""
    if points[-1][0] <= highest_rate:
        return points[-1][1]
    if points[0][0] > highest_rate:
        return -math.inf
    if points[0][0] == highest_rate:
        return points[0][1]
    return curve.inverse(math.log(highest_rate))


def _polynomial_integral(points: Sequence[Point], low: float, high: float) -> float:
    quality: _Array = np.array([each for _, each in points])
    first = max(0, int(np.searchsorted(quality, low, side="right")) - 1)
    last = int(np.searchsorted(quality, high, side="left")) + 1
    while last - first < min(4, len(points)):  # enough for a cubic
        first, last = max(0, first - 1), min(len(points), last + 1)
    own = points[first:last]
    middle = (low + high) / 2  # powers of numbers near 0, not near 30 dB
    fit = np.polynomial.Polynomial.fit(
        quality[first:last] - middle, np.log([rate for rate, _ in own]), min(3, len(own) - 1)
    )
    whole = fit.integ()
    return float(whole(high - middle) - whole(low - middle))
