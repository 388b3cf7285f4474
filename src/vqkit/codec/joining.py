"""A long signal of one axis out of its blocks: indices come in runs, samples go out as soon as they are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor

from vqkit.coding import GroupHeader, per_axis
from vqkit.errors import BitstreamError, ConfigError
from vqkit.models import IndexModel
from vqkit.models.tiling import all_codebooks
from vqkit.threads import ThreadChoice

_TOGETHER = 1 << 15
"""Samples that are decoded at once, at least those of one position."""


@final
class Joiner:
    """The decoder of one signal, whose parts (groups) and their runs of indices are given in order.

    Args:
        model: that decodes, in evaluation mode.
        name: of the signal, or None.
        condition: that it is decoded under, where the decoder has one.

    Raises:
        BitstreamError: networks that may see the whole signal decode no part of one.
    """

    def __init__(self, model: IndexModel, name: str | None, condition: Any = None) -> None:
        self.name = name
        self._model, self._length = model, 0
        self._rows = max(1, _TOGETHER // per_axis(model.downsampling, 1)[0])
        try:
            self._stream = model.stream(condition)
        except ConfigError as error:
            raise BitstreamError(f"damaged file: a signal in parts, which this model does not make: {error}") from error

    def begin(self, part: GroupHeader) -> None:
        """Begin the next part."""
        self._length += part.size[0]

    def decode(self, indices: Tensor, threads: ThreadChoice, *, last: bool) -> Iterator[tuple[Tensor, Tensor, bool]]:
        """Yield values ``[channels, n]`` that are known now, indices ``[m, C]`` that were read, whether it ends.

        Args:
            indices: int32 ``[positions, C]`` of the next run.
            threads: of the CPU.
            last: whether the signal ends with them.
        """
        for start in range(0, len(indices), self._rows):
            part = indices[start : start + self._rows]
            ends = last and start + self._rows >= len(indices)
            with threads.step(part.numel()):
                read = all_codebooks(self._model, part[None].long()).to(self._model.device)
                values = self._stream.decode(read, last=ends, size=self._length if ends else None)
            yield values[0].to(torch.float32).cpu(), part, ends
