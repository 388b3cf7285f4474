"""Measures of one batch, which any process may take: an evaluation folds them in the order of the batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqkit.evaluation.distortion import squared_error, ssim
from vqkit.evaluation.fields import FieldPart, field_part, known_error
from vqkit.evaluation.sound.quality import judge_sounds
from vqkit.evaluation.vectors.quality import VectorPart, vector_part
from vqkit.models import IndexModel, Model
from vqkit.ops import codebook_histograms
from vqkit.ops.linear.moments import Moments
from vqkit.ops.precision import at_least_float32

Made = tuple[Tensor, Tensor]
"""Indices and reconstructions."""
_COUNTED_VALUES, _COUNTED_ITEMS = 1 << 23, 2048
"""Continuous latents are counted on the first so many items (or values) of the set."""


def latents_count(before: int, values: int) -> bool:
    """Return True if the latents of a batch are among those that are counted.

    Args:
        before: items that are counted already.
        values: numbers in an item.
    """
    return before == 0 or (before < _COUNTED_ITEMS and before * values < _COUNTED_VALUES)


@dataclass(frozen=True, kw_only=True)
class BatchPart:
    """Measures of one batch.

    Attributes:
        error: of each item, its mean squared error.
        values: numbers in all signals.
        nbytes: of the batch as it came.
        is_8_bit: whether it came as bytes.
        numbers: indices or real numbers that it is encoded into.
        moments: of the signals.
        histogram: of the indices, int64 ``[codebooks, K]``; None without a codebook.
        similarities: SSIM of each item; None of other signals than images.
        sounds: measures of sounds.
        vectors: measures of vectors.
        fields: measures of fields.
        squared: sum of the squared errors, where items do not have as many values each; None: as ``error`` says.
        rate_nats, distortion_nats: bits of the latents and of the values, where they are counted.
        how: in which way.
        other_grid: whether the indices have another grid than the model's prior, which is then not asked.
        kept: signals, continuous latents and their condition, for those that count latents over the first items.
    """

    error: Tensor
    values: int
    nbytes: int
    is_8_bit: bool
    numbers: int
    moments: Moments
    histogram: Tensor | None = None
    similarities: Tensor | None = None
    sounds: dict[str, Tensor] | None = None
    vectors: VectorPart | None = None
    fields: FieldPart | None = None
    squared: float | None = None
    rate_nats: float = 0.0
    distortion_nats: float = 0.0
    how: str | None = None
    other_grid: bool = False
    kept: tuple[Tensor, ...] = field(default=())

    @property
    def squared_sum(self) -> float:
        """Sum of the squared errors of all values."""
        if self.squared is not None:
            return self.squared
        return float(self.error.sum()) * (self.values // max(1, len(self.error)))

    def as_arrays(self) -> BatchPart:
        """The same with arrays for tensors, which share no memory with the process that made them."""
        return _mapped(self, lambda value: value.detach().numpy() if isinstance(value, Tensor) else value)

    def as_tensors(self) -> BatchPart:
        """The same with tensors again, where another process has sent arrays."""
        return _mapped(self, lambda value: torch.from_numpy(value) if isinstance(value, np.ndarray) else value)


def _mapped(part: BatchPart, change: Callable[[Any], Any]) -> BatchPart:
    sounds = None if part.sounds is None else {name: change(value) for name, value in part.sounds.items()}
    vectors = None if part.vectors is None else replace(part.vectors, cosines=change(part.vectors.cosines))
    plain = {name: change(getattr(part, name)) for name in ("error", "histogram", "similarities")}
    kept = tuple(change(value) for value in part.kept)
    return replace(part, **plain, sounds=sounds, vectors=vectors, kept=kept)


@dataclass(frozen=True)
class BatchMeasures:
    """Takes the measures of batches.

    Args:
        model: in evaluation mode.
        bits: whether what takes long is there too (see ``RunningEvaluation``).
        codebooks: of a residual stack the first so many are judged; None: all.
    """

    model: Model
    bits: bool
    codebooks: int | None = None

    @property
    def used(self) -> Mapping[str, int]:
        """Keywords of ``encode``."""
        return {} if self.codebooks is None else {"codebooks": self.codebooks}

    @property
    def learned(self) -> bool:
        """Whether the indices are counted under a learned prior, which is of all codebooks."""
        return getattr(self.model, "prior", None) is not None and not self.used

    def of(
        self,
        batch: Tensor,
        condition: Any = None,
        made: Made | None = None,
        *,
        place: tuple[int, ...] = (0,),
    ) -> BatchPart:
        """Return the measures of signals ``[batch, channels, *size]``.

        Args:
            batch: the signals.
            condition: of each, where the decoder has one.
            made: their indices and reconstructions; None: the model makes them.
            place: of the batch in the set: the number of its first item, and which piece of that it is. Samples of
                continuous latents depend on it alone, so that any process draws the same.
        """
        seed = int(np.random.SeedSequence(place).generate_state(1)[0])
        generator = torch.Generator(self.model.device).manual_seed(seed)
        with self.model.conditioned_on(condition):
            return self._of(batch, condition, made, generator)

    def _of(self, batch: Tensor, condition: Any, made: Made | None, generator: torch.Generator) -> BatchPart:
        model = self.model
        x = model.read_signals(batch)
        x, known = model.without_gaps(x)
        x = x.float() / 255 if x.dtype == torch.uint8 else at_least_float32(x)
        given = x if known is None else torch.where(known, x, math.nan)
        if made is None:
            codes = model.encode(given, **self.used)
            raw = None if model.autoregressive else model.decode_parameters(codes, x.shape[2:])
            reconstruction = model.decode(codes, x.shape[2:]) if raw is None else model.expected_signal(raw)
        else:
            codes, raw, reconstruction = made[0], None, made[1]
        found: dict[str, Any] = {}
        if isinstance(model, IndexModel):
            count = model.num_codebooks if self.codebooks is None else self.codebooks
            found["other_grid"] = not model.prior_reads(codes)
            found["histogram"] = codebook_histograms(codes, model.codebook_size, count).cpu()
        peak = None if model.signal_range is None else model.signal_range[1] - model.signal_range[0]
        if known is None:
            error = squared_error(x, reconstruction)
        else:
            error, found["squared"] = known_error(x, reconstruction, known)
        if "ssim" in model.kind.measures:
            found["similarities"] = ssim(x, reconstruction, peak or 1.0).cpu()
        if "sound" in model.kind.measures:
            rate = getattr(model.kind, "rate", None)
            judged = judge_sounds(x, reconstruction, rate, perceptual=self.bits)
            found["sounds"] = {name: values.cpu() for name, values in judged.items()}
        if "vectors" in model.kind.measures:
            found["vectors"] = vector_part(model, x, reconstruction, codes)
        if "fields" in model.kind.measures:
            found["fields"] = field_part(x, reconstruction, known)
        if self.bits or model.autoregressive:
            found |= self._counted(given, codes, raw, condition, generator)
        moments = Moments()
        moments.add(x if known is None else x[known])
        return BatchPart(
            error=error.cpu(),
            values=x.numel() if known is None else int(known.sum()),
            nbytes=batch.numel() * batch.element_size(),
            is_8_bit=batch.dtype == torch.uint8,
            numbers=codes.numel(),
            moments=moments,
            **found,
        )

    def _counted(
        self, x: Tensor, codes: Tensor, raw: Tensor | None, condition: Any, generator: torch.Generator
    ) -> dict[str, Any]:
        """What the latents and the values of a batch cost."""
        model = self.model
        if model.discrete and not model.counts_bits:  # no bound, but a prior's bits are counted for any signal
            prior: Any = model.prior
            asked = self.learned and isinstance(model, IndexModel) and model.prior_reads(codes)
            return {"rate_nats": -float(prior.log_prob(codes).sum()) if asked else 0.0}
        found: dict[str, Any] = {}
        cost = model.latent_cost(x, generator, **self.used)
        if cost is not None and model.counts_bits:
            raw = raw if model.discrete else None  # the reconstruction is of the mean, the bound of a sample
            logs = model.log_likelihood(x, cost.codes) if raw is None else model.log_likelihood_of(x, raw)
            found["rate_nats"], found["distortion_nats"] = float(cost.rate_nats.sum()), -float(logs.sum())
            found["how"] = cost.how
        if not model.discrete:
            read = () if condition is None else (model.read_condition(condition, len(x)).cpu(),)
            found["kept"] = (x.cpu(), codes.cpu(), *read)
        return found
