"""Contents of a ``.vqk`` file, and where its bytes go; read without the models that it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, BinaryIO, final

from vqkit.checking import counted
from vqkit.codec.bounded.promise import Promise, shown_bounds
from vqkit.codec.limits import needed_max_values
from vqkit.coding import FileHeader, GroupHeader, GroupReader, Reader, factor_words, grid_of
from vqkit.errors import TruncatedFileError
from vqkit.errors import shown as printable


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
    """A group of a file: its header, whether it goes on with the last signal, the bytes of its indices and pixels."""

    header: GroupHeader
    continues: bool = False
    index_bytes: int = 0
    residual_bytes: int = 0
    blocks: int = 0


@final
@dataclass
class Item:
    """A signal of a file.

    Attributes:
        number: from 0.
        name: or None.
        size: pixels (samples, frames) on each axis.
        codebooks: that are used.
        bits: of its coded indices and pixels; of a group of several signals its share by positions.
        together: how many signals are coded in one with it, itself included.
        bounds: of each channel how far a value may be from the one that was given; empty: nothing is promised.
    """

    number: int
    name: str | None
    size: tuple[int, ...]
    codebooks: int
    bits: float
    together: int
    bounds: tuple[float, ...] = ()

    @property
    def line(self) -> str:
        """The same for people."""
        size = "x".join(str(length) for length in reversed(self.size)) or "vector"
        about = "~" if self.together > 1 else " "
        within = f"  within {shown_bounds(self.bounds)}" if self.bounds else ""
        name = printable(self.name or "(no name)")
        return f"{self.number:>8}  {size:>11} {about}{self.bits:>10,.0f} bits{within}  {name}"

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "number": self.number,
            "name": self.name,
            "size": list(self.size),
            "codebooks": self.codebooks,
            "bits": self.bits,
            "together": self.together,
            **({"bounds": list(self.bounds)} if self.bounds else {}),
        }


@final
@dataclass
class Inspection:
    """A whole file, verified: sums over all its groups, and the first groups themselves.

    Attributes:
        header: what the file says of its models.
        file_bytes: everything.
        index_bytes, residual_bytes: the coded indices, the coded pixels.
        nominal_bits: bits of the indices at ceil(log2 K) each.
        signals, pixels, values: how many signals, positions of signals, numbers (pixels x channels).
        max_values: the least with which a ``Decompressor`` reads the file.
        group_count: how many groups there are.
        groups: the first of them.
        names: of the signals that have one, with their numbers from 0; empty unless they were asked for.
        tokenizer_name: of the tokenizer, where somebody knows it; a file holds its digest alone.
        cut: why a file that was cut short ends where it does; None: it is whole.
        promise: what its signals promise of their values.
        whole_codebooks: of a file that was cut short: so many codebooks of each signal that it begins are there.
        in_a_signal: whether the last group that was read goes on.
        sample_rate: of sounds, which the file does not hold: the model's, where somebody says it.
    """

    header: FileHeader
    file_bytes: int = 0
    index_bytes: int = 0
    residual_bytes: int = 0
    nominal_bits: int = 0
    signals: int = 0
    pixels: int = 0
    values: int = 0
    max_values: int = 1
    group_count: int = 0
    groups: list[Group] = field(default_factory=list)
    names: list[tuple[int, str]] = field(default_factory=list)
    sample_rate: int | None = None
    tokenizer_name: str | None = None
    cut: TruncatedFileError | None = None
    promise: Promise = field(default_factory=Promise)
    whole_codebooks: int = 0
    in_a_signal: bool = False

    def add(self, group: Group) -> None:
        """Count one more group."""
        own, about = self.header, group.header
        each = max(1, math.ceil(math.log2(own.codebook_size))) if own.codebook_size > 1 else 0
        self.index_bytes += group.index_bytes
        self.residual_bytes += group.residual_bytes
        self.nominal_bits += about.positions(own) * about.codebooks * each
        if not group.continues:
            self.signals += about.signals
            self.promise.add(about)
        self.pixels += about.pixels
        self.values += about.values(own)
        self.group_count += 1

    @property
    def header_bytes(self) -> int:
        """Bytes of neither indices nor pixels: headers, names, lengths, checksums."""
        return self.file_bytes - self.index_bytes - self.residual_bytes

    @property
    def kbps(self) -> dict[str, float] | None:
        """Kilobits a second of sounds, nominal, as the indices are coded, and of the file; None: the rate is not known.

        The coded indices are within a few bytes a block of their ideal length under the entropy model.
        """
        if self.sample_rate is None or not self.pixels:
            return None
        bits = {"nominal": self.nominal_bits, "indices": 8 * self.index_bytes, "file": 8 * self.file_bytes}
        return {name: value * self.sample_rate / self.pixels / 1000 for name, value in bits.items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything, for machines; of groups those that were kept."""
        own = self.header
        kbps = self.kbps
        sounds = {} if kbps is None else {"sample_rate": self.sample_rate, "kbps": kbps}
        return {
            **sounds,
            "file_bytes": self.file_bytes,
            "index_bytes": self.index_bytes,
            "residual_bytes": self.residual_bytes,
            "header_bytes": self.header_bytes,
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
            **({"bounds": self.promise.as_dict()} if self.promise.within else {}),
            "group_count": self.group_count,
            "groups": [
                {
                    "signals": group.header.signals,
                    "size": list(group.header.size),
                    **({"sizes": [list(size) for size in group.header.sizes]} if group.header.sizes else {}),
                    "codebooks": group.header.codebooks,
                    "lossless": group.header.lossless,
                    **(
                        {"bounds": list(group.header.bounds), "number_type": group.header.number_type}
                        if group.header.bounds
                        else {}
                    ),
                    "continues": group.continues,
                    "names": list(group.header.names),
                    "blocks": group.blocks,
                    "index_bytes": group.index_bytes,
                    "residual_bytes": group.residual_bytes,
                }
                for group in self.groups
            ],
        }

    def lines(self, shown: int, *, groups: bool = True) -> list[str]:
        """The same for people; so many of the groups that were kept at most, or no word on ``groups``."""
        own = self.header
        pixels, position = max(1, self.pixels), {0: "vector", 1: "sample"}.get(own.axes, "pixel")
        held = f"{counted(self.signals, 'vector')} of {counted(own.channels, 'number')}"
        if own.axes:
            axes, channels = counted(own.axes, "axis", "axes"), counted(own.channels, "channel")
            held = f"{counted(self.signals, 'signal')} of {axes} and {channels}"
        found = [
            f"{held}, {counted(self.file_bytes, 'byte')}, {8 * self.file_bytes / pixels:.4f} bits per {position}; "
            "every checksum holds",
            f"indices:  {counted(own.num_codebooks, 'codebook')} of {counted(own.codebook_size, 'code')}, one position "
            f"for {factor_words(own.downsampling, position) if own.axes else 'a vector'}",
            f"needs:    tokenizer {own.tokenizer.hex()}"
            + (f" ({self.tokenizer_name}, which comes with vqkit)" if self.tokenizer_name else ""),
        ]
        if own.entropy_digest:
            found.append(f"          {own.entropy_model} prior {own.entropy_digest.hex()}")
        if own.pixel_digest:
            found.append(f"          pixel model {own.pixel_digest.hex()}")
        if self.promise.line:
            found.append(f"values:   {self.promise.line}")
        parts = [("nominal (not in the file)", self.nominal_bits / 8), ("coded indices", self.index_bytes)]
        parts += [("coded pixels", self.residual_bytes)] * bool(self.residual_bytes)
        parts.append(("headers, names, checksums", self.header_bytes))
        parts += [("the file", self.file_bytes)] * bool(self.sample_rate)
        found += [
            f"  {name:<26} {value:>14,.0f} bytes  {8 * value / pixels:8.4f} bits per {position}{self._in_kbps(value)}"
            for name, value in parts
        ]
        for number, group in enumerate(self.groups[:shown]):
            about = group.header
            size = "x".join(str(length) for length in reversed(about.size))
            size = f"{len(set(about.sizes))} sizes, from {size}" if about.sizes else size
            held = f"{about.signals} of {size}" if size else counted(about.signals, "vector")
            names = "" if not about.names else f": {about.names[0]}" + (" ..." if len(about.names) > 1 else "")
            more = ", lossless" * about.lossless + _bounds_said(about) + ", the same signal" * group.continues
            size_bytes = group.index_bytes + group.residual_bytes
            found.append(
                f"  group {number}: {held}, {counted(about.codebooks, 'codebook')}, "
                f"{counted(group.blocks, 'block')}, {counted(size_bytes, 'byte')}{more}{names}"
            )
        listed = min(shown, len(self.groups))
        if groups and self.group_count > listed:
            found.append(f"  and {counted(self.group_count - listed, 'more group')}")
        return found

    def _in_kbps(self, size: float) -> str:
        if self.sample_rate is None or not self.pixels:
            return ""
        return f"  {8 * size * self.sample_rate / self.pixels / 1000:8.3f} kbps"


