"""Does a generator repeat its training data? Nearest training items, and grids of indices that occur there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqkit.errors import DataError

_BLOCK = 1 << 25
"""Products at one time: samples times training items."""


@dataclass(frozen=True)
class NearestItems:
    """The training item nearest to each sample.

    Attributes:
        items: ``[n]`` int64, its number.
        rms: ``[n]``, the root mean squared difference of their values.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import NearestItems
        >>> NearestItems(torch.tensor([7]), torch.tensor([0.1])).items
        tensor([7])
    """

    items: Tensor
    rms: Tensor


@torch.no_grad()
def nearest_items(samples: Tensor, batches: Iterable[tuple[Any, Tensor]]) -> NearestItems:
    """The nearest of all training items to each sample, by squared differences of their values.

    Args:
        samples: ``[n, channels, *size]``, floating.
        batches: ``(item numbers, signals [batch, channels, *size])`` of the same size, float or uint8.

    Raises:
        DataError: no training items, or items of another shape.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import nearest_items
        >>> images = torch.rand(5, 1, 8, 8)
        >>> nearest_items(images[[3, 1]], [(range(5), images)]).items
        tensor([3, 1])
    """
    flat = samples.detach().float().cpu().flatten(1)
    best = torch.full((len(flat),), torch.inf)
    found = torch.zeros(len(flat), dtype=torch.int64)
    seen = False
    for numbers, batch in batches:
        if batch.shape[1:] != samples.shape[1:]:
            raise DataError(f"training items are {list(batch.shape[1:])}, samples {list(samples.shape[1:])}")
        seen = True
        items = batch.float() / 255 if batch.dtype == torch.uint8 else batch.float()
        items = items.flatten(1)
        offsets = items.square().sum(dim=1)
        for start in range(0, len(flat), max(1, _BLOCK // len(items))):
            rows = slice(start, start + max(1, _BLOCK // len(items)))
            values, places = torch.addmm(offsets, flat[rows], items.t(), alpha=-2.0).min(dim=1)
            nearer = values < best[rows]
            best[rows] = torch.where(nearer, values, best[rows])
            found[rows] = torch.where(nearer, torch.as_tensor(numbers, dtype=torch.int64)[places], found[rows])
    if not seen:
        raise DataError("no training items to compare with")
    squared = (best + flat.square().sum(dim=1)).clamp_min(0)
    return NearestItems(found, (squared / flat.shape[1]).sqrt())


def repeated_share(samples: Tensor, training: Iterable[Any]) -> float:
    """The share of grids of indices that occur, index for index, among the training grids.

    Args:
        samples: ``[n, *grid]`` integers.
        training: grids, one at a time, ``[*grid]`` arrays of any integer type.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import repeated_share
        >>> grids = torch.tensor([[[0, 1]], [[2, 3]]])
        >>> repeated_share(grids, [torch.tensor([[[2, 3]]])])
        0.5
    """
    wanted: dict[bytes, int] = {}
    for grid in samples.cpu().to(torch.int32):
        key = grid.numpy().tobytes()
        wanted[key] = wanted.get(key, 0) + 1
    repeated = 0
    for grid in training:
        repeated += wanted.pop(np.ascontiguousarray(grid, dtype=np.int32).tobytes(), 0)
        if not wanted:
            break
    return repeated / max(len(samples), 1)
