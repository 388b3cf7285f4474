"""BD-rate: closed forms, and the laws that it keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from vqkit.errors import DataError
from vqkit.evaluation import bd_rate
from vqkit.evaluation.bd_rate import BdRate, Method, Point, _MonotoneCubic

METHODS: list[Method] = ["pchip", "cubic"]
ANCHOR: list[Point] = [(0.1, 24.0), (0.2, 26.5), (0.45, 29.0), (0.9, 32.5), (1.7, 35.0), (3.0, 38.5)]


def found(*arguments: list[Point], **options: object) -> BdRate:
    value = bd_rate(*arguments, **options)  # type: ignore[arg-type]
    assert value is not None
    return value


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.7])
@pytest.mark.parametrize("highest_rate", [math.inf, 0.5])
def test_a_curve_of_c_times_the_rate(method: Method, factor: float, highest_rate: float) -> None:
    other = [(factor * rate, quality) for rate, quality in ANCHOR]
    value = found(ANCHOR, other, method=method, highest_rate=highest_rate)
    assert value.percent == pytest.approx(100 * (factor - 1), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_straight_lines_in_log_rate(method: Method) -> None:
    """ln rate = a + b quality for one and c + d quality for the other: the mean difference is at the middle."""
    first = [(math.exp(-7 + 0.2 * quality), quality) for quality in (25.0, 27.0, 30.0, 36.0)]
    second = [(math.exp(-8 + 0.23 * quality), quality) for quality in (22.0, 28.0, 31.0, 33.0)]
    middle = (25 + 33) / 2
    value = found(first, second, method=method)
    assert (value.low, value.high) == (25.0, 33.0)
    assert value.percent == pytest.approx(100 * math.expm1(-1 + 0.03 * middle), abs=1e-9)


def test_four_points_are_the_original_polynomial() -> None:
    """VCEG-M33 by NumPy's plain polynomials."""
    first, second = ANCHOR[:4], [(0.12, 25.0), (0.2, 28.0), (0.5, 30.5), (1.0, 33.0)]
    low, high = 25.0, 32.5
    integrals = []
    for points in (first, second):
        power = np.polyint(np.polyfit([q for _, q in points], np.log([r for r, _ in points]), 3))
        integrals.append(np.polyval(power, high) - np.polyval(power, low))
    expected = 100 * (math.exp((integrals[1] - integrals[0]) / (high - low)) - 1)
    assert found(first, second, method="cubic").percent == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_laws(method: Method) -> None:
    other = [(0.12, 25.0), (0.2, 28.0), (0.5, 30.5), (1.0, 33.0)]
    there, back = found(ANCHOR, other, method=method), found(other, ANCHOR, method=method)
    assert (1 + there.percent / 100) * (1 + back.percent / 100) == pytest.approx(1)
    assert found(ANCHOR[::-1], other[::-1], method=method) == there
    bits = [[(1000 * rate, quality) for rate, quality in curve] for curve in (ANCHOR, other)]
    assert found(*bits, method=method).percent == pytest.approx(there.percent)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_scipys_pchip(count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    quality = 20 + np.cumsum(10 ** generator.uniform(-2, 1, count))  # gaps of 0.01 to 10 dB
    log_rate = np.cumsum(10 ** generator.uniform(-2, 1, count)) - 3
    mine = _MonotoneCubic(list(zip(np.exp(log_rate), quality, strict=True)))
    peer = PchipInterpolator(quality, log_rate)
    places = generator.uniform(quality[0], quality[-1], 50)
    np.testing.assert_allclose([mine(place) for place in places], peer(places), atol=1e-11)
    low, high = places.min(), places.max()
    assert mine.integral(low, high) == pytest.approx(float(peer.integrate(low, high)), abs=1e-11)
    assert [mine.inverse(mine(place)) for place in places] == pytest.approx(list(places), abs=1e-6)


def test_points_that_are_beaten_do_not_count() -> None:
    assert found(ANCHOR, [*ANCHOR, (0.46, 28.0), (0.2, 26.0)]).percent == pytest.approx(0, abs=1e-12)


def test_the_range_ends_where_the_first_curve_reaches_the_rate() -> None:
    other = [(2 * rate, quality) for rate, quality in ANCHOR]
    assert found(ANCHOR, other, highest_rate=0.4).high == pytest.approx(26.5)
    assert found(ANCHOR, other, highest_rate=0.9).high == pytest.approx(29.0)


def test_no_common_quality() -> None:
    assert bd_rate(ANCHOR, [(0.1, 10.0), (0.2, 20.0)]) is None
    assert bd_rate(ANCHOR, [(0.3, 26.0)]) is None
    assert bd_rate(ANCHOR, [(0.6, 26.0), (0.9, 29.0)], highest_rate=0.5) is None


@pytest.mark.parametrize("bad", [(0.0, 30.0), (0.1, math.inf), (math.nan, 30.0)])
def test_what_is_no_point(bad: Point) -> None:
    with pytest.raises(DataError, match="rates are above 0"):
        bd_rate(ANCHOR, [*ANCHOR, bad])
