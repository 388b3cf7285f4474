"""A fixed number of random squares out of images of any sizes, as a source of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.identity import content_fingerprint
from vqkit.data.rng import CROPS, words
from vqkit.data.source import Array, Source
from vqkit.data.views.crops import random_crop
from vqkit.errors import ConfigError
from vqkit.seeds import check_seed


@final
class RandomCrops(Source):
    """``count`` squares of ``side`` pixels, cut when they are read: the same ones for one seed, for ever.

    Square n is of image n mod (number of images), at a place that (seed, n) alone decides, mirrored where they say so.
    Images with a side under ``side`` are upscaled.

    Args:
        source: images of any sizes.
        side: in pixels.
        count: how many squares.
        seed: of the places.
        flip: mirror half of the squares left to right.
        chosen: int64 [count], the numbers of the squares that are the items; None: 0 .. count - 1.

    Raises ConfigError for what is no image, or numbers below 1.

    Example:
        >>> import vqkit
        >>> from vqkit.data import RandomCrops
        >>> crops = RandomCrops(vqkit.load_source("builtin:photos"), 32, 1000, seed=0)
        >>> len(crops), crops.read(0).shape
        (1000, (3, 32, 32))
    """

    def __init__(
        self,
        source: Source,
        side: int,
        count: int,
        *,
        seed: int = 0,
        flip: bool = False,
        chosen: Array | None = None,
    ) -> None:
        if not source.axes or side < 1 or count < 1 or (flip and not source.kind.flips):
            raise ConfigError(
                f"side={side}, count={count}: 1 or more squares of 1 pixel or more are cut from images (from sound and "
                "video too, which is not mirrored where its kind says so); this is "
                f"{source.describe()}"
            )
        numbers = np.arange(count, dtype=np.int64) if chosen is None else chosen
        super().__init__(
            name=source.name,
            channels=source.channels,
            axes=source.axes,
            dtype=source.dtype,
            count=len(numbers),
            labels=None if source.labels is None else source.labels[numbers % len(source)],
            class_names=source.class_names,
            skipped=source.skipped,
            notes=[*source.notes, _words(source, side)],
            kind=source.kind,
            position_bits=source.bits_of(numbers % len(source)),
        )
        self._source = source
        self._side = side
        self._crop = source.kind.crop_size(side, source.item_sizes())
        self._seed = check_seed(seed)
        self._flip = flip
        self._numbers = numbers

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the whole images, and how they are cut."""
        whole = np.frombuffer(content_fingerprint(self._source).encode(), dtype=np.uint8)
        return f"squares {self._side} {self._seed} {self._flip}", [whole, self._numbers]

    def item_sizes(self) -> Array:
        """Return int64 [N, axes]; every row is the same."""
        return np.broadcast_to(np.array(self._crop, dtype=np.int64), (len(self), self.axes))

    def read(self, index: int) -> Array:
        """Return item ``index`` as a new array [C, *crop]."""
        number = int(self._numbers[self.position(index)])
        raw = words(self.axes + 1, seed=self._seed, number=number, purpose=CROPS)
        crop = random_crop(self._source, number % len(self._source), raw[:-1], self._crop)
        mirrored = self._flip and int(raw[-1]) & 1
        return (self.kind.flip(crop) if mirrored else crop).copy()

    def item_name(self, index: int) -> str | None:
        """Return the name of the image that the square is cut from."""
        return self._source.item_name(int(self._numbers[self.position(index)]) % len(self._source))

    def subset(self, indices: Sequence[int] | Array) -> RandomCrops:
        """Return a source of these squares."""
        return self._remade(self._source, self._numbers[self.positions(indices)])

    def with_classes(self, names: Sequence[str]) -> RandomCrops:
        """Return the same squares with their classes numbered as in ``names``."""
        return self._remade(self._source.with_classes(names), self._numbers)

    def with_channels(self, channels: int) -> RandomCrops:
        """Return the same squares in grey or RGB."""
        return self._remade(self._source.with_channels(channels), self._numbers)

    def storage(self) -> str:
        """Say where the whole images lie."""
        return self._source.storage()

    def _remade(self, source: Source, numbers: Array) -> RandomCrops:
        return RandomCrops(source, self._side, len(numbers), seed=self._seed, flip=self._flip, chosen=numbers)


def _words(source: Source, side: int) -> str:
    if source.axes == 1:
        return f"random parts of {side:,} {source.kind.unit}"
    return f"random squares of {side}x{side} pixels"
