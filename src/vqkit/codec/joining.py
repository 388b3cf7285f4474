"""A long signal of one axis out of its blocks: indices come in runs, samples go out as soon as they are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vqkit.coding import GroupHeader, per_axis
from vqkit.coding.gaps import unpack_gaps
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
        self._gaps: list[NDArray[np.bool_]] = []
        self._rows = max(1, _TOGETHER // per_axis(model.downsampling, 1)[0])
        try:
            self._stream = model.stream(condition)
        except ConfigError as error:
            raise BitstreamError(f"damaged file: a signal in parts, which this model does not make: {error}") from error

    def begin(self, part: GroupHeader) -> None:
        """Begin the next part."""
        shape = (self._model.channels, part.size[0])
        gaps = unpack_gaps(part.gaps[0], shape) if part.gaps else None
        self._gaps.append(np.zeros(shape, bool) if gaps is None else gaps)
        self._length += part.size[0]

    def with_gaps(self, values: Tensor) -> Tensor:
        """Return the next values ``[channels, n]``, NaN where one is missing."""
        if not self._model.kind.gaps:
            return values
        known = np.concatenate(self._gaps, axis=1)
        count = values.shape[1]
        self._gaps = [known[:, count:]]
        return with_gaps(values, known[:, :count])

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
            yield values[0].to(torch.float64 if self._model.kind.wide else torch.float32).cpu(), part, ends


def with_gaps(values: Tensor, gaps: NDArray[np.bool_] | None) -> Tensor:
    """Return values with NaN where one is missing."""
    return values if gaps is None else values.masked_fill(torch.from_numpy(gaps).to(values.device), math.nan)
