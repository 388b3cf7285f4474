"""Windows of long series: parts of one length, a hop apart, which may overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.identity import content_fingerprint
from vqkit.data.source import Array, Source
from vqkit.errors import ConfigError, DataError


@final
class Windows(Source):
    """The windows of every item of a source of one axis; what is left at an item's end is in none.

    Args:
        source: series of any lengths.
        window: positions of a window.
        hop: from the beginning of one to that of the next.
        chosen: int64 ``[N]``, the numbers of the windows that are the items; None: all.

    Raises ConfigError for other signals or numbers below 1, and DataError where no series is so long.

    Example:
        >>> import numpy as np, vqkit
        >>> from vqkit.data.views.windows import Windows
        >>> series = vqkit.load_source(np.arange(10.0), kind="field@T")
        >>> windows = Windows(series, 4, 3)
        >>> [windows.read(n)[0].tolist() for n in range(len(windows))], windows.item_name(1)
        ([[0.0, 1.0, 2.0, 3.0], [3.0, 4.0, 5.0, 6.0], [6.0, 7.0, 8.0, 9.0]], 'row=00000003')
    """

    def __init__(self, source: Source, window: int, hop: int, *, chosen: Array | None = None) -> None:
        if source.axes != 1 or window < 1 or hop < 1:
            raise ConfigError(
                f"window={window}, hop={hop}: windows of 1 position or more are cut from signals of one axis; this is "
                f"{source.describe()}"
            )
        lengths = source.item_sizes()[:, 0]
        counts = np.maximum(0, (lengths - window) // hop + 1)
        firsts = np.concatenate([[0], np.cumsum(counts)])
        if not firsts[-1]:
            raise DataError(f"{source.name}: a window of {window:,} is longer than every series ({lengths.max():,})")
        numbers = np.arange(int(firsts[-1]), dtype=np.int64) if chosen is None else chosen
        items = np.searchsorted(firsts, numbers, side="right") - 1
        super().__init__(
            name=source.name,
            channels=source.channels,
            axes=1,
            dtype=source.dtype,
            count=len(numbers),
            labels=None if source.labels is None else source.labels[items],
            class_names=source.class_names,
            skipped=source.skipped,
            notes=source.notes,
            kind=source.kind,
            position_bits=source.bits_of(items),
        )
        self.reads_parts = source.reads_parts
        self.overlaps = -(-window // hop) - 1 if chosen is None else 0
        self._source, self._window, self._hop, self._numbers, self._items = source, window, hop, numbers, items
        self._starts = (numbers - firsts[items]) * hop

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the whole series, and how they are cut."""
        whole = np.frombuffer(content_fingerprint(self._source).encode(), dtype=np.uint8)
        return f"windows {self._window} {self._hop}", [whole, self._numbers]

    def item_sizes(self) -> Array:
        """Return int64 ``[N, 1]``; every row is the same."""
        return np.full((len(self), 1), self._window, np.int64)

    def read(self, index: int) -> Array:
        """Return window ``index`` as a new array ``[C, window]``."""
        return self.peek(index).copy()

    def peek(self, index: int) -> Array:
        """Return window ``index`` like ``read``, but perhaps sharing memory."""
        return self.part(index, (0,), (self._window,))

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return a part of a window; see ``Source.part``."""
        at = self.position(index)
        return self._source.part(int(self._items[at]), (int(self._starts[at]) + starts[0],), size)

    def item_name(self, index: int) -> str | None:
        """Return the name or the number of the series, where there are several, and the first position."""
        at = self.position(index)
        number = int(self._items[at])
        several = f"item={number:06d}" if len(self._source) > 1 else None
        name = self._source.item_name(number) or several
        return f"{'' if name is None else f'{name},'}row={int(self._starts[at]):08d}"

    def subset(self, indices: Sequence[int] | Array) -> Windows:
        """Return a source of these windows over the same series."""
        return self._remade(self._source, self._numbers[self.positions(indices)])

    def with_classes(self, names: Sequence[str]) -> Windows:
        """Return the same windows with their classes numbered as in ``names``."""
        return self._remade(self._source.with_classes(names), self._numbers)

    def with_channels(self, channels: int) -> Windows:
        """Return the same windows in so many channels."""
        return self._remade(self._source.with_channels(channels), self._numbers)

    def storage(self) -> str:
        """Say where the whole series lie."""
        return self._source.storage()

    def _remade(self, source: Source, numbers: Array) -> Windows:
        found = Windows(source, self._window, self._hop, chosen=numbers)
        if len(numbers) == len(self) and (numbers == self._numbers).all():
            found.overlaps = self.overlaps
        return found


def windowed(source: Source, window: int, hop: int) -> Windows:
    """Return the windows of a source, with a note that says so."""
    found = Windows(source, window, hop)
    found.notes.append(f"{len(found):,} windows of {window:,}, a hop of {hop:,}")
    return found
