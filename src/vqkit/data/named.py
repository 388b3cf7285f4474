"""Signals with their names, one after the other: what is to become a file, without holding all of it in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from PIL import Image

from vqkit.data.folder import find_images
from vqkit.data.images import EXTENSIONS, decode_image, to_channels
from vqkit.data.load import load_source
from vqkit.data.source import Array, Source
from vqkit.errors import DataError

_KEPT_MODES = ("1", "L", "P", "RGB")
"""Of Pillow: what 8-bit grey or RGB holds without a loss."""


@final
@dataclass(frozen=True)
class Named:
    """What a person named: files, relative to a folder, or the items of a source without names.

    Attributes:
        names: relative paths with ``/``; empty for a source.
        files: the files of these names.
        source: items without names.
    """

    names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    source: Source | None = None

    def __len__(self) -> int:
        return len(self.files) if self.source is None else len(self.source)

    def read(self, channels: int, axes: int, *, lossless: bool = False) -> Iterator[tuple[str | None, Array]]:
        """``(name, [channels, *size])`` of each, read when it is asked for.

        Args:
            channels: what images are converted to.
            axes: that the signals must have.
            lossless: refuse what cannot be restored from that many channels.

        Raises:
            DataError: a file that cannot be read, or signals of another kind.
        """
        if self.source is not None:
            found = self.source
            if found.axes != axes or (found.channels != channels and (axes != 2 or lossless)):
                raise DataError(
                    f"{found.describe()}: the model reads signals of {axes} axes and {channels} channels"
                    + (", and a lossless file holds them as they are" if lossless else "")
                )
            found = found.with_channels(channels) if found.channels != channels else found
            for number in range(len(found)):
                yield None, found.read(number)
            return
        if axes != 2:
            raise DataError(f"{self.files[0]} is an image; the model reads signals of {axes} axes")
        for name, file in zip(self.names, self.files, strict=True):
            array, note = _decoded(file)
            note = note or _loses(file) if lossless else None
            if lossless and (note is not None or len(array) > channels):
                why = note or f"{len(array)} channels, and this model's files hold {channels}"
                raise DataError(f"{file}: {why}; so a lossless file could not restore it as it is")
            yield name, to_channels(array, channels)


def named_signals(specs: Sequence[str]) -> list[Named]:
    """What the command line names: folders and image files with names, anything else that ``load_source`` reads.

    Of several inputs each folder's name stays in front of the names in it. No name comes twice.

    Raises:
        DataError: nothing there, or two files of one name.
    """
    found: list[Named] = []
    for spec in specs:
        path = Path(spec)
        if path.is_dir():
            files = find_images(path)
            before = f"{path.resolve().name}/" if len(specs) > 1 and path.resolve().name else ""
            found.append(Named(tuple(before + each.relative_to(path).as_posix() for each in files), tuple(files)))
        elif path.is_file() and path.suffix.lower() in EXTENSIONS:
            found.append(Named((path.name,), (path,)))
        else:
            found.append(Named(source=load_source(spec)))
    names = [name for each in found for name in each.names]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{len(twice)} names come twice, such as {twice[0]}: give one folder that holds all files")
    return found


def _loses(file: Path) -> str | None:
    """What of an image is lost where it is read as 8-bit grey or RGB; None: nothing."""
    with Image.open(file) as image:
        if image.mode not in _KEPT_MODES:
            return f"mode {image.mode}, and lossless files hold 8-bit grey or RGB"
        return "transparency, which lossless files do not hold" if "transparency" in image.info else None


def _decoded(file: Path) -> tuple[Array, str | None]:
    try:
        return decode_image(file)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from error
