"""Samples out of a pipe: raw PCM, or a WAV whose length nobody knows while it is written; read front to back.

RIFF and WAVE: *Multimedia Programming Interface and Data Specifications 1.0* (1991); RF64: EBU Tech 3306. Whoever
writes a WAV to a pipe cannot go back to fill in its length, and leaves 0 there, or a number that no file has. Then the
sound is all that comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, final

import numpy as np
import numpy.typing as npt

from vqkit.checking import counted, shown
from vqkit.errors import ConfigError, DataError
from vqkit.signals.audio_file import LOUDEST, RATES, mix
from vqkit.signals.audio_headers import STREAMED
from vqkit.signals.wav import sixteen_bits
from vqkit.spelling import option

Samples = npt.NDArray[np.float32]

PIECE = 1 << 16
"""Bytes that are asked for at once; a pipe gives those that are there."""
_MOST_HEADER = 1 << 20
"""Bytes of chunks before the samples of a WAV."""
_MOST_CHANNELS = 256
_TYPES = {
    "u8": ("u1", 2.0**7),
    "s16le": ("<i2", 2.0**15),
    "s24le": ("<i4", 2.0**23),
    "s32le": ("<i4", 2.0**31),
    "f32le": ("<f4", 1.0),
    "f64le": ("<f8", 1.0),
}
"""NumPy's type of each, and the number that stands for 1; three bytes become four."""
_WIDTHS = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}
_INTEGERS = {8: "u8", 16: "s16le", 24: "s24le", 32: "s32le"}
_FLOATS = {32: "f32le", 64: "f64le"}
WRITTEN = ("s16le", "f32le")
"""Raw samples that are written."""


@final
@dataclass(frozen=True)
class PcmFormat:
    """What raw samples are: numbers of one type, those of all channels in turn.

    Args:
        name: the type, as ffmpeg calls it: ``u8``, ``s16le``, ``s24le``, ``s32le``, ``f32le`` or ``f64le``.
        rate: samples a second; None: not said.
        channels: how many; None: not said.

    Example:
        >>> from vqkit.signals.pcm import PcmFormat
        >>> PcmFormat.of("s16le@44.1kx2")
        PcmFormat(name='s16le', rate=44100, channels=2)
    """

    name: str
    rate: int | None = None
    channels: int | None = None

    @classmethod
    def of(cls, text: str) -> PcmFormat:
        """Read ``s16le``, ``s16le@16000`` or ``f32le@48kx2``.

        Raises:
            ConfigError: anything else.
        """
        found = re.fullmatch(r"(?P<name>\w+?)(@(?P<rate>\d+(\.\d{1,3})?k?)(x(?P<channels>\d{1,3}))?)?", text)
        name, rate, channels = (None, None, None) if found is None else found.group("name", "rate", "channels")
        number = None if rate is None else round(float(rate.removesuffix("k")) * (1000 if rate.endswith("k") else 1))
        count = None if channels is None else int(channels)
        ranges = (number is None or RATES[0] <= number <= RATES[1]) and (count is None or 1 <= count <= _MOST_CHANNELS)
        if name not in _TYPES or not ranges:
            raise ConfigError(
                f"{option('raw', text)}: give one of {', '.join(_TYPES)} with the samples a second, and the channels "
                "where they are not the model's: s16le@16000, f32le@48kx2"
            )
        return cls(name, number, count)

    @classmethod
    def written(cls, text: str | None) -> PcmFormat | None:
        """Read the name of a format of ``WRITTEN``; None: none was named.

        Raises:
            ConfigError: another one.
        """
        if text is not None and text not in WRITTEN:
            raise ConfigError(f"{option('raw', text)}: raw samples are written as {' or '.join(WRITTEN)}")
        return None if text is None else cls(text)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _WIDTHS[self.name] * (self.channels or 1)

    def samples(self, data: bytes) -> Samples:
        """Return whole frames as float32 ``[channels, n]``: integers as fractions of full scale, floats as they are."""
        kind, one = _TYPES[self.name]
        if self.name == "s24le":
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            numbers: npt.NDArray[Any] = wide.reshape(-1).view(kind) >> 8
        else:
            numbers = np.frombuffer(data, kind)
        values = numbers.astype(np.float64) if one > 1 else numbers
        values = (values - one if self.name == "u8" else values) / one
        return np.ascontiguousarray(values.reshape(-1, self.channels or 1).T, dtype=np.float32)

    def bytes_of(self, samples: Samples) -> bytes:
        """Return the bytes of samples of [-1, 1], ``[channels, n]``, of a type of ``WRITTEN``."""
        if self.name == "s16le":
            return sixteen_bits(samples).tobytes()
        return np.ascontiguousarray(samples.T, dtype="<f4").tobytes()


