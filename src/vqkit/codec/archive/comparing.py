"""Whether a signal is in an archive already: its indices, and its pixels where they are kept, are the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, final

import numpy as np

from vqkit.codec.archive.recording import Recorder
from vqkit.codec.bounded.lattice import outside
from vqkit.codec.compressor import Compressor
from vqkit.codec.decompressor import Decompressor
from vqkit.codec.protocols import Output
from vqkit.codec.report import RateReport
from vqkit.codec.signals import Signal
from vqkit.coding import Block, GroupHeader, GroupReader, Place, integers_crc, pixels
from vqkit.coding.archive.access import open_access

GroupContent = tuple[tuple[int, ...], int, bytes, tuple[float, ...], list[tuple[Place, int, bytes]]]
"""Of a group of one signal its size, codebooks, gaps, bounds, and of each block its checksum and its bytes."""
Content = list[GroupContent]


def content_of(compressor: Compressor, signals: list[Signal]) -> list[Content]:
    """The content that signals have once they are compressed, each as a group of its own."""
    recorder = Recorder(compressor.header)
    output = Output(compressor.entropy, recorder.counting, recorder, RateReport(compressor.entropy.kind))
    compressor.write_to([output], signals)
    found: list[Content] = []
    going_on = False
    for about, blocks in recorder.groups:
        if not going_on:
            found.append([])
        found[-1].append(_content(about, blocks))
        going_on = about.goes_on
    return found


def _content(about: GroupHeader, blocks: Iterable[Block]) -> GroupContent:
    gaps = about.gaps[0] if about.gaps else b""
    return about.size, about.codebooks, gaps, about.bounds, [(each.place, each.crc, each.data) for each in blocks]


@final
class Stored:
    """Signals of a file, to compare others with.

    Args:
        file: that can seek.
        compressor: with its models.
    """

    def __init__(self, file: BinaryIO, compressor: Compressor) -> None:
        self._access, self._compressor = open_access(file), compressor
        self._decoder: Decompressor | None = None

    def number(self, name: str) -> int | None:
        """The number of the signal of this name; None: there is none."""
        return next(self._access.numbers(name), None)

    def holds(self, number: int, content: Content, signal: Signal) -> bool:
        """Return whether a signal has this content, which another one got."""
        place, own = self._access.place(number)
        about = self._access.group_header(place)
        groups = self._access.groups(place)
        if about.signals == 1:
            return [_content(group.header, group) for group in groups] == content
        return len(content) == 1 and self._in_group(about, groups, own, content, signal)

    def _in_group(
        self, about: GroupHeader, groups: Iterable[GroupReader], own: int, content: Content, signal: Signal
    ) -> bool:
        """Compare with a signal of a group of several, which has to be decoded.

        Values within a bound depend on the others of the group: they have to be within the bound of those given.
        """
        ((size, codebooks, gaps, bounds, blocks),) = content
        mine = about.sizes[own] if about.sizes else about.size
        known = about.gaps[own] if about.gaps else b""
        if (mine, about.codebooks, known, bool(about.bounds)) != (size, codebooks, gaps, bool(bounds)):
            return False
        if self._decoder is None:
            model, entropy = self._compressor.model, self._compressor.entropy
            self._decoder = Decompressor(model, entropy, pixel_model=self._compressor.pixel_model)
        decoded = list(self._decoder.read_groups(self._access.header, groups))[own]
        for place, crc, _ in blocks:
            if place.kind == "indices":
                first, last = place.first_codebook, place.first_codebook + place.codebooks
                found = decoded.indices[place.tile].numpy()[..., first:last]
            elif bounds:
                continue
            else:
                here = pixels(place.tile, size, self._access.header.downsampling)
                found = decoded.values[(slice(None), *here)].numpy()
            if integers_crc(np.ascontiguousarray(found)) != crc:
                return False
        values, stored = np.asarray(signal.values), decoded.values.numpy().astype(np.float64)
        if any(
            outside(stored[each], values[each].astype(np.float64), bound).any() for each, bound in enumerate(bounds)
        ):
            return False
        return about.residual == any(place.kind != "indices" for place, _, _ in blocks)
