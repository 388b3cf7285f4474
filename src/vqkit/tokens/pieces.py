"""Division of a data set into shards, known before anything is encoded: it depends on sizes of items only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vqkit.coding import index_dtype
from vqkit.data import Source
from vqkit.models import IndexModel
from vqkit.tokens.formats import TokenFormat

_SHARD_BYTES = 32 << 20
_SHARD_ITEMS = 1 << 18
_GROUPED = 1 << 16
_MOST_GROUPED = 1024
_TASK_BATCHES = 16
"""Batches that a process encodes before it is given more, where shards are smaller than that."""
_TURNS = 4
"""Times that each process is given some at least, so that none waits long for the last."""


@dataclass(frozen=True)
class Piece:
    """The items of one shard.

    Attributes:
        number: of the shard.
        first: number of its first item.
        items: how many.
        file: name of its first file, below the folder.
    """

    number: int
    first: int
    items: int
    file: str

    @property
    def stop(self) -> int:
        """The number after that of its last item."""
        return self.first + self.items


def divided(
    model: IndexModel, source: Source, fmt: TokenFormat, codebooks: int, shard_items: int | None
) -> list[Piece]:
    """Return the shards of a data set, in order.

    Args:
        model: the tokenizer.
        source: the data.
        fmt: of the shards.
        codebooks: how many are kept.
        shard_items: items of a shard; None: until it has 32 MiB of indices, or as many items as the format allows.
    """
    most = shard_items or min(_SHARD_ITEMS, fmt.shard_items)
    limit = None if shard_items else _SHARD_BYTES
    each = codebooks * index_dtype(model.codebook_size).itemsize
    if source.size is not None:
        nbytes = math.prod(model.grid(source.size)) * each
        most = most if limit is None else min(most, -(-limit // nbytes))
        starts = list(range(0, len(source), most))
    else:
        sizes, kinds = np.unique(source.item_sizes(), axis=0, return_inverse=True)
        grids = np.array([math.prod(model.grid(tuple(size))) for size in sizes.tolist()])
        ends = np.cumsum(grids[kinds.reshape(-1)] * each)
        starts, start = [], 0
        while start < len(source):
            starts.append(start)
            before = int(ends[start - 1]) if start else 0
            full = len(source) if limit is None else int(np.searchsorted(ends, before + limit)) + 1
            start = min(start + most, full)
    stops = [*starts[1:], len(source)]
    return [
        Piece(number, first, stop - first, fmt.shard_name(number, first, source.size))
        for number, (first, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def grouped(source: Source, pieces: Sequence[Piece], batch_size: int) -> int:
    """Return the items that are encoded together: ``batch_size``, or more where they are small and shards are long.

    A batch of small items costs its calls more than its arithmetic. Tokens depend on the signal alone, so that they are
    the same with any batch; it has at most 64 Ki positions (those of 64 images of 32x32), and
    a shard has four at least.
    """
    sizes = source.item_sizes()
    largest = max(1, int(np.prod(sizes, axis=1).max()))
    many = min(_GROUPED // largest, _MOST_GROUPED, max(piece.items for piece in pieces) // 4)
    return max(batch_size, many // batch_size * batch_size)


def shared_out(pieces: Sequence[Piece], batch_size: int, workers: int) -> list[list[Piece]]:
    """Return tasks, each some consecutive shards: of one process as long as can be, of several many and short ones."""
    items = sum(piece.items for piece in pieces)
    most = items if workers == 1 else min(_TASK_BATCHES * batch_size, -(-items // (_TURNS * workers)))
    tasks: list[list[Piece]] = []
    for piece in pieces:
        last = tasks[-1] if tasks else []
        if last and last[-1].stop == piece.first and sum(each.items for each in last) < most:
            last.append(piece)
        else:
            tasks.append([piece])
    return tasks
