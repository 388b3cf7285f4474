"""Long signals as consecutive segments: what an hour of sound is trained and judged on, in the memory of seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import numpy as np

from vqkit.data.identity import content_fingerprint
from vqkit.data.source import Array, Source
from vqkit.errors import ConfigError


@final
class Segments(Source):
    """Every item of a source cut along its only axis into segments of ``length``, the last one shorter.

    Each segment is read when it is asked for; where the source reads parts, nothing else of its item is. Segments of
    less than ``shortest`` at the end of a longer item are left out.

    Args:
        source: signals of one axis (sound), of any lengths.
        length: positions a segment, at most.
        shortest: positions of a last segment, at least.
        chosen: int64 ``[N]``, the numbers of the segments that are the items; None: all.

    Raises ConfigError for other signals, or a length below 1.

    Example:
        >>> import numpy as np, vqkit
        >>> from vqkit.data import Segments
        >>> sounds = vqkit.load_source(np.zeros((2, 1, 1000), np.float32), kind="sound")
        >>> Segments(sounds, 400).item_sizes().ravel().tolist()
        [400, 400, 200, 400, 400, 200]
    """

    def __init__(self, source: Source, length: int, *, shortest: int = 1, chosen: Array | None = None) -> None:
        if source.axes != 1 or not 1 <= shortest <= length:
            raise ConfigError(
                f"length={length}, shortest={shortest}: segments of 1 position or more are cut from signals of one "
                f"axis (sound); this is {source.describe()}"
            )
        lengths = source.item_sizes()[:, 0]
        counts = np.maximum(1, lengths // length + (lengths % length >= shortest))
        firsts = np.concatenate([[0], np.cumsum(counts)])
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
        self._source, self._length, self._shortest, self._numbers = source, length, shortest, numbers
        self._items = items
        self._starts = (numbers - firsts[items]) * length
        self._sizes = np.minimum(length, lengths[items] - self._starts)[:, None]
        self._whole = counts[items] == 1

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: the whole items, and how they are cut."""
        whole = np.frombuffer(content_fingerprint(self._source).encode(), dtype=np.uint8)
        return f"segments {self._length} {self._shortest}", [whole, self._numbers]

    def item_sizes(self) -> Array:
        """Return the length of every segment: int64 [N, 1]."""
        return self._sizes

    def item_size(self, index: int) -> tuple[int, ...]:
        """Return the length of one segment."""
        return (int(self._sizes[self.position(index), 0]),)

    def read(self, index: int) -> Array:
        """Return segment ``index`` as a new array [C, length]."""
        return self.peek(index).copy()

    def peek(self, index: int) -> Array:
        """Return segment ``index`` like ``read``, but perhaps sharing memory."""
        return self.part(index, (0,), self.item_size(index))

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return a part of a segment; see ``Source.part``."""
        at = self.position(index)
        return self._source.part(int(self._items[at]), (int(self._starts[at]) + starts[0],), size)

    def item_name(self, index: int) -> str | None:
        """Return the name of the item, and where in it the segment begins, where it has several."""
        at = self.position(index)
        name = self._source.item_name(int(self._items[at]))
        if name is None or self._whole[at]:
            return name
        return f"{name} from {self.kind.describe_size((int(self._starts[at]),))}"

    def subset(self, indices: Sequence[int] | Array) -> Segments:
        """Return a source of these segments over the same items."""
        return self._remade(self._source, self._numbers[self.positions(indices)])

    def with_classes(self, names: Sequence[str]) -> Segments:
        """Return the same segments with their classes numbered as in ``names``."""
        return self._remade(self._source.with_classes(names), self._numbers)

    def with_channels(self, channels: int) -> Segments:
        """Return the same segments in mono or stereo."""
        return self._remade(self._source.with_channels(channels), self._numbers)

    def storage(self) -> str:
        """Say where the whole items lie."""
        return self._source.storage()

    def _remade(self, source: Source, numbers: Array) -> Segments:
        return Segments(source, self._length, shortest=self._shortest, chosen=numbers)


def in_segments(source: Source) -> Source:
    """Return a source whose long items are cut as its kind says (``Signal.segment_length``), or the source itself."""
    if source.dtype == np.int32:
        return source
    length = source.kind.segment_length(source.item_sizes())
    return source if length is None else Segments(source, length, shortest=max(1, length // 10))
