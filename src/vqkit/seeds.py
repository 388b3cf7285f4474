"""The one range of seeds, and seeds that are made of others within it."""

from __future__ import annotations

import operator

from vqkit.errors import ConfigError

_COUNT = 2**64


def check_seed(seed: int) -> int:
    """Return the seed as an int.

    Raises:
        ConfigError: not a whole number from 0 to 2**64 - 1, which is what random generators have as their key.
    """
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < _COUNT or isinstance(seed, bool):
        raise ConfigError(f"seed is {seed!r}; it is a whole number from 0 to 2**64 - 1, e.g. seed=0.")
    return value


def later_seed(seed: int, steps: int = 1) -> int:
    """The seed so many after another; after the last one comes the first."""
    later = seed + steps
    return later if later < _COUNT else later % _COUNT
