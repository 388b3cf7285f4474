"""Signals to ``.vqk`` files: groups of signals, tile by tile, in memory for one group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, final

import numpy as np
import torch
from torch import Tensor

from vqkit.checking import counted
from vqkit.codec.archive.alone import bounded_alone, exact_alone, write_alone
from vqkit.codec.bounded.bound import MaxError, coded_values
from vqkit.codec.entropy.counting import code_block
from vqkit.codec.entropy.models import EntropyModel, Indices, UniformModel
from vqkit.codec.entropy.models import tile_bits as tile_bits
from vqkit.codec.entropy.optimized import check_optimizable, optimized_indices
from vqkit.codec.limits import MAX_BLOCK_PIXELS, every_tile, padded_pixels, part_positions, tile_shape
from vqkit.codec.protocols import GroupCoder, Output, PixelModel, Search
from vqkit.codec.report import Counting, RateReport
from vqkit.codec.resuming.work import Memory, recall_indices
from vqkit.codec.signals import LongBatch, Signal, batch_of, grouped, packed_gaps
from vqkit.coding import Block, FileHeader, GroupHeader, Place, Writer, digest, integers_crc, per_axis, pixels
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.models.rates.rate import used_codebooks
from vqkit.models.tiling import check_weight, chosen_indices, tile_latents
from vqkit.pretrained.folder import content_hash
from vqkit.spelling import option
from vqkit.threads import ThreadChoice, choice_of_threads


@final
class Compressor:
    """Writes signals to one ``.vqk`` file.

    Args:
        model: the tokenizer.
        entropy: gives the frequencies of indices; None: uniform.
        pixel_model: with it the file holds the pixels exactly.
        max_error: with it the file holds every value of a field to within this (``MaxError``, or what it is made of:
            a number, ``"0.1%"`` of a channel's range, one for each channel).
        codebooks: the first so many of a residual stack are used; None: all.
        kbps: as many codebooks are used as have this rate (of sound, each index counted as log2 K bits).
        rate_weight: the squared distance that one bit is worth where codes are chosen (see ``CodebookQuantizer``);
            None: as trained.
        optimize: weigh the bits that ``entropy`` asks for a code where it stands, instead of those by how often the
            code is used: fewer bits at equal quality, several times the work, and files that read as any other.
        progressive: write the codebooks one after another, each with a checksum of its own, so that a reader can stop
            after any of them (``Decompressor``).
        search: settles ``codebooks`` and ``rate_weight`` for each group instead.
        beside: further entropy models whose ideal bits the report is to hold; each costs time.

    Attributes:
        mixed: whether signals of several sizes share groups, which saves headers: of sounds. (Images have few headers
            to save, and a group that is damaged or cut off would lose all of its images.)
        alone: whether each signal is a group of its own, which is decoded without the others: in archives.

    Raises:
        ConfigError: codebooks that the model does not have or cannot drop; a weight that it cannot use; ``optimize``
            with no prior, or where bits weigh nothing.

    Example:
        >>> import io
        >>> import numpy as np
        >>> import vqkit
        >>> from vqkit.codec import Compressor, Signal
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> file = io.BytesIO()
        >>> report = Compressor(model).write(file, [Signal(np.zeros((3, 16, 16), dtype=np.uint8), "a.png")])
        >>> report.signals, report.nominal_bits  # 4 x 4 positions of log2 16 bits
        (1, 64)
    """

    def __init__(
        self,
        model: IndexModel,
        entropy: EntropyModel | None = None,
        *,
        pixel_model: PixelModel | None = None,
        max_error: MaxError | float | str | Sequence[float | str] | None = None,
        codebooks: int | None = None,
        kbps: float | None = None,
        rate_weight: float | None = None,
        optimize: bool = False,
        progressive: bool = False,
        search: Search | None = None,
        beside: Iterable[EntropyModel] = (),
    ) -> None:
        self.model = model
        self.entropy = UniformModel(model.codebook_size) if entropy is None else entropy
        self.pixel_model = pixel_model
        self.max_error = None if max_error is None else MaxError.of(max_error, model)
        if self.max_error is not None and (pixel_model is not None or search is not None):
            raise ConfigError(
                f"{option('max_error')}: the size follows from the bound, and nothing is left to restore; leave the "
                "rate and lossless files out"
            )
        self.codebooks = used_codebooks(model, codebooks, kbps) or model.num_codebooks
        if pixel_model is not None and search is not None:
            raise ConfigError("a lossless file has the size that it needs: leave the rate out")
        if pixel_model is not None and self.codebooks < model.num_codebooks:
            raise ConfigError(
                f"{self.codebooks} codebooks in a lossless file: its pixel model was trained with all "
                f"{model.num_codebooks} of them, and what they leave out would come back in the pixels; leave "
                f"{option('codebooks')} out"
            )
        if progressive and (model.num_codebooks == 1 or not model.quantizer.nested):
            raise ConfigError(
                f"{option('progressive', True)}: this model has {counted(model.num_codebooks, 'codebook')}, of which "
                "the first ones alone are no coarser signal; stacking=residual makes such"
            )
        check_weight(model, rate_weight)
        if optimize:
            check_optimizable(model, self.entropy, rate_weight if search is None else math.inf)
        self.rate_weight = rate_weight
        self.optimize = optimize
        self.progressive = progressive
        self.search = search
        self.memory: tuple[Memory, Any] | None = None
        self.crew: GroupCoder | None = None
        self.mixed = model.kind.axes == 1 and search is None and pixel_model is None and max_error is None
        self.alone = False
        self.beside = [each for each in beside if each.kind != self.entropy.kind]

    @property
    def header(self) -> FileHeader:
        """The header of the file: its layout, and digests of the models that decoding needs."""
        model = self.model
        return FileHeader(
            axes=model.axes,
            channels=model.channels,
            codebook_size=model.codebook_size,
            num_codebooks=model.num_codebooks,
            downsampling=model.downsampling,
            tokenizer=digest(content_hash(model)),
            entropy_model=self.entropy.kind,
            entropy_digest=self.entropy.digest,
            pixel_digest=b"" if self.pixel_model is None else self.pixel_model.digest,
        )

    @property
    def entropies(self) -> list[EntropyModel]:
        """The models that files are coded under: its own, then those ``beside``."""
        return [self.entropy, *self.beside]

    def header_under(self, entropy: EntropyModel) -> FileHeader:
        """The header of the file under an entropy model."""
        return replace(self.header, entropy_model=entropy.kind, entropy_digest=entropy.digest)

    def write(
        self, file: BinaryIO, signals: Iterable[Signal], *, progress: Callable[[int], None] | None = None
    ) -> RateReport:
        """Compress signals, in order; returns the sizes.

        Args:
            file: binary, need not be seekable.
            signals: any number, of any sizes; consecutive ones are coded together, as many as are in memory at once.
            progress: called with the number of signals done.

        Raises:
            DataError: signals that the model does not read (``Signal.check``); in a lossless file, all but uint8.
            OSError: the file cannot be written.
        """
        return self.write_each([file], signals, progress=progress)[0]

    def write_each(
        self, files: Sequence[BinaryIO], signals: Iterable[Signal], *, progress: Callable[[int], None] | None = None
    ) -> list[RateReport]:
        """Compress signals once into several files, of the same indices; returns the sizes of each.

        Args:
            files: the first is coded under ``entropy``, the others under the models ``beside``, in their order.
            signals: see ``write``.
            progress: see ``write``.

        Raises:
            ConfigError: more files than models that code them.
            DataError: see ``write``.
            OSError: a file cannot be written.
        """
        models = self.entropies
        if len(files) > len(models):
            raise ConfigError(f"{len(files)} files for {len(models)} entropy models; give a file for each at most")
        outputs = [self.begin(file, model) for model, file in zip(models, files, strict=False)]
        self.write_to(outputs, signals, progress=progress)
        for each in outputs:
            each.writer.finish()
            each.report.file_bytes = each.counting.written
        return [each.report for each in outputs]

    def write_to(
        self, outputs: Sequence[Output], signals: Iterable[Signal], *, progress: Callable[[int], None] | None = None
    ) -> None:
        """Write signals to what ``begin`` gave for each file, without an end.

        Args:
            outputs: the first is coded under ``entropy``.
            signals: see ``write``.
            progress: see ``write``.
        """
        groups = grouped(signals, self.model, mixed=self.mixed)
        if self.crew is not None:
            for coded in self.crew.run(groups, len(outputs)):
                for each, output in zip(coded, outputs, strict=True):
                    each.write(output)
                if progress is not None:
                    progress(outputs[0].report.signals)
            return
        with choice_of_threads(self.model.device) as threads:
            for group in groups:
                self.write_group(outputs, group, threads)
                if progress is not None:
                    progress(outputs[0].report.signals)

    def begin(self, file: BinaryIO, entropy: EntropyModel | None = None) -> Output:
        """Write the header of a file, under an entropy model; None: the compressor's own."""
        model = self.entropy if entropy is None else entropy
        header = self.header_under(model)
        counting = Counting(file)
        return Output(model, counting, Writer(counting, header), RateReport(model.kind))  # type: ignore[arg-type]

    def write_group(self, outputs: Sequence[Output], group: list[list[Signal]], threads: ThreadChoice) -> None:
        """Write what ``grouped`` gave: runs of signals."""
        if len(group) > 1:
            self._write_mixed(outputs, group, threads)
        else:
            self._write_group(outputs, group[0], threads)

    def write_indices(self, output: Output, header: GroupHeader, items: Indices) -> None:
        """Write a group whose indices ``[1, positions, codebooks]`` are known, of one axis and in one tile."""
        output.writer.begin(header)
        for place in header.places(output.writer.header):
            self._code([output], [items], place)

    def _write_group(self, outputs: Sequence[Output], group: list[Signal], threads: ThreadChoice) -> None:
        batch, size = batch_of(group), tuple(int(length) for length in group[0].values.shape[1:])
        if self.pixel_model is not None and batch.dtype != torch.uint8:
            raise DataError(f"signals of {batch.dtype}: a lossless file restores 8-bit images (uint8)")
        if self.pixel_model is not None and self.model.halo is None:
            found = padded_pixels(self.model, size)
            if found > MAX_BLOCK_PIXELS:
                raise ConfigError(
                    f"a lossless file of {found:,} pixels a signal needs tiles of {MAX_BLOCK_PIXELS:,} at most, and "
                    "the model's networks do not say what a tile sees: give them a halo (positions on each side)"
                )
        if self.search is not None:
            self.codebooks, self.rate_weight = self.search.settings(batch)
        names = tuple(each.name for each in group if each.name is not None)
        if self.alone and isinstance(batch, Tensor) and len(group) > 1:
            self._write_alone(outputs, batch, names, threads)
            return
        step = per_axis(self.model.downsampling, 1)[0] if self.model.axes == 1 else 1
        bounds, number_type = ((), "") if self.max_error is None else self.max_error.settled(batch, self.model)
        most = part_positions(self.model) * step if self.model.axes == 1 and not bounds else 0
        for start in range(0, size[0], most) if most else (0,):
            own = (min(most, size[0] - start),) if most else size
            header = GroupHeader(
                signals=len(group),
                size=own,
                codebooks=self.codebooks,
                layers=self._layers,
                tile=tile_shape(self.model, self.model.grid(own)),
                names=() if start else names,
                lossless=self.pixel_model is not None,
                goes_on=bool(most) and start + most < size[0],
                gaps=packed_gaps(batch, start, start + own[0] if most else None) if self.model.kind.gaps else (),
                bounds=bounds,
                number_type=number_type,
            )
            self._write_part(outputs, batch, header, start // step, threads)
        for output in outputs:
            output.report.count(len(group), len(group) * math.prod(size), self.model.channels)

    def _write_alone(
        self, outputs: Sequence[Output], batch: Tensor, names: tuple[str, ...], threads: ThreadChoice
    ) -> None:
        """Write signals of one size, each as a group of its own; the networks see all of them at once."""
        size = tuple(int(length) for length in batch.shape[2:])
        tile = tile_shape(self.model, self.model.grid(size))
        header = GroupHeader(
            signals=1, size=size, codebooks=self.codebooks, layers=self._layers, tile=tile,
            lossless=self.pixel_model is not None,
        )  # fmt: skip
        bounds: list[tuple[float, ...]] = []
        if self.max_error is not None:
            settled = [self.max_error.settled(one, self.model) for one in batch.split(1)]
            bounds = [each for each, _ in settled]
            header = replace(header, bounds=bounds[0], number_type=settled[0][1])
        known = []
        for place in every_tile(self.model, size):
            with threads.step(len(batch) * math.prod(axis.stop - axis.start for axis in place)):
                known.append(self.tile_indices(batch, place))
        gaps = packed_gaps(batch) if self.model.kind.gaps else ()
        exact = [] if self.pixel_model is None else exact_alone(self.pixel_model, batch, known, header, self.header)
        exact = bounded_alone(batch, bounds, header, self.header) if bounds else exact
        for each in outputs:
            write_alone(each, header, names or (None,) * len(batch), known, exact, gaps, bounds)
            each.report.count(len(batch), len(batch) * math.prod(size), self.model.channels)

    def _write_mixed(self, outputs: Sequence[Output], runs: list[list[Signal]], threads: ThreadChoice) -> None:
        """Write signals of several sizes, runs of one size each, as one group with one block."""
        every = [signal for run in runs for signal in run]
        sizes = tuple(tuple(int(length) for length in each.values.shape[1:]) for each in every)
        names = tuple(each.name for each in every if each.name is not None)
        gaps = [each for run in runs for each in packed_gaps(batch_of(run)) or (b"",) * len(run)]
        header = GroupHeader(
            signals=len(every),
            size=sizes[0],
            sizes=sizes,
            codebooks=self.codebooks,
            layers=self._layers,
            names=names,
            gaps=tuple(gaps) if self.model.kind.gaps and any(gaps) else (),
        )
        items = []
        for run in runs:
            batch = batch_of(run)
            (tile,) = every_tile(self.model, tuple(batch.shape[2:]))
            with threads.step(len(batch) * math.prod(axis.stop - axis.start for axis in tile)):
                items.append(self.tile_indices(batch, tile))
        for each in outputs:
            each.writer.begin(header)
        for place in header.places(outputs[0].writer.header):
            self._code(outputs, items, place)
        for each in outputs:
            each.report.count(header.signals, header.pixels, self.model.channels)

    def _write_part(
        self,
        outputs: Sequence[Output],
        batch: Tensor | LongBatch,
        header: GroupHeader,
        first: int,
        threads: ThreadChoice,
    ) -> None:
        """Write a group: signals, or of a long one the part that begins at position ``first``."""
        for each in outputs:
            each.writer.begin(header)
        items: Indices | None = None
        known: dict[int, Indices] = {}  # of tiles whose later layers have not been written
        for place in header.places(outputs[0].writer.header):
            if place.kind == "indices":
                if place.first_codebook:
                    items = known[place.number].astype(np.int64)
                    self._code(outputs, [items], place)
                    continue
                tile = (_shifted(place.tile[0], first), *place.tile[1:]) if first else place.tile
                with threads.step(len(batch) * math.prod(axis.stop - axis.start for axis in place.tile)):
                    items = self.tile_indices(batch, tile)
                if self.progressive:
                    known[place.number] = items.astype(np.min_scalar_type(self.model.codebook_size))
                self._code(outputs, [items], place)
                continue
            assert items is not None
            exact = batch[(slice(None), slice(None), *pixels(place.tile, header.size, self.model.downsampling))]
            if header.bounds:
                data, crc = coded_values(exact, header.bounds, header.number_type)
            else:
                assert self.pixel_model is not None
                data, crc = self.pixel_model.encode(torch.from_numpy(items), exact), integers_crc(exact.numpy())
            for each in outputs:
                each.writer.block(Block(place=place, crc=crc, data=data))
                each.report.residual_bytes += len(data)

    @property
    def _layers(self) -> tuple[int, ...]:
        """Codebooks of each layer of a group."""
        return (1,) * self.codebooks if self.progressive else ()

    def tile_indices(self, batch: Tensor | LongBatch, tile: tuple[slice, ...]) -> Indices:
        """Return the indices int64 ``[n, *tile, codebooks]`` of signals ``[n, channels, *size]`` at a tile."""

        def make() -> Indices:
            latents = tile_latents(self.model, batch, tile)
            if self.optimize and self.rate_weight != 0:
                return optimized_indices(self.model, self.entropy, latents, self.rate_weight, self.codebooks)
            found = chosen_indices(self.model, latents, self.rate_weight)[..., : self.codebooks]
            return np.ascontiguousarray(found.cpu().numpy())

        if self.memory is None:
            return make()
        about = [[[side.start, side.stop] for side in tile], self.rate_weight, self.codebooks]
        about += [self.entropy.memory[1]] if self.optimize and self.entropy.memory is not None else []
        seen = batch if isinstance(batch, Tensor) else batch.around(self.model, tile)
        kept: Indices = recall_indices(self.memory, about, seen, make)
        return kept

    def _code(self, outputs: Sequence[Output], runs: Sequence[Indices], place: Place) -> None:
        code_block(outputs, runs, place, self.model.codebook_size, self.beside[len(outputs) - 1 :])


def _shifted(axis: slice, by: int) -> slice:
    return slice(axis.start + by, axis.stop + by)
