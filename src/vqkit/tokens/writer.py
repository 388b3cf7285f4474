"""Writer of a token set: items to shards, each noted in a journal once it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.checking import check_fields
from vqkit.data import Source
from vqkit.tokens.formats import TokenFormat
from vqkit.tokens.journal import Journal
from vqkit.tokens.key import item_names
from vqkit.tokens.layout import Vocabulary
from vqkit.tokens.manifest import check_shard
from vqkit.tokens.shards import Indices, Shard

_SHARD_BYTES = 32 << 20
_SHARD_ITEMS = 1 << 18


class ShardWriter:
    """Collects items until a shard is full."""

    def __init__(
        self,
        path: Path,
        fmt: TokenFormat,
        source: Source,
        shard_items: int | None,
        journal: Journal,
        vocabulary: Vocabulary | None,
    ) -> None:
        self.path = path
        self.format = fmt
        self.source = source
        self.shard_items = shard_items or min(_SHARD_ITEMS, fmt.shard_items)
        self.shard_bytes = None if shard_items else _SHARD_BYTES
        self.written: list[dict[str, Any]] = [line["shard"] for line in journal.kept]
        self.first = sum(int(shard["items"]) for shard in self.written)
        self._journal = journal
        self._vocabulary = vocabulary
        self._skipped = [words for line in journal.kept for words in line["skipped"]]
        self._items: list[Indices] = []
        self._sizes: list[tuple[int, ...]] = []
        self._bytes = 0

    def skipped(self) -> list[str]:
        """Skipped items with the reasons, those of an interrupted encoding included."""
        return list(dict.fromkeys([*self._skipped, *skipped_words(self.source)]))

    def add(self, indices: Indices, size: tuple[int, ...]) -> None:
        """Take in a batch ``[batch, *grid]`` of signals of this size."""
        for item in indices:
            self._items.append(item)
            self._sizes.append(size)
            self._bytes += item.nbytes
            full = self.shard_bytes is not None and self._bytes >= self.shard_bytes
            if full or len(self._items) >= self.shard_items:
                self.close_shard()

    def close_shard(self) -> None:
        """Write what has been collected."""
        if not self._items:
            return
        number, count = len(self.written), len(self._items)
        common = self.source.size
        file = self.path / self.format.shard_name(number, self.first, common)
        labels = self.source.labels
        part = None if labels is None else labels[self.first : self.first + count]
        names = item_names(self.source, range(self.first, self.first + count))
        shard = Shard(self._items, self._sizes, part, self.first, names, self._vocabulary, common is not None)
        files = self.format.write(file, shard)
        entry = {"file": file.relative_to(self.path).as_posix(), "items": count}
        if part is not None and self.format.name == "npy":
            entry["labels"] = self.format.labels_place(file).name
        self.written.append(entry)
        self._journal.add(files, shard=entry, skipped=skipped_words(self.source))
        self.first += count
        self._items, self._sizes, self._bytes = [], [], 0


def check_line(line: dict[str, Any], kind: str) -> None:
    """Raise ``ValueError`` unless a line of the journal says what ``ShardWriter`` notes."""
    check_fields(line, {"shard": Mapping[str, Any], "skipped": Sequence[str]})
    check_shard(line["shard"], kind)


def skipped_words(source: Source) -> list[str]:
    """Return the items of a source that were skipped, with the reasons."""
    return [f"{each.name}: {each.reason}" for each in source.skipped]
