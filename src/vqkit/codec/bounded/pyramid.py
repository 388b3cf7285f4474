"""Order and prediction of a grid from coarse to fine: every value from decoded ones around it, all in integers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
FIXED_BITS = 8
"""Weights of the fixed interpolation are in 1/256."""
NEIGHBORS = {0: 0, 1: 8, 2: 16, 3: 20}
"""Decoded values that a fitted prediction reads, by the number of axes that are longer than one."""
_CUBIC = {-3: -16, -1: 144, 1: 144, 3: -16}
_LINEAR = {-1: 128, 1: 128}


@final
@dataclass(frozen=True)
class Pass:
    """Positions that are predicted from the same neighbors, all at once.

    Attributes:
        stride: between positions of the lattice, in positions of the grid.
        places: int64 ``[m]``, flat positions.
        around: int64 ``[m, N]``, flat positions of decoded neighbors, nearest first.
        fixed: int64 ``[N]``, weights of the interpolation, which sum to 256; none where N is 0.
    """

    stride: int
    places: Integers
    around: Integers
    fixed: Integers

    def interpolated(self, values: Integers) -> Integers:
        """The fixed prediction ``[n, m]`` from a grid ``[n, positions]``."""
        if not len(self.fixed):
            return np.zeros((len(values), len(self.places)), np.int64)
        used = np.flatnonzero(self.fixed)
        total = values[:, self.around[:, used]] @ self.fixed[used]
        return (total + (1 << FIXED_BITS - 1)) >> FIXED_BITS


@lru_cache(maxsize=8)
def passes(grid: tuple[int, ...]) -> tuple[Pass, ...]:
    """The passes of a grid, coarse to fine: every position once, each from positions of earlier passes alone."""
    sides = tuple(side for side in grid if side > 1)
    top = 1
    while sides and top < max(sides):
        top *= 2
    first = Pass(top, np.zeros(1, np.int64), np.zeros((1, 0), np.int64), np.zeros(0, np.int64))
    found, stride = [first], top // 2
    while sides and stride:
        found += _of_stride(sides, stride)
        stride //= 2
    return tuple(found)


def _of_stride(sides: tuple[int, ...], stride: int) -> Iterator[Pass]:
    """The passes that double the density of each axis: those odd on most axes first."""
    lengths = [-(-side // stride) for side in sides]
    steps = np.cumprod([1, *sides[:0:-1]])[::-1]
    classes = sorted(itertools.product((0, 1), repeat=len(sides)), key=lambda each: (-sum(each), each))[:-1]
    free = [axis for axis, length in enumerate(lengths) if length > 1]
    for own in classes:
        axes = [np.arange(odd, length, 2) for odd, length in zip(own, lengths, strict=True)]
        where = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], axis=1)
        if not len(where):
            continue
        known = [(0,) * len(sides), *classes[: classes.index(own)]]
        offsets = _offsets(own, known, free, len(sides))
        near = where[:, None, :] + np.array(offsets, np.int64)[None]
        last = np.array(lengths, np.int64) - 1
        near = np.abs(near)
        period = np.maximum(2 * last, 1)
        near = near % period
        near = np.minimum(near, period - near) * (last > 0)  # reflected: an odd place stays odd
        fixed = np.array([_weights(own, known, free, len(sides)).get(each, 0) for each in offsets], np.int64)
        yield Pass(stride, (where * stride) @ steps, (near * stride) @ steps, fixed)


def _offsets(
    own: tuple[int, ...], known: Sequence[tuple[int, ...]], free: Sequence[int], axes: int
) -> list[tuple[int, ...]]:
    """Nearest offsets of known values, and those that the interpolation needs."""
    reach = [range(-3, 4) if axis in free else range(1) for axis in range(axes)]
    there = set(known)
    every = [
        each
        for each in itertools.product(*reach)
        if tuple((one + step) % 2 for one, step in zip(own, each, strict=True)) in there
    ]
    every.sort(key=lambda each: (sum(step * step for step in each), each))
    needed = _weights(own, known, free, axes)
    near = every[: NEIGHBORS[len(free)]]
    return near + [each for each in every if each in needed and each not in near]


def _weights(
    own: tuple[int, ...], known: Sequence[tuple[int, ...]], free: Sequence[int], axes: int
) -> dict[tuple[int, ...], int]:
    """Weights in 1/256: cubic along each axis whose neighbors are known, else the product over the odd axes."""
    along = []
    for axis in free:
        flipped = tuple(one ^ (number == axis) for number, one in enumerate(own))
        if flipped in known:
            along.append({tuple(step * (n == axis) for n in range(axes)): w for step, w in _CUBIC.items()})
    if not along:
        odd = [axis for axis, one in enumerate(own) if one]
        found: dict[tuple[int, ...], int] = {}
        for steps in itertools.product((-1, 1), repeat=len(odd)):
            offset = [0] * axes
            for axis, step in zip(odd, steps, strict=True):
                offset[axis] = step
            found[tuple(offset)] = 256 >> len(odd)
        if len(odd) == 2:  # a little of the wider corners: the product of two cubics, without its smallest terms
            found = dict.fromkeys(found, 80)
            for first, second in itertools.product((-3, -1, 1, 3), repeat=2):
                if {abs(first), abs(second)} == {1, 3}:
                    offset = [0] * axes
                    offset[odd[0]], offset[odd[1]] = first, second
                    found[tuple(offset)] = -8
        return found
    total: dict[tuple[int, ...], int] = {}
    for each in along:
        for offset_, weight in each.items():
            total[offset_] = total.get(offset_, 0) + weight
    found = {offset_: weight // len(along) for offset_, weight in total.items()}
    nearest = min(found, key=lambda each: (sum(step * step for step in each), each))
    found[nearest] += 256 - sum(found.values())
    return found
