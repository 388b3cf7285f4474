"""The rate-distortion curve of one model of several rates: PSNR of each number of codebooks, over a whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vqkit.evaluation.evaluation import Evaluation, evaluate
from vqkit.models import Model
from vqkit.models.rates.rate import Rate

_MOST = 8


def measure_rates(
    model: Model, data: Any, found: Evaluation, *, batch_size: int = 64, workers: int = 1
) -> tuple[Rate, ...]:
    """Return the rates of an evaluation with the PSNR that each has over the same set.

    Of more than 8 rates that many are measured, evenly spread; the highest is that of the evaluation.

    Args:
        model: as judged.
        data: a source, or whatever ``load_source`` takes.
        found: the evaluation of its highest rate over that set.
        batch_size, workers: as of ``evaluate``.

    Raises:
        ConfigError: as of ``evaluate``.
        DataError: as of ``evaluate``.

    Example:
        >>> import vqkit
        >>> from vqkit.evaluation import evaluate, measure_rates
        >>> digits = vqkit.load_source("builtin:digits").subset(range(64))
        >>> model = vqkit.VQVAE.for_source(digits, 16, quantizer="wavelet", downsampling=2, hidden_channels=8)
        >>> found = measure_rates(model, digits, evaluate(model, digits))
        >>> [(rate.codebooks, rate.psnr_db is not None) for rate in found]
        [(1, True), (4, True), (16, True)]
    """
    if found.psnr_db is None or not found.rates:
        return found.rates
    lower, highest = found.rates[:-1], found.rates[-1]
    wanted = {rate.codebooks for rate in _spread(lower, _MOST - 1)}
    measured = []
    for rate in lower:
        if rate.codebooks in wanted:
            own = evaluate(model, data, bits=False, batch_size=batch_size, codebooks=rate.codebooks, workers=workers)
            rate = replace(rate, psnr_db=own.psnr_db)
        measured.append(rate)
    return (*measured, replace(highest, psnr_db=found.psnr_db))


def _spread(rates: Sequence[Rate], most: int) -> list[Rate]:
    """At most so many, evenly spread, the first among them."""
    if len(rates) <= most:
        return list(rates)
    return [rates[round(number * (len(rates) - 1) / (most - 1))] for number in range(most)]
