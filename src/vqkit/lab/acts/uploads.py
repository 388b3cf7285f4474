"""Uploads: one signal, or a table of vectors, out of a file that anybody may have made, within the lab's limits."""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from PIL import Image
from torch import Tensor

from vqkit.data.images.reading import EXTENSIONS as IMAGES
from vqkit.data.images.reading import decode_image, read_header, to_channels
from vqkit.data.source import Array, byte_words
from vqkit.errors import DataError, shown
from vqkit.lab import limits
from vqkit.lab.workshop import OpenModel
from vqkit.models.matching import in_channels, open_source
from vqkit.optional import require
from vqkit.signals.audio_file import AudioFile, mixing_words
from vqkit.signals.base import SIGNALS

VECTORS = (".npy", ".npz", ".safetensors", ".csv", ".tsv", ".parquet")
"""Of these it is known how much they hold before they are unpacked; of compressed Arrow files it is not."""
_LONGEST_NAME = 60
_SAMPLE, _VALUE = 4, 8
"""Bytes of a decoded sample, and of a decoded number of a table."""


@final
@dataclass(frozen=True)
class Upload:
    """What was read of a file.

    Attributes:
        name: of the file, for people.
        signals: ``[n, channels, *size]`` as the model reads them: one picture, one sound, or rows of vectors; uint8
            for pictures.
        nbytes: of the file.
        notes: what a person should know of how it was read.
    """

    name: str
    signals: Array
    nbytes: int
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """Positions on each axis."""
        return tuple(self.signals.shape[2:])


def file_types(kind: str) -> list[str]:
    """Return the extensions of files of a kind of ``KINDS``, for the field that takes them."""
    if kind == "image":
        return sorted(IMAGES)
    return list(VECTORS) if kind == "vector" else sorted({*SIGNALS.get_part("sound").extensions} - {".npy"})


def read_upload(
    opened: OpenModel, path: str | Path | None, side: int | None = None, seconds: float = limits.MOST_SECONDS
) -> Upload:
    """Read a file as the signal of a model.

    Args:
        opened: whose kind of signal it must be.
        path: of the file; None: nothing was uploaded.
        side: pictures with a longer side are made smaller to it; None: none is.
        seconds: of sounds, at most.

    Raises:
        DataError: nothing there, too large, of another kind, damaged, or numbers that are no such signals; the message
            names the file without its folder.
    """
    if path is None:
        raise DataError("there is no file yet: drop one, or choose an example")
    path = Path(path)
    name = _shortened(shown(path.name))
    try:
        nbytes = path.stat().st_size
    except OSError as error:
        raise DataError(f"{name}: not there any more; files are deleted after a while: drop it again") from error
    if not nbytes:
        raise DataError(f"{name}: empty (0 bytes)")
    if nbytes > limits.MOST_BYTES:
        raise DataError(f"{name}: {byte_words(nbytes)}; the lab takes files of {byte_words(limits.MOST_BYTES)} at most")
    kind = opened.kind
    suffix = path.suffix.lower()
    allowed = file_types(str(kind))
    if suffix not in allowed:
        raise DataError(
            f"{name}: the model reads {opened.model.kind.noun[1]}, from files that end in {', '.join(allowed[:6])} and "
            f"{len(allowed) - 6} more endings"
        )
    try:
        if kind == "image":
            return _picture(opened, path, name, nbytes, side)
        return _sound(opened, path, name, nbytes, seconds) if kind == "sound" else _vectors(opened, path, name, nbytes)
    except DataError as error:
        raise DataError(_without_folder(str(error), path, name)) from error
    except (MemoryError, OverflowError) as error:
        raise DataError(f"{name}: too large once it is decoded") from error


def of_array(opened: OpenModel, item: Array, name: str, side: int | None = None) -> Upload:
    """The same of an item ``[channels, *size]`` of a source, such as an example."""
    if opened.kind == "image":
        pixels = item if item.dtype == np.uint8 else np.rint(np.asarray(item) * 255).astype(np.uint8)
        pixels, notes = _fitted(opened, to_channels(pixels, opened.model.channels), side)
        return Upload(name, pixels[None], int(item.size), notes)
    return Upload(name, np.asarray(item)[None], int(item.size * (2 if opened.kind == "sound" else 4)))


def tensor(opened: OpenModel, upload: Upload) -> Tensor:
    """The signals on the model's device, as it reads them.

    Raises:
        DataError: they are not of this model.
    """
    return opened.model.read_signals(upload.signals)


def _picture(opened: OpenModel, path: Path, name: str, nbytes: int, side: int | None) -> Upload:
    data = path.read_bytes()
    header = read_header(data)
    height, width = header.size
    if height * width > limits.MOST_PIXELS:
        raise DataError(
            f"{name}: {width:,} x {height:,} pixels; the lab takes pictures of {limits.MOST_PIXELS:,} pixels at most"
        )
    pixels, note = decode_image(data)
    fitted, notes = _fitted(opened, to_channels(pixels, opened.model.channels), side)
    return Upload(name, fitted[None], nbytes, (*([note] if note else []), *notes))


