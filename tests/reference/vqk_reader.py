"""A reader of ``.vqk`` files, written from docs/bitstream.md alone; of uniform and histogram models by itself.

Plain Python integers and nothing of vqkit: what it cannot find out, the page does not say. It trusts the file's names
and limits, which a reader for others has to check. Blocks of other models are decoded by ``exact_priors``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reference.range_coding import decode, frequencies

Position = tuple[int, ...]
FILE, GROUP, INDICES, RESIDUAL, END = 1, 2, 3, 4, 5


@dataclass
class Header:
    axes: int
    entropy_model: int
    downsampling: list[int]
    channels: int
    codebook_size: int
    num_codebooks: int
    tokenizer: bytes
    entropy_digest: bytes
    pixel_digest: bytes


@dataclass
class Group:
    """``indices[signal][position][codebook]``, ``pixels[signal][channel][place]``."""

    signals: int
    size: Position
    grid: Position
    codebooks: int
    names: list[str]
    indices: list[dict[Position, list[int]]]
    pixels: list[list[dict[Position, int]]] = field(default_factory=list)
    goes_on: bool = False


class Body:
    """The bytes of a section, front to back."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        assert self.place + count <= len(self.data), "cut short"
        self.place += count
        return self.data[self.place - count : self.place]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                assert byte or shift == 7, "not in as few bytes as it needs"
                assert shift <= 35
                return value

    def end(self) -> None:
        assert self.place == len(self.data), "bytes left over"


def sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each, verified."""
    assert data[:10] == bytes.fromhex("8F56514B0D0A1A0A0001")
    rest, crc = Body(data), zlib.crc32(data[:10])
    rest.take(10)
    while rest.place < len(data):
        start = rest.place
        kind, length = rest.byte(), rest.varint()
        body = rest.take(length)
        crc = zlib.crc32(data[start : rest.place], crc)
        assert int.from_bytes(rest.take(4), "big") == crc
        yield kind, body


def read_header(data: bytes) -> Header:
    body = Body(data)
    flags, power = body.byte(), body.byte()
    downsampling = [1 << power] * 3 if power < 17 else [body.varint() for _ in range(flags & 3)]
    model = flags >> 2 & 3
    numbers = [body.varint() for _ in range(3)]
    digests = [body.take(16 * there) for there in (1, model > 0, flags >> 4 & 1)]
    body.end()
    return Header(flags & 3, model, downsampling, *numbers, *digests)


def tiles(grid: Position, tile: Position) -> Iterator[list[range]]:
    """Row-major, the last axis fastest."""
    starts = [range(0, length, step) for length, step in zip(grid, tile, strict=True)]
    for corner in itertools.product(*starts):
        yield [range(at, min(at + step, length)) for at, step, length in zip(corner, tile, grid, strict=True)]


Table = Callable[[int], Sequence[int]]
Decode = Callable[[bytes, list[tuple[Group, list[Position]]], range], None]
"""Fills one message: the positions of a tile of a group; of a mixed group those of all runs, as groups of their own."""
DecodePixels = Callable[[bytes, list[Any], Position], list[list[dict[Position, int]]]]
"""Levels by pixel of each channel of each image, from indices ``[*positions, codebooks]`` and the size of a tile."""


class RangeDecoder:
    """Symbols whose tables follow from the symbols before them."""

    def __init__(self, data: bytes) -> None:
        self.value, self.length = int.from_bytes(data, "big"), 8 * len(data)
        self.low, self.width, self.bits = 0, 2**64 - 1, 64

    def symbol(self, table: Sequence[int]) -> int:
        if len(table) == 1:
            return 0
        missing = self.bits - self.length
        point = self.value << missing if missing >= 0 else self.value >> -missing
        scale = self.width >> 24
        quantile = (point - self.low) // scale
        assert quantile < 2**24
        found, before = 0, 0
        while before + table[found] <= quantile:
            before += table[found]
            found += 1
        self.low, self.width = self.low + scale * before, scale * table[found]
        if self.width < 2**32:
            self.low, self.width, self.bits = self.low << 32, self.width << 32, self.bits + 32
        return found


def plain(table: Table, by_codebook: bool) -> Decode:
    """Of one table a codebook: uniform (all codebooks of a position together), histogram (one after another)."""

    def fill(data: bytes, runs: list[tuple[Group, list[Position]]], layer: range) -> None:
        order: list[tuple[dict[Position, list[int]], Position, int]] = []
        for group, tile in runs:
            if by_codebook:
                order += [(signal, position, book) for book in layer for signal in group.indices for position in tile]
            else:
                order += itertools.product(group.indices, tile, layer)
        symbols = decode(data, [table(book) for _, _, book in order])
        assert symbols is not None
        for (signal, position, book), symbol in zip(order, symbols, strict=True):
            signal[position][book] = symbol

    return fill


def read(data: bytes, fill: Decode, fill_pixels: DecodePixels | None = None) -> tuple[Header, list[Group]]:
    """All of a file; ``fill`` decodes a block of indices, ``fill_pixels`` a residual.

    Runs of a mixed group are groups of their own.
    """
    parts = sections(data)
    kind, body = next(parts)
    assert kind == FILE
    header, blocks, count_of_groups = read_header(body), 0, 0
    groups: list[Group] = []
    for kind, body in parts:
        if kind == END:
            said = Body(body)
            signals = sum(each.signals for each in groups) - sum(each.goes_on for each in groups)
            assert [said.varint() for _ in range(3)] == [count_of_groups, signals, blocks]
            assert not (groups and groups[-1].goes_on)
            said.end()
            break
        assert kind == GROUP
        count_of_groups += 1
        if body[0] & 32:
            assert not (groups and groups[-1].goes_on)
            runs, layers = read_mixed(body, header)
            everything = [(run, list(itertools.product(*map(range, run.grid)))) for run in runs]
            first = 0
            for count in layers:
                kind, block = next(parts)
                assert kind == INDICES
                blocks += 1
                read_block(block, everything, range(first, first + count), fill)
                first += count
            groups += runs
            continue
        group, layers, tile, lossless = read_group(body, header)
        if groups and groups[-1].goes_on:
            assert (group.signals, group.names, lossless, group.codebooks) == (1, [], False, groups[-1].codebooks)
        first = 0
        for count in layers:
            for part in tiles(group.grid, tile):
                kind, block = next(parts)
                assert kind == INDICES
                blocks += 1
                read_block(block, [(group, list(itertools.product(*part)))], range(first, first + count), fill)
                if lossless and first + count == group.codebooks:
                    kind, block = next(parts)
                    assert kind == RESIDUAL
                    assert fill_pixels is not None
                    blocks += 1
                    read_residual(block, group, part, header, fill_pixels)
            first += count
        groups.append(group)
    assert next(parts, None) is None
    return header, groups


def read_group(data: bytes, header: Header) -> tuple[Group, list[int], Position, bool]:
    body = Body(data)
    flags, signals = body.byte(), body.varint()
    size = tuple(body.varint() for _ in range(header.axes))
    codebooks = body.varint()
    grid = tuple(-(-length // step) for length, step in zip(size, header.downsampling, strict=False))
    tile = tuple(body.varint() for _ in grid) if flags & 4 else grid
    layers = [body.varint() for _ in range(body.varint())] if flags & 8 else [codebooks]
    assert sum(layers) == codebooks
    names = [body.take(body.varint()).decode() for _ in range(signals if flags & 1 else 0)]
    body.end()
    positions = list(itertools.product(*(range(length) for length in grid)))
    indices = [{position: [-1] * codebooks for position in positions} for _ in range(signals)]
    goes_on = bool(flags & 16)
    assert not goes_on or (header.axes, signals, flags & 2, size[0] % header.downsampling[0]) == (1, 1, 0, 0)
    return Group(signals, size, grid, codebooks, names, indices, goes_on=goes_on), layers, tile, bool(flags & 2)


def read_mixed(data: bytes, header: Header) -> tuple[list[Group], list[int]]:
    """Runs of one size of a mixed group, and its layers."""
    body = Body(data)
    flags, signals = body.byte(), body.varint()
    assert flags & ~(1 | 8) == 32
    assert 2 <= signals <= 2**12
    sizes, names, size, name = [], [], (0,) * header.axes, b""
    for _ in range(signals):
        size = tuple(
            last + (-(code + 1) // 2 if code % 2 else code // 2) for last, code in ((x, body.varint()) for x in size)
        )
        assert all(1 <= length <= 2**24 for length in size)
        sizes.append(size)
    assert len(set(sizes)) > 1
    codebooks = body.varint()
    layers = [body.varint() for _ in range(body.varint())] if flags & 8 else [codebooks]
    assert sum(layers) == codebooks
    for _ in range(signals if flags & 1 else 0):
        head, tail, length = body.varint(), body.varint(), body.varint()
        name = name[:head] + body.take(length) + name[len(name) - tail :]
        names.append(name.decode())
    body.end()
    runs, place = [], 0
    for size, same in itertools.groupby(sizes):
        count = len(list(same))
        grid = tuple(-(-length // step) for length, step in zip(size, header.downsampling, strict=False))
        positions = list(itertools.product(*map(range, grid)))
        indices = [{position: [-1] * codebooks for position in positions} for _ in range(count)]
        runs.append(Group(count, size, grid, codebooks, names[place : place + count], indices))
        place += count
    return runs, layers


def read_block(body: bytes, runs: list[tuple[Group, list[Position]]], layer: range, fill: Decode) -> None:
    fill(body[4:], runs, layer)
    integers = [
        signal[position][book]
        for group, tile in runs
        for signal in group.indices
        for position in tile
        for book in layer
    ]
    assert crc_of(integers) == int.from_bytes(body[:4], "big")


def read_residual(body: bytes, group: Group, part: list[range], header: Header, fill: DecodePixels) -> None:
    tile = [[[own[at] for at in itertools.product([row], part[1])] for row in part[0]] for own in group.indices]
    places = [
        range(axis.start * step, min(axis.stop * step, length))
        for axis, length, step in zip(part, group.size, header.downsampling, strict=False)
    ]
    images = fill(body[4:], tile, tuple(map(len, places)))
    inner = list(itertools.product(*(range(len(each)) for each in places)))
    crc = crc_of([channel[at] for image in images for channel in image for at in inner])
    assert crc == int.from_bytes(body[:4], "big")
    group.pixels = group.pixels or [[{} for _ in range(header.channels)] for _ in images]
    for image, found in zip(group.pixels, images, strict=True):
        for whole, channel in zip(image, found, strict=True):
            whole |= {(places[0][y], places[1][x]): level for (y, x), level in channel.items()}


def crc_of(integers: Sequence[int]) -> int:
    return zlib.crc32(b"".join(struct.pack(">i", each) for each in integers))


def tensors(folder: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """``model.safetensors``: dtype, shape and little-endian bytes by name."""
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    about = json.loads(data[8 : 8 + length])
    start = 8 + length
    return {
        name: (each["dtype"], each["shape"], data[start + each["data_offsets"][0] : start + each["data_offsets"][1]])
        for name, each in about.items()
        if name != "__metadata__"
    }


def digest_of(folder: Path) -> bytes:
    whole = hashlib.sha256()
    names = {"F32": "torch.float32", "I64": "torch.int64"}
    for name, (dtype, shape, values) in sorted(tensors(folder).items()):
        written = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
        whole.update(f"{name} {written} {names[dtype]}\n".encode() + values)
    return whole.digest()[:16]


def uniform(codebook_size: int) -> Decode:
    table = frequencies([1] * codebook_size)
    return plain(lambda _: table, by_codebook=False)


def histogram(folder: Path) -> Decode:
    dtype, shape, values = tensors(folder)["counts"]
    assert dtype == "I64"
    assert shape[0] == 1
    counts = struct.unpack(f"<{math.prod(shape)}q", values)
    tables = [
        frequencies([2 * each + 1 for each in counts[at : at + shape[2]]]) for at in range(0, len(counts), shape[2])
    ]
    return plain(lambda book: tables[book], by_codebook=True)
