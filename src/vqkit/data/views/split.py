"""The split of a source into a part to train on and a held-out part."""

from __future__ import annotations

import numpy as np

from vqkit.checking import shown
from vqkit.data.rng import SPLIT, permutation
from vqkit.data.source import Source
from vqkit.errors import ConfigError, DataError
from vqkit.seeds import check_seed


def split(source: Source, fraction: float | str = 0.1, seed: int = 0) -> tuple[Source, Source]:
    """Split into (train, validation), the same parts as ``train`` makes of ``validation=fraction``.

    Args:
        source: what to split.
        fraction: of the items in the validation part, at least one and at most all but one, by a permutation that
            depends on the seed and the length only; or ``"last:N"`` for the last N. Both parts keep the order.
        seed: of the permutation.

    Raises:
        ConfigError: no fraction in (0, 1), or an N that is not among 1 .. items - 1.
        DataError: no source, or a single item.

    Example:
        >>> import vqkit
        >>> from vqkit import split
        >>> training, held_out = split(vqkit.load_source("builtin:digits"), 0.1, seed=0)
        >>> len(training), len(held_out)
        (1617, 180)
    """
    if not isinstance(source, Source):
        raise DataError(f"split takes a source, not {shown(source)}: make one with vqkit.load_source(...)")
    count = len(source)
    if count < 2:
        raise DataError(f"{source.name} has 1 item; a split needs at least 2 (one to train on, one to validate on).")
    if isinstance(fraction, str) and fraction.startswith("last:"):
        number = fraction.removeprefix("last:")
        if not number.isdecimal() or not 0 < int(number) < count:
            raise ConfigError(f"fraction={fraction!r}: give last:N with N from 1 to {count - 1} (there are {count})")
        return source.subset(range(count - int(number))), source.subset(range(count - int(number), count))
    if not isinstance(fraction, int | float) or not 0.0 < fraction < 1.0:
        raise ConfigError(
            f"fraction is {fraction}; the validation part lies between 0 and 1, e.g. fraction=0.1, or is 'last:N'."
        )
    order = permutation(count, seed=check_seed(seed), number=0, purpose=SPLIT)
    held_out = min(max(1, round(count * fraction)), count - 1)
    return source.subset(np.sort(order[held_out:])), source.subset(np.sort(order[:held_out]))
