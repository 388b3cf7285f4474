"""Writer of shards: the files of one, and the line of the journal that says that they are whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqkit.checking import check_fields
from vqkit.coding.gaps import join_gaps
from vqkit.data import Source
from vqkit.data.identity import encoded_digest
from vqkit.errors import ConfigError
from vqkit.spelling import spelled
from vqkit.storage import atomic
from vqkit.tokens.beside import npy_writer
from vqkit.tokens.formats import TokenFormat
from vqkit.tokens.key import item_names
from vqkit.tokens.layout import Vocabulary
from vqkit.tokens.manifest import check_shard
from vqkit.tokens.pieces import Piece
from vqkit.tokens.places import Place
from vqkit.tokens.shards import Indices, Shard


class ShardWriter:
    """Writes shards of a source into a place, in any order."""

    def __init__(self, place: Place, fmt: TokenFormat, source: Source, vocabulary: Vocabulary | None) -> None:
        self.place = place
        self.format = fmt
        self.source = source
        self._vocabulary = vocabulary

    def write(
        self, piece: Piece, items: Sequence[Indices], sizes: list[tuple[int, ...]], gaps: Sequence[bytes] = ()
    ) -> dict[str, Any]:
        """Write a shard; returns the line of the journal: its files with their digests, its entry, what was skipped.

        Args:
            piece: which.
            items: the indices of each item.
            sizes: of each signal.
            gaps: of each signal, packed (``vqkit.coding.gaps``).

        Raises:
            ConfigError: signals with gaps in a format that has no room for them.
        """
        places = slice(piece.first, piece.stop)
        labels = None if self.source.labels is None else self.source.labels[places]
        names = item_names(self.source, range(piece.first, piece.stop))
        common = self.source.size is not None
        classes = self.source.class_names
        with self.place.shard_folder() as folder:
            file = folder / piece.file
            shard = Shard(items, sizes, labels, piece.first, names, self._vocabulary, common, classes)
            files = self.format.write(file, shard)
            if any(gaps):
                files.append(self._write_gaps(file, gaps))
            digests = {each.relative_to(folder).as_posix(): encoded_digest(each).hex() for each in files}
            more = self.place.publish(folder, files)
        entry: dict[str, Any] = {"file": piece.file, "items": piece.items}
        if labels is not None and self.format.name == "npy":
            entry["labels"] = self.format.labels_place(file).name
        if any(gaps):
            entry["gaps"] = self.format.gaps_place(file).name
        return {"files": digests, "shard": entry, "skipped": skipped_words(self.source), **more}

    def _write_gaps(self, file: Path, gaps: Sequence[bytes]) -> Path:
        place = self.format.gaps_place(file)
        if place == file or not place.name.startswith("gaps-"):
            raise ConfigError(
                f"the data have gaps, which the format {self.format.name} has no room for: give "
                + spelled(python="kind='npy'", command="--format npy")
            )
        atomic.write_files({place: npy_writer(join_gaps(gaps))})
        return place


def check_line(line: dict[str, Any], kind: str) -> None:
    """Raise ``ValueError`` unless a line of the journal says what ``ShardWriter`` notes."""
    check_fields(line, {"shard": Mapping[str, Any], "skipped": Sequence[str]})
    check_shard(line["shard"], kind)


def skipped_words(source: Source) -> list[str]:
    """Return the items of a source that were skipped, with the reasons."""
    return [f"{each.name}: {each.reason}" for each in source.skipped]