def _fitted(opened: OpenModel, pixels: Array, side: int | None) -> tuple[Array, tuple[str, ...]]:
    """Pixels ``[C, H, W]`` of a size that the model reads, at most ``side`` long, and what was done to them."""
    height, width = pixels.shape[1:]
    only = opened.model.only_size
    if only is not None:
        if (height, width) == tuple(only):
            return pixels, ()
        square = _middle(pixels, only[1] / only[0])
        note = f"the middle of the picture, made {only[1]} x {only[0]} pixels, the only size that this model reads"
        return _resized(square, (int(only[0]), int(only[1]))), (note,)
    if side is None or max(height, width) <= side:
        return pixels, ()
    factor = side / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    return _resized(pixels, size), (f"made smaller, from {width} x {height} to {size[1]} x {size[0]} pixels",)


def _middle(pixels: Array, ratio: float) -> Array:
    height, width = pixels.shape[1:]
    wide, high = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    top, left = (height - high) // 2, (width - wide) // 2
    return pixels[:, top : top + high, left : left + wide]


def _resized(pixels: Array, size: tuple[int, int]) -> Array:
    picture = Image.fromarray(pixels[0] if pixels.shape[0] == 1 else np.moveaxis(pixels, 0, -1))
    found = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(found[None] if found.ndim == 2 else np.moveaxis(found, -1, 0))


def _sound(opened: OpenModel, path: Path, name: str, nbytes: int, seconds: float) -> Upload:
    file = AudioFile(path)
    rate = opened.model.kind.rate or file.rate
    length = file.length(rate)
    stop = min(length, round(seconds * rate))
    within = math.ceil(min(seconds, length / rate)) * file.rate * file.channels * _SAMPLE
    if within > limits.MOST_UNPACKED:
        raise DataError(f"{name}: {byte_words(within)} of samples in {seconds:g} seconds: too large once it is decoded")
    samples = file.read(0, stop, rate=rate, channels=opened.model.channels)
    if not np.isfinite(samples).all():
        raise DataError(f"{name}: NaN or Inf among its samples")
    notes = []
    if file.rate != rate:
        notes.append(f"resampled from {file.rate:,} to {rate:,} Hz")
    if file.channels > opened.model.channels:
        notes.append(mixing_words(file.channels, opened.model.channels))
    if stop < length:
        notes.append(f"the first {seconds:g} of {length / rate:.0f} seconds")
    return Upload(name, samples[None], nbytes, tuple(notes))


def _vectors(opened: OpenModel, path: Path, name: str, nbytes: int) -> Upload:
    with tempfile.TemporaryDirectory(prefix="vqkit-lab-") as folder:
        plain = Path(folder) / f"vectors{path.suffix.lower()}"  # no letters of a name mean anything
        shutil.copyfile(path, plain)
        try:
            _check_unpacked(plain, name)
            source = in_channels(opened.model, open_source(opened.model, str(plain)), name)
            count = min(len(source), limits.MOST_VECTORS)
            rows = np.array(source.gather(range(count)), dtype=np.float32)
            opened.model.read_signals(rows)
        except DataError as error:
            raise DataError(_without_folder(str(error), plain, name)) from error
    notes = [f"the first {count:,} of {len(source):,} rows"] if count < len(source) else []
    return Upload(name, rows, nbytes, tuple(notes))


def _check_unpacked(path: Path, name: str) -> None:
    """Raise ``DataError`` where a compressed file says that it holds more than fits; a damaged one passes."""
    held = 0
    with suppress(zipfile.BadZipFile, OSError, NotImplementedError):
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                held = sum(each.file_size for each in archive.infolist())
    if path.suffix == ".parquet":
        held = _parquet_bytes(path)
    if held > limits.MOST_UNPACKED:
        raise DataError(
            f"{name}: {byte_words(held)} once it is unpacked; the lab takes {byte_words(limits.MOST_UNPACKED)} at most"
        )


def _parquet_bytes(path: Path) -> int:
    """The bytes that the values of a Parquet file take; 0 for what is none."""
    parquet = require("pyarrow.parquet", f"vectors of Parquet files ({path.name})")
    arrow = require("pyarrow", f"vectors of Parquet files ({path.name})")
    with suppress(OSError, arrow.ArrowException):
        about = parquet.read_metadata(path)
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        values = sum(group.column(place).num_values for group in groups for place in range(group.num_columns))
        return _VALUE * int(values)
    return 0


def _without_folder(message: str, path: Path, name: str) -> str:
    """A message that says the name of the file, never a folder of this machine."""
    message = message.replace(str(path), name).replace(f"{path.parent}/", "")
    return message if name in message else f"{name}: {message}"


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 12]}...{name[-9:]}"
