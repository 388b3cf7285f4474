"""The middle of every image: what is judged where training drew random crops, and the model reads one size only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.identity import content_fingerprint
from vqkit.data.source import Array, Source
from vqkit.data.views.crops import upscale
from vqkit.errors import ConfigError


@final
class CenterCrops(Source):
    """The square of ``side`` pixels in the middle of each image, cut when it is read; smaller images are upscaled.

    Args:
        source: images of any sizes.
        side: in pixels.

    Raises ConfigError for what is no image.
    """

    def __init__(self, source: Source, side: int) -> None:
        if source.axes != 2 or side < 1:
            raise ConfigError(
                f"side={side}: squares of 1 pixel or more are cut from images; this is {source.describe()}"
            )
        super().__init__(
            name=source.name,
            channels=source.channels,
            axes=2,
            dtype=source.dtype,
            count=len(source),
            labels=source.labels,
            class_names=source.class_names,
            skipped=source.skipped,
            notes=[*source.notes, f"the middle {side}x{side} pixels of each image"],
            position_bits=source.bits_of(),
        )
        self._source = source
        self._side = side

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the whole images, and how they are cut."""
        whole = np.frombuffer(content_fingerprint(self._source).encode(), dtype=np.uint8)
        return f"middle {self._side}", [whole]

    def item_sizes(self) -> Array:
        """Return int64 [N, 2]; every row is the same."""
        return np.broadcast_to(np.array([self._side, self._side], dtype=np.int64), (len(self), 2))

    def read(self, index: int) -> Array:
        """Return item ``index`` as a new array [C, side, side]."""
        large = upscale(self._source.peek(index), self._side)
        top, left = ((length - self._side) // 2 for length in large.shape[1:])
        return large[:, top : top + self._side, left : left + self._side].copy()

    def item_name(self, index: int) -> str | None:
        """Return the name of the whole image."""
        return self._source.item_name(index)

    def subset(self, indices: Sequence[int] | Array) -> CenterCrops:
        """Return a source of these items over the same images."""
        return CenterCrops(self._source.subset(indices), self._side)

    def with_classes(self, names: Sequence[str]) -> CenterCrops:
        """Return the same squares with their classes numbered as in ``names``."""
        return CenterCrops(self._source.with_classes(names), self._side)

    def with_channels(self, channels: int) -> CenterCrops:
        """Return the same squares in grey or RGB."""
        return CenterCrops(self._source.with_channels(channels), self._side)

    def storage(self) -> str:
        """Say where the whole images lie."""
        return self._source.storage()
