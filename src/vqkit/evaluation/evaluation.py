"""One judgement of a model over a whole set: every rung of the ladder by the same measures."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vqkit.data import Source
from vqkit.data.long_items import LongItem
from vqkit.deprecation import moved
from vqkit.errors import DataError
from vqkit.evaluation.batches import are_batches
from vqkit.evaluation.distortion import psnr_db
from vqkit.evaluation.fields import FieldPart, FieldQuality, check_peak, join_fields, plain_channels
from vqkit.evaluation.latent_bits import LatentQuantizer, rounded
from vqkit.evaluation.long_sounds import judged_segments
from vqkit.evaluation.parts import BatchMeasures, BatchPart, latents_count
from vqkit.evaluation.rate import BitsPerDim, RateReport, continuous_rate_report, rate_report
from vqkit.evaluation.sound.quality import SoundQuality, summarize
from vqkit.evaluation.sums import Sums
from vqkit.evaluation.vectors.neighbors import NeighborRecall
from vqkit.evaluation.vectors.quality import VectorPart, VectorQuality, join_parts, judged_neighbors
from vqkit.evaluation.workers import check_workers, parts_of_workers
from vqkit.models import VAE, Model, active_units
from vqkit.models.conditions.model import conditioned_batches
from vqkit.models.matching import in_channels, open_source, readable
from vqkit.models.rates.rate import Rate, used_codebooks, with_codebooks
from vqkit.notebooks import table
from vqkit.ops import evaluating, perplexity, usage
from vqkit.threads import choice_of_threads

__getattr__ = moved(__name__, {"importance_bits_per_dim": "vqkit.evaluation.importance:importance_bits_per_dim"})


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluation of a model on a whole set: distortion, rate and codebook measures.

    Attributes:
        items: signals judged.
        mse: mean squared error over all values of the set, in squared signal units.
        nmse: ``mse`` over the variance of the set's values; infinite (None in JSON) where they do not vary. Of fields
            the mean of that of each channel.
        psnr_peak: the range of the values in the depth that they were judged in: 255 for 8-bit data, whatever the
            originals had; else the width of the model's range; None for signals without a fixed one.
        psnr_db: of ``mse`` (pooled over the set); None for signals without a fixed range.
        psnr_item_mean_db: mean over items of each item's own PSNR (items without error left out); None for
            signals without a fixed range.
        ssim: mean over items; None unless the signals are images.
        usage: fraction of codes (of all codebooks) that occur in the set; with fewer positions than codes it cannot
            reach 1. None for a model without codebook, as are the next three.
        perplexity: exp(entropy) of the set's index histogram (with several codebooks, of the mean entropy).
        codebook_size: K.
        positions: indices in the set.
        latent_numbers: indices or real numbers that an item is encoded into, on average.
        active_units: latent numbers of a VAE that vary with the signal (see ``models.active_units``), over the first
            items of the set; the others have collapsed onto the prior. None for other models, and where not counted.
        rate: nominal, entropy and stored sizes.
        bits_per_dim: None where neither the signals nor the likelihood have levels, and where it was not asked for.
        likelihood_bits_per_dim: ``-log2 p(x | z)`` per value; of autoregressive decoders.
        seconds: encoding, decoding and judging together.
        sound: measures of sounds; None of other signals.
        vectors: measures of vectors; None of other signals.
        fields: errors of each channel of fields, in its units; None of other signals.
        rates: those that the model was trained for, up to the one that was judged, with the entropy of the indices in
            the set; none of a model without codebook.

    Example:
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits").subset(range(64))
        >>> result = vqkit.evaluate(vqkit.VQVAE.for_source(digits, 16, hidden_channels=8), digits)
        >>> result.items, result.rate.nominal_bits  # 64 x 2 x 2 positions of log2 16 bits
        (64, 1024.0)
    """

    items: int
    mse: float
    nmse: float
    psnr_db: float | None
    psnr_item_mean_db: float | None
    ssim: float | None
    usage: float | None
    perplexity: float | None
    codebook_size: int | None
    positions: int | None
    latent_numbers: float
    active_units: int | None
    rate: RateReport
    bits_per_dim: BitsPerDim | None
    seconds: float
    psnr_peak: float | None = None
    sound: SoundQuality | None = None
    rates: tuple[Rate, ...] = ()
    likelihood_bits_per_dim: float | None = None
    vectors: VectorQuality | None = None
    fields: FieldQuality | None = None

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a table of the measures that there are."""
        return table(self.as_dict(), title="Evaluation")

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON (an infinite PSNR becomes None); those of each kind are among the others."""
        values = asdict(self)
        values |= values.pop("sound") or {}
        values |= values.pop("vectors") or {}
        if (fields := values.pop("fields")) is not None:
            values |= plain_channels(fields)
        values["rates"] = list(values["rates"])
        if self.likelihood_bits_per_dim is None:
            del values["likelihood_bits_per_dim"]
        return {key: None if value == float("inf") else value for key, value in values.items()}


