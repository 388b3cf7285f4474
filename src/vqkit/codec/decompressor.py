"""``.vqk`` files back to signals; nothing is given out before its checksums have been verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.codec.bounded.bound import decoded_values
from vqkit.codec.entropy.models import EntropyModel, UniformModel
from vqkit.codec.joining import Joiner, with_gaps
from vqkit.codec.limits import (
    MAX_TOTAL_VALUES,
    MAX_VALUES_PER_BYTE,
    every_tile,
    padded_pixels,
)
from vqkit.codec.protocols import PixelModel
from vqkit.codec.reading.blocks import Run, check_size, decode_block, decode_runs
from vqkit.codec.reading.pieces import Decoded, Piece, whole
from vqkit.coding import (
    MAX_VALUES,
    Block,
    FileHeader,
    GroupReader,
    Reader,
    check_model,
    digest,
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
        self.settings = {"fast": fast, "max_values": max_values, "condition": condition, "codebooks": self.codebooks}

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
        yield from whole(self.pieces(file))

    def read_groups(self, header: FileHeader, groups: Iterable[GroupReader]) -> Iterator[Decoded]:
        """The signals of some groups of a file, in order, numbered from 0: ``group_pieces``, whole."""
        yield from whole(self.group_pieces(header, groups, together=False))

    def group_pieces(self, header: FileHeader, groups: Iterable[GroupReader], together: bool = True) -> Iterator[Piece]:
        """The pieces of some groups of a file, numbered from 0, as ``pieces`` gives them.

        Args:
            header: of the file.
            groups: read one after the other (``vqkit.coding.archive.access``).
            together: whether groups of one small signal each may be decoded at once.
        """
        self.check(header)
        with choice_of_threads(self.model.device) as threads:
            yield from self._pieces(header, groups, threads, together=together)

    def read_one(self, header: FileHeader, groups: Iterable[GroupReader], own: int) -> Decoded:
        """One signal of a group of several, or of groups that go on with each other.

        Args:
            header: of the file.
            groups: its group, and those that go on with it.
            own: which signal of the group.

        Raises:
            BitstreamError: see ``read``.
        """
        with choice_of_threads(self.model.device) as threads:
            return list(whole(self._pieces(header, groups, threads, together=False, only=own)))[-1]

    def check_blocks(self, header: FileHeader, group: GroupReader) -> None:
        """Decode the blocks of a group to their integers, and verify these, without the networks of the decoder.

        Raises:
            BitstreamError: see ``read``.
        """
        if group.header.sizes:
            self._mixed_indices(header, group)
        else:
            self._indices(header, group)

    def pieces(self, file: BinaryIO | Reader) -> Iterator[Piece]:
        """The same in pieces: of long signals of one axis (sound) many, else one each; in memory for a piece.

        A piece is given out as soon as what it depends on has been read: of a file that was cut short all are that were
        whole, and then the error. A ``Reader`` stands for a file whose header has been read.

        Raises:
            BitstreamError: see ``read``.
        """
        reader = file if isinstance(file, Reader) else Reader(file, max_values=self._max_values)
        self.check(reader.header)
        with choice_of_threads(self.model.device) as threads:
            yield from self._pieces(reader.header, self._bounded(reader), threads, together=reader.growing)

    def _bounded(self, reader: Reader) -> Iterator[GroupReader]:
        """The groups of a file, which are not to fill the disk."""
        total = 0
        for group in reader:
            total += group.header.values(reader.header)
            allowed = max(MAX_TOTAL_VALUES, self._max_values) + MAX_VALUES_PER_BYTE * reader.bytes_read
            if total > allowed:
                raise LimitError(
                    f"the signals of the file have {total:,} values or more: at most {allowed:,} are allowed for a "
                    "file of this length, so that a small one cannot fill the disk; raise max_values if you trust it"
                )
            yield group

    def _pieces(
        self,
        header: FileHeader,
        groups: Iterable[GroupReader],
        threads: ThreadChoice,
        *,
        together: bool,
        only: int | None = None,
    ) -> Iterator[Piece]:
        """Yield the pieces of groups; those of one signal each are decoded ``together``, as many as were coded so.

        ``only`` one signal of a group is given out, where a number says so.
        """
        number, joined, run = 0, None, Run(self.model)
        try:
            for group in groups:
                if together and self._is_alone(header, group):
                    if not run.takes(group.header):
                        yield from self._of_run(run, number, threads)
                        number += run.clear()
                    blocks = list(self._blocks(group))
                    for block in blocks:
                        check_size(group.header, block, header)
                    run.add(group.header, blocks)
                    continue
                yield from self._of_run(run, number, threads)
                number += run.clear()
                if self._in_parts(header, group):
                    if joined is None or not group.continues:
                        joined = Joiner(self._decoder, next(iter(group.header.names), None), self.condition)
                    for values, indices, last in self._parts(header, group, joined, threads):
                        yield Piece(number, joined.name, joined.with_gaps(values), indices, last)
                    number += not group.header.goes_on
                    continue
                read = self._mixed if group.header.sizes else self._group
                for place, (values, indices, name) in enumerate(read(header, group, threads, only), only or 0):
                    gaps = unpack_gaps(group.header.gaps[place], values.shape) if group.header.gaps else None
                    yield Piece(number, name, with_gaps(values, gaps), indices, True)
                    number += 1
        except BitstreamError:
            yield from self._of_run(run, number, threads)  # what was whole
            raise
        yield from self._of_run(run, number, threads)

    def _is_alone(self, header: FileHeader, group: GroupReader) -> bool:
        """Return whether a group is one whole signal that may be decoded together with others."""
        about = group.header
        exact = about.residual and self.codebooks is None
        plain = not (exact or about.gaps)
        return about.signals == 1 and plain and not self._in_parts(header, group)

    def _of_run(self, run: Run, number: int, threads: ThreadChoice) -> Iterator[Piece]:
        if not run.names:
            return
        items = run.decode(self.entropy)[..., : self.codebooks]
        every = zip(run.names, self._decoded(items, run.size, threads), items, strict=True)
        for place, (name, values, indices) in enumerate(every, number):
            yield Piece(place, name, values, indices, True)

    def _in_parts(self, header: FileHeader, group: GroupReader) -> bool:
        """Return whether a group is (a part of) one long signal, decoded while it is read."""
        about = group.header
        if about.goes_on or group.continues:
            return True
        tiled = header.axes == 1 and about.tile_shape(header) != self.model.grid(about.size)
        exact = about.residual and self.codebooks is None
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
            check_size(about, block, header)
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
        self, header: FileHeader, group: GroupReader, threads: ThreadChoice, only: int | None
    ) -> Iterator[tuple[Tensor, Tensor, str | None]]:
        about = group.header
        items, exact = self._indices(header, group)
        chosen = slice(None) if only is None else slice(only, only + 1)
        names, items = (about.names or (None,) * about.signals)[chosen], items[chosen, ..., : self.codebooks]
        values = self._decoded(items, about.size, threads) if exact is None else iter(exact[chosen])
        yield from zip(values, items, names, strict=True)

    def _indices(self, header: FileHeader, group: GroupReader) -> tuple[Tensor, Tensor | None]:
        """The indices int32 ``[n, *grid, codebooks]`` of a group, and its exact pixels, if it has any."""
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
        bounded = bool(about.bounds) and self.codebooks is None
        kind = torch.uint8 if lossless else torch.float64 if self.model.kind.wide else torch.float32
        shape = (about.signals, header.channels, *about.size)
        exact = torch.zeros(shape, dtype=kind) if lossless or bounded else None
        if bounded and about.number_type != (self.model.kind.number_type or about.number_type):
            raise WrongModelError(
                f"damaged file: values of {about.number_type} and a model of {self.model.kind.number_type}"
            )
        gaps = [unpack_gaps(each, shape[1:]) for each in about.gaps] if bounded else []
        for block in self._blocks(group):
            tile = block.place.tile
            if block.place.kind == "indices":
                check_size(about, block, header)
                here = (slice(None), *tile)
                known = items[here].numpy().astype(np.int64)
                decode_block(self.entropy, block, known, self.model.codebook_size)
                items[here] = torch.from_numpy(known).int()
            else:
                check_size(about, block, header)
                assert exact is not None
                own = pixels(tile, about.size, self.model.downsampling)
                if bounded:
                    missing = np.zeros((about.signals, *shape[1:]), bool)
                    for number, mask in enumerate(gaps):
                        missing[number] = False if mask is None else mask
                    here = (slice(None), slice(None), *own)
                    exact[here] = decoded_values(block, missing[here], about.number_type).to(kind)
                    continue
                assert self.pixel_model is not None
                extent = tuple(axis.stop - axis.start for axis in own)
                told = items[(slice(None), *tile)].long()
                found = self.pixel_model.decode(told, block.data, extent, header.channels)
                block.check(found.numpy())
                exact[(slice(None), slice(None), *own)] = found
        return items, exact

    def _mixed(
        self, header: FileHeader, group: GroupReader, threads: ThreadChoice, only: int | None
    ) -> Iterator[tuple[Tensor, Tensor, str | None]]:
        about, number = group.header, 0
        for run, (size, count) in zip(self._mixed_indices(header, group), about.runs, strict=True):
            names = (about.names or (None,) * about.signals)[number : number + count]
            items = torch.from_numpy(run).int()[..., : self.codebooks]
            own = slice(None) if only is None else slice(max(0, only - number), max(0, only - number + 1))
            number += count
            if not len(items[own]):
                continue
            yield from zip(self._decoded(items[own], size, threads), items[own], names[own], strict=True)

    def _mixed_indices(self, header: FileHeader, group: GroupReader) -> list[npt.NDArray[np.int64]]:
        """The indices of the runs of a mixed group, ``[n, *grid, codebooks]`` each."""
        about = group.header
        runs = [np.zeros((count, *self.model.grid(size), about.codebooks), np.int64) for size, count in about.runs]
        for block in self._blocks(group):
            check_size(about, block, header)
            decode_runs(self.entropy, block, runs, self.model.codebook_size)
        return runs

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
