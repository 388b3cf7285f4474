"""Training batches that depend on (seed, step) and on nothing else, and evaluation batches in order.

The batch of step t holds the samples at the positions p = t * batch_size ... (t + 1) * batch_size - 1 of an
endless sequence: epoch p // N, place p % N in that epoch's permutation. There is no state to save: a
run that resumes at step t asks for step t, and any number of processes sees the same global batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Any

import numpy as np
import torch

from vqkit.data.arrays.memory import ArraySource
from vqkit.data.images.decoding import each_in_order
from vqkit.data.load import load_source
from vqkit.data.long_items import LongItem, long_items
from vqkit.data.rng import EPOCH, STEP, permutation, permutation_of_blocks, words
from vqkit.data.source import Array, Source
from vqkit.data.views.crops import crop_starts, random_crop
from vqkit.errors import ConfigError
from vqkit.seeds import check_seed

_TOGETHER = 4
"""Shards whose items are mixed with one another."""
AHEAD = 3  # steps prepared in advance where items have to be read and decoded


class Batches:
    """Random batches of a source.

    Args:
        source: what to draw from, as ``load_source`` takes it.
        batch_size: B, items in the global batch, over all processes together.
        crop: side of random crops (images: squares of so many pixels; sound: samples), or None for whole items (one
            common size). Smaller items are made larger (images: bicubic, aspect kept; sound: silence at the end).
            ``default_crop(source)`` gives a good value.
        flip: mirror each image left to right with probability 1/2.
        gain: make each sound louder or softer by a random number of decibels, uniform in [-gain, gain]; a sound is
            made louder only as far as no sample clips.
        seed: 0 .. 2**64 - 1.
        workers: threads that read and decode ahead; in-memory arrays of one size need none.
        rank: this process, 0 .. world - 1; it gets rows [rank * B / world, (rank + 1) * B / world).
        world: the number of processes; divides ``batch_size``.

    Raises:
        ConfigError: sizes that do not fit, a crop or flip of a kind of signal that has none, or items of different
            sizes without a crop.

    Example:
        >>> import vqkit
        >>> from vqkit import Batches
        >>> with Batches(vqkit.load_source("builtin:digits"), 32, seed=0) as batches:
        ...     batches.batch(1000).shape  # of any step, without the steps before it
        torch.Size([32, 1, 8, 8])
    """

    def __init__(
        self,
        source: Any,
        batch_size: int,
        *,
        crop: int | None = None,
        flip: bool = False,
        gain: float = 0.0,
        seed: int = 0,
        workers: int = 2,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_shares(batch_size, rank, world, workers)
        source = load_source(source)
        if (crop is not None and not source.axes) or (flip and not source.kind.flips):
            raise ConfigError(
                f"crop={crop}, flip={flip} are for images (crop also for sound and video); this is {source.describe()}."
            )
        if gain and not (gain > 0 and source.kind.gains and source.dtype == np.float32):
            raise ConfigError(
                f"gain={gain:g} is 0 or more decibels, for sounds of floats (float32); this is {source.describe()}"
            )
        if crop is not None and crop < 1:
            raise ConfigError(f"crop is {crop}; it is the side of a square in pixels, at least 1.")
        if crop is None and source.size is None:
            raise ConfigError(
                f"{source.name} has items of different sizes, which make no batch; give crop=, the side of "
                "random square crops in pixels (default_crop(source) suggests one)."
            )
        self._crop = None if crop is None else source.kind.crop_size(crop, source.item_sizes())
        self.source = source
        self.batch_size = batch_size
        self.crop = crop
        self.flip = flip
        self.gain = gain
        self.seed = check_seed(seed)
        self.rank = rank
        self.world = world
        self._share = batch_size // world
        self._orders: dict[int, Array] = {}
        self._parts: dict[int, list[Future[Array]]] = {}
        self._workers = workers
        size = source.size
        large_enough = self._crop is None or (
            size is not None and all(a >= b for a, b in zip(size, self._crop, strict=True))
        )
        self._whole = source if isinstance(source, ArraySource) and large_enough else None
        fast = self._whole is not None and self._whole.in_memory
        self._pool = None if fast else ThreadPoolExecutor(workers, thread_name_prefix="vqkit-batches")

    def batch(self, step: int) -> torch.Tensor:
        """Return this process's rows of the batch of ``step``: [B / world, C, *size], uint8 or float32.

        Raises:
            ConfigError: a negative ``step``.
        """
        if step < 0:
            raise ConfigError(f"step is {step}; steps count from 0.")
        if self._pool is None:
            return torch.from_numpy(self._assembled(*self._draws(step)))
        for old in [each for each in self._parts if not step <= each <= step + AHEAD]:
            for future in self._parts.pop(old):
                future.cancel()
        for each in range(step, step + AHEAD + 1):
            if each not in self._parts:
                self._parts[each] = self._submitted(self._pool, each)
        parts = [future.result() for future in self._parts.pop(step)]
        return torch.from_numpy(np.concatenate(parts) if len(parts) > 1 else parts[0])

    def indices(self, step: int) -> Array:
        """Return which items this process's rows of the batch of ``step`` are: int64 [B / world]."""
        return self._draws(step)[0]

    def epoch(self, step: int) -> float:
        """Return the number of passes over the source before ``step``; 2.5 is two and a half."""
        return step * self.batch_size / len(self.source)

    def close(self) -> None:
        """Stop the threads. Batches that were read ahead are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._parts.clear()

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _draws(self, step: int) -> tuple[Array, Array, Array, Array]:
        """Return this process's item indices [b], crop words uint64 [b, axes], flips bool [b] and factors [b]."""
        first = step * self.batch_size + self.rank * self._share
        positions = np.arange(first, first + self._share, dtype=np.int64)
        epochs, places = np.divmod(positions, len(self.source))
        indices = np.empty(self._share, dtype=np.int64)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            indices[here] = self._order(epoch)[places[here]]
        axes = self.source.axes
        if self.crop is None and not self.flip and not self.gain:
            return indices, np.zeros((self._share, axes), np.uint64), np.zeros(self._share, bool), np.ones(self._share)
        # Drawn for the whole global batch and then sliced: the number of processes changes nothing.
        drawn = words((axes + 1) * self.batch_size, seed=self.seed, number=step, purpose=STEP)
        mine = drawn.reshape(self.batch_size, axes + 1)[self.rank * self._share : (self.rank + 1) * self._share]
        flips = (mine[:, axes] >> np.uint64(63)).astype(bool) & self.flip
        decibels = self.gain * ((mine[:, axes] & np.uint64(0xFFFFFFFF)) / 2.0**31 - 1)
        return indices, mine[:, :axes], flips, 10 ** (decibels / 20)

    def _order(self, epoch: int) -> Array:
        if epoch not in self._orders:
            for old in sorted(self._orders)[:-1]:  # keep the latest epoch and this one
                del self._orders[old]
            blocks, stream = self.source.blocks, {"seed": self.seed, "number": epoch, "purpose": EPOCH}
            self._orders[epoch] = (
                permutation(len(self.source), **stream)
                if blocks is None
                else permutation_of_blocks(blocks, together=_TOGETHER, **stream)
            )
        return self._orders[epoch]

    def _submitted(self, pool: ThreadPoolExecutor, step: int) -> list[Future[Array]]:
        draws = self._draws(step)
        parts = np.array_split(np.arange(self._share), min(self._workers, self._share))
        return [pool.submit(self._assembled, *(each[part] for each in draws)) for part in parts]

    def _assembled(self, indices: Array, crops: Array, flips: Array, factors: Array) -> Array:
        batch = self._unamplified(indices, crops, flips)
        if not self.gain:
            return batch
        kind = self.source.kind
        return np.stack([kind.amplify(item, factor) for item, factor in zip(batch, factors, strict=True)])

    def _unamplified(self, indices: Array, crops: Array, flips: Array) -> Array:
        if self._whole is None:
            return self._read_one_by_one(indices, crops, flips)
        if self._crop is None:
            batch = self._whole.gather(indices)
        else:
            starts = crop_starts(crops, np.array(self._whole.size), self._crop)
            batch = self._whole.gather_crops(indices, starts, self._crop)
        if flips.any():
            batch[flips] = self.source.kind.flip(batch[flips])
        return batch

    def _read_one_by_one(self, indices: Array, crops: Array, flips: Array) -> Array:
        items = []
        for index, place, flipped in zip(indices, crops, flips, strict=True):
            if self._crop is None:
                item = self.source.peek(int(index))
            else:
                item = random_crop(self.source, int(index), place, self._crop)
            items.append(self.source.kind.flip(item) if flipped else item)
        return np.stack(items)