@torch.no_grad()
def evaluate(
    model: Model,
    batches: Any,
    *,
    bits: bool = True,
    original_bytes: int | None = None,
    batch_size: int = 64,
    codebooks: int | None = None,
    kbps: float | None = None,
    database: Any = None,
    workers: int = 1,
    peak: float | None = None,
) -> Evaluation:
    """Judge a model on every item of a set, in evaluation mode, in constant memory; the same as ``vqkit eval``.

    Args:
        model: every part is left in the mode it was in.
        batches: a source, or whatever ``load_source`` takes (a torch data set, a ``DataLoader``): images are read in
            the model's channels, and in its size where it has one (their middle). Or batches ``(numbers, signals
            [batch, channels, *size])``, as from ``vqkit.evaluation_batches``; sizes may differ from batch to batch. A
            decoder with conditions is told the labels of a source, or the third part of each batch.
        original_bytes: of the set in the depth and the channels that it came with (``Source.original_bytes``); None:
            as the source says, or as many as the batches have.
        batch_size: of items of a source, of about 128x128; fewer at a time of larger ones.
        bits: also count bits per dimension, and a continuous model's latents (needs several times as long there), and
            judge sounds by the perceptual measures that are installed (see ``vqkit.evaluation.sound``).
        codebooks: of a residual stack the first so many are judged (see ``VQVAE.encode``); None: all.
        kbps: as many codebooks as have this rate are judged.
        database: of vectors, data that their nearest neighbours are looked for in; None: a tenth of the set is looked
            for among the others. Without ``bits``, and of batches, no neighbours are looked for.
        workers: processes that judge at the same time, each with a copy of the model, of a source; the numbers are
            the same (a script that asks for several does so below
            ``if __name__ == "__main__":``).
        peak: of fields, the range that a PSNR is counted with, in their units; None: no PSNR.

    Raises:
        ConfigError: codebooks, or a rate, that the model does not have; a peak of signals that have a range.
        DataError: no batches, no such data, or signals that the model does not read.

    Example:
        >>> import vqkit
        >>> from vqkit import evaluate
        >>> digits = vqkit.load_source("builtin:digits").subset(range(64))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> evaluate(model, digits).usage <= 1
        True
    """
    judged: Source | None = None
    check_peak(model, peak)
    if not are_batches(batches, 2 + model.axes):
        source = readable(model, in_channels(model, open_source(model, batches)))
        judged = source
        batches = conditioned_batches(model, source, batch_size)
        original_bytes = source.original_bytes() if original_bytes is None else original_bytes
    if codebooks is not None or kbps is not None:
        codebooks = used_codebooks(with_codebooks(model), codebooks, kbps)
    check_workers(workers, judged)
    with evaluating(model):
        running = RunningEvaluation(model, bits, original_bytes, codebooks)
        running.peak = running.peak if peak is None else peak
        if judged is not None and workers > 1:
            for part in parts_of_workers(model, judged, batch_size, bits, codebooks, workers):
                running.take(part)
            batches = ()
        threads = choice_of_threads(model.device, fixed=True)  # sums depend on the number in their last bits
        for pair in batches:
            if not isinstance(pair, tuple | list) or len(pair) not in (2, 3):
                raise DataError(
                    f"{type(batches).__name__} gives objects of type {type(pair).__name__}; give a source, a data set, "
                    "a DataLoader, or batches (item numbers, signals [batch, channels, *size])"
                )
            first = None if judged is None else int(pair[0][0])
            with threads.step(1 if isinstance(pair[1], LongItem) else len(pair[1])):
                (running.add_long if isinstance(pair[1], LongItem) else running.add)(*pair[1:], first=first)
        if judged is not None and bits and "vectors" in model.kind.measures:
            running.neighbors = judged_neighbors(model, judged, database, codebooks)
        return running.result()


