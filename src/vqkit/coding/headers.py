"""Headers of a ``.vqk`` file (``FileHeader``) and of the signals in each group (``GroupHeader``)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, final

from vqkit.coding.frequencies import MAX_ALPHABET
from vqkit.coding.names import check_name
from vqkit.coding.tiles import grid_of, per_axis, pixels, positions, tiles
from vqkit.errors import ConfigError

DIGEST_BYTES = 16
"""Bytes of a SHA-256 that a file keeps: 128 bits, which no accident meets (docs/bitstream.md)."""
MAX_AXES = 3
MAX_CHANNELS = 1 << 16
MAX_CODEBOOKS = 1 << 10
MAX_DOWNSAMPLING = 1 << 16
MAX_LENGTH = 1 << 24
"""Longest axis of a signal."""
MAX_SIGNALS = 1 << 20
"""Most signals in a group."""
MAX_MIXED = 1 << 12
"""Most signals in a group of several sizes, whose names are short in the file, and may be long in memory."""
MAX_SYMBOLS = 1 << 26
"""Most integers in a block: a quarter of a gigabyte as int32."""

EntropyModel = Literal["uniform", "histogram", "context"]
ENTROPY_MODELS: tuple[EntropyModel, ...] = ("uniform", "histogram", "context")
BlockKind = Literal["indices", "residual"]
NUMBER_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
"""Types of numbers that fields within a bound are written in."""


def digest(sha256: str | bytes) -> bytes:
    """The bytes that a file keeps of a SHA-256, from its 64 hexadecimal digits or its 32 bytes.

    Raises:
        ConfigError: it is no SHA-256.
    """
    try:
        whole = bytes.fromhex(sha256) if isinstance(sha256, str) else sha256
    except ValueError:
        whole = b""
    if len(whole) != 32:
        raise ConfigError(f"{sha256!r} is no SHA-256: give its 64 hexadecimal digits or its 32 bytes")
    return whole[:DIGEST_BYTES]


@final
@dataclass(frozen=True, kw_only=True)
class FileHeader:
    """The models that a file needs and the shape of what they work with; the same for all its groups.

    Args:
        axes: of the signals: 0 for vectors to 3 for video.
        channels: of the signals.
        codebook_size: every index is below it.
        num_codebooks: indices for each position.
        downsampling: pixels for each position on each axis: one number for all axes, or one for each.
        tokenizer: ``digest`` of the model that makes and reads the indices.
        entropy_model: what gives the frequencies of indices.
        entropy_digest: ``digest`` of it; empty for ``uniform``, which has nothing to differ.
        pixel_digest: ``digest`` of the model that gives the frequencies of residuals; empty without lossless groups.

    Raises:
        ConfigError: a value out of the format's range.
    """

    axes: int
    channels: int
    codebook_size: int
    num_codebooks: int = 1
    downsampling: int | tuple[int, ...] = 1
    tokenizer: bytes
    entropy_model: EntropyModel = "uniform"
    entropy_digest: bytes = b""
    pixel_digest: bytes = b""

    def __post_init__(self) -> None:
        _within("axes", self.axes, 0, MAX_AXES)
        _within("channels", self.channels, 1, MAX_CHANNELS)
        _within("codebook_size", self.codebook_size, 1, MAX_ALPHABET)
        _within("num_codebooks", self.num_codebooks, 1, MAX_CODEBOOKS)
        for factor in self.factors:
            _within("downsampling", factor, 1, MAX_DOWNSAMPLING)
            if not self.axes and factor & (factor - 1):
                raise ConfigError(f"downsampling={factor}: vectors (axes=0) have none; give 1")
        if self.entropy_model not in ENTROPY_MODELS:
            raise ConfigError(f"entropy_model={self.entropy_model!r}: files know {', '.join(ENTROPY_MODELS)}")
        lengths = {
            "tokenizer": {DIGEST_BYTES},
            "entropy_digest": {0 if self.entropy_model == "uniform" else DIGEST_BYTES},
            "pixel_digest": {0, DIGEST_BYTES},
        }
        for name, allowed in lengths.items():
            value = getattr(self, name)
            if len(value) not in allowed:
                raise ConfigError(
                    f"{name} of {len(value)} bytes with entropy_model={self.entropy_model!r}: "
                    f"{max(allowed)} bytes are kept; vqkit.coding.digest makes them from a SHA-256"
                )

    @property
    def factors(self) -> tuple[int, ...]:
        """The downsampling of each axis; of vectors the one number that stands in the file."""
        if not self.axes and isinstance(self.downsampling, int):
            return (self.downsampling,)
        return per_axis(self.downsampling, self.axes)


@final
@dataclass(frozen=True, kw_only=True)
class Place:
    """Address of a block: a tile of the grid, all signals of the group, and some codebooks or the residual."""

    kind: BlockKind
    number: int
    """Of the tile, from 0, row-major."""
    tile: tuple[slice, ...]
    """Its positions in the grid on each axis."""
    first_codebook: int = 0
    codebooks: int = 0
    """How many; 0 for a residual."""


@final
@dataclass(frozen=True, kw_only=True)
class GroupHeader:
    """Signals that are coded together, of one size or of several, and how they are cut into blocks.

    Args:
        signals: how many.
        size: pixels (samples, frames) on each axis; ``()`` for vectors. Where sizes differ, that of the first signal.
        codebooks: used ones, the first of the file's ``num_codebooks``.
        layers: codebooks of each layer, from the first; their sum is ``codebooks``. Later layers may be left out of a
            copy by giving the group fewer ``layers``. Empty: all in one.
        tile: positions of a tile on each axis; None: the whole grid is one tile.
        names: relative paths, one a signal (``check_name``), all different; empty: none.
        lossless: every tile has a residual block too.
        goes_on: the one signal of the group, of one axis and whole positions, goes on in the next group.
        sizes: of each signal, where they differ: a mixed group, each signal in one piece and none lossless. Empty: all
            are of ``size``.
        gaps: of each signal the values that are missing, packed (``vqkit.coding.gaps``); empty: none is.
        bounds: of each channel how far a decoded value may be from the one that was given: every tile has a residual
            block too (docs/bitstream.md, *Values within a bound*). Empty: nothing is promised.
        number_type: of the values within bounds, in which they are written; "" without bounds.

    Raises:
        ConfigError: a value out of the format's range.
    """

    signals: int
    size: tuple[int, ...]
    codebooks: int = 1
    layers: tuple[int, ...] = ()
    tile: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()
    lossless: bool = False
    goes_on: bool = False
    sizes: tuple[tuple[int, ...], ...] = ()
    gaps: tuple[bytes, ...] = ()
    bounds: tuple[float, ...] = ()
    number_type: str = ""

    def __post_init__(self) -> None:
        _within("signals", self.signals, 1, MAX_SIGNALS)
        for length in itertools.chain(self.size, *self.sizes):
            _within("a length in size", length, 1, MAX_LENGTH)
        if self.sizes:
            self._check_mixed()
        _within("codebooks", self.codebooks, 1, MAX_CODEBOOKS)
        if self.layers and (min(self.layers) < 1 or sum(self.layers) != self.codebooks):
            raise ConfigError(f"layers={self.layers} with codebooks={self.codebooks}: each is 1 or more, their sum all")
        if self.tile is not None and (len(self.tile) != len(self.size) or any(each < 1 for each in self.tile)):
            raise ConfigError(f"tile={self.tile} with size={self.size}: give 1 or more for each axis")
        if self.gaps and (len(self.gaps) != self.signals or self.lossless):
            raise ConfigError(f"gaps of {len(self.gaps)} signals, and there are {self.signals}: give each, or none")
        if self.bounds or self.number_type:
            if self.lossless or self.sizes or self.goes_on:
                raise ConfigError("values within a bound: their groups have one size, and are not lossless as well")
            if not all(0 <= bound < math.inf for bound in self.bounds) or self.number_type not in NUMBER_TYPES:
                raise ConfigError(
                    f"bounds={self.bounds} of {self.number_type!r}: each is 0 or more, and the numbers are of "
                    f"{', '.join(NUMBER_TYPES)}"
                )
        if self.names:
            if len(self.names) != self.signals or len(set(self.names)) != self.signals:
                raise ConfigError(
                    f"{len(set(self.names))} different names for {self.signals} signals: give each its own, or none"
                )
            for name in self.names:
                check_name(name)

    def _check_mixed(self) -> None:
        _within("signals of several sizes", self.signals, 2, MAX_MIXED)
        axes = {len(size) for size in self.sizes}
        if len(self.sizes) != self.signals or self.sizes[0] != self.size or len(axes) > 1 or len(set(self.sizes)) < 2:
            raise ConfigError(
                f"{len(self.sizes)} sizes of {self.signals} signals, size={self.size}: give the size of each, as many "
                "axes for all, size that of the first, and no sizes at all where they are the same"
            )
        if self.tile is not None or self.lossless or self.goes_on:
            raise ConfigError(
                "a group of several sizes: its signals are in one piece each, without tiles or exact pixels"
            )

    def check(self, header: FileHeader) -> None:
        """Raise unless this group may be in a file with this header.

        Raises:
            ConfigError: it may not.
        """
        if len(self.size) != header.axes:
            raise ConfigError(f"a group of size {self.size} in a file of {header.axes} axes: one length for each axis")
        if self.codebooks > header.num_codebooks:
            raise ConfigError(
                f"a group with {self.codebooks} codebooks in a file with {header.num_codebooks}: use as many or fewer"
            )
        whole = header.axes == 1 and self.size[0] % header.factors[0] == 0
        if self.goes_on and (self.signals != 1 or not whole or self.lossless):
            raise ConfigError(
                f"a group that goes on, of {self.signals} signals of size {self.size}, lossless={self.lossless}: it "
                f"has one signal of 1 axis, of whole positions ({header.factors[0]} each), and no exact pixels"
            )
        if self.bounds and len(self.bounds) != header.channels:
            raise ConfigError(f"{len(self.bounds)} bounds of {header.channels} channels: give each its own")
        if self.lossless and not header.pixel_digest:
            raise ConfigError("a lossless group in a file without pixel_digest: name the pixel model in the header")
        most = self._largest_block(header)
        if most > MAX_SYMBOLS:
            raise ConfigError(
                f"a block of {most} integers: at most {MAX_SYMBOLS} are allowed, so that readers know how much memory "
                "they need; use smaller tiles or fewer signals in a group"
            )

    def check_after(self, before: GroupHeader) -> None:
        """Raise unless this group may follow another in a file: one that goes on is followed by more of its signal.

        Raises:
            ConfigError: it may not.
        """
        if before.goes_on and (self.signals != 1 or self.names or self.residual or self.codebooks != before.codebooks):
            raise ConfigError(
                f"a group of {self.signals} signals, names {self.names}, {self.codebooks} codebooks, after one whose "
                f"signal goes on: it has 1 signal without a name, of {before.codebooks} codebooks, not lossless"
            )

    def _largest_block(self, header: FileHeader) -> int:
        """Integers of the largest block: the first tile's, no other is larger."""
        tile = next(self.places(header)).tile  # of several sizes the only one
        largest = Place(kind="indices", number=0, tile=tile, codebooks=max(self.layers or (self.codebooks,)))
        most = self.symbols(largest, header)
        if self.residual:
            most = max(most, self.symbols(Place(kind="residual", number=0, tile=tile), header))
        return most

    def tile_shape(self, header: FileHeader) -> tuple[int, ...]:
        """Positions of a full tile on each axis, at most the grid's."""
        grid = grid_of(self.size, header.downsampling)
        return grid if self.tile is None else tuple(min(pair) for pair in zip(self.tile, grid, strict=True))

    def places(self, header: FileHeader) -> Iterator[Place]:
        """Every block of the group in the order of the file.

        Layers from the first; in each layer the tiles, row-major; in the last layer each tile's residual after it. Of
        several sizes each layer has one block, whose one axis is all positions of all signals, one after the other.
        """
        if self.sizes:
            yield from self._mixed_places(header)
            return
        grid, shape, first = grid_of(self.size, header.downsampling), self.tile_shape(header), 0
        for codebooks in self.layers or (self.codebooks,):
            last = first + codebooks == self.codebooks
            for number, tile in enumerate(tiles(grid, shape)):
                yield Place(kind="indices", number=number, tile=tile, first_codebook=first, codebooks=codebooks)
                if last and self.residual:
                    yield Place(kind="residual", number=number, tile=tile)
            first += codebooks

    def _mixed_places(self, header: FileHeader) -> Iterator[Place]:
        everything, first = (slice(0, self.positions(header)),), 0
        for codebooks in self.layers or (self.codebooks,):
            yield Place(kind="indices", number=0, tile=everything, first_codebook=first, codebooks=codebooks)
            first += codebooks

    @property
    def residual(self) -> bool:
        """Whether every tile has a residual block: of exact pixels, or of values within a bound."""
        return self.lossless or bool(self.bounds)

    @property
    def runs(self) -> list[tuple[tuple[int, ...], int]]:
        """Neighbors of one size: the size, and how many they are. They are coded as a group of their own would be."""
        each = itertools.groupby(self.sizes)
        return [(size, len(list(same))) for size, same in each] if self.sizes else [(self.size, self.signals)]

    def positions(self, header: FileHeader) -> int:
        """Positions of all signals together."""
        return sum(count * math.prod(grid_of(size, header.downsampling)) for size, count in self.runs)

    @property
    def pixels(self) -> int:
        """Pixels (samples, frames) of all signals together."""
        return sum(count * math.prod(size) for size, count in self.runs)

    def symbols(self, place: Place, header: FileHeader) -> int:
        """Return the number of integers in a block: signals x positions x codebooks, or signals x channels x pixels."""
        if self.sizes:
            return positions(place.tile) * place.codebooks
        if place.kind == "indices":
            return self.signals * positions(place.tile) * place.codebooks
        return self.signals * header.channels * positions(pixels(place.tile, self.size, header.downsampling))

    def values(self, header: FileHeader) -> int:
        """Numbers that all signals of the group have when decoded: signals x channels x pixels."""
        return header.channels * self.pixels


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}={value}: .vqk files allow {low} to {high} (docs/bitstream.md)")
