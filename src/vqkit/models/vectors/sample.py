"""A uniform sample of a stream of vectors, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


class StreamSample:
    """The rows of a stream with the smallest random keys: each row is as likely as any other to be kept.

    The key of a row depends on the seed and its number, so the sample does not depend on how the stream is cut.

    Args:
        rows: to keep, at most.
        seed: of the keys.

    Example:
        >>> import torch
        >>> from vqkit.models.vectors.sample import StreamSample
        >>> sample = StreamSample(3, seed=0)
        >>> sample.add_all(torch.arange(10.0).view(10, 1).split(4))
        >>> sample.vectors().shape, sample.seen
        (torch.Size([3, 1]), 10)
    """

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self.seen = 0
        self._random = np.random.default_rng(seed)
        self._keys: list[Tensor] = []
        self._parts: list[Tensor] = []
        self._held = 0
        self._highest = 1.0

    def add_all(self, batches: Iterable[Tensor]) -> None:
        """Take in batches ``[B, D]``."""
        for batch in batches:
            self.add(batch)

    def add(self, batch: Tensor) -> None:
        """Take in a batch ``[B, D]``; what is kept of it is copied."""
        keys = torch.from_numpy(self._random.random(len(batch)))
        self.seen += len(batch)
        kept = keys < self._highest
        self._keys.append(keys[kept])
        self._parts.append(batch[kept.to(batch.device)].cpu())
        self._held += len(self._keys[-1])
        if self._held >= 2 * self.rows:
            self._drop()

    def _drop(self) -> None:
        """Keep the rows with the smallest keys, in the order of the stream."""
        keys, vectors = torch.cat(self._keys), torch.cat(self._parts)
        if len(keys) > self.rows:
            self._highest = float(keys.kthvalue(self.rows + 1).values)
            vectors, keys = vectors[keys < self._highest], keys[keys < self._highest]
        self._keys, self._parts, self._held = [keys], [vectors], len(keys)

    def vectors(self) -> Tensor:
        """Return the sample ``[N, D]``, in the order of the stream; empty where nothing was added."""
        if not self._parts:
            return torch.zeros(0, 0)
        self._drop()
        return self._parts[0]
