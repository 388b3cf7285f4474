"""Sizes of a compressed file, counted while it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO, final


@final
@dataclass
class RateReport:
    """Sizes of a file under several entropy models, all for the same indices.

    Attributes:
        used: the name of the entropy model that the file is coded under.
        signals: their number.
        pixels: positions of all signals (for sound: samples).
        values: positions times channels.
        nominal_bits: indices times log2(codebook size), rounded up per index to at least 1.
        model_bits: the bits of an ideal coder under each entropy model, by name, ``used`` included.
        index_bytes: bytes of the coded indices.
        residual_bytes: bytes of the coded pixels; 0 unless the file is lossless.
        file_bytes: bytes of the whole file: headers, names and checksums included.

    Example:
        >>> from vqkit.codec import RateReport
        >>> RateReport("uniform", signals=1, pixels=256, file_bytes=64).bits_per_pixel
        2.0
    """

    used: str
    signals: int = 0
    pixels: int = 0
    values: int = 0
    nominal_bits: int = 0
    model_bits: dict[str, float] = field(default_factory=dict)
    index_bytes: int = 0
    residual_bytes: int = 0
    file_bytes: int = 0

    def add_bits(self, name: str, bits: float) -> None:
        """Add ``bits`` to ``model_bits[name]``."""
        self.model_bits[name] = self.model_bits.get(name, 0.0) + bits

    def count(self, signals: int, pixels: int, channels: int) -> None:
        """Count signals of so many pixels together."""
        self.signals += signals
        self.pixels += pixels
        self.values += channels * pixels

    def add(self, other: RateReport) -> None:
        """Add the sizes of more groups, but those of headers."""
        for name in ("signals", "pixels", "values", "nominal_bits", "index_bytes", "residual_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, bits in other.model_bits.items():
            self.add_bits(kind, bits)

    @property
    def header_bytes(self) -> int:
        """Bytes of neither indices nor residual: headers, names, lengths, checksums."""
        return self.file_bytes - self.index_bytes - self.residual_bytes

    @property
    def bits_per_pixel(self) -> float:
        """Bits per pixel of the whole file."""
        return 8 * self.file_bytes / max(1, self.pixels)

    @property
    def bits_per_dim(self) -> float:
        """Bits per value of the whole file (a pixel has one for each channel)."""
        return 8 * self.file_bytes / max(1, self.values)


@final
class Counting:
    """A binary file that counts what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.written = 0

    def write(self, data: bytes) -> int:
        """Write and count."""
        self.written += len(data)
        return self._file.write(data)
