"""Values as integers of a lattice whose steps keep every one within its bound, checked in the type that is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
FINE = 32
"""A step of twice the bound is 2 * 32 + 1 fine units of floats; of integers the bound is a number of units itself."""
LARGEST = 1 << 42
"""Fine units from the least to the largest value of a channel: beyond it all of its values are kept as they are."""


@final
@dataclass(frozen=True)
class Lattice:
    """The value ``origin + unit * i`` of each integer i, of one channel.

    Attributes:
        origin: of 0.
        unit: between neighbors; 0 where every value is kept as it is.
        half: units that a decoded integer may be away; a step is ``2 half + 1``.
    """

    origin: float
    unit: float
    half: int

    @property
    def step(self) -> int:
        """Units of a step."""
        return 2 * self.half + 1

    def values(self, integers: Integers) -> Floats:
        """Float64 values: one product and one sum, each rounded correctly, so the same on every machine."""
        with np.errstate(over="ignore"):
            return np.add(np.multiply(integers.astype(np.float64), self.unit), self.origin)

    def integers(self, values: Floats) -> Integers:
        """The integers nearest to values, with 0 for gaps."""
        if not self.unit:
            return np.zeros(values.shape, np.int64)
        with np.errstate(invalid="ignore", over="ignore"):
            exact = np.rint((values - self.origin) / self.unit)
        return np.clip(np.nan_to_num(exact), -LARGEST, LARGEST).astype(np.int64)


def lattice_of(values: Floats, bound: float, kind: np.dtype[Any]) -> Lattice:
    """The lattice for values of a channel (NaN: gaps), which are to be within a bound of what is decoded."""
    there = values[~np.isnan(values)]
    if not there.size:
        return Lattice(0.0, 0.0, 0)
    low, high = float(there.min()), float(there.max())
    if kind.kind != "f":
        half = min(int(bound), 1 << 31)
        return Lattice(low, 1.0, half)
    with np.errstate(over="ignore"):
        unit = 2.0 * bound / (2 * FINE + 1)
        wide = (high - low) / unit if unit > 0.0 else np.inf
    if not np.isfinite(wide) or wide >= LARGEST or low + unit == low == 0.0:
        return Lattice(low, 0.0, 0)
    return Lattice(low, unit, FINE)


def as_written(values: Floats, kind: np.dtype[Any]) -> Floats:
    """Float64 of what values are in the type in which they are written: integers rounded and cut to their range."""
    with np.errstate(invalid="ignore", over="ignore"):
        if kind.kind == "f":
            most = float(np.finfo(kind).max)
            return np.clip(values, -most, most).astype(kind).astype(np.float64)
        about = np.iinfo(kind)
        return np.clip(np.rint(values), about.min, about.max)


def outside(decoded: Floats, values: Floats, bound: float) -> npt.NDArray[np.bool_]:
    """Where a decoded value is beyond the bound; a difference that equals it must be exact to count as within."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = decoded - values
        back = difference - decoded
        error = (decoded - (difference - back)) + (-values - back)  # what the subtraction rounded away
        exact = np.sign(difference) * error
        beyond = (np.abs(difference) > bound) | ((np.abs(difference) == bound) & ~(exact <= 0))
    return np.asarray(beyond & ~np.isnan(values))
