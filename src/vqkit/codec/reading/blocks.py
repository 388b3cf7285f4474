"""Blocks of a file to the indices that were coded, verified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from vqkit.codec.entropy.models import EntropyModel, Indices, check_range, one_after_another
from vqkit.codec.limits import MAX_BLOCK_INDICES, MAX_BLOCK_PIXELS, signals_at_once
from vqkit.coding import Block, FileHeader, GroupHeader, per_axis
from vqkit.errors import LimitError
from vqkit.models import IndexModel


def decode_block(entropy: EntropyModel, block: Block, known: Indices, codebook_size: int) -> None:
    """Fill a tile's indices ``[n, *tile, codebooks]`` from a block, and verify them.

    Raises:
        BitstreamError: they are not those that were written.
    """
    decode_runs(entropy, block, [known], codebook_size)


def decode_runs(entropy: EntropyModel, block: Block, runs: Sequence[Indices], codebook_size: int) -> None:
    """The same of a block of several runs, contiguous ``[n, *tile, codebooks]`` each."""
    first, last = block.place.first_codebook, block.place.first_codebook + block.place.codebooks
    entropy.decode(block.data, runs, first, block.place.codebooks)
    for run in runs:
        check_range(run, codebook_size)
    block.check(one_after_another([run[..., first:last] for run in runs]))


def check_size(about: GroupHeader, block: Block, header: FileHeader) -> None:
    """Raise ``LimitError`` for a block that is larger than vqkit writes."""
    found, most, what = about.symbols(block.place, header), MAX_BLOCK_INDICES, "indices"
    if block.place.kind != "indices":
        positions = math.prod(axis.stop - axis.start for axis in block.place.tile)
        found = about.signals * positions * math.prod(per_axis(header.downsampling, header.axes))
        most, what = MAX_BLOCK_PIXELS, "pixels"
    if found > most:
        raise LimitError(
            f"a block of {found:,} {what}: at most {most:,} are decoded at once, and vqkit writes fewer; this file "
            "was not made by vqkit"
        )


@final
class Run:
    """Groups of one signal each and of one size, whose blocks are decoded together.

    Args:
        model: that encoded them.

    Attributes:
        names: of the signals so far; None: without.
        size: of each.
    """

    def __init__(self, model: IndexModel) -> None:
        self._model = model
        self.names: list[str | None] = []
        self.size: tuple[int, ...] = ()
        self._about: GroupHeader | None = None
        self._blocks: list[list[Block]] = []

    def takes(self, about: GroupHeader) -> bool:
        """Return whether a group may be added: it is like those before, and they are not too many."""
        mine = self._about
        if mine is None:
            return True
        alike = (mine.size, mine.codebooks, mine.layers, mine.tile) == (
            about.size,
            about.codebooks,
            about.layers,
            about.tile,
        )
        return alike and len(self.names) < signals_at_once(self._model, about.size)

    def add(self, about: GroupHeader, blocks: list[Block]) -> None:
        """Add a group."""
        self._about, self.size = about, about.size
        self.names.append(about.names[0] if about.names else None)
        self._blocks.append(blocks)

    def clear(self) -> int:
        """Be ready for others; returns how many there were."""
        count = len(self.names)
        self._about = None
        self.names, self._blocks = [], []
        return count

    def decode(self, entropy: EntropyModel) -> Tensor:
        """The indices int32 ``[signals, *grid, codebooks]``.

        Raises:
            BitstreamError: see ``decode_block``.
        """
        assert self._about is not None
        grid = self._model.grid(self.size)
        items = torch.zeros(len(self.names), *grid, self._about.codebooks, dtype=torch.int32)
        for blocks in zip(*self._blocks, strict=True):
            place = blocks[0].place
            first, last = place.first_codebook, place.first_codebook + place.codebooks
            here = (slice(None), *place.tile)
            known = items[here].numpy().astype(np.int64)
            entropy.decode_each([each.data for each in blocks], known, first, place.codebooks)
            check_range(known, self._model.codebook_size)
            for block, own in zip(blocks, known, strict=True):
                block.check(own[..., first:last])
            items[here] = torch.from_numpy(known).int()
        return items
