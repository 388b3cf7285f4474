"""A table as a stream of record batches, and which of its columns hold signals and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vqkit.data.arrays.labels import LabelColumn, read_labels
from vqkit.data.images.decoding import Item
from vqkit.data.skipped import Skipped, check_enough_readable
from vqkit.data.tables.labels import counted_values
from vqkit.deprecation import keep_old_names
from vqkit.errors import DataError


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Attributes:
        image: of the signals.
        label: of the labels, or None.
        class_names: of the labels, where the metadata has some.
        notes: on the choice.
        asked_for: whether somebody named the column of labels.
        read_before: False where versions before these types read no labels in it.
        sounds: whether the signals are sounds, not images.
    """

    image: str
    label: str | None
    class_names: list[str] | None
    notes: list[str]
    asked_for: bool = False
    read_before: bool = True
    sounds: bool = False


@dataclass(frozen=True)
class ImageTable:
    """A stream of record batches that can be started again.

    Attributes:
        name: for messages.
        rows: the number of rows in the stream.
        columns: which to read.
        found: "img struct<...>, label int64", for the error that nothing can be decoded.
        batches: starts the stream of these columns: (origin, first row within the origin, table or batch).
        identity: anything JSON that changes when the content does; keys the cache.
        labels: how the values of the label column are read; None: not looked through yet, or no such column.
        arrays: whether the signals are lists of numbers, not encoded images.
        follow_paths: whether an image without bytes may be read from its path.
    """

    name: str
    rows: int
    columns: Columns
    found: str
    batches: Callable[[list[str]], Iterator[tuple[str, int, Any]]]
    identity: Any
    labels: LabelColumn | None = None
    arrays: bool = False
    follow_paths: bool = False

    @property
    def class_names(self) -> list[str] | None:
        """The name of each label, or None."""
        return None if self.labels is None else self.labels.class_names

    @property
    def notes(self) -> list[str]:
        """On the choice of columns, and on the labels."""
        return [*self.columns.notes, *([] if self.labels is None else self.labels.notes)]

    def labeled(self) -> ImageTable:
        """The same table, its label column looked through (see ``read_labels``)."""
        column = self.columns.label
        if column is None:
            return self
        counted = (pair for _, _, batch in self.batches([column]) for pair in counted_values(batch.column(column)))
        labels = read_labels(
            counted, column=column, class_names=self.columns.class_names, asked_for=self.columns.asked_for
        )
        return replace(self, labels=labels)

    def check_rows(self, kept: int, skipped: list[Skipped]) -> None:
        """Raise ``DataError`` if none of the rows can be decoded (listing the columns), or less than half."""
        if kept == 0:
            reason = f"{skipped[0].name}: {skipped[0].reason}" if skipped else "no rows"
            raise DataError(
                f"{self.name}: nothing in column {self.columns.image!r} can be decoded as an image ({reason}). It "
                f"holds the columns {self.found}; an image column is struct<bytes, path> or binary with the bytes of "
                "image files."
            )
        check_enough_readable(self.name, kept, skipped, "rows")

    def items(self) -> Iterator[Item]:
        """Yield every row as an item."""
        labels = self.labels if self.labels is not None and self.labels.used else None
        wanted = [self.columns.image, *([self.columns.label] if labels and self.columns.label else [])]
        for origin, first, batch in self.batches(wanted):
            images, *classes = (batch.column(each).to_pylist() for each in wanted)
            numbers = [-1] * len(images) if labels is None else labels.numbers(*classes)
            for offset, (value, label) in enumerate(zip(images, numbers, strict=True)):
                yield self._item(f"{origin} row {first + offset}", value, label)

    def _item(self, name: str, value: Any, label: int) -> Item:
        path = None
        if isinstance(value, list) and not (value and isinstance(value[0], int)):
            value = value[0] if value else None
        if isinstance(value, dict):
            value, path = value.get("bytes"), value.get("path")
        if isinstance(path, str) and path:
            name = f"{name} ({Path(path).name})"
            if value is None and self.follow_paths:
                value = Path(path)
        if isinstance(value, list):
            value = _bytes_of(value)
        return Item(name, value, label)


keep_old_names(ImageTable, {"labelled": "labeled"})


def _bytes_of(values: list[Any]) -> bytes:
    """The bytes of a file that are given as a list of numbers; no image where they are none."""
    try:
        return bytes(value & 0xFF for value in values)
    except TypeError:
        return b"?"
