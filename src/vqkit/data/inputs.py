"""Signals with their names, one after the other: what is to become a file, without holding all of it in memory.

Images are read strictly: no other stands in for a damaged one. A damaged file is an error; a damaged row of a table is
left out and named, or, in a lossless file, an error like anything else that could not be restored as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, final

from vqkit.data.arrays.loading import OVER_WHITE, TO_8_BITS
from vqkit.data.images.decoding import Item, each_in_order, encoded_of, note_lines, why
from vqkit.data.images.folder import find_images, left_out_note
from vqkit.data.images.reading import EXTENSIONS, read_header, read_picture, to_channels, what_is_lost
from vqkit.data.load import load_source, open_table
from vqkit.data.long_items import LongItem, part_of_item
from vqkit.data.skipped import Skipped
from vqkit.data.sounds.source import SoundSource
from vqkit.data.source import Array, Source
from vqkit.errors import DataError
from vqkit.signals import Signal, assumed_kind

if TYPE_CHECKING:  # tables need pyarrow, an extra
    from vqkit.data.tables.table import ImageTable

_SMALLEST = 1
"""Pixels a side: to learn from an image it must have 4, to compress it one."""


@final
@dataclass(frozen=True)
class InputSignals:
    """Signals named on the command line: files relative to a folder, or unnamed items of a table or a source.

    Attributes:
        names: relative paths with ``/``, of files; empty for a table, or a source of other items.
        files: the images of these names.
        table: encoded images.
        source: other items; sound files have names.
        skipped: rows of the table that have been left out, and folders that could not be listed, with the reasons.
        left_out: sub-folders that vqkit wrote.
    """

    names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    table: ImageTable | None = None
    source: Source | None = None
    skipped: list[Skipped] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    _shown: Counter[str] = field(default_factory=Counter)
    _converted: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        if self.table is not None:
            return self.table.rows
        return len(self.files) if self.source is None else len(self.source)

    @property
    def notes(self) -> list[str]:
        """Notes to show to the user; complete once all items have been read."""
        own = list(self.source.notes) if self.source is not None else []
        own += left_out_note(self.left_out)
        return [*own, *self._converted, *(self.table.notes if self.table is not None else []), *note_lines(self._shown)]

    def check(self, channels: int, kind: Signal, *, lossless: bool = False) -> None:
        """Raise what ``read`` would raise, as far as headers tell: before hours are spent on what comes before it."""
        if self.source is not None:
            _check_source(self.source, channels, kind, lossless=lossless)
            return
        if not kind.encoded:
            raise DataError(f"{self._where()} is an image; the model reads {kind.noun[1]}, of {kind.axes} axes")
        bad: list[Skipped] = []
        why_not = partial(_why_not, channels=channels, lossless=lossless)
        with closing(
            each_in_order(lambda item: (item.name, why_not(item)), (item for _, item in self._items()))
        ) as found:
            for name, reason in found:
                if reason is None:
                    continue
                if lossless or self.table is None:
                    raise DataError(f"{name}: {reason}")
                bad.append(Skipped(name, reason))
        if self.table is not None:
            self.table.check_rows(len(self) - len(bad), bad)

    def read(
        self, channels: int, kind: Signal, *, lossless: bool = False
    ) -> Iterator[tuple[str | None, Array | LongItem]]:
        """``(name, [channels, *size])`` of each, read when it is asked for; long sounds a part at a time.

        Args:
            channels: what images are converted to.
            kind: that the signals must be of.
            lossless: refuse what cannot be restored from that many channels.

        Raises:
            DataError: something that cannot be read, or signals of another kind.
        """
        if self.source is not None:
            _check_source(self.source, channels, kind, lossless=lossless)
            found = self.source.with_channels(channels) if self.source.channels != channels else self.source
            self._converted[:] = [note for note in found.notes if note not in self.source.notes]
            for number in range(len(found)):
                yield self.names[number] if self.names else None, part_of_item(found, number)
            return
        if not kind.encoded:
            raise DataError(f"{self._where()} is an image; the model reads {kind.noun[1]}, of {kind.axes} axes")
        for name, item in self._items():
            reason = _why_not(item, channels=channels, lossless=True) if lossless else None
            if reason is None:
                try:
                    picture = read_picture(encoded_of(item), smallest=_SMALLEST)
                except (DataError, OSError) as error:
                    reason = why(error)
            if reason is None:
                self._shown.update(picture.notes)
                yield name, to_channels(picture.pixels, channels)
            elif lossless or self.table is None:
                raise DataError(f"{item.name}: {reason}")
            else:
                self.skipped.append(Skipped(item.name, reason))
        if self.table is not None:
            self.table.check_rows(len(self) - len(self.skipped), self.skipped)

    def _items(self) -> Iterator[tuple[str | None, Item]]:
        if self.table is not None:
            yield from ((None, item) for item in self.table.items())
        for name, file in zip(self.names, self.files, strict=True):
            yield name, Item(str(file), file)

    def _where(self) -> str:
        return str(self.files[0]) if self.table is None else f"{self.table.name} row 0"


def named_signals(specs: Sequence[str]) -> list[InputSignals]:
    """Return the inputs of a command: folders and image files with names, else what ``load_source`` reads.

    Of several inputs each folder's name stays in front of the names in it. No name comes twice.

    Raises:
        DataError: nothing there, or two files of one name.
    """
    found = [_named(spec, several=len(specs) > 1) for spec in specs]
    often = Counter(name for each in found for name in each.names)
    twice = sorted(name for name, count in often.items() if count > 1)
    if twice:
        raise DataError(f"{len(twice)} names come twice, such as {twice[0]}: give one folder that holds all files")
    return found


def _named(spec: str, *, several: bool) -> InputSignals:
    path = Path(spec)
    kind = assumed_kind()
    if kind is not None and not kind.encoded:
        return _of_source(load_source(spec), several=several)
    closed: list[Skipped] = []
    if path.is_dir():
        left_out: list[str] = []
        try:
            files = find_images(path, left_out, closed)
        except DataError:
            table = open_table(spec)
            if table is None:
                raise
            return InputSignals(table=table)
        before = f"{path.resolve().name}/" if several and path.resolve().name else ""
        names = tuple(before + each.relative_to(path).as_posix() for each in files)
        return InputSignals(names, tuple(files), left_out=left_out, skipped=closed)
    if path.is_file() and path.suffix.lower() in EXTENSIONS:
        return InputSignals((path.name,), (path,))
    table = open_table(spec)
    return InputSignals(table=table) if table is not None else _of_source(load_source(spec), several=several)


def _of_source(source: Source, *, several: bool) -> InputSignals:
    """Return the items of a source: those that are sound files with their names, those left out with the reasons."""
    names: tuple[str, ...] = ()
    if isinstance(source, SoundSource) and source.in_files:
        root = Path(source.name)
        before = f"{root.resolve().name}/" if several and root.is_dir() and root.resolve().name else ""
        names = tuple(before + Path(source.item_name(number) or "").as_posix() for number in range(len(source)))
    return InputSignals(names, source=source, skipped=list(source.skipped))


def _check_source(source: Source, channels: int, kind: Signal, *, lossless: bool) -> None:
    """Raise unless the model reads such signals, and a lossless file can restore them."""
    said = source.describe()
    if not kind.reads(source.kind) or not kind.converts_channels(source.channels, channels):
        raise DataError(f"{said}: the model reads {kind.noun[1]}, of {kind.axes} axes and {channels} channels")
    if not lossless:
        return
    lost = [note for note in source.notes if note in (OVER_WHITE, TO_8_BITS)]
    if source.dtype != "uint8":
        lost.append(f"values of {source.dtype}, not 8-bit ones (uint8)")
    if source.channels > channels:
        lost.append(_too_many(source.channels, channels))
    if lost:
        raise DataError(f"{source.name}: {_unrestored(lost[0])}")


def _why_not(item: Item, *, channels: int, lossless: bool) -> str | None:
    """Return the reason why an item cannot be compressed, as far as its header tells; None: no reason found."""
    try:
        encoded = encoded_of(item)
        header = read_header(encoded, smallest=_SMALLEST)
        lost = what_is_lost(encoded) if lossless else None
    except (DataError, OSError) as error:
        return why(error)
    if lossless and lost is None and header.channels > channels:
        lost = _too_many(header.channels, channels)
    return None if lost is None else _unrestored(lost)


def _too_many(have: int, channels: int) -> str:
    return f"{have} channels, and this model's files hold {channels}"


def _unrestored(lost: str) -> str:
    return f"{lost}; so a lossless file could not restore it as it is"
