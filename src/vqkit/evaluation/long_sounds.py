"""Long sounds, which are encoded and decoded as wholes and judged in segments: in memory for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vqkit.coding import per_axis
from vqkit.data.long_items import LongItem
from vqkit.models import VQVAE, Model
from vqkit.models.streams.long_signals import decode_long, encode_long, in_segments_of

_SECONDS = 10
_UNKNOWN_RATE = 16000


def judged_segments(
    model: Model, item: LongItem, condition: Any = None, *, codebooks: int | None = None
) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor] | None]]:
    """Yield segments ``[1, channels, n]`` of about 10 seconds, with the indices and the reconstruction of each.

    Both are parts of those of the whole sound. Models without a codebook have None: they encode each on its own.
    """
    seconds = _SECONDS * (model.kind.rate or _UNKNOWN_RATE)
    if not isinstance(model, VQVAE):
        for piece in item.pieces(seconds):
            yield torch.from_numpy(piece)[None], None
        return
    step = per_axis(model.downsampling, 1)[0]
    frames = max(1, seconds // step)
    codes = encode_long(model, item, codebooks=codebooks)
    pieces = decode_long(model, codes, item.shape[1], condition)
    for number, made in enumerate(in_segments_of(pieces, frames * step)):
        start = number * frames * step
        x = torch.from_numpy(item.part(start, start + made.shape[2]))[None]
        yield x, (codes[:, number * frames : (number + 1) * frames], made)
