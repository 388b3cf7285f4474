"""``.vqk`` files back to signals; nothing is given out before its checksums have been verified."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, final

import numpy as np
import torch
from torch import Tensor

from vqkit.codec.compressor import PixelModel, every_tile
from vqkit.codec.entropy.models import EntropyModel, Indices, UniformModel, check_range, one_after_another
from vqkit.codec.joining import Joiner, with_gaps
from vqkit.codec.limits import (
    MAX_BLOCK_INDICES,
    MAX_BLOCK_PIXELS,
    MAX_TOTAL_VALUES,
    MAX_VALUES_PER_BYTE,
    padded_pixels,
)
from vqkit.coding import (
    MAX_VALUES,
    Block,
    FileHeader,
    GroupHeader,
    GroupReader,
    Reader,
    check_model,
    digest,
    per_axis,
    pixels,
)
from vqkit.coding.gaps import unpack_gaps
from vqkit.errors import BitstreamError, LimitError, WrongModelError
from vqkit.models import IndexModel
from vqkit.models.rates.rate import used_codebooks
from vqkit.models.tiling import in_float64, tile_signals
from vqkit.pretrained.folder import content_hash
from vqkit.spelling import option
from vqkit.threads import ThreadChoice, choice_of_threads

_TOGETHER = 1 << 16
"""Pixels of small signals that are decoded at once."""


@final
@dataclass(frozen=True)
class Decoded:
    """One signal out of a file.

    Attributes:
        number: of the signal in the file, from 0.
        name: that the file keeps, or None.
        values: uint8 ``[channels, H, W]`` (images, video), or float32 ``[channels, *size]``.
        indices: int32 ``[*grid, codebooks]``, what the file holds.
    """

    number: int
    name: str | None
    values: Tensor
    indices: Tensor


@final
@dataclass(frozen=True)
class Piece:
    """A piece of a signal out of a file; those of one signal follow each other along its first axis.

    Attributes:
        number: see ``Decoded``.
        name: see ``Decoded``.
        values: see ``Decoded``, of this piece: 0 or more positions.
        indices: see ``Decoded``, those read with this piece.
        last: whether the signal ends with it.
    """

    number: int
    name: str | None
    values: Tensor
    indices: Tensor
    last: bool


@final
class Decompressor:
    """Reads ``.vqk`` files that were written with these models.

    Args:
        model: the tokenizer.
        entropy: the file's entropy model; None: uniform.
        pixel_model: of lossless files.
        fast: decode in float32: about twice as fast, and a value that lies near the middle of two levels may be rounded
            otherwise on another machine. Else in float64, where that practically cannot happen (``in_float64``).
        max_values: see ``Reader``.
        condition: that the decoder decodes under, where it has one, all signals of a file alike: a file holds codes
            only. A lossless file needs none.
        codebooks: decode the first so many only, to coarser signals; None: all. Of a progressive file (``Compressor``)
            no more is decoded, or has to be there; a lossless file is decoded as if it were none.

    Example:
        >>> import io
        >>> import numpy as np
        >>> import vqkit
        >>> from vqkit.codec import Compressor, Decompressor, Signal
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> file = io.BytesIO()
        >>> report = Compressor(model).write(file, [Signal(np.zeros((3, 16, 16), dtype=np.uint8), "a.png")])
        >>> signal = next(iter(Decompressor(model).read(io.BytesIO(file.getvalue()))))
        >>> signal.name, signal.values.shape
        ('a.png', torch.Size([3, 16, 16]))
    """

    def __init__(
        self,
        model: IndexModel,
        entropy: EntropyModel | None = None,
        *,
        pixel_model: PixelModel | None = None,
        fast: bool = False,
        max_values: int = MAX_VALUES,
        condition: Any = None,
        codebooks: int | None = None,
    ) -> None:
        self.model = model
        self.codebooks = used_codebooks(model, codebooks, None)
        with model.conditioned_on(condition):  # refuses an unknown one
            self.condition = condition
        self.digest = digest(content_hash(model))
        self.entropy = UniformModel(model.codebook_size) if entropy is None else entropy
        self.pixel_model = pixel_model
        self._decoder = self.model if fast else in_float64(model)
        self._max_values = max_values

    def check(self, header: FileHeader) -> None:
        """Raise unless a file with this header was written with these models.

        Raises:
            WrongModelError: it was written with others.
            DataError: the decoder has conditions, and none was given.
        """
        if self.model.conditions and (self.codebooks or not header.pixel_digest):
            self.model.read_condition(self.condition, 1)
        check_model("tokenizer", header.tokenizer, self.digest)
        if header.entropy_model != self.entropy.kind:
            raise WrongModelError(
                f"the file's indices are coded under a {header.entropy_model} model, and a {self.entropy.kind} one was "
                f"given: name the one it was made with ({option('prior')})"
            )
        check_model(f"{header.entropy_model} model", header.entropy_digest, self.entropy.digest)
        if header.pixel_digest and self.pixel_model is not None:
            check_model("pixel model", header.pixel_digest, self.pixel_model.digest)
        mine = (self.model.axes, self.model.channels, self.model.codebook_size, self.model.num_codebooks)
        theirs = (header.axes, header.channels, header.codebook_size, header.num_codebooks)
        if mine != theirs or header.downsampling != self.model.downsampling:
            raise WrongModelError(
                f"damaged file: its header says (axes, channels, codebook size, codebooks) {theirs}, downsampling "
                f"{header.downsampling}, but the model of that digest has {mine}, {self.model.downsampling}"
            )

    def read(self, file: BinaryIO) -> Iterator[Decoded]:
        """All signals, in order; when the iteration ends by itself the file was whole and as it was written.

        Raises:
            BitstreamError: damaged, cut short, of other models, or over a limit; a subclass says which.
        """
        kept: list[Piece] = []
        for piece in self.pieces(file):
            kept.append(piece)
            if piece.last:
                one = len(kept) == 1
                values = piece.values if one else torch.cat([each.values for each in kept], dim=1)
                indices = piece.indices if one else torch.cat([each.indices for each in kept])
                kept.clear()
                yield Decoded(piece.number, piece.name, values, indices)

    def pieces(self, file: BinaryIO | Reader) -> Iterator[Piece]:
        """The same in pieces: of long signals of one axis (sound) many, else one each; in memory for a piece.

        A piece is given out as soon as what it depends on has been read: of a file that was cut short all are that were
        whole, and then the error. A ``Reader`` stands for a file whose header has been read.

        Raises:
            BitstreamError: see ``read``.
        """
        reader = file if isinstance(file, Reader) else Reader(file, max_values=self._max_values)
        self.check(reader.header)
        number, total = 0, 0
        joined: Joiner | None = None
        with choice_of_threads(self.model.device) as threads:
            for group in reader:
                total += group.header.values(reader.header)
                allowed = max(MAX_TOTAL_VALUES, self._max_values) + MAX_VALUES_PER_BYTE * reader.bytes_read
                if total > allowed:
                    raise LimitError(
                        f"the signals of the file have {total:,} values or more: at most {allowed:,} are allowed for "
                        "a file of this length, so that a small one cannot fill the disk; raise max_values if you "
                        "trust it"
                    )
                if self._in_parts(reader.header, group):
                    if joined is None or not group.continues:
                        joined = Joiner(self._decoder, next(iter(group.header.names), None), self.condition)
                    for values, indices, last in self._parts(reader.header, group, joined, threads):
                        yield Piece(number, joined.name, joined.with_gaps(values), indices, last)
                    number += not group.header.goes_on
                    continue
                read = self._mixed if group.header.sizes else self._group
                for place, (values, indices, name) in enumerate(read(reader.header, group, threads)):
                    gaps = unpack_gaps(group.header.gaps[place], values.shape) if group.header.gaps else None
                    yield Piece(number, name, with_gaps(values, gaps), indices, True)
                    number += 1

    def _in_parts(self, header: FileHeader, group: GroupReader) -> bool:
        """Return whether a group is (a part of) one long signal, decoded while it is read."""
        about = group.header
        if about.goes_on or group.continues:
            return True
        tiled = header.axes == 1 and about.tile_shape(header) != self.model.grid(about.size)
        exact = about.lossless and self.codebooks is None
        return tiled and about.signals == 1 and not exact and self.model.halo is not None

    def _blocks(self, group: GroupReader) -> Iterator[Block]:
        """The blocks of a group that are decoded: none of later codebooks, which then need not be there."""
        used = group.header.codebooks if self.codebooks is None else self.codebooks
        while (place := group.next_place) is not None:
            if place.kind == "indices" and place.first_codebook >= used:
                return
            block = next(group)
            if place.kind == "indices" or self.codebooks is None:
                yield block

    def _parts(
        self, header: FileHeader, group: GroupReader, joined: Joiner, threads: ThreadChoice
    ) -> Iterator[tuple[Tensor, Tensor, bool]]:
        about = group.header
        joined.begin(about)
        positions, layered = self.model.grid(about.size)[0], len(about.layers) > 1
        items = torch.zeros(positions if layered else 0, about.codebooks, dtype=torch.int32)
        for block in self._blocks(group):
            self._limit(about, block, header)
            axis = block.place.tile[0]
            run = items[axis] if layered else torch.zeros(axis.stop - axis.start, about.codebooks, dtype=torch.int32)
            known = run[None].numpy().astype(np.int64)
            decode_block(self.entropy, block, known, self.model.codebook_size)
            run.copy_(torch.from_numpy(known)[0])
            if not layered:
                run = run[:, : self.codebooks]
                yield from joined.decode(run, threads, last=axis.stop == positions and not about.goes_on)
        if layered:
            yield from joined.decode(items[:, : self.codebooks], threads, last=not about.goes_on)

    def _group(
        self, header: FileHeader, group: GroupReader, threads: ThreadChoice
    ) -> Iterator[tuple[Tensor, Tensor, str | None]]:
        about = group.header
        lossless = about.lossless and self.codebooks is None
        if lossless and self.pixel_model is None:
            raise WrongModelError("the file is lossless and no pixel model was given: name the run that has one")
        if lossless and about.codebooks < header.num_codebooks:
            raise BitstreamError(
                f"damaged file: a lossless group with {about.codebooks} of {header.num_codebooks} codebooks, but its "
                "pixels need them all; get the file anew"
            )
        grid = self.model.grid(about.size)
        items = torch.zeros(about.signals, *grid, about.codebooks, dtype=torch.int32)
        exact = torch.zeros(about.signals, header.channels, *about.size, dtype=torch.uint8) if lossless else None
        for block in self._blocks(group):
            tile = block.place.tile
            if block.place.kind == "indices":
                self._limit(about, block, header)
                here = (slice(None), *tile)
                known = items[here].numpy().astype(np.int64)
                decode_block(self.entropy, block, known, self.model.codebook_size)
                items[here] = torch.from_numpy(known).int()
            else:
                self._limit(about, block, header)
                assert exact is not None
                assert self.pixel_model is not None
                own = pixels(tile, about.size, self.model.downsampling)
                extent = tuple(axis.stop - axis.start for axis in own)
                told = items[(slice(None), *tile)].long()
                found = self.pixel_model.decode(told, block.data, extent, header.channels)
                block.check(found.numpy())
                exact[(slice(None), slice(None), *own)] = found
        names = about.names or (None,) * about.signals
        if exact is not None:
            yield from zip(exact, items, names, strict=True)
            return
        items = items[..., : self.codebooks]
        yield from zip(self._decoded(items, about.size, threads), items, names, strict=True)

    def _mixed(
        self, header: FileHeader, group: GroupReader, threads: ThreadChoice
    ) -> Iterator[tuple[Tensor, Tensor, str | None]]:
        about = group.header
        runs = [np.zeros((count, *self.model.grid(size), about.codebooks), np.int64) for size, count in about.runs]
        for block in self._blocks(group):
            self._limit(about, block, header)
            decode_runs(self.entropy, block, runs, self.model.codebook_size)
        names = iter(about.names or (None,) * about.signals)
        for run, (size, _) in zip(runs, about.runs, strict=True):
            items = torch.from_numpy(run).int()
            items = items[..., : self.codebooks]
            for values, indices in zip(self._decoded(items, size, threads), items, strict=True):
                yield values, indices, next(names)

    def _decoded(self, items: Tensor, size: tuple[int, ...], threads: ThreadChoice) -> Iterator[Tensor]:
        """Yield the signals of indices ``[n, *grid, codebooks]``, several small ones computed at once."""
        rows = max(1, _TOGETHER // padded_pixels(self.model, size))
        for part in items.split(rows):
            with threads.step(part.numel()):
                values = self.signals(part, size)
            yield from values

    def signals(self, indices: Tensor, size: tuple[int, ...]) -> Tensor:
        """The signals of indices ``[n, *grid, codebooks]``: uint8 for images and video, else float32."""
        levels = self.model.levels is not None
        dtype = torch.uint8 if levels else torch.float64 if self.model.kind.wide else torch.float32
        found = torch.zeros(len(indices), self.model.channels, *size, dtype=dtype)
        batch = indices.long()
        for tile in every_tile(self.model, size):
            with self._decoder.conditioned_on(self.condition):
                values = tile_signals(self._decoder, batch, tile, size).cpu()
            own = pixels(tile, size, self.model.downsampling)
            found[(slice(None), slice(None), *own)] = (values * 255).round().to(dtype) if levels else values.to(dtype)
        return found

    def _limit(self, about: GroupHeader, block: Block, header: FileHeader) -> None:
        found, most, what = about.symbols(block.place, header), MAX_BLOCK_INDICES, "indices"
        if block.place.kind != "indices":
            positions = math.prod(axis.stop - axis.start for axis in block.place.tile)
            found = about.signals * positions * math.prod(per_axis(header.downsampling, header.axes))
            most, what = MAX_BLOCK_PIXELS, "pixels"
        if found > most:
            raise LimitError(
                f"a block of {found:,} {what}: at most {most:,} are decoded at once, and vqkit writes fewer; this file "
                "was not made by vqkit"
            )


def decode_block(entropy: EntropyModel, block: Block, known: Indices, codebook_size: int) -> None:
    """Fill a tile's indices ``[n, *tile, codebooks]`` from a block, and verify them.

    Raises:
        BitstreamError: they are not those that were written.
    """
    decode_runs(entropy, block, [known], codebook_size)


def decode_runs(entropy: EntropyModel, block: Block, runs: Sequence[Indices], codebook_size: int) -> None:
    """The same of a block of several runs, contiguous ``[n, *tile, codebooks]`` each."""
    first, last = block.place.first_codebook, block.place.first_codebook + block.place.codebooks
    entropy.decode(block.data, runs, first, block.place.codebooks)
    for run in runs:
        check_range(run, codebook_size)
    block.check(one_after_another([run[..., first:last] for run in runs]))