def evaluation_batches(source: Any, batch_size: int, *, first: int = 0) -> Iterator[tuple[Array, torch.Tensor]]:
    """Yield (indices int64 [b], items [b, C, *size]): every item once, whole, in the order of the source.

    Consecutive items of one size are grouped, at most ``batch_size`` of them. With ``first`` the batches before the one
    that holds that item are left out; the others are as they are without it. None is left from ``len(source)`` on.

    Raises:
        ConfigError: ``batch_size`` below 1, or ``first`` below 0; raised at the first ``next``.

    Example:
        >>> import vqkit
        >>> from vqkit import evaluation_batches
        >>> digits = vqkit.load_source("builtin:digits")
        >>> indices, images = next(evaluation_batches(digits, 100))
        >>> len(indices), images.shape
        (100, torch.Size([100, 1, 8, 8]))
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; it is at least 1.")
    if first < 0:
        raise ConfigError(f"first is {first}; it is the number of an item, 0 or more.")
    source = load_source(source)
    if first >= len(source):
        return
    if isinstance(source, ArraySource):
        for start in range(first // batch_size * batch_size, len(source), batch_size):
            indices = np.arange(start, min(start + batch_size, len(source)))
            yield indices, torch.from_numpy(source.gather(indices))
        return
    group: list[Array] = []
    start = _batch_start(source, batch_size, first)
    with closing(each_in_order(source.peek, range(start, len(source)), chunk=4)) as items:
        for index, item in enumerate(items, start):
            if group and (len(group) == batch_size or group[0].shape != item.shape):
                yield np.arange(index - len(group), index), torch.from_numpy(np.stack(group))
                group = []
            group.append(item)
    yield np.arange(len(source) - len(group), len(source)), torch.from_numpy(np.stack(group))


def fitting_batch(source: Source, batch_size: int) -> int:
    """Return the items per batch: ``batch_size``, or fewer, at least 1, where items are large.

    A batch has at most as many positions (pixels, samples; channels do not count) as ``batch_size`` images of 128x128.
    """
    sizes = source.item_sizes()
    largest = int(np.prod(sizes, axis=1).max())
    return max(1, min(batch_size, batch_size * 128 * 128 // max(largest, 1)))


def batches_or_long(source: Source, batch_size: int, *, first: int = 0) -> Iterator[tuple[Array, Any]]:
    """Return ``evaluation_batches`` of as many as fit (``fitting_batch``); long items alone, each a ``LongItem``."""
    long = long_items(source)
    if long:
        return _around_long(source, batch_size, first, long)
    return evaluation_batches(source, fitting_batch(source, batch_size), first=first)


def _around_long(source: Source, batch_size: int, first: int, long: list[int]) -> Iterator[tuple[Array, Any]]:
    start = 0
    for index in [*long, len(source)]:
        if start < index and first < index:
            part = source.subset(range(start, index))
            for numbers, batch in evaluation_batches(
                part, fitting_batch(part, batch_size), first=max(0, first - start)
            ):
                yield numbers + start, batch
        if first <= index < len(source):
            yield np.array([index]), LongItem(source, index)
        start = index + 1


def _batch_start(source: Source, batch_size: int, item: int) -> int:
    """Return the index of the first item of the batch that holds ``item``."""
    sizes = source.item_sizes()[: item + 1]
    changes = np.flatnonzero((sizes[1:] != sizes[:-1]).any(axis=1))
    run = int(changes[-1]) + 1 if len(changes) else 0
    return run + (item - run) // batch_size * batch_size


def _check_shares(batch_size: int, rank: int, world: int, workers: int) -> None:
    if batch_size < 1 or workers < 1 or world < 1:
        raise ConfigError(
            f"batch_size={batch_size}, workers={workers}, world={world}; each is a whole number of at least 1."
        )
    if not 0 <= rank < world:
        raise ConfigError(f"rank is {rank}; with world={world} processes it is 0..{world - 1}.")
    if batch_size % world:
        raise ConfigError(
            f"batch_size {batch_size} does not divide among {world} processes; use a multiple of {world}, "
            f"e.g. {batch_size + world - batch_size % world}."
        )
