"""Boxes cut out of one large item: a scene, a volume or a series as items to train on, and others apart to judge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.identity import content_fingerprint
from vqkit.data.source import Array, Source
from vqkit.errors import ConfigError

_LEAST = 32
"""Positions of a part that is held out, where that is no more than a quarter of the axis."""


@final
class Boxes(Source):
    """Parts of the first item of a source; each is read when it is asked for, and where the source can, only it.

    Args:
        source: its first item is cut.
        starts: int64 ``[N, axes]``, where the boxes begin.
        sizes: int64 ``[N, axes]``, their sizes; they lie within the item.

    Raises ConfigError for boxes beyond the item.

    Example:
        >>> import numpy as np, vqkit
        >>> from vqkit.data.views.boxes import Boxes
        >>> scene = vqkit.load_source(np.zeros((1, 3, 40, 50)), kind="field@NCHW")
        >>> boxes = Boxes(scene, np.array([[0, 0], [20, 10]]), np.array([[20, 50], [20, 40]]))
        >>> boxes.item_sizes().tolist(), boxes.item_name(1)
        ([[20, 50], [20, 40]], '[20:40,10:50]')
    """

    def __init__(self, source: Source, starts: Array, sizes: Array) -> None:
        whole = np.array(source.item_size(0))
        if starts.shape != sizes.shape or (starts < 0).any() or (sizes < 1).any() or (starts + sizes > whole).any():
            raise ConfigError(f"boxes {sizes.tolist()[:3]} at {starts.tolist()[:3]} of an item {whole.tolist()}")
        super().__init__(
            name=source.name,
            channels=source.channels,
            axes=source.axes,
            dtype=source.dtype,
            count=len(starts),
            labels=None if source.labels is None else np.repeat(source.labels[:1], len(starts)),
            class_names=source.class_names,
            skipped=source.skipped,
            notes=source.notes,
            kind=source.kind,
            position_bits=source.bits_of(np.zeros(len(starts), np.int64)),
        )
        self.reads_parts = source.reads_parts
        self._source, self._starts, self._sizes = source, starts, sizes

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the whole item, and how it is cut."""
        whole = np.frombuffer(content_fingerprint(self._source).encode(), dtype=np.uint8)
        return "boxes", [whole, self._starts, self._sizes]

    def item_sizes(self) -> Array:
        """Return the size of every box: int64 ``[N, axes]``."""
        return self._sizes

    def item_size(self, index: int) -> tuple[int, ...]:
        """Return the size of one box."""
        return tuple(int(side) for side in self._sizes[self.position(index)])

    def read(self, index: int) -> Array:
        """Return box ``index`` as a new array ``[C, *size]``."""
        return self.peek(index).copy()

    def peek(self, index: int) -> Array:
        """Return box ``index`` like ``read``, but perhaps sharing memory."""
        return self.part(index, (0,) * self.axes, self.item_size(index))

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return a part of a box; see ``Source.part``."""
        own = self._starts[self.position(index)]
        return self._source.part(0, [int(a) + int(b) for a, b in zip(own, starts, strict=True)], size)

    def item_name(self, index: int) -> str | None:
        """Return the name of the item, if it has one, and where in it the box lies."""
        at = self.position(index)
        places = zip(self._starts[at], self._starts[at] + self._sizes[at], strict=True)
        return f"{self._source.item_name(0) or ''}[{','.join(f'{first}:{last}' for first, last in places)}]"

    def subset(self, indices: Sequence[int] | Array) -> Boxes:
        """Return a source of these boxes."""
        chosen = self.positions(indices)
        return Boxes(self._source, self._starts[chosen], self._sizes[chosen])

    def with_classes(self, names: Sequence[str]) -> Boxes:
        """Return the same boxes with their classes numbered as in ``names``."""
        return Boxes(self._source.with_classes(names), self._starts, self._sizes)

    def with_channels(self, channels: int) -> Boxes:
        """Return the same boxes in so many channels."""
        return Boxes(self._source.with_channels(channels), self._starts, self._sizes)

    def storage(self) -> str:
        """Say where the whole item lies."""
        return self._source.storage()


def halves(source: Source, fraction: float, largest: int) -> tuple[Boxes, Boxes]:
    """Return the beginning of an item along its longest axis, as one box, and its end in boxes of about one size.

    Args:
        source: of one item.
        fraction: of the axis that is the end; at least 32 positions, where these are no more than a quarter.
        largest: side of the boxes of the end.

    Example:
        >>> import numpy as np, vqkit
        >>> from vqkit.data.views.boxes import halves
        >>> scene = vqkit.load_source(np.zeros((1, 3, 300, 500)), kind="field@NCHW")
        >>> beginning, end = halves(scene, 0.1, 256)
        >>> beginning.item_sizes().tolist(), end.item_sizes().tolist()
        ([[300, 450]], [[150, 50], [150, 50]])
    """
    whole = source.item_size(0)
    axis = int(np.argmax(whole))
    length = whole[axis]
    held = min(max(1, round(length * fraction), min(_LEAST, length // 4)), length - 1)
    first = np.zeros((1, len(whole)), np.int64)
    size = np.array([whole], np.int64)
    size[0, axis] = length - held
    edges = []
    for number, side in enumerate(whole):
        start, stop = (length - held, length) if number == axis else (0, side)
        edges.append(np.linspace(start, stop, math.ceil((stop - start) / largest) + 1).astype(np.int64))
    corners = np.stack(np.meshgrid(*(each[:-1] for each in edges), indexing="ij"), -1).reshape(-1, len(whole))
    ends = np.stack(np.meshgrid(*(each[1:] for each in edges), indexing="ij"), -1).reshape(-1, len(whole))
    return Boxes(source, first, size), Boxes(source, corners, ends - corners)
