"""A sound into a ``.vqk`` file while it is made: groups of frames are written as soon as they are complete."""

from __future__ import annotations

from types import TracebackType
from typing import Any, BinaryIO, final

import numpy as np
import torch
from torch import Tensor

from vqkit.codec.compressor import Compressor
from vqkit.codec.limits import part_positions, tile_shape
from vqkit.codec.protocols import Output
from vqkit.codec.report import RateReport
from vqkit.codec.signals import Signal
from vqkit.coding import GroupHeader, per_axis
from vqkit.errors import ConfigError, DataError
from vqkit.models.tiling import weighing
from vqkit.spelling import option
from vqkit.threads import choice_of_threads


@final
class StreamCompressor:
    """Writes one sound, chunk by chunk, as the groups of a ``.vqk`` file that follow each other (docs/bitstream.md).

    The indices are those of the whole sound, and so is the file that ``Decompressor`` reads; each group has as many
    frames, wherever the chunks end, so that the bytes do not depend on them either. A group is written once its frames
    are complete and one sample more has come: it says whether the sound goes on. Memory is that of a group.

    Args:
        compressor: says the model, the entropy model, the codebooks and the weight of a bit.
        file: binary, need not be seekable; what has been written is flushed.
        frames: of a group: fewer come sooner, more cost fewer bytes (about 21 a group). None: a second of them, or 50
            where the sample rate is not known.

    Attributes:
        frames: see above; no more than a tile holds.
        latency: samples from the first one of a group up to the one with which it is written.
        report: the sizes so far.

    Raises:
        ConfigError: signals of other than one axis, networks that see the whole signal, a search, or exact pixels.

    Example:
        >>> import io, torch, vqkit
        >>> from vqkit.codec import Compressor, Decompressor, StreamCompressor
        >>> net = {"type": "seanet", "config": {"strides": [2, 4], "hidden_channels": 8}}
        >>> sizes = {"axes": 1, "channels": 1, "code_dim": 4, "kind": "sound@16000"}
        >>> model = vqkit.VQVAE(16, encoder=net, decoder=net, **sizes).eval()
        >>> sound, file = torch.rand(1, 101) - 0.5, io.BytesIO()
        >>> with StreamCompressor(Compressor(model), file, frames=5) as stream:
        ...     for chunk in sound.split(10, dim=1):
        ...         stream.write(chunk)
        >>> (found,) = Decompressor(model).read(io.BytesIO(file.getvalue()))
        >>> torch.equal(found.indices[:, 0].long(), model.encode(sound[None])[0])
        True
    """

    def __init__(self, compressor: Compressor, file: BinaryIO, *, frames: int | None = None) -> None:
        model = compressor.model
        if compressor.search is not None:
            raise ConfigError("a rate is met over a whole sound, and a stream is not known as a whole: leave it out")
        if compressor.pixel_model is not None:
            raise ConfigError("a stream of sound has no exact pixels: leave the pixel model out")
        if compressor.progressive:
            raise ConfigError(
                f"{option('progressive', True)}: a stream is written as it comes, with all codebooks at once"
            )
        if compressor.optimize:
            raise ConfigError(f"{option('optimize', True)}: a stream has chosen its indices before a prior sees them")
        self._stream = model.stream(codebooks=compressor.codebooks)
        self._compressor, self._file = compressor, file
        self._step = per_axis(model.downsampling, 1)[0]
        rate = model.kind.rate
        most = min(part_positions(model), tile_shape(model, (part_positions(model),))[0])
        wanted = (50 if rate is None else round(rate / self._step)) if frames is None else frames
        if wanted < 1:
            raise ConfigError(f"frames={frames}: give 1 or more")
        self.frames = min(max(1, wanted), most)
        first = (self.frames - 1) * self._step
        self.latency = first + max(self._stream.encoding_latency, self._step + 1)
        self._output: Output | None = None
        self._samples: list[Tensor] = []
        self._pending = self._came = self._written = 0  # samples: not yet encoded, all, in groups
        self._indices = torch.empty(0, compressor.codebooks, dtype=torch.int64)
        self._finished = False

    @property
    def seconds(self) -> float | None:
        """How long the sound is so far; None where the sample rate is not known."""
        rate = self._compressor.model.kind.rate
        return None if rate is None else self._came / rate

    @property
    def report(self) -> RateReport:
        """The sizes so far."""
        if self._output is None:
            return RateReport(self._compressor.entropy.kind)
        self._output.report.file_bytes = self._output.counting.written
        return self._output.report

    def write(self, samples: Any) -> None:
        """Take in the next samples, and write the groups that they complete.

        Args:
            samples: ``[channels, n]``, floats of [-1, 1]; any number of them.

        Raises:
            ConfigError: the sound has been finished.
            DataError: samples that the model does not read.
            OSError: the file cannot be written.
        """
        if self._finished:
            raise ConfigError("the sound is finished: begin another stream")
        chunk = np.asarray(samples)
        if chunk.ndim == 2 and chunk.shape[1] == 0:
            return
        model = self._compressor.model
        Signal(chunk, "a chunk of the stream").check(model.channels, model.kind)
        if self._output is None:
            self._output = self._compressor.begin(self._file)
        self._samples.append(torch.from_numpy(chunk.copy()))  # whoever gave it may fill it anew
        self._pending += chunk.shape[1]
        self._came += chunk.shape[1]
        if self._came - self._written >= self.latency:  # a group is complete: the networks run once for it
            self._encode(last=False)
            self._write_groups(self._output)

    def finish(self) -> None:
        """Write what is left, and the end of the file, which stays open.

        Raises:
            DataError: no sample has come.
            OSError: the file cannot be written.
        """
        if self._finished:
            return
        output = self._output
        if output is None:
            raise DataError("no samples came, and a sound has one at least")
        self._finished = True
        self._encode(last=True)
        self._write_groups(output)
        self._write_group(output, len(self._indices), self._came - self._written, goes_on=False)
        report = output.report
        report.signals, report.pixels = 1, self._came
        report.values = self._came * self._compressor.model.channels
        output.writer.finish()
        self._file.flush()

    def __enter__(self) -> StreamCompressor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.finish()

    def _encode(self, *, last: bool) -> None:
        """Let the networks see what has come."""
        model = self._compressor.model
        chunk = torch.cat(self._samples, dim=1)[None] if self._samples else None
        weight = self._compressor.rate_weight
        with choice_of_threads(model.device) as threads, threads.step(max(1, self._pending)), weighing(model, weight):
            found = self._stream.encode(chunk, last=last)
        self._samples, self._pending = [], 0
        self._indices = torch.cat([self._indices, found[0].reshape(-1, self._compressor.codebooks).cpu()])

    def _write_groups(self, output: Output) -> None:
        """Write the groups whose frames are known and that a sample follows."""
        size = self.frames * self._step
        while len(self._indices) >= self.frames and self._came - self._written > size:
            self._write_group(output, self.frames, size, goes_on=True)
            self._file.flush()

    def _write_group(self, output: Output, frames: int, size: int, *, goes_on: bool) -> None:
        header = GroupHeader(signals=1, size=(size,), codebooks=self._compressor.codebooks, goes_on=goes_on)
        self._compressor.write_indices(output, header, self._indices[None, :frames].numpy())
        self._indices, self._written = self._indices[frames:], self._written + size
