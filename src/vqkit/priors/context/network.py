"""The network of ``ContextPrior``: known indices around a position to integer logits of its index."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor, nn

from vqkit.exact import (
    LOGIT,
    STREAM,
    ExactBlock,
    ExactConv,
    ExactEmbedding,
    ExactRescale,
    among,
    neighbors,
    quantized_activation,
    reached,
)
from vqkit.priors.coding_order import groups

KNOWN, NOW, LATER = 0, 1, 2
"""What a position is in a step: its index is known, is asked for, or comes later."""

_MARKER_STD = 0.5
_KEPT_PLAN = 1 << 14


@final
@dataclass(frozen=True)
class Known:
    """Known indices of each grid in a step: n positions of C codebooks in a batch.

    Attributes:
        items: int64 ``[batch, n, C]``; only what is known is read.
        known: bool ``[batch, n, C]``, or ``[1, n, C]``.
        state: int64 ``[batch, n]``, or ``[1, n]``: ``KNOWN``, ``NOW`` or ``LATER``.
        step: int64 ``[batch]``, or ``[1]``: numbers of steps.
        condition: int64 ``[batch]``, class ids; None: without.
        earlier: integers ``[batch, n, channels]``, what all codebooks but the last of ``items`` add to the stream,
            where they are known everywhere and that has been computed; else None.
    """

    items: Tensor
    known: Tensor
    state: Tensor
    step: Tensor
    condition: Tensor | None
    earlier: Tensor | None = None


class ContextNetwork(nn.Module):
    """Embeddings of what is known, residual blocks of exact convolutions, a head for each codebook.

    Outside of the grid everything is 0, while every position inside has a marker: so borders are known.

    Args:
        axes: of the grid.
        codebook_size: K.
        num_codebooks: C.
        steps: numbers of steps.
        classes: rows of the table of classes; 0: without.
        channels: of the stream.
        layers: blocks.
    """

    def __init__(
        self, *, axes: int, codebook_size: int, num_codebooks: int, steps: int, classes: int, channels: int, layers: int
    ) -> None:
        super().__init__()
        self.axes, self.codebook_size, self.layers = axes, codebook_size, layers
        self.embedding = ExactEmbedding(num_codebooks * codebook_size, channels, std=num_codebooks**-0.5)
        self.marker = ExactEmbedding(3, channels, std=_MARKER_STD)
        self.step = ExactEmbedding(steps, channels, std=_MARKER_STD)
        self.classes = ExactEmbedding(classes, channels, std=_MARKER_STD) if classes else None
        self.blocks = nn.ModuleList(ExactBlock(channels, axes=axes) for _ in range(layers))
        self.leave = ExactRescale(channels)
        self.hidden = nn.ModuleList(ExactConv(channels, channels, axes=0) for _ in range(num_codebooks))
        self.out = nn.ModuleList(
            ExactConv(channels, codebook_size, axes=0, target=LOGIT, zero=True) for _ in range(num_codebooks)
        )

    def features(self, known: Known, grid: tuple[int, ...]) -> Tensor:
        """The last stream at every position, ``[batch, n, channels]``: for training."""
        x = self._stream(known)
        x = x.mT.reshape(len(x), x.shape[-1], *grid)
        for block in self.blocks:
            x = block(x)
        return x.flatten(2).mT if self.axes else x.unsqueeze(1)

    def features_at(self, known: Known, plan: tuple[Layer, ...]) -> Tensor:
        """The last stream at a plan's positions, ``[batch, m, channels]``: exact."""
        x = self._stream(known)
        for block, layer in zip(self.blocks, plan, strict=True):
            assert isinstance(block, ExactBlock)
            x = block.rows(x, layer.neighbors.to(x.device), None if layer.kept is None else layer.kept.to(x.device))
        return x

    def logits(self, features: Tensor, codebook: int) -> Tensor:
        """Integers in steps of 1/64 nat, ``[rows, K]``, from rows ``[rows, channels]`` of the last stream."""
        leave, hidden, out = self.leave, self.hidden[codebook], self.out[codebook]
        assert isinstance(hidden, ExactConv)
        assert isinstance(out, ExactConv)
        if self.training:
            found: Tensor = out(hidden(leave(features)))
            return found
        with torch.no_grad():
            first, last = hidden.integers(), out.integers()
            within = features.dtype if first.small is None or last.small is None else torch.int8
            return last(first(leave.integers()(features, within), None, within), None, features.dtype)

    def embedded(self, items: Tensor, codebook: int) -> Tensor:
        """Embed known items ``[batch, n]`` of a codebook for the first stream, ``[batch, n, channels]``: exact."""
        found: Tensor = self.embedding(items + codebook * self.codebook_size)
        return found

    def _stream(self, known: Known) -> Tensor:
        """The first stream, ``[batch, n, channels]``."""
        first = 0 if known.earlier is None else known.items.shape[2] - 1
        offsets = torch.arange(first, known.items.shape[2], device=known.items.device) * self.codebook_size
        there = known.known[:, :, first:]
        rows = (known.items[:, :, first:] + offsets).masked_fill(~there, 0)
        x = self.marker(known.state) + self.step(known.step).unsqueeze(1)
        if self.classes is not None and known.condition is not None:
            x = x + self.classes(known.condition).unsqueeze(1)
        if known.earlier is not None:
            x = x + known.earlier
        for row, here in zip(rows.unbind(dim=2), there.unbind(dim=2), strict=True):
            x = x + self.embedding(row) * here.unsqueeze(-1)
        return quantized_activation(x, STREAM) if self.training else x.clamp_(STREAM.low, STREAM.high)


@final
@dataclass(frozen=True)
class Layer:
    """The positions at which a block computes.

    Attributes:
        neighbors: int64 ``[m, taps]``, numbers among the rows that the block is given.
        kept: int64 ``[m]``, the rows that it computes among those; None: all.
    """

    neighbors: Tensor
    kept: Tensor | None


def plan_for(grid: tuple[int, ...], cell: int, group: int, layers: int) -> tuple[Layer, ...]:
    """Plan the positions at which each block computes, so that those of a group are right at the end.

    Kept for grids that are not large.
    """
    find = _plan if math.prod(grid) > _KEPT_PLAN else _kept_plan
    return find(grid, cell, group, layers)


def _plan(grid: tuple[int, ...], cell: int, group: int, layers: int) -> tuple[Layer, ...]:
    """Backwards from the group: the last block computes its positions, the one before also their neighbours."""
    n = math.prod(grid)
    needed = [(groups(grid, cell) == group).nonzero()[:, 0]]
    for _ in range(layers - 1):
        needed.append(reached(grid, 3, needed[-1]) if len(needed[-1]) < n else needed[-1])
    needed.append(torch.arange(n))
    needed.reverse()
    found = []
    for before, after in itertools.pairwise(needed):
        if len(after) == n:
            found.append(Layer(neighbors(grid, 3), None))
        else:
            found.append(Layer(among(grid, 3, after, before), torch.searchsorted(before, after)))
    return tuple(found)


_kept_plan = lru_cache(maxsize=64)(_plan)
