"""Source of images in shards: opened once shard by shard, then read where they lie, in an order that shards allow."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, final

import numpy as np

from vqkit.data.identity import READING, encoded_digest
from vqkit.data.images.decoding import Item, Verdict, each_in_order, judge, note_lines
from vqkit.data.images.lazy import EncodedSource
from vqkit.data.shards.samples import Sample
from vqkit.data.shards.store import ShardStore
from vqkit.data.skipped import Skipped, check_enough_readable
from vqkit.data.source import Array
from vqkit.resources import cache_folder
from vqkit.storage import atomic

_VERSION = 1
_MOST_LABEL = np.iinfo(np.int64).max
_ROWS = ("shard", "offset", "length", "height", "width", "bits", "label")


@final
class ShardedSource(EncodedSource):
    """Images in shards; ``rows`` int64 [N, 7]: shard, offset, length, height, width, bits and label of each.

    Example:
        >>> import vqkit
        >>> source = vqkit.load_source("s3://bucket/train-{000..099}.tar")  # doctest: +SKIP
        >>> source.blocks  # doctest: +SKIP
        array([0, 0, 1, 1])
    """

    def __init__(
        self, store: ShardStore, rows: Array, digests: Array, names: Sequence[str], *, channels: int, **about: Any
    ) -> None:
        super().__init__(rows[:, 3:5], channels=channels, position_bits=rows[:, 5], **about)
        self._store, self._rows, self._digests, self._names = store, rows, digests, list(names)

    @property
    def blocks(self) -> Array | None:
        """The shard of every item, where shards are fetched: items of one are to be drawn together."""
        return self._rows[:, 0] if self._store.is_remote else None

    def encoded(self, index: int) -> bytes:
        """Return the bytes of the image, from its shard."""
        shard, offset, length = self._rows[index, :3].tolist()
        return self._store.read(shard, offset, length)

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of the image, as it was when the shards were opened."""
        return self._digests[index].tobytes()

    def item_name(self, index: int) -> str:
        """Return the name of the shard and of the file in it."""
        at = self.position(index)
        return f"{self._store.names[int(self._rows[at, 0])]}/{self._names[at]}".lstrip("/")

    def subset(self, indices: Sequence[int] | Array) -> ShardedSource:
        """Return a source of these images."""
        return self._part(self.positions(indices), self.channels)

    def with_channels(self, channels: int) -> ShardedSource:
        """Return the same images decoded to grey or RGB."""
        return self._part(np.arange(len(self)), channels)

    def storage(self) -> str:
        """Say that images are decoded when read."""
        where = "fetched shards" if self._store.is_remote else "shards"
        return f"decoded on demand from {len(self._store.names):,} {where}"

    def _part(self, at: Array, channels: int) -> ShardedSource:
        return ShardedSource(
            self._store,
            self._rows[at],
            self._digests[at],
            [self._names[index] for index in at],
            channels=channels,
            name=self.name,
            labels=None if self.labels is None else self.labels[at],
            class_names=self.class_names,
            skipped=self.skipped,
            notes=self.notes,
        )


def open_shards(store: ShardStore, *, name: str, channels: int | None = None) -> ShardedSource:
    """Open images in shards. The first time every image is decoded once; what was found is kept in the cache folder.

    Raises:
        DataError: a shard that cannot be read, none or few readable images in them.
    """
    said = json.dumps([_VERSION, READING, name, store.names, store.stamps])
    file = cache_folder() / "shards" / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.npz"
    if not file.is_file():
        found = _looked_through(store)
        atomic.write_file(file, lambda temporary: temporary.write_bytes(found))
    with np.load(file, allow_pickle=False) as saved:
        rows, digests, about = saved["rows"], saved["digests"], json.loads(saved["about"].tobytes())
    skipped = [Skipped(*pair) for pair in about["skipped"]]
    check_enough_readable(name, len(rows), skipped)
    labels, class_names = _numbered(about["labels"])
    return ShardedSource(
        store,
        rows,
        digests,
        about["names"],
        channels=channels or about["channels"],
        name=name,
        labels=labels,
        class_names=class_names,
        skipped=skipped,
        notes=note_lines(Counter(about["notes"])),
    )


def _looked_through(store: ShardStore) -> bytes:
    """Decode all images once, shard by shard; returns the bytes of the index."""
    rows: list[list[int]] = []
    digests: list[bytes] = []
    about: dict[str, Any] = {"names": [], "labels": [], "skipped": [], "channels": 1}
    notes: Counter[str] = Counter()
    with closing(each_in_order(_judged, _every(store), chunk=8)) as judged:
        for shard, sample, digest, verdict in judged:
            if verdict.reason is not None:
                about["skipped"].append([f"{store.names[shard]}/{sample.name}", verdict.reason])
                continue
            rows.append([shard, sample.offset, sample.length, *verdict.size, verdict.bits, 0])
            digests.append(digest)
            about["names"].append(sample.name)
            about["labels"].append(sample.label)
            about["channels"] = max(about["channels"], verdict.channels)
            notes.update(verdict.notes)
    file = io.BytesIO()
    np.savez(
        file,
        rows=np.array(rows, np.int64).reshape(-1, len(_ROWS)),
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32),
        about=np.frombuffer(json.dumps({**about, "notes": dict(notes)}).encode(), np.uint8),
    )
    return file.getvalue()


def _every(store: ShardStore) -> Iterator[tuple[int, Sample, bytes]]:
    for shard in range(len(store.names)):
        flat, samples = store.opened(shard)
        with flat.open("rb") as opened:
            for sample in samples:
                opened.seek(sample.offset)
                yield shard, sample, opened.read(sample.length)


def _judged(given: tuple[int, Sample, bytes]) -> tuple[int, Sample, bytes, Verdict]:
    shard, sample, data = given
    return shard, sample, encoded_digest(data), judge(Item(sample.name, data or None))[1]


def _numbered(labels: Sequence[str | None]) -> tuple[Array | None, list[str] | None]:
    """Labels as they are written to numbers (-1: none), and the names of the classes where they are no numbers.

    Digits beyond int64, as ids of items are, are a name.
    """
    written = {label for label in labels if label is not None}
    if not written:
        return None, None
    if all(label.isdecimal() and int(label) <= _MOST_LABEL for label in written):
        return np.array([-1 if label is None else int(label) for label in labels], np.int64), None
    names = sorted(written)
    number = {name: place for place, name in enumerate(names)}
    return np.array([-1 if label is None else number[label] for label in labels], np.int64), names
