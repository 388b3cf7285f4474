"""Groups that are kept as they were coded, to be written later, or by another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, final

from vqkit.codec.protocols import Output
from vqkit.codec.report import Counting, RateReport
from vqkit.coding import Block, FileHeader, GroupHeader
from vqkit.coding.header_bytes import group_body, read_group_body


@final
@dataclass
class Recorder:
    """Takes groups as a file would (a ``GroupWriter``), and keeps them.

    Args:
        header: of the file.
    """

    header: FileHeader
    groups: list[tuple[GroupHeader, list[Block]]] = field(default_factory=list)

    @property
    def counting(self) -> Counting:
        """A file of which nothing is kept, for an ``Output``."""
        return Counting(Nowhere())  # type: ignore[arg-type]

    def begin(self, group: GroupHeader) -> None:
        """See ``GroupWriter.begin``."""
        self.groups.append((group, []))

    def block(self, block: Block) -> None:
        """See ``GroupWriter.block``."""
        self.groups[-1][1].append(block)

    def finish(self) -> None:
        """See ``GroupWriter.finish``."""


@final
@dataclass(frozen=True)
class Coded:
    """Groups that were coded, and their sizes."""

    groups: list[tuple[GroupHeader, list[Block]]]
    report: RateReport

    def write(self, output: Output) -> None:
        """Write them, and count them."""
        for about, blocks in self.groups:
            output.writer.begin(about)
            for block in blocks:
                output.writer.block(block)
        output.report.add(self.report)

    def packed(self, header: FileHeader) -> tuple[Any, bytes]:
        """What JSON holds of it, and bytes; ``header`` is the file's."""
        parts: list[bytes] = []
        lengths = []
        for about, blocks in self.groups:
            body = group_body(about, header)
            lengths.append([len(body), [[block.crc, len(block.data)] for block in blocks]])
            parts += [body, *(block.data for block in blocks)]
        return [asdict(self.report), lengths], b"".join(parts)

    @classmethod
    def unpacked(cls, said: Any, data: bytes, header: FileHeader) -> Coded:
        """The same of what ``packed`` gave."""
        report, lengths = said
        groups, start = [], 0
        for length, blocks in lengths:
            about = read_group_body(data[start : start + length], header)
            start += length
            found = []
            for place, (crc, size) in zip(about.places(header), blocks, strict=True):
                found.append(Block(place=place, crc=crc, data=data[start : start + size]))
                start += size
            groups.append((about, found))
        return cls(groups, RateReport(**report))


@final
class Nowhere:
    """A file of which nothing is kept."""

    def write(self, data: bytes) -> int:
        """Take data."""
        return len(data)
