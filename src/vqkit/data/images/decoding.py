"""Many encoded images through a pool of threads: decoded into one buffer, or only to see whether they can be."""

from __future__ import annotations

import stat
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from vqkit.data.arrays.memory import ArraySource, RaggedSource
from vqkit.data.identity import encoded_digest, joined_digests
from vqkit.data.images.files import Encoded, strict_decoders
from vqkit.data.images.reading import Header, Picture, read_header, read_picture, to_channels
from vqkit.data.skipped import Skipped
from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.resources import default_workers

T = TypeVar("T")
R = TypeVar("R")

MAX_CHUNK = 64
CHUNK_BYTES = 8 * 2**20  # of decoded pixels in one task: bounds what is in flight
SAMPLE = 256


class Item(NamedTuple):
    """One image to come: its name for messages, its path or bytes (None: there is none), its label or -1."""

    name: str
    encoded: Encoded | None
    label: int = -1
    origin: bytes = b""
    """The digest of the encoded bytes, once they have been decoded."""


def each_in_order(function: Callable[[T], R], items: Iterable[T], *, chunk: int = MAX_CHUNK) -> Generator[R]:
    """Yield function(item) for every item, in order, computed by threads a bounded distance ahead.

    ``chunk`` items make one task, since a task costs as much as decoding a thumbnail.
    """
    workers = default_workers()
    source = iter(items)
    pending: deque[Future[list[R]]] = deque()

    def run(part: list[T]) -> list[R]:
        with strict_decoders:  # once for all of them, which costs less
            return [function(item) for item in part]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="vqkit-decode")
    try:
        while True:
            while len(pending) < workers + 1 and (part := list(islice(source, chunk))):
                pending.append(pool.submit(run, part))
            if not pending:
                return
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class Estimate:
    """The size of a decoded image in bytes, a mean over the headers of a sample of items."""

    mean_bytes: float

    @property
    def chunk(self) -> int:
        """Items per task, so that one task holds about 8 MiB of pixels."""
        return int(min(MAX_CHUNK, max(1, CHUNK_BYTES // max(1.0, self.mean_bytes))))


def estimate(items: Sequence[Item]) -> Estimate:
    """Read the headers of at most 256 items, evenly spaced; unreadable ones count nothing."""
    places = np.linspace(0, len(items) - 1, min(SAMPLE, len(items))).astype(int)
    headers = each_in_order(_header_or_reason, [items[place] for place in places], chunk=8)
    sizes = [header.nbytes for _, header in headers if isinstance(header, Header)]
    return Estimate(float(np.mean(sizes)) if sizes else 0.0)


class Verdict(NamedTuple):
    """The result of decoding an image, without its pixels.

    Attributes:
        reason: why it cannot be used; None: it can.
        size: height and width.
        channels: 1 or 3.
        bits: of a pixel in the file.
        notes: how it was read ("file: 16 bits scaled to 8").
    """

    reason: str | None
    size: tuple[int, int] = (0, 0)
    channels: int = 1
    bits: int = 8
    notes: tuple[str, ...] = ()


@dataclass
class Checked:
    """The items that can be decoded, with their (height, width); and the others, with reasons."""

    kept: list[Item] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    channels: int = 1
    skipped: list[Skipped] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, item: Item, verdict: Verdict) -> None:
        """Take in one item; channels is 3 as soon as one image is in colour."""
        if verdict.reason is not None:
            self.skipped.append(Skipped(item.name, verdict.reason))
            return
        self.kept.append(item)
        self.sizes.append(verdict.size)
        self.bits.append(verdict.bits)
        self.channels = max(self.channels, verdict.channels)
        self.notes.update(verdict.notes)

    def size_array(self) -> Array:
        """Return the sizes as int64 [N, 2]."""
        return np.array(self.sizes, dtype=np.int64).reshape(-1, 2)


def judge(item: Item) -> tuple[Item, Verdict]:
    """Decode an item by the same check as ``gather_images``, and discard its pixels."""
    item_, picture = _picture_or_reason(item)
    if isinstance(picture, Skipped):
        return item, Verdict(picture.reason)
    channels, height, width = picture.pixels.shape
    return item_._replace(encoded=item.encoded), Verdict(
        None, (height, width), channels, picture.bits_per_pixel, picture.notes
    )


class Gathered:
    """Decoded images in one flat buffer, in order, on their way to becoming a source."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.shapes: list[tuple[int, int, int]] = []
        self.names: list[str] = []
        self.labels: list[int] = []
        self.origins: list[bytes] = []
        self.bits: list[int] = []
        self.skipped: list[Skipped] = []
        self.notes: Counter[str] = Counter()
        self.has_color = False
        self._area = 0

    def add(self, item: Item, picture: Picture) -> None:
        """Append one image."""
        self.buffer += picture.pixels.data.cast("B")
        channels, height, width = picture.pixels.shape
        self.bits.append(picture.bits_per_pixel)
        self.shapes.append((channels, height, width))
        self.names.append(item.name)
        self.labels.append(item.label)
        self.origins.append(item.origin)
        self.has_color |= channels == 3
        self._area += height * width
        self.notes.update(picture.notes)

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels once every image has as many channels (1 or 3) as the image with the most."""
        return self._area * (3 if self.has_color else 1)

    def source(
        self, *, name: str, class_names: Sequence[str] | None, channels: int | None, notes: Iterable[str] = ()
    ) -> ArraySource | RaggedSource:
        """Return an ArraySource where all sizes agree, else a RaggedSource; RGB if any image is in colour."""
        shapes = np.array(self.shapes, dtype=np.int64)
        common = channels or (3 if self.has_color else 1)
        flat = self._with_channels(common, shapes)
        sizes = shapes[:, 1:]
        labels = usable_labels(self.labels)
        about = (*notes, *note_lines(self.notes))
        origins = joined_digests(self.origins) if all(self.origins) else None
        if bool((sizes == sizes[0]).all()):
            array = flat.reshape(len(shapes), common, int(sizes[0, 0]), int(sizes[0, 1]))
            return ArraySource(
                array,
                name=name,
                labels=labels,
                class_names=class_names,
                skipped=self.skipped,
                notes=about,
                origins=origins,
                item_names=self.names,
                position_bits=self.bits,
            )
        ends = np.cumsum(common * sizes.prod(axis=1))
        offsets = ends - common * sizes.prod(axis=1)
        return RaggedSource(
            flat,
            offsets,
            sizes,
            channels=common,
            name=name,
            labels=labels,
            class_names=class_names,
            skipped=self.skipped,
            notes=about,
            origins=origins,
            item_names=self.names,
            position_bits=self.bits,
        )

    def _with_channels(self, common: int, shapes: Array) -> Array:
        flat = np.frombuffer(self.buffer, dtype=np.uint8)
        if bool((shapes[:, 0] == common).all()):
            return flat
        result = np.empty(int(common * shapes[:, 1:].prod(axis=1).sum()), dtype=np.uint8)
        read = written = 0
        for channels, height, width in self.shapes:
            image = flat[read : read + channels * height * width].reshape(channels, height, width)
            read += image.size
            converted = to_channels(image, common)
            result[written : written + converted.size] = converted.ravel()
            written += converted.size
        return result


def gather_images(items: Iterable[Item], *, limit: int, chunk: int = MAX_CHUNK) -> Gathered | None:
    """Decode all items; None as soon as more than ``limit`` bytes of pixels would have to stay in memory."""
    gathered = Gathered()
    with closing(each_in_order(_picture_or_reason, items, chunk=chunk)) as results:
        for item, picture in results:
            if isinstance(picture, Skipped):
                gathered.skipped.append(picture)
                continue
            gathered.add(item, picture)
            if gathered.nbytes > limit:
                return None
    return gathered


def usable_labels(labels: Sequence[int]) -> Array | None:
    """Return int64 [N], or None if no item has a label."""
    array = np.asarray(labels, dtype=np.int64)
    return array if bool((array >= 0).any()) else None


def note_lines(notes: Counter[str]) -> list[str]:
    """Return "3 animated files: first frame used" for each kind of note."""
    return [
        f"{count:,} {note if count == 1 else note.replace('file:', 'files:')}" for note, count in sorted(notes.items())
    ]


def encoded_of(item: Item) -> Encoded:
    """Return the path or the bytes of an item.

    Raises:
        DataError: there is nothing to decode: null, an empty file, or no regular file.
        OSError: the file cannot be examined.
    """
    if item.encoded is None:
        raise DataError("no image here (null)")
    if isinstance(item.encoded, Path):
        status = item.encoded.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise DataError("not a regular file")
        if status.st_size == 0:
            raise DataError("no bytes at all (empty)")
    return item.encoded


def why(error: DataError | OSError) -> str:
    """Return the message of an error, as the reason why an item is skipped."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _picture_or_reason(item: Item) -> tuple[Item, Picture | Skipped]:
    try:
        picture, origin = read_picture(encoded_of(item)), encoded_digest(encoded_of(item))
    except (DataError, OSError) as error:
        return item._replace(encoded=None), Skipped(item.name, why(error))
    return item._replace(encoded=None, origin=origin), picture


def _header_or_reason(item: Item) -> tuple[Item, Header | Skipped]:
    try:
        return item, read_header(encoded_of(item))
    except (DataError, OSError) as error:
        return item, Skipped(item.name, why(error))
