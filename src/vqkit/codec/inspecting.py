"""What is in a ``.vqk`` file, and where its bytes go; without the models that it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, BinaryIO, final

from vqkit.codec.limits import needed_max_values
from vqkit.coding import FileHeader, GroupHeader, Reader


@final
class _Counting:
    """A binary file that counts what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        data = self._file.read(size)
        self.count += len(data)
        return data


@final
@dataclass
class Group:
    """A group of a file: its header, and the bytes of its coded indices and pixels."""

    header: GroupHeader
    index_bytes: int = 0
    residual_bytes: int = 0
    blocks: int = 0


@final
@dataclass
class Inspection:
    """A whole file, verified; ``max_values`` is the least with which a ``Decompressor`` reads it."""

    header: FileHeader
    file_bytes: int = 0
    values: int = 0
    max_values: int = 1
    groups: list[Group] = field(default_factory=list)

    @property
    def signals(self) -> int:
        """In all groups."""
        return sum(group.header.signals for group in self.groups)

    @property
    def pixels(self) -> int:
        """Positions of all signals."""
        return sum(group.header.signals * math.prod(group.header.size) for group in self.groups)

    @property
    def nominal_bits(self) -> int:
        """Bits of the indices at ceil(log2 K) each."""
        own, total = self.header, 0
        each = max(1, math.ceil(math.log2(own.codebook_size))) if own.codebook_size > 1 else 0
        for group in self.groups:
            grid = [-(-length // own.downsampling) for length in group.header.size]
            total += group.header.signals * math.prod(grid) * group.header.codebooks * each
        return total

    def as_dict(self) -> dict[str, Any]:
        """Everything, for machines."""
        own = self.header
        index, residual = (
            sum(getattr(group, name) for group in self.groups) for name in ("index_bytes", "residual_bytes")
        )
        return {
            "file_bytes": self.file_bytes,
            "index_bytes": index,
            "residual_bytes": residual,
            "header_bytes": self.file_bytes - index - residual,
            "nominal_bits": self.nominal_bits,
            "signals": self.signals,
            "pixels": self.pixels,
            "axes": own.axes,
            "channels": own.channels,
            "codebook_size": own.codebook_size,
            "num_codebooks": own.num_codebooks,
            "downsampling": own.downsampling,
            "tokenizer": own.tokenizer.hex(),
            "entropy_model": own.entropy_model,
            "entropy_digest": own.entropy_digest.hex(),
            "pixel_digest": own.pixel_digest.hex(),
            "groups": [
                {
                    "signals": group.header.signals,
                    "size": list(group.header.size),
                    "codebooks": group.header.codebooks,
                    "lossless": group.header.lossless,
                    "names": list(group.header.names),
                    "blocks": group.blocks,
                    "index_bytes": group.index_bytes,
                    "residual_bytes": group.residual_bytes,
                }
                for group in self.groups
            ],
        }

    def lines(self, shown: int) -> list[str]:
        """The same for people; so many groups at most."""
        own, said = self.header, self.as_dict()
        pixels = max(1, self.pixels)
        found = [
            f"{self.signals:,} signals of {own.axes} axes and {own.channels} channels, {self.file_bytes:,} bytes, "
            f"{8 * self.file_bytes / pixels:.4f} bits per pixel; every checksum holds",
            f"indices:  {own.num_codebooks} codebook{'s' * (own.num_codebooks > 1)} of {own.codebook_size:,} codes, "
            f"one position for {own.downsampling} pixels on each axis",
            f"needs:    tokenizer {own.tokenizer.hex()}",
        ]
        if own.entropy_digest:
            found.append(f"          {own.entropy_model} prior {own.entropy_digest.hex()}")
        if own.pixel_digest:
            found.append(f"          pixel model {own.pixel_digest.hex()}")
        parts = [("nominal (not in the file)", self.nominal_bits / 8), ("coded indices", said["index_bytes"])]
        parts += [("coded pixels", said["residual_bytes"])] * bool(said["residual_bytes"])
        parts.append(("headers, names, checksums", said["header_bytes"]))
        found += [
            f"  {name:<26} {value:>14,.0f} bytes  {8 * value / pixels:8.4f} bits per pixel" for name, value in parts
        ]
        for number, group in enumerate(self.groups[:shown]):
            about = group.header
            size = "x".join(str(length) for length in reversed(about.size)) or "vector"
            names = "" if not about.names else f": {about.names[0]}" + (" ..." if len(about.names) > 1 else "")
            size_bytes = group.index_bytes + group.residual_bytes
            found.append(
                f"  group {number}: {about.signals} of {size}, {about.codebooks} codebooks, {group.blocks} blocks, "
                f"{size_bytes:,} bytes{', lossless' * about.lossless}{names}"
            )
        if len(self.groups) > shown:
            found.append(f"  and {len(self.groups) - shown:,} more groups")
        return found


def inspect_file(file: BinaryIO, *, max_values: int = 1 << 40) -> Inspection:
    """Read a whole file and verify it, section by section, without decoding anything.

    Raises:
        BitstreamError: damaged, cut short, or no such file; a subclass says which.
    """
    counting = _Counting(file)
    reader = Reader(counting, max_values=max_values)  # type: ignore[arg-type]
    found = Inspection(reader.header)
    for group in reader:
        entry = Group(group.header)
        values = group.header.values(reader.header)
        found.values += values
        found.max_values = max(found.max_values, values, needed_max_values(found.values, reader.bytes_read))
        for block in group:
            entry.blocks += 1
            if block.place.kind == "indices":
                entry.index_bytes += len(block.data)
            else:
                entry.residual_bytes += len(block.data)
        found.groups.append(entry)
    found.file_bytes = counting.count
    return found