@final
class PcmReader:
    """The samples of a pipe, a piece as soon as it has come.

    Iterating gives float32 ``[channels, n]`` in [-1, 1]. What is wrong with the sound is raised behind all that came
    before it, so that whoever writes has all of that.

    Args:
        file: binary, read front to back; ``read1`` is used where it has one.
        raw: what the samples are; None: a WAV header says it.
        channels: that are wanted, 1 or 2: see ``mix``; raw samples that do not say theirs have as many.

    Attributes:
        format: of the samples, with the rate and the channels that they have.
        beyond: samples beyond full scale so far, which were taken for full scale.

    Raises:
        DataError: no WAV, or one that is cut in its header or holds no PCM.

    Example:
        >>> import io
        >>> from vqkit.signals.pcm import PcmFormat, PcmReader
        >>> reader = PcmReader(io.BytesIO(bytes([0, 64, 0, 192])), PcmFormat("s16le", 8000), channels=1)
        >>> [piece.tolist() for piece in reader]
        [[[0.5, -0.5]]]
    """

    def __init__(self, file: BinaryIO, raw: PcmFormat | None = None, *, channels: int = 1) -> None:
        self._file, self._wanted = file, channels
        self._left: int | None = None  # bytes of samples that are still to come, where that is known
        self._declared = 0
        self.beyond = 0
        self.format = self._read_header() if raw is None else PcmFormat(raw.name, raw.rate, raw.channels or channels)

    def __iter__(self) -> Iterator[Samples]:
        rest, size, total = b"", self.format.frame_bytes, 0
        while self._left is None or self._left > 0:
            came = self._some(PIECE if self._left is None else min(PIECE, self._left))
            if not came:
                break
            if self._left is not None:
                self._left -= len(came)
            data = rest + came
            whole = len(data) // size * size
            rest, total = data[whole:], total + whole
            if whole:
                yield from self._checked(self.format.samples(data[:whole]))
        if self._left:
            raise DataError(
                f"ends early: its header says {self._declared:,} bytes of samples, and {self._declared - self._left:,} "
                "came"
            )
        if rest:
            raise DataError(f"ends early: in the middle of a sample, {len(rest)} of {size} bytes; the rest is whole")
        self._read_over()

    def _read_over(self) -> None:
        """Read the chunks behind the samples: whoever writes them is not to be stopped."""
        pad = self._exactly(1) if self._declared % 2 else b""  # chunks begin at even places
        name = (b"" if pad == b"\0" else pad) + self._exactly(4 - len(pad.strip(b"\0")))
        count = len(name)
        while came := self._some(PIECE):
            count += len(came)
        if any(not 32 <= byte < 127 for byte in name):
            raise DataError(
                f"{count:,} bytes follow the {self._declared:,} of samples that its header says, and they are no part "
                f"of a WAV; if they are samples, its header is wrong: read past it, and give {option('raw', ...)}"
            )

    def _checked(self, samples: Samples) -> Iterator[Samples]:
        wrong = ~np.isfinite(samples).all(axis=0) | (np.abs(samples) > LOUDEST).any(axis=0)
        first = int(wrong.argmax()) if wrong.any() else samples.shape[1]
        good = samples[:, :first]
        self.beyond += int((np.abs(good) > 1).sum())
        if first:
            yield np.ascontiguousarray(mix(good, self._wanted)).clip(-1.0, 1.0)
        if first < samples.shape[1]:
            value = float(samples[np.abs(samples[:, first]).argmax(), first])
            raise DataError(
                f"a sample of {value:g}, which no player plays; float samples lie in [-1, 1]: divide 16-bit numbers by "
                "32768, and see that they are said to be what they are"
            )

    def _some(self, most: int) -> bytes:
        """Bytes that are there, ``most`` at most; none at the end."""
        read = getattr(self._file, "read1", self._file.read)
        return bytes(read(most))

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count and (more := self._some(count - len(found))):
            found += more
        return found

    def _read_header(self) -> PcmFormat:
        start = self._exactly(12)
        if not start:
            raise DataError("no bytes at all (empty)")
        if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
            raise DataError(
                f"begins with {start[:4]!r}, not with RIFF: no WAV; other files become one with ffmpeg -i - -f wav -, "
                f"and raw samples are said by {option('raw', 's16le@16000')}"
            )
        found: PcmFormat | None = None
        large, passed = 0, 0
        while len(head := self._exactly(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                if found is None:
                    raise DataError("a WAV whose samples come before the chunk that says what they are")
                length = large if length == 0xFFFFFFFF and 0 < large < 1 << 63 else length
                if 0 < length < STREAMED or length > 0xFFFFFFFF:
                    self._left = self._declared = length
                return found
            passed += length
            if passed > _MOST_HEADER:
                raise DataError(f"a WAV with more than {_MOST_HEADER:,} bytes before its samples")
            body = self._exactly(length + length % 2)
            if len(body) < length:
                break
            if name == b"fmt ":
                found = _format_of(body)
            elif name == b"ds64" and len(body) >= 16:
                large = int.from_bytes(body[8:16], "little")
        raise DataError("ends early: no samples follow its header")


def _format_of(body: bytes) -> PcmFormat:
    """What the chunk ``fmt`` says."""
    if len(body) < 16:
        raise DataError(f"a WAV whose header has {counted(len(body), 'byte')} on its samples, and 16 are needed")
    tag, channels, bits = (int.from_bytes(body[at : at + 2], "little") for at in (0, 2, 14))
    rate = int.from_bytes(body[4:8], "little")
    if tag == 0xFFFE and len(body) >= 26:
        tag = int.from_bytes(body[24:26], "little")
    name = {1: _INTEGERS, 3: _FLOATS}.get(tag, {}).get(bits)
    if name is None:
        raise DataError(
            f"a WAV of format {tag} with {bits} bits a sample; PCM of 8 to 32 bits and floats are read: add "
            "-c:a pcm_s16le to ffmpeg"
        )
    if not 1 <= channels <= _MOST_CHANNELS or not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"a WAV header with {shown(channels)} channels and {rate:,} samples a second")
    return PcmFormat(name, rate, channels)
