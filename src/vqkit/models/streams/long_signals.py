"""Long signals of one axis through a model in constant memory: the indices and samples of the whole, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqkit.coding import per_axis
from vqkit.data.long_items import LongItem
from vqkit.errors import ConfigError
from vqkit.models.indices import IndexModel
from vqkit.models.tiling import weighing
from vqkit.ops import evaluating

_PIECE = 1 << 15
"""Samples at a time, at least those of one position."""


@torch.no_grad()
def encode_long(
    model: IndexModel, item: LongItem, rate_weight: float | None = None, *, codebooks: int | None = None
) -> Tensor:
    """Return the indices ``[1, frames]`` (or ``[1, frames, codebooks]``) of a long signal, as ``model.encode`` does.

    Networks that may see the whole signal are given it whole.
    """
    with evaluating(model), weighing(model, rate_weight):
        try:
            stream = model.stream(codebooks=codebooks)
        except ConfigError:
            whole = torch.from_numpy(np.concatenate(list(item.pieces()), axis=1))[None]
            found: Tensor = model.encode(whole, codebooks=codebooks)
            return found
        shape, done = model.index_shape(item.shape[1:]), 0
        last = () if codebooks is None else (codebooks,)
        found = torch.empty(1, shape[0], *(last or shape[1:]), dtype=torch.int64, device=model.device)
        chunks = (torch.from_numpy(piece)[None] for piece in item.pieces(_PIECE))
        for chunk in chain(chunks, [None]):
            part = stream.encode(chunk, last=chunk is None)
            found[:, done : done + part.shape[1]] = part  # a part that is kept keeps more than itself in memory
            done += part.shape[1]
        return found


@torch.no_grad()
def decode_long(model: IndexModel, indices: Tensor, size: int, condition: Any = None) -> Iterator[Tensor]:
    """Yield the samples ``[1, channels, n]`` of indices ``[1, frames, ...]``, together those of ``model.decode``.

    Args:
        model: the tokenizer.
        indices: of the whole signal.
        size: samples of it.
        condition: see ``model.decode``.
    """
    with evaluating(model):
        try:
            stream = model.stream(condition)
        except ConfigError:
            yield model.decode(indices, (size,), condition=condition)
            return
        rows = max(1, _PIECE // per_axis(model.downsampling, 1)[0])
        for start in range(0, indices.shape[1], rows):
            last = start + rows >= indices.shape[1]
            yield stream.decode(indices[:, start : start + rows], last=last, size=size if last else None)


def reconstruct_long(
    model: Any, item: LongItem, condition: Any = None, *, codebooks: int | None = None
) -> Iterator[Tensor]:
    """Yield the reconstruction ``[1, channels, n]`` of a long signal in pieces; continuous models: in one."""
    if isinstance(model, IndexModel):
        yield from decode_long(model, encode_long(model, item, codebooks=codebooks), item.shape[1], condition)
    else:
        whole = torch.from_numpy(np.concatenate(list(item.pieces()), axis=1))[None]
        yield model.reconstruct(whole, condition)


def in_segments_of(pieces: Iterator[Tensor], length: int) -> Iterator[Tensor]:
    """Yield pieces ``[1, channels, n]`` cut anew into consecutive segments of ``length``, the last one shorter."""
    kept: list[Tensor] = []
    have = 0
    for piece in pieces:
        kept.append(piece)
        have += piece.shape[2]
        while have >= length:
            joined = torch.cat(kept, dim=2)
            yield joined[:, :, :length]
            kept, have = [joined[:, :, length:]], have - length
    if have:
        yield torch.cat(kept, dim=2)
