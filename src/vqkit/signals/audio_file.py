"""Sound files: headers, parts of their samples at any sample rate and number of channels, and what is wrong with them.

Reading is by libsndfile (WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and others), of what it does not read by PyAV
(``containers``), resampling by soxr ("high quality": a linear-phase low-pass of 20 bits). The resampled signal is made
block by block, blocks that begin at fixed samples, each from its own samples of the file and a margin beyond the length
of the filter: so a part of it has the very numbers that it has in the whole, and an hour takes no more memory than a
minute.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.signals.audio_headers import check_complete
from vqkit.signals.containers import ContainerDecoder, is_container

Samples = npt.NDArray[np.float32]
Encoded = Path | bytes

BLOCK = 1 << 15
"""Samples of a resampled block, at least, and of a piece that is looked through."""
_MARGIN = 512
"""Samples beside a block, at the lower of both rates; the filter reaches over fewer than 256."""
RATES = (100, 1_536_000)
"""Sample rates that are read, at least and at most."""
_PREROLL = {"MP3": 36 * 1152, "OPUS": 48_000}
"""Samples that a decoder reads before those asked for, until its state is what it is in the middle of the file."""
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64, "ULAW": 8, "ALAW": 8}
_OWN_WORDS = {
    "File does not exist or is not a regular file (possibly a pipe?)": "Format not recognised",  # it is there
    "Internal error : SF_INFO struct incomplete": "its header says a sample rate that cannot be",
}
"""For what libsndfile says that misleads."""
LOUDEST = 4.0
"""Magnitude of a sample beyond which it is taken for none."""
_BEYOND = 0.01
_FULL = 1 - 2**-12
_CLIPPED = 1e-3
_OFFSET = 0.05


@final
@dataclass(frozen=True)
class Verdict:
    """What was found in a file's samples by ``AudioFile.check``.

    Attributes:
        clipped: share of samples at full scale, where there are runs of them.
        beyond: samples beyond [-1, 1], which are taken for the bound.
        offset: the mean of all samples.
    """

    clipped: float
    beyond: int
    offset: float

    @property
    def notes(self) -> list[str]:
        """What a person should know, each without the file's name."""
        found = ["samples beyond full scale are taken for full scale"] if self.beyond else []
        found += ["clipped (many samples are at full scale)"] if self.clipped > _CLIPPED else []
        return found + (["a constant offset (DC)"] if abs(self.offset) > _OFFSET else [])


