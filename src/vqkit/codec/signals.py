"""A signal to compress, and what a model does not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.coding import pixels
from vqkit.data.long_items import LongItem
from vqkit.errors import DataError
from vqkit.models import IndexModel
from vqkit.models.tiling import around
from vqkit.signals import Signal as Kind

Array = npt.NDArray[np.generic]


@final
@dataclass(frozen=True)
class Signal:
    """One signal to compress: ``[channels, *size]``, and the name that the file is to keep, if any.

    ``values`` of a long sound may be a ``LongItem``, which is read, encoded and coded a part at a time.

    Example:
        >>> import numpy as np
        >>> from vqkit.codec import Signal
        >>> Signal(np.zeros((3, 8, 8), dtype=np.uint8), name="photo.png").values.shape
        (3, 8, 8)
    """

    values: Array | LongItem
    name: str | None = None

    def check(self, channels: int, kind: Kind) -> None:
        """Raise unless a model of so many channels and this kind of signal reads it.

        Raises:
            DataError: another shape, integers whose range nobody knows, numbers that are none, or out of range.
        """
        axes = kind.axes
        values, name = self.values, self.name or "a signal"
        if isinstance(values, LongItem):
            for piece in values.pieces():
                Signal(piece, self.name).check(channels, kind)
            return
        if values.ndim != 1 + axes or values.shape[0] != channels or 0 in values.shape:
            raise DataError(
                f"{name} has shape {list(values.shape)}; this model reads [{channels} channels, {axes} axes] and no "
                "empty axis"
            )
        if values.dtype != np.uint8 and values.dtype.kind != "f":
            raise DataError(
                f"{name} has numbers of {values.dtype}: give uint8 (0 to 255), or floats in the signal's own range; "
                "of other integers nobody knows the range"
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise DataError(f"{name} holds NaN or infinity, which no index stands for; replace them by finite values")
        if values.dtype.kind == "f":
            kind.check_range(float(values.min()), float(values.max()), name)


@final
class LongBatch:
    """A long signal as the batch of one that tiles are cut from: indexed like a tensor ``[1, channels, length]``."""

    def __init__(self, item: LongItem) -> None:
        self._item = item
        self.shape = torch.Size((1, *item.shape))
        self.dtype = torch.from_numpy(np.zeros(0, item.dtype)).dtype

    def __len__(self) -> int:
        return 1

    def __getitem__(self, where: tuple[slice, ...]) -> Tensor:
        start, stop, _ = where[-1].indices(self.shape[2])
        return torch.from_numpy(self._item.part(start, stop))[None][where[0], where[1]]

    def pieces(self) -> Iterator[Array]:
        """Yield all samples in consecutive parts ``[channels, length]``."""
        return self._item.pieces()

    def around(self, model: IndexModel, tile: tuple[slice, ...]) -> Tensor:
        """Return the samples that the indices of a tile depend on."""
        size = tuple(self.shape[2:])
        wide = pixels(around(model, tile, model.grid(size)), size, model.downsampling)
        return self[(slice(None), slice(None), *wide)]