def inspect_file(
    file: BinaryIO,
    *,
    shown: int = 10,
    names: bool = False,
    max_values: int = 1 << 40,
    cut: bool = False,
    items: list[Item] | None = None,
) -> Inspection:
    """Read a whole file and verify it, section by section, without decoding anything.

    It needs memory for the groups and names that it keeps, whatever the number of groups.

    Args:
        file: binary, need not be seekable.
        shown: how many groups are kept, from the first.
        names: whether the names of all signals are kept.
        max_values: see ``Reader``.
        cut: inspect what is there of a file that was cut short (``Inspection.cut``), unless it ends in a part of a long
            signal.
        items: gets every signal.

    Raises:
        BitstreamError: damaged, cut short, or no such file; a subclass says which.
    """
    counting = _Counting(file)
    reader = Reader(counting, max_values=max_values)  # type: ignore[arg-type]
    found = Inspection(reader.header)
    while found.cut is None and (group := _next_group(reader, found, cut)) is not None:
        entry = Group(group.header, group.continues)
        values = group.header.values(reader.header)
        needed = needed_max_values(found.values + values, reader.bytes_read)
        found.max_values = max(found.max_values, values, needed)
        try:
            for block in group:
                entry.blocks += 1
                if block.place.kind == "indices":
                    entry.index_bytes += len(block.data)
                else:
                    entry.residual_bytes += len(block.data)
        except TruncatedFileError as error:
            if not cut or group.header.goes_on or group.continues:
                raise
            found.cut, found.whole_codebooks = error, _whole_codebooks(group)
        if names:
            found.names += enumerate(group.header.names, found.signals)
        if items is not None:
            _list(items, entry, found)
        if len(found.groups) < shown:
            found.groups.append(entry)
        found.add(entry)
        found.in_a_signal = group.header.goes_on
    found.file_bytes = counting.count
    return found


