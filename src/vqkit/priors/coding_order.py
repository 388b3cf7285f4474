"""A fixed order of the positions of any grid, in groups that are spread evenly; several codebooks one after another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from vqkit.errors import ConfigError

LARGEST_CELL = 16


@final
@dataclass(frozen=True)
class Step:
    """Indices that are independent given all steps before: coded, or drawn, at once.

    Attributes:
        codebook: whose indices.
        positions: int64 ``[n]``, flat in reading order, ascending; at least one.
        group: the number of the group within the pattern of its cell.

    Example:
        >>> import torch
        >>> from vqkit.priors import Step
        >>> Step(codebook=0, positions=torch.tensor([0, 2]), group=0).positions
        tensor([0, 2])
    """

    codebook: int
    positions: Tensor
    group: int


def check_cell(name: str, cell: int) -> None:
    """Raise ``ConfigError`` unless a cell is a power of two from 1 to 16."""
    allowed = [1 << bits for bits in range(LARGEST_CELL.bit_length())]
    if cell not in allowed:
        raise ConfigError(
            f"{name}={cell}: give one of {', '.join(map(str, allowed))}: positions on each axis of a cell"
        )


def pattern(cell: int, axes: int) -> Tensor:
    """The group of each position of a cell, int64 ``[cell] * axes``: 0 .. cell^axes - 1, each once.

    Bayer's dispersed-dot threshold matrix (1973), for any number of axes: M_2c(x) = 2^axes M_c(x mod c) + M_2(x div c).
    M_2 takes the corners with an even sum first, so that on every scale a position of the last half of the groups has
    known neighbours on all sides. In two axes M_2 = [[0, 2], [3, 1]].
    """
    corners = sorted(itertools.product(range(2), repeat=axes), key=lambda corner: (sum(corner) % 2, corner))
    rank = {corner: number for number, corner in enumerate(corners)}
    found = torch.zeros([cell] * axes, dtype=torch.int64)
    for place in itertools.product(range(cell), repeat=axes):
        group, bit = 0, 1
        while bit < cell:
            group = group * len(corners) + rank[tuple(int(each & bit > 0) for each in place)]
            bit *= 2
        found[place] = group
    return found


@lru_cache(maxsize=64)
def groups(grid: tuple[int, ...], cell: int) -> Tensor:
    """The group of each position, int64 ``[n]`` in reading order. Shared: do not change it."""
    found = pattern(cell, len(grid))
    for axis, length in enumerate(grid):
        found = found.index_select(axis, torch.arange(length) % cell)
    return found.flatten()


@final
@dataclass(frozen=True)
class CodingOrder:
    """All positions of codebook 0, group after group; then all of codebook 1, given all of codebook 0; and so on.

    So later codebooks can be left out of a file, and what comes before them stays as it is.

    Attributes:
        cell: of codebook 0; positions on each axis.
        later_cell: of the others; several: of the second codebook, the third, and so on, the last one of all further.
    """

    cell: int
    later_cell: int | tuple[int, ...]

    def cell_of(self, codebook: int) -> int:
        """The cell of a codebook."""
        if codebook == 0:
            return self.cell
        later = (self.later_cell,) if isinstance(self.later_cell, int) else self.later_cell
        return later[min(codebook, len(later)) - 1]

    def number(self, codebook: int, group: int, axes: int) -> int:
        """The number of a step among all steps that any grid can have."""
        return sum(self.cell_of(each) ** axes for each in range(codebook)) + group

    def steps(self, grid: Sequence[int], codebooks: int) -> list[Step]:
        """The steps of a grid, those without positions left out."""
        found = []
        for codebook in range(codebooks):
            of = groups(tuple(grid), self.cell_of(codebook))
            for group in range(self.cell_of(codebook) ** len(grid)):
                positions = (of == group).nonzero()[:, 0]
                if len(positions):
                    found.append(Step(codebook, positions, group))
        assert sum(len(step.positions) for step in found) == codebooks * math.prod(grid)
        return found
