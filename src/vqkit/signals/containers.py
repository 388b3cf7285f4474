"""Sounds in containers and codecs that libsndfile does not read (MP4 with AAC or ALAC, Matroska, WMA ...), by PyAV.

Also FLAC whose header does not know its length, as programs write into pipes: libsndfile takes it for endless.

PyAV is FFmpeg. What an encoder has put before the sound (priming) and behind it (padding) is left out as far as the
file says it: MP4 by its edit list and the duration of its last packet, Matroska by its codec delay; a bare stream of
AAC (ADTS) does not. Some decoders are not the same after a jump (AAC fills bands with noise, whose state goes on from
frame to frame), so that a file is always decoded from its beginning on: parts that are asked for one after the other
are decoded once, others anew.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError
from vqkit.optional import require

Samples = npt.NDArray[np.float32]

EXTENSIONS = frozenset({".m4a", ".m4b", ".aac", ".wma", ".ac3", ".amr", ".mka", ".ape", ".wv"})
_STARTS = {
    0: (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"wvpk", b"MAC ", b"#!AMR", b"\x0b\x77"),
    4: (b"ftyp",),
}
"""First bytes of Matroska, ASF (WMA), WavPack, Monkey's Audio, AMR, AC-3 and MP4, by their place."""
_HEAD = 26
"""Bytes of a file up to the number of samples in FLAC's first block (RFC 9639, section 8.2), its last 36 bits."""
_LEAST_SAMPLES = 1 << 15
"""Of a piece."""
_MOVIE_UNITS = 600
"""A second in the coarsest units that MP4 files state a duration in (QuickTime's): it is rounded to these."""


def is_container(encoded: Path | bytes) -> bool:
    """Return whether a file begins as one that is read by PyAV; one that cannot be opened does not."""
    try:
        if isinstance(encoded, bytes):
            start = encoded[:_HEAD]
        else:
            with encoded.open("rb") as file:
                start = file.read(_HEAD)
    except OSError:
        return False
    adts = len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0
    endless = start[:4] == b"fLaC" and len(start) == _HEAD and int.from_bytes(start[21:], "big") % (1 << 36) == 0
    return adts or endless or any(start[place:].startswith(marks) for place, marks in _STARTS.items())


@final
class ContainerDecoder:
    """The first sound of a file, decoded front to back.

    Args:
        encoded: the path of the file, or its bytes.

    Attributes:
        rate: samples a second.
        channels: of the file.
        frames: samples a channel: what the file says where it says it exactly, else as many as can be decoded.
        bits: of a sample, 16 of what was compressed with loss.

    Raises:
        DataError: no sound in it, or nothing that can be decoded.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, encoded: Path | bytes) -> None:
        self._encoded = encoded
        self._av = require("av", "sounds of MP4, AAC, Matroska, WMA and such files")
        self._lock = threading.Lock()
        self._going_on: Iterator[Samples] | None = None
        self._place, self._rest = 0, np.zeros((0, 0), np.float32)
        with closing(self._decoded()) as decoded:
            first, self.rate, self.bits = next(decoded)
        self.channels = first.shape[0]
        said = self._said_length()
        self.frames = sum(part.shape[1] for part, _, _ in self._decoded()) if said is None else said

    def pieces(self) -> Iterator[Samples]:
        """Yield all samples in consecutive parts, float32 ``[channels, n]``.

        Raises:
            DataError: damaged, or of a rate or channels that change.
        """
        kept: list[Samples] = []
        count = done = 0
        for found, rate, _ in self._decoded():
            if (rate, len(found)) != (self.rate, self.channels):
                raise DataError(f"its sample rate or its channels change after {done + count:,} samples")
            found = found[:, : max(0, self.frames - done - count)]
            kept.append(found)
            count += found.shape[1]
            if count >= _LEAST_SAMPLES:
                yield np.concatenate(kept, axis=1)
                kept, done, count = [], done + count, 0
        if count:
            yield np.concatenate(kept, axis=1)

    def part(self, begin: int, end: int) -> Samples:
        """Return the samples from ``begin`` up to ``end``, fewer where the file ends early."""
        with self._lock:
            if self._going_on is None or begin < self._place:
                self._going_on, self._place = self.pieces(), 0
                self._rest = np.zeros((self.channels, 0), np.float32)
            found: list[Samples] = []
            while self._place < end:
                if not self._rest.shape[1]:
                    piece = next(self._going_on, None)
                    if piece is None:
                        break
                    self._rest = piece
                count = min(self._rest.shape[1], (begin if self._place < begin else end) - self._place)
                if self._place >= begin:
                    found.append(self._rest[:, :count])
                self._rest, self._place = self._rest[:, count:], self._place + count
            return np.concatenate([np.zeros((self.channels, 0), np.float32), *found], axis=1)

    def _said_length(self) -> int | None:
        """The samples that the file says it has, or None where it does not say it to the sample."""
        with self._stream() as (container, stream):
            if stream.duration is None or Fraction(stream.time_base) != Fraction(1, self.rate):
                return None
            end = 0
            for packet in container.demux(stream):
                if packet.pts is not None and not packet.is_discard:
                    end = max(end, packet.pts + (packet.duration or 0))
            rounded = 0 <= end - stream.duration <= self.rate / _MOVIE_UNITS
            return int(end if rounded else min(end, stream.duration))

    def _decoded(self) -> Generator[tuple[Samples, int, int], None, None]:
        """Yield what each frame of the codec holds: samples, rate, bits."""
        anything = False
        with self._stream() as (container, stream):
            for frame in container.decode(stream):
                if frame.samples:
                    anything = True
                    samples, bits = _samples(frame)
                    yield samples, int(frame.sample_rate), bits
        if not anything:
            raise DataError("no samples in it")

    @contextmanager
    def _stream(self) -> Iterator[tuple[Any, Any]]:
        """The opened file and its first sound; what goes wrong in the block is an error of the file."""
        source: Any = io.BytesIO(self._encoded) if isinstance(self._encoded, bytes) else str(self._encoded)
        try:
            with self._av.open(source, metadata_errors="ignore") as container:
                stream = next(iter(container.streams.audio), None)
                if stream is None:
                    raise DataError("no sound in it")
                yield container, stream
        except (self._av.error.FFmpegError, OSError, ValueError, EOFError) as error:
            if isinstance(error, DataError):
                raise
            words = " ".join(str(getattr(error, "strerror", None) or error).split())
            raise DataError(f"not readable as a sound ({words[:200] or type(error).__name__})") from error


def _samples(frame: Any) -> tuple[Samples, int]:
    """The samples of a frame ``[channels, n]`` as fractions of full scale, and the bits that each had."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(frame.samples, -1).T
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values, dtype=np.float32), 16
    one = 2.0 ** (8 * values.dtype.itemsize - 1)
    shifted = values.astype(np.float64) - (one if values.dtype.kind == "u" else 0.0)
    return np.ascontiguousarray(shifted / one, dtype=np.float32), min(32, 8 * values.dtype.itemsize)
