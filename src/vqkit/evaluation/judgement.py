"""One judgement of a discrete model over a whole set."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import DataError
from vqkit.evaluation.distortion import psnr_db, squared_error, ssim
from vqkit.evaluation.rate import RateReport, rate_report
from vqkit.models import VQVAE
from vqkit.ops import float64, index_histogram, perplexity, usage


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model does to a set it is shown once.

    Attributes:
        items: signals judged.
        mse: mean squared error over all values of the set, in squared signal units.
        nmse: ``mse`` over the variance of the set's values.
        psnr_db: of ``mse`` (pooled over the set); None for signals without a fixed range.
        psnr_item_mean_db: mean over items of each item's own PSNR (items without error left out); None likewise.
        ssim: mean over items; None unless the signals are images.
        usage: fraction of codes that occur in the set. With fewer positions than codes it cannot reach 1.
        perplexity: exp(entropy) of the set's index histogram.
        codebook_size: K.
        positions: indices in the set.
        rate: nominal, entropy and stored sizes.
        seconds: encoding, decoding and judging together.
    """

    items: int
    mse: float
    nmse: float
    psnr_db: float | None
    psnr_item_mean_db: float | None
    ssim: float | None
    usage: float
    perplexity: float
    codebook_size: int
    positions: int
    rate: RateReport
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON (an infinite PSNR becomes None)."""
        return {key: None if value == float("inf") else value for key, value in asdict(self).items()}


@torch.no_grad()
def evaluate(model: VQVAE, batches: Iterable[tuple[Any, Tensor]]) -> Evaluation:
    """Judge a model on every item of a set, in evaluation mode, in constant memory.

    Args:
        model: left in the mode it was in.
        batches: ``(item numbers, signals [batch, channels, *size])``, as from ``vqkit.data.evaluation_batches``; sizes
            may differ from batch to batch.

    Raises:
        DataError: no batches.
    """
    was_training = model.training
    model.eval()
    try:
        return _judge(model, batches)
    finally:
        model.train(was_training)


def _judge(model: VQVAE, batches: Iterable[tuple[Any, Tensor]]) -> Evaluation:
    start = time.perf_counter()
    peak = None if model.signal_range is None else model.signal_range[1] - model.signal_range[0]
    histogram = torch.zeros(model.codebook_size, dtype=torch.int64, device=model.device)
    errors: list[Tensor] = []
    similarities: list[Tensor] = []
    total, squares, sums, values, original_bytes = 0.0, 0.0, 0.0, 0, 0
    for _, batch in batches:
        original_bytes += batch.numel() * batch.element_size()
        x = batch.to(model.device)
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        indices = model.encode(x)
        reconstruction = model.decode(indices, x.shape[2:])
        histogram += index_histogram(indices, model.codebook_size)
        error = squared_error(x, reconstruction)
        errors.append(error.cpu())
        if model.axes == 2:
            similarities.append(ssim(x, reconstruction, peak or 1.0).cpu())
        per_item = x[0].numel()
        total += float(error.sum()) * per_item
        squares += float(float64(x).square().sum())
        sums += float(float64(x).sum())
        values += x.numel()
    if not errors:
        raise DataError("nothing to evaluate: the set has no items; give at least one")
    mse = total / values
    variance = max(squares / values - (sums / values) ** 2, 1e-12)
    each = torch.cat(errors)
    psnrs = [psnr_db(float(error), peak) for error in each if error > 0] if peak else []
    return Evaluation(
        items=len(each),
        mse=mse,
        nmse=mse / variance,
        psnr_db=psnr_db(mse, peak) if peak else None,
        psnr_item_mean_db=sum(psnrs) / len(psnrs) if psnrs else None,
        ssim=float(torch.cat(similarities).mean()) if similarities else None,
        usage=usage(histogram),
        perplexity=perplexity(histogram),
        codebook_size=model.codebook_size,
        positions=int(histogram.sum()),
        rate=rate_report(histogram, original_bytes),
        seconds=time.perf_counter() - start,
    )
