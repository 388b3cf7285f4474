"""Strides of a network for sound: whole numbers whose product is its downsampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vqkit.errors import ConfigError
from vqkit.spelling import setting

_LARGEST = 8
_TYPICAL = 4.2
"""Geometric mean of EnCodec's strides 2, 4, 5, 8."""


def choose_strides(downsampling: int) -> list[int]:
    """Factors of a downsampling, smallest first: about as many as give a mean of 4.2, none above 8 if it has such.

    Raises:
        ConfigError: no whole number of 1 or more.

    Example:
        >>> from vqkit.networks.sound.strides import choose_strides
        >>> choose_strides(320), choose_strides(22), choose_strides(1)
        ([2, 4, 5, 8], [2, 11], [])
    """
    if not isinstance(downsampling, int) or isinstance(downsampling, bool) or downsampling < 1:
        raise ConfigError(f"downsampling={downsampling}: give a whole number of 1 or more, one axis has one")
    if downsampling == 1:
        return []
    largest = max(_LARGEST, _largest_prime(downsampling))
    wanted = math.log(downsampling) / math.log(_TYPICAL)
    return min(_factorizations(downsampling, 2, largest), key=lambda found: (abs(len(found) - wanted), found))


def check_strides(strides: Sequence[int]) -> list[int]:
    """Return strides as a list.

    Raises:
        ConfigError: a stride that is no whole number of 1 or more.
    """
    if any(not isinstance(stride, int) or isinstance(stride, bool) or stride < 1 for stride in strides):
        raise ConfigError(
            f"strides={list(strides)}: give whole numbers of 1 or more; their product is the downsampling"
        )
    return list(strides)


def stride_widths(count: int, hidden_channels: int, widths: Sequence[int] | None, least: int = 16) -> list[int]:
    """Channels before the first and after each of so many strides, from the signal inwards.

    Args:
        count: strides.
        hidden_channels: behind the last stride; halved with each outwards, down to ``least``.
        widths: one for each stride; None: as ``hidden_channels`` says.
        least: channels where halving stops.

    Raises:
        ConfigError: another number of widths than strides, or one below 1.

    Example:
        >>> from vqkit.networks.sound.strides import stride_widths
        >>> stride_widths(4, 512, None)
        [32, 64, 128, 256, 512]
    """
    if widths is None:
        floor = min(least, hidden_channels)
        return [max(floor, hidden_channels >> (count - number)) for number in range(count + 1)]
    if len(widths) != count or min(widths, default=1) < 1:
        raise ConfigError(
            f"{setting('widths')}={list(widths)}: there are {count} strides; give so many numbers of channels, each 1 "
            "or more"
        )
    return [max(1, widths[0] // 2) if widths else hidden_channels, *widths]


def _factorizations(number: int, least: int, largest: int) -> Iterator[list[int]]:
    if least <= number <= largest:
        yield [number]
    for factor in range(least, min(largest, math.isqrt(number)) + 1):
        if number % factor == 0:
            for rest in _factorizations(number // factor, factor, largest):
                yield [factor, *rest]


def _largest_prime(number: int) -> int:
    factor, largest = 2, 1
    while factor * factor <= number:
        while number % factor == 0:
            number, largest = number // factor, factor
        factor += 1
    return max(largest, number)
