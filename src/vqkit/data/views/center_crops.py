"""The middle of every image or other signal: what a model of one size is judged on, where training drew crops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.identity import content_fingerprint
from vqkit.data.source import Array, Source
from vqkit.data.views.crops import middle_crop
from vqkit.errors import ConfigError


@final
class CenterCrops(Source):
    """The square of ``side`` pixels in the middle of each image, cut when it is read; smaller images are upscaled.

    Of other kinds: the middle of the size that their ``crop_size`` says.

    Args:
        source: signals of any sizes.
        side: in pixels (samples).

    Raises ConfigError for vectors.

    Example:
        >>> import vqkit
        >>> from vqkit.data import CenterCrops
        >>> CenterCrops(vqkit.load_source("builtin:digits"), 4).read(0).shape
        (1, 4, 4)
    """

    def __init__(self, source: Source, side: int) -> None:
        if not source.axes or side < 1:
            raise ConfigError(
                f"side={side}: middles of 1 pixel (sample) or more are cut from images, sound and video; this is "
                f"{source.describe()}"
            )
        crop = source.kind.crop_size(side, source.item_sizes())
        words = f"{'x'.join(map(str, crop))} {'pixels' if source.kind.unit == 'frames' else source.kind.unit}"
        super().__init__(
            name=source.name,
            channels=source.channels,
            axes=source.axes,
            dtype=source.dtype,
            count=len(source),
            labels=source.labels,
            class_names=source.class_names,
            skipped=source.skipped,
            notes=[*source.notes, f"the middle {words} of each {source.kind.noun[0]}"],
            kind=source.kind,
            position_bits=source.bits_of(),
        )
        self._source = source
        self._side = side
        self._crop = crop

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the whole images, and how they are cut."""
        whole = np.frombuffer(content_fingerprint(self._source).encode(), dtype=np.uint8)
        return f"middle {self._side}", [whole]

    def item_sizes(self) -> Array:
        """Return int64 [N, axes]; every row is the same."""
        return np.broadcast_to(np.array(self._crop, dtype=np.int64), (len(self), self.axes))

    def read(self, index: int) -> Array:
        """Return item ``index`` as a new array [C, *crop]."""
        return middle_crop(self._source, index, self._crop).copy()

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
