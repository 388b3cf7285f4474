"""Figures that a guard judges a model by: PSNR, and a Frechet distance in features that no objective sees."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vqkit.data import Source
from vqkit.evaluation.features import RandomFeatures
from vqkit.evaluation.generation import frechet_distance
from vqkit.ops import evaluating
from vqkit.ops.spectra import mel_magnitude
from vqkit.training.evaluators.models import reconstructed
from vqkit.training.evaluators.watch import spread_order

PSNR_FLOOR_DB = 1.0
"""How far below the checkpoint's a PSNR may lie for a smaller Frechet distance."""
_GAIN = 0.02
_SEED = 20_180_706
_TILE, _TILES = 64, 9
_RATE = 16000
_TIMED = 8


@dataclass(frozen=True)
class Figures:
    """Figures of a model on held-out items.

    Attributes:
        frechet: distance of reconstructions to originals, in squared units of the features.
        psnr: in dB; of signals without a range, relative to their variance.
    """

    frechet: float
    psnr: float

    def no_worse_than(self, other: Figures) -> bool:
        """The rule: no larger Frechet distance, and no PSNR lost but up to 1 dB for a distance 2 % smaller.

        Example:
            >>> from vqkit.training.sharp.figures import Figures
            >>> before = Figures(10.0, 25.0)
            >>> [Figures(8.0, psnr).no_worse_than(before) for psnr in (24.5, 23.5)]
            [True, False]
            >>> [Figures(10.0, psnr).no_worse_than(before) for psnr in (24.9, 25.0)]
            [False, True]
        """
        if not (math.isfinite(self.frechet) and not math.isnan(self.psnr)) or self.frechet > other.frechet:
            return False
        gained = self.frechet <= (1 - _GAIN) * other.frechet
        return self.psnr >= other.psnr - (PSNR_FLOOR_DB if gained else 0.0)

    def as_dict(self) -> dict[str, float | None]:
        """As JSON values for the log; None where not finite."""
        values = {"frechet_distance": self.frechet, "psnr_db": self.psnr}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


WORST = Figures(math.inf, -math.inf)


def judge(model: Any, source: Source, items: int) -> Figures:
    """Judge a model on held-out items; one that gives NaN or Inf is ``WORST``.

    Args:
        model: that reconstructs.
        source: the held-out items.
        items: how many, spread over all of them; always the same.
    """
    chosen = source.subset(spread_order(len(source))[:items])
    with torch.no_grad(), evaluating(model):
        before, after = reconstructed(model, chosen, len(chosen))
        originals = [model.to_float(torch.as_tensor(each)[None])[0].float() for each in before]
        made = [torch.as_tensor(each).float() for each in after]
        if not all(bool(torch.isfinite(each).all()) for each in made):
            return WORST
        low, high = _range(model, originals)
        values = sum(each.numel() for each in originals)
        error = (
            sum(float((a.double() - b.double()).square().sum()) for a, b in zip(originals, made, strict=True)) / values
        )
        psnr = 10 * math.log10((high - low) ** 2 / error) if error > 0 else math.inf
        features = [_features(model, signals, low, high) for signals in (originals, made)]
    return Figures(frechet_distance(*features), psnr)


def fitting_items(model: Any, source: Source, most: int, seconds: float | None) -> int:
    """How many items can be judged within some seconds; at least 32 of those there are."""
    most = min(most, len(source))
    if seconds is None or most <= _TIMED:
        return most
    start = time.perf_counter()
    judge(model, source, _TIMED)
    return min(most, max(32, int(_TIMED * seconds / max(time.perf_counter() - start, 1e-6))))


def _range(model: Any, originals: list[Tensor]) -> tuple[float, float]:
    """Lowest and highest value, or four deviations around the mean."""
    if model.signal_range is not None:
        low, high = model.signal_range
        return float(low), float(high)
    flat = torch.cat([each.flatten() for each in originals])
    mean, std = float(flat.mean()), float(flat.std(correction=0)) or 1.0
    return mean - 4 * std, mean + 4 * std


def _features(model: Any, signals: list[Tensor], low: float, high: float) -> Tensor:
    """Features ``[n, D]`` of signals, or of parts of them, as pictures."""
    found: list[Tensor] = []
    network: RandomFeatures | None = None
    for each in signals:
        pictures = _pictures(model, each, low, high).clamp(0.0, 1.0)
        network = network or RandomFeatures(pictures.shape[1], seed=_SEED)
        found.append(network(pictures).double())
    return torch.cat(found)


def _pictures(model: Any, signal: Tensor, low: float, high: float) -> Tensor:
    """A signal ``[channels, *size]`` as pictures ``[n, channels, height, width]`` in [0, 1]."""
    if model.axes == 1:
        rate = getattr(model.kind, "rate", None) or _RATE
        window = max(64, 2 * round(0.032 * rate / 2))
        bands = mel_magnitude(signal[None], rate, window, window // 4, 48)[0]
        pictures = (bands.clamp_min(1e-4).log10() + 4) / 6
    else:
        pictures = (signal - low) / (high - low)
    if model.axes == 3:
        return pictures.transpose(0, 1)
    height, width = pictures.shape[1:]
    if model.axes == 1:
        return torch.stack([part for part in pictures.split(_TILE, dim=2) if part.shape[2] == min(_TILE, width)])
    if min(height, width) < 2 * _TILE:
        return pictures[None]
    tiles = pictures.unfold(1, _TILE, _TILE).unfold(2, _TILE, _TILE).flatten(1, 2).transpose(0, 1)
    return tiles[:: max(1, len(tiles) // _TILES)][:_TILES]
