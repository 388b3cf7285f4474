"""Features of a pixel's causal neighborhood: int8 differences to a local mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from vqkit.priors.coding_order import pattern

REFERENCES = 4
"""The reference of a pixel is the mean of so many of the nearest known ones."""

MIDDLE = 128
"""The reference where nothing is known."""

Offsets = tuple[tuple[int, int], ...]
"""(down, right), nearest first."""

_ONE = 16  # the marker of a neighbour inside of the image: 1.0 in int8 with 4 bits below the point
_LIMIT = 127


@lru_cache(maxsize=16)
def offsets(cell: int, number: int) -> tuple[Offsets, ...]:
    """For each group of a cell the ``number`` nearest (down, right) offsets of pixels of earlier groups, nearest first.

    None is further away than two cells on an axis, so the first groups have fewer, and group 0 has none.
    """
    turn, reach = pattern(cell, 2), 2 * cell
    every = [(down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)]
    around = sorted(every, key=lambda each: (each[0] ** 2 + each[1] ** 2, each))
    found: list[Offsets] = []
    for group in range(cell * cell):
        row, column = (int(each) for each in (turn == group).nonzero()[0])
        known = [each for each in around if int(turn[(row + each[0]) % cell, (column + each[1]) % cell]) < group]
        found.append(tuple(known[:number]))
    return tuple(found)


def border(known: tuple[Offsets, ...]) -> int:
    """The furthest offset on an axis, in pixels; at least 1."""
    return max((abs(each) for group in known for pair in group for each in pair), default=1)


@final
@dataclass(frozen=True)
class Canvas:
    """Images with a border, as rows that neighbours are gathered from.

    Attributes:
        rows: float ``[batch, (H + 2 border) (W + 2 border), channels]``, levels; 0 in the border.
        inside: float ``[(H + 2 border) (W + 2 border)]``, 1 inside of the image.
        size: (H, W).
        border: in pixels.
    """

    rows: Tensor
    inside: Tensor
    size: tuple[int, int]
    border: int

    @classmethod
    def of(cls, pixels: Tensor, border: int, dtype: torch.dtype) -> Canvas:
        """From levels ``[batch, channels, H, W]`` of any dtype."""
        size = (int(pixels.shape[2]), int(pixels.shape[3]))
        padded = F.pad(pixels.permute(0, 2, 3, 1).to(dtype), (0, 0, border, border, border, border))
        inside = F.pad(torch.ones(size, dtype=dtype, device=pixels.device), [border] * 4)
        return cls(padded.flatten(1, 2), inside.flatten(), size, border)

    def numbers(self, positions: Tensor) -> Tensor:
        """Row numbers of positions of the image, int64 flat in reading order."""
        width = self.size[1]
        down, right = positions // width, positions % width
        return (down + self.border) * (width + 2 * self.border) + right + self.border

    def fill(self, positions: Tensor, channel: int, levels: Tensor) -> None:
        """Write levels ``[batch, n]`` of one channel at positions ``[n]``."""
        self.rows[:, self.numbers(positions), channel] = levels.to(self.rows.dtype)

    def levels(self, positions: Tensor) -> Tensor:
        """Levels ``[batch, n, channels]``."""
        return self.rows.index_select(1, self.numbers(positions))

    def pixels(self) -> Tensor:
        """uint8 ``[batch, channels, H, W]``."""
        height, width = (each + 2 * self.border for each in self.size)
        whole = self.rows.view(len(self.rows), height, width, -1)
        inner = whole[:, self.border : height - self.border, self.border : width - self.border]
        return inner.permute(0, 3, 1, 2).to(torch.uint8).contiguous()

    def around(self, positions: Tensor, known: Offsets) -> tuple[Tensor, Tensor]:
        """Return the known values around positions, and their references.

        Neighbours outside of the image count as equal to the reference, and have a marker of 0.

        Returns:
            int8 values ``[batch * n, len(known) * (channels + 1) + channels]`` (differences, markers, references), and
            the references ``[batch * n, channels]``, levels.
        """
        batch, channels = len(self.rows), self.rows.shape[2]
        width = self.size[1] + 2 * self.border
        steps = torch.tensor([down * width + right for down, right in known], device=positions.device)
        place = self.numbers(positions)[:, None] + steps.to(torch.int64)
        inside = self.inside[place]
        values = self.rows[:, place.flatten()].view(batch, *place.shape, channels)
        few = inside[:, :REFERENCES]
        count = few.sum(dim=1)[None, :, None]
        sums = values[:, :, :REFERENCES].sum(dim=2)  # the border is 0
        rounded, twice = (2 * sums + count).to(torch.int64), (2 * count).clamp_min(1).to(torch.int64)
        mean = torch.div(rounded, twice, rounding_mode="floor")
        reference = torch.where(count == 0, float(MIDDLE), mean.to(values.dtype))
        differences = (values - reference.unsqueeze(2)).clamp_(-_LIMIT, _LIMIT).mul_(inside[None, :, :, None])
        marks = (inside * _ONE).expand(batch, -1, -1)
        told = torch.cat([differences.flatten(2), marks, (reference - MIDDLE).clamp(-_LIMIT, _LIMIT)], dim=2)
        return told.flatten(0, 1), reference.flatten(0, 1)
