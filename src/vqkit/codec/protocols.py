"""What a compressor works with: pixel models, searches for a rate, processes, and what its groups are given to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from torch import Tensor

from vqkit.codec.entropy.models import EntropyModel
from vqkit.codec.report import Counting, RateReport
from vqkit.codec.signals import LongBatch, Signal
from vqkit.coding import Block, FileHeader, GroupHeader


class PixelModel(Protocol):
    """Protocol of a coder of exact pixels beside the indices (see ``vqkit.codec.lossless``)."""

    @property
    def digest(self) -> bytes:
        """Digest of its present content, kept in files."""
        ...

    def encode(self, indices: Tensor, images: Tensor) -> bytes:
        """Return the coded pixels of uint8 ``[n, channels, H, W]``, given indices int64 ``[n, *grid, C]``."""
        ...

    def decode(self, indices: Tensor, data: bytes, size: tuple[int, ...], channels: int) -> Tensor:
        """Return the pixels uint8 ``[n, channels, *size]`` of coded data, the inverse of ``encode``."""
        ...


class GroupWriter(Protocol):
    """Protocol of what groups and their blocks are given to, in order: a file, or an archive."""

    header: FileHeader

    def begin(self, group: GroupHeader) -> None:
        """Take the header of the next group."""
        ...

    def block(self, block: Block) -> None:
        """Take the next block of the group."""
        ...

    def finish(self) -> None:
        """Take the end."""
        ...


@final
@dataclass
class Output:
    """A file that is being written under one entropy model."""

    entropy: EntropyModel
    counting: Counting
    writer: GroupWriter
    report: RateReport


class Search(Protocol):
    """Protocol of a rate controller: chooses the settings of each group (``vqkit.codec.rate_control``)."""

    @property
    def wanted(self) -> float:
        """The target in bits per pixel."""
        ...

    def settings(self, batch: Tensor | LongBatch) -> tuple[int, float | None]:
        """Return the number of codebooks and ``rate_weight`` for signals ``[n, channels, *size]``."""
        ...


class GroupCoder(Protocol):
    """Protocol of what codes groups for a compressor, in other processes (``vqkit.codec.parallel``)."""

    def run(self, groups: Iterable[list[list[Signal]]], files: int) -> Iterator[Sequence[CodedGroups]]:
        """Yield each group, coded for so many files, in order."""
        ...


class CodedGroups(Protocol):
    """Protocol of groups that are coded."""

    def write(self, output: Output) -> None:
        """Write them, and count them."""
        ...