def _list(items: list[Item], group: Group, found: Inspection) -> None:
    """Add the signals of a group; one that goes on with a signal makes that longer."""
    about, bits = group.header, 8.0 * (group.index_bytes + group.residual_bytes)
    if group.continues:
        last = items[-1]
        last.size, last.bits = (last.size[0] + about.size[0],), last.bits + bits
        return
    sizes = about.sizes or (about.size,) * about.signals
    positions = [math.prod(grid_of(size, found.header.downsampling)) for size in sizes]
    total = sum(positions)
    for own, (size, share) in enumerate(zip(sizes, positions, strict=True)):
        name = about.names[own] if about.names else None
        number = found.signals + own
        items.append(Item(number, name, size, about.codebooks, bits * share / total, about.signals, about.bounds))


def _next_group(reader: Reader, found: Inspection, cut: bool) -> GroupReader | None:
    """The next group; None after the last one, and where a file that may be cut short ends before one."""
    try:
        return next(iter(reader), None)
    except TruncatedFileError as error:
        if not cut or not found.group_count or found.in_a_signal:
            raise
        found.cut, found.whole_codebooks = error, found.header.num_codebooks
        return None


def _whole_codebooks(group: GroupReader) -> int:
    """How many codebooks, from the first, are whole in a group of which no more can be read."""
    place, about = group.next_place, group.header
    if place is None:
        return about.codebooks
    if place.kind == "indices":
        return place.first_codebook
    return about.codebooks - (about.layers or (about.codebooks,))[-1]


def _bounds_said(about: GroupHeader) -> str:
    """What a group promises of its values."""
    if not about.bounds:
        return ""
    return f", {about.number_type} to within {shown_bounds(about.bounds)}"
