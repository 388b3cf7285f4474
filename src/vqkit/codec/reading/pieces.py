"""Signals out of a file, whole and in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Decoded:
    """One signal out of a file.

    Attributes:
        number: of the signal in the file, from 0.
        name: that the file keeps, or None.
        values: uint8 ``[channels, H, W]`` (images, video), or float32 ``[channels, *size]``.
        indices: int32 ``[*grid, codebooks]``, what the file holds.
    """

    number: int
    name: str | None
    values: Tensor
    indices: Tensor


@final
@dataclass(frozen=True)
class Piece:
    """A piece of a signal out of a file; those of one signal follow each other along its first axis.

    Attributes:
        number: see ``Decoded``.
        name: see ``Decoded``.
        values: see ``Decoded``, of this piece: 0 or more positions.
        indices: see ``Decoded``, those read with this piece.
        last: whether the signal ends with it.
    """

    number: int
    name: str | None
    values: Tensor
    indices: Tensor
    last: bool


def whole(pieces: Iterable[Piece]) -> Iterator[Decoded]:
    """Join the pieces of each signal."""
    kept: list[Piece] = []
    for piece in pieces:
        kept.append(piece)
        if piece.last:
            one = len(kept) == 1
            values = piece.values if one else torch.cat([each.values for each in kept], dim=1)
            indices = piece.indices if one else torch.cat([each.indices for each in kept])
            kept.clear()
            yield Decoded(piece.number, piece.name, values, indices)