class RunningEvaluation:
    """An evaluation batch by batch: ``add`` each, then the ``result``. The model has to be in evaluation mode.

    An exception in ``add`` (Ctrl-C, say) leaves what was added before as it was.

    Args:
        model: any.
        bits: whether what takes long is there too: bits per dimension, a continuous model's latents, and perceptual
            measures of sounds.
        original_bytes: of the set, see ``evaluate``; None: those of the signals as the model reads them.
        codebooks: of a residual stack the first so many are judged; None: all.
    """

    def __init__(
        self, model: Model, bits: bool, original_bytes: int | None = None, codebooks: int | None = None
    ) -> None:
        self.model = model
        self._measures = BatchMeasures(model, bits, codebooks)
        self.bits = bits
        self.peak = None if model.signal_range is None else model.signal_range[1] - model.signal_range[0]
        self.told_bytes = original_bytes
        self.is_8_bit = self._other_grids = False
        self._sums = Sums()
        self._errors: list[Tensor] = []
        self._similarities: list[Tensor] = []
        self._sounds: list[dict[str, Tensor]] = []
        self._vectors: list[VectorPart] = []
        self._fields: list[FieldPart] = []
        self.neighbors: NeighborRecall | None = None
        self._kept: list[tuple[Tensor, ...]] = []
        self._start = time.perf_counter()

    @property
    def items(self) -> int:
        """Number of items evaluated."""
        return self._sums.items

    def result(self) -> Evaluation:
        """The evaluation of all items so far.

        Raises:
            DataError: there are none.
        """
        sums = self._sums
        if not sums.items:
            raise DataError("nothing to evaluate: the set has no items; give at least one")
        mse = sums.total / max(1, sums.values)
        variance = sums.moments.variance if sums.moments.count else 0.0
        if self.peak is not None:
            variance = max(variance, 1e-12)
        nmse = mse / variance if variance > 0 else 0.0 if mse == 0 else math.inf
        fields = join_fields(self._fields[: sums.batches], self.peak) if self._fields else None
        nmse = nmse if fields is None else fields.nmse
        each = torch.cat(self._errors[: sums.batches])
        similarities, sounds = self._similarities[: sums.batches], self._sounds[: sums.batches]
        vectors = self._vectors[: sums.batches]
        peak, items, histogram = self.peak, sums.items, sums.histogram
        psnrs = [psnr_db(float(error), peak) for error in each if error > 0] if peak else []
        rate, bound = self._rates()
        return Evaluation(
            items=items,
            mse=mse,
            nmse=nmse,
            psnr_db=psnr_db(mse, peak) if peak else None,
            psnr_peak=255.0 if peak and self.is_8_bit else peak,
            psnr_item_mean_db=sum(psnrs) / len(psnrs) if psnrs else None,
            ssim=float(torch.cat(similarities).mean()) if similarities else None,
            usage=None if histogram is None else usage(histogram),
            perplexity=None if histogram is None else perplexity(histogram),
            codebook_size=None if histogram is None else histogram.shape[1],
            positions=None if histogram is None else int(histogram.sum()),
            latent_numbers=sums.numbers / items,
            active_units=self._active_units(),
            rate=rate,
            bits_per_dim=bound,
            seconds=time.perf_counter() - self._start,
            sound=summarize(sounds) if sounds else None,
            vectors=join_parts(self.model, vectors, self.neighbors) if vectors else None,
            fields=fields,
            rates=() if histogram is None else sums.rates(with_codebooks(self.model), self.model.channels),
            likelihood_bits_per_dim=bound.distortion if bound is not None and self.model.autoregressive else None,
        )

    def forget_latents(self) -> None:
        """Leave continuous latents uncounted, which is what takes long in ``result``."""
        self._kept, self._sums = [], replace(self._sums, kept=0)

    def add_long(self, item: LongItem, condition: Any = None, *, first: int | None = None) -> None:
        """Take in a long sound: each of its segments (``judged_segments``) counts as an item."""
        first = self.items if first is None else first
        for piece, (x, made) in enumerate(judged_segments(self.model, item, condition, **self._measures.used)):
            self.take(self._measures.of(x, condition, made, place=(first, piece)))

    def add(
        self,
        batch: Tensor,
        condition: Any = None,
        *,
        made: tuple[Tensor, Tensor] | None = None,
        first: int | None = None,
    ) -> None:
        """Take in signals ``[batch, channels, *size]``; sizes may differ from batch to batch.

        Args:
            batch: the signals.
            condition: of each, where the decoder has one.
            made: their indices and reconstructions, of a model with a codebook; None: the model makes them.
            first: number of the first item in the set; None: as many as there are before. Samples of a VAE's latents
                depend on it.
        """
        self.take(self._measures.of(batch, condition, made, place=(self.items if first is None else first,)))

    def take(self, part: BatchPart) -> None:
        """Take in the measures of a batch."""
        sums = self._sums
        for kept in (self._errors, self._similarities, self._sounds, self._vectors, self._fields):
            del kept[sums.batches :]
        del self._kept[sums.kept :]
        self.is_8_bit = part.is_8_bit
        self._other_grids |= part.other_grid
        self._errors.append(part.error)
        if part.similarities is not None:
            self._similarities.append(part.similarities)
        if part.sounds is not None:
            self._sounds.append(part.sounds)
        if part.vectors is not None:
            self._vectors.append(part.vectors)
        if part.fields is not None:
            self._fields.append(part.fields)
        if part.kept and self._room(part.kept[0]):
            self._kept.append(part.kept)
        found, moments = part.histogram, copy.copy(sums.moments)
        moments.merge(part.moments)
        self._sums = replace(
            sums,
            batches=sums.batches + 1,
            kept=len(self._kept),
            items=sums.items + len(part.error),
            total=sums.total + part.squared_sum,
            moments=moments,
            values=sums.values + part.values,
            batch_bytes=sums.batch_bytes + part.nbytes,
            numbers=sums.numbers + part.numbers,
            histogram=found if sums.histogram is None or found is None else sums.histogram + found,
            rate_nats=sums.rate_nats + part.rate_nats,
            distortion_nats=sums.distortion_nats + part.distortion_nats,
            how=sums.how if part.how is None else part.how,
        )

    def _active_units(self) -> int | None:
        kept = self._kept[: self._sums.kept]
        if not isinstance(self.model, VAE) or sum(len(batch[0]) for batch in kept) < 2:
            return None
        return active_units(torch.cat([batch[1] for batch in kept]))

    @property
    def original_bytes(self) -> int:
        """Of the set, in the depth and the channels that it came with."""
        return self._sums.batch_bytes if self.told_bytes is None else self.told_bytes

    def _room(self, x: Tensor) -> bool:
        """Return True if a batch may be kept for counting: within the limits, and of the same size as those kept."""
        if self._kept and self._kept[0][0].shape[1:] != x.shape[1:]:
            return False
        items = sum(len(batch[0]) for batch in self._kept)
        return latents_count(items, x[0].numel())

    def _rates(self) -> tuple[RateReport, BitsPerDim | None]:
        model, sums = self.model, self._sums
        dims, kept = sums.values * math.log(2), self._kept[: sums.kept]
        if sums.histogram is not None:
            asked = self._measures.learned and not self._other_grids and self.bits
            bits = sums.rate_nats / math.log(2) if asked else None
            report = replace(rate_report(sums.histogram, self.original_bytes), prior_bits=bits)
        elif not kept:
            report = continuous_rate_report(sums.numbers, None, self.original_bytes)
        else:
            signals, latents, *condition = (torch.cat(parts) for parts in zip(*kept, strict=True))
            latents = latents.to(model.device)
            coarsest = LatentQuantizer(model, latents, signals, *condition).coarsest()
            of_one = latents[0].numel()  # items of other sizes have other counts of numbers
            bits = coarsest.bits / of_one * sums.numbers
            report = continuous_rate_report(sums.numbers, bits, self.original_bytes)
            if not sums.how and model.counts_bits:
                x = signals.to(model.device)
                with model.conditioned_on(*condition):
                    nats = -float(model.log_likelihood(x, rounded(latents, coarsest.step)).sum())
                known = model.without_gaps(x)[1]
                values = x.numel() if known is None else max(1, int(known.sum()))
                rate, distortion = coarsest.bits * len(x) / values, nats / (values * math.log(2))
                how = "latents rounded and entropy-coded at a cost of 0.1 dB"
                return report, BitsPerDim(rate=rate, distortion=distortion, total=rate + distortion, how=how)
        if not sums.how:
            return report, None
        rate, distortion = sums.rate_nats / dims, sums.distortion_nats / dims
        uniform = report.nominal_bits / sums.values if model.discrete else None
        total = rate + distortion
        return report, BitsPerDim(rate=rate, distortion=distortion, total=total, how=sums.how, uniform_rate=uniform)
