"""Fixed point: which integers stand for which real numbers, and how far sums of them stay exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

WEIGHT_LIMIT = 127
"""Weights are int8 in [-127, 127]."""

SUM_LIMIT = 1 << 24
"""Every integer below it is a float32: sums that stay below are exact in any order, with or without FMA."""

FAN_IN = (SUM_LIMIT - 1) // (WEIGHT_LIMIT * 127)
"""1040: so many products of an int8 weight and an int8 activation, whatever they are, sum to less than 2^24."""

GAIN_BITS = 12
"""A gain of 1 is the multiplier 2^12."""

GAIN_LIMIT = (1 << 15) - 1
"""Multipliers lie in [1, 2^15), gains in (0, 8)."""

BIAS_BITS = 8
"""Bits of a bias below one unit of the output."""

BIAS_LIMIT = (1 << 31) - 1
"""Biases are int32."""


@final
@dataclass(frozen=True)
class Format:
    """The integer i stands for the real number i / 2^bits; integers outside of [low, high] are clamped.

    Attributes:
        bits: below the point.
        low: smallest integer.
        high: largest integer.
    """

    bits: int
    low: int
    high: int


ACTIVATION = Format(4, 0, 127)
"""int8 after a ReLU, in steps of 1/16 up to 7.94: what a convolution reads."""

SIGNED = Format(4, -127, 127)
"""int8 without a ReLU."""

STREAM = Format(10, -32767, 32767)
"""The residual stream: int16, in steps of 1/1024 between -32 and 32."""

LOGIT = Format(6, -32767, 32767)
"""Logits, in steps of 1/64 nat."""


def weight_bits(fan_in: int) -> int:
    """b of weights w / 2^b: about six standard deviations sqrt(2 / fan_in) of a fresh layer are 127 steps.

    The largest b with 6 * 2^b * sqrt(1 / fan_in) <= 127, found in integers: the same on every machine.
    """
    bits = 0
    while 36 * 4 ** (bits + 1) <= WEIGHT_LIMIT**2 * fan_in:
        bits += 1
    return bits