@final
class AudioFile:
    """A sound file, or the bytes of one: its header is read now, its samples when they are asked for.

    Attributes:
        rate: samples a second.
        channels: of the file.
        frames: samples a channel, as the header says.
        bits: of a sample, 16 for files that were compressed with loss.

    Raises:
        DataError: no sound file, an incomplete one, or one without samples. Messages do not name the file.
        MissingExtraError: soundfile is not installed.
    """

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded
        _check_readable(encoded)
        self._container = ContainerDecoder(encoded) if is_container(encoded) else None
        if self._container is None:
            self._read_header(encoded)
        else:
            own, self._preroll = self._container, 0
            self.rate, self.channels, self.frames, self.bits = own.rate, own.channels, own.frames, own.bits
        if self.frames < 1:
            raise DataError("no samples in it")
        if not RATES[0] <= self.rate <= RATES[1]:
            raise DataError(f"its header says {self.rate:,} samples a second; {RATES[0]} to {RATES[1]:,} are read")

    def _read_header(self, encoded: Encoded) -> None:
        """Read the header by libsndfile."""
        soundfile = require("soundfile", "sound files")
        try:
            header = soundfile.info(_opened(encoded))
        except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
            check_complete(encoded)
            raise DataError(f"not readable as a sound ({_words(error)})") from error
        check_complete(encoded)
        self.rate, self.channels, self.frames = int(header.samplerate), int(header.channels), int(header.frames)
        self.bits = _BITS.get(header.subtype, 16)
        self._preroll = _PREROLL.get("OPUS" if header.subtype == "OPUS" else header.format, 0)

    def length(self, rate: int | None = None) -> int:
        """Return the samples a channel at a sample rate (None: the file's)."""
        return self.frames if rate is None else -(-self.frames * rate // self.rate)

    def read(self, start: int = 0, stop: int | None = None, *, rate: int | None = None, channels: int = 0) -> Samples:
        """Return the samples from ``start`` up to ``stop`` (None: the end) at a sample rate: float32 ``[channels, n]``.

        They are in [-1, 1]. ``channels``: 1 for the mean of all, 2 for stereo, 0 for the file's.

        Raises:
            DataError: samples that cannot be decoded, or channels that cannot be had.
        """
        rate = self.rate if rate is None else rate
        stop = self.length(rate) if stop is None else min(stop, self.length(rate))
        if rate == self.rate:
            found = self._native(start, stop, channels)
        else:
            step = resampling_block(self.rate, rate)[0]
            blocks = [self._resampled(at, rate, channels) for at in range(start // step, -(-stop // step))]
            first = start // step * step
            found = np.concatenate(blocks, axis=1)[:, start - first : stop - first]
        return np.ascontiguousarray(found).clip(-1.0, 1.0)

    def check(self, *, silence: bool = False) -> Verdict:
        """Decode all of the file, piece by piece, and return what is to be said of it.

        Args:
            silence: whether it may be silent: all samples the same.

        Raises:
            DataError: fewer samples than the header says, NaN or Inf, silence, or numbers that are no samples.
        """
        frames, low, high, total, full, beyond, clipped = 0, np.inf, -np.inf, 0.0, 0, 0, 0
        for piece in self._pieces():
            frames += piece.shape[1]
            bottom, top = float(piece.min()), float(piece.max())
            if not math.isfinite(top - bottom):
                raise DataError("NaN or Inf among its samples")
            low, high = min(low, bottom), max(high, top)
            total += float(piece.sum(dtype=np.float64))
            if max(-bottom, top) < _FULL:
                continue
            loud = np.abs(piece)
            beyond += int((loud > 1).sum())
            full += int((loud >= _FULL).sum())
            clipped += int(((loud[:, 1:] >= _FULL) & (loud[:, :-1] >= _FULL)).sum())
        values = frames * self.channels
        if frames != self.frames:
            raise DataError(f"ends early: its header says {self.frames:,} samples, and {frames:,} can be decoded")
        if low == high and not silence:
            if frames == 1:
                raise DataError("one sample, which is no sound")
            raise DataError("silence: all samples are 0" if low == 0 else f"silence: all samples are {low:g}")
        if max(-low, high) > LOUDEST or beyond > _BEYOND * values:
            raise DataError(
                f"samples of {low:g} to {high:g}, which no player plays; float samples lie in [-1, 1]: divide 16-bit "
                "numbers by 32768, or turn the sound down"
            )
        return Verdict(full / values if clipped else 0.0, beyond, total / values)

    def _pieces(self) -> Iterator[Samples]:
        if self._container is not None:
            yield from self._container.pieces()
            return
        soundfile = require("soundfile", "sound files")
        try:
            with soundfile.SoundFile(_opened(self.encoded)) as file:
                while len(piece := file.read(BLOCK, dtype="float32", always_2d=True)):
                    yield piece.T
        except (soundfile.SoundFileError, OSError) as error:
            raise DataError(f"damaged: {_words(error)}") from error

    def _native(self, start: int, stop: int, channels: int) -> Samples:
        """Samples of the file itself, mixed; zeros before its beginning and after its end."""
        begin, end = max(0, start), max(0, min(stop, self.frames))
        values = self._decoded(begin, end)
        if values.shape[1] != max(0, end - begin):
            raise DataError(f"ends early: of samples {begin:,} to {end:,} there are {values.shape[1]:,}")
        mixed = mix(values, channels)
        if (start, stop) != (begin, end):
            mixed = np.pad(mixed, ((0, 0), (begin - start, stop - max(end, begin))))
        return mixed

    def _decoded(self, begin: int, end: int) -> Samples:
        """The samples that lie in the file from ``begin`` up to ``end``, ``[channels, n]``."""
        if self._container is not None:
            return self._container.part(begin, end)
        before = min(begin, self._preroll)
        soundfile = require("soundfile", "sound files")
        try:
            with soundfile.SoundFile(_opened(self.encoded)) as file:
                if (file.samplerate, file.channels, file.frames) != (self.rate, self.channels, self.frames):
                    raise DataError("it has another length, sample rate or number of channels now")
                file.seek(begin - before)
                values = file.read(max(0, end - begin + before), dtype="float32", always_2d=True)[before:].T
        except (soundfile.SoundFileError, OSError) as error:
            raise DataError(f"damaged: {_words(error)}") from error
        found: Samples = values
        return found

    def _resampled(self, block: int, rate: int, channels: int) -> Samples:
        soxr = require("soxr", "sounds of another sample rate")
        length, source, margin, ahead = resampling_block(self.rate, rate)
        values = self._native(block * source - margin, (block + 1) * source + margin, channels)
        found = soxr.resample(np.ascontiguousarray(values.T), self.rate, rate, quality="HQ").T
        part: Samples = found[:, ahead : ahead + length].astype(np.float32, copy=False)
        return part


def resampling_block(have: int, want: int) -> tuple[int, int, int, int]:
    """Return samples of a resampled block, of the file for it, of the margin on each side, and of that resampled."""
    common = math.gcd(have, want)
    up, down = want // common, have // common
    units = -(-BLOCK // up)
    margin = -(-math.ceil(_MARGIN * max(1.0, have / want)) // down)
    return units * up, units * down, margin * down, margin * up


def mix(samples: Samples, channels: int) -> Samples:
    """Return samples ``[..., C, n]`` in 1 channel (the mean of all) or 2 (one is repeated, more are mixed down first).

    ``channels=0``: as they are.
    """
    if channels in (0, samples.shape[-2]):
        return samples
    mean = samples.mean(axis=-2, keepdims=True)
    return mean if channels == 1 else np.repeat(mean, channels, axis=-2)


def mixing_words(have: int, want: int) -> str:
    """Return what a person is told of channels that ``mix`` makes fewer: ``"2 channels mixed down to 1"``."""
    return f"{have} channels mixed down to {want}"


def _check_readable(encoded: Encoded) -> None:
    """Raise ``DataError`` for a file that cannot be opened, or is empty: libsndfile's words for these mislead."""
    try:
        size = len(encoded) if isinstance(encoded, bytes) else encoded.stat().st_size
        if not isinstance(encoded, bytes):
            with encoded.open("rb"):
                pass
    except OSError as error:
        raise DataError(error.strerror or type(error).__name__) from error
    if not size:
        raise DataError("no bytes at all (empty)")


def _opened(encoded: Encoded) -> Any:
    return io.BytesIO(encoded) if isinstance(encoded, bytes) else str(encoded)


def _words(error: Exception) -> str:
    """What libsndfile says, without the name of the file."""
    said = getattr(error, "error_string", None) or str(error)
    words = " ".join(str(said).split()).rstrip(".")[:200].removeprefix("Error : ") or type(error).__name__
    return _OWN_WORDS.get(words, words)
