"""Continuous latents counted in bits: rounded to multiples of one step, and entropy-coded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vqkit.models import Model
from vqkit.ops import float64

LOSS_DB = 0.1
"""What the quantisation may cost, in dB of PSNR."""
_BATCH = 128
_FINEST = 2.0**-24


@dataclass(frozen=True, kw_only=True)
class QuantizedLatents:
    """Latents rounded to multiples of a step.

    Attributes:
        step: of the rounding, in the latents' unit.
        bits: of the latents, an item: the entropy of each number's histogram over the set (see ``entropy_of``).
        mse: of what the rounded latents decode to.

    Example:
        >>> from vqkit.evaluation import QuantizedLatents
        >>> QuantizedLatents(step=0.5, bits=120.0, mse=0.01).bits
        120.0
    """

    step: float
    bits: float
    mse: float


def rounded(latents: Tensor, step: float) -> Tensor:
    """Latents at the nearest multiples of ``step``."""
    return (latents / step).round() * step


def entropy_of(latents: Tensor, step: float) -> float:
    """Bits an item that rounded latents need when each number has its own code, fitted to this very set.

    A number of a vector has a histogram over the items; a channel of a grid has one over items and positions. To the
    entropy of a histogram with m bins over n samples ``(m - 1) / (2 n)`` nats are added (Miller and Madow 1955), since
    the histogram of few samples looks more even-tempered than it is. The histograms themselves are not counted.

    Args:
        latents: ``[N, numbers]`` or ``[N, channels, *grid]``.
        step: of the rounding.
    """
    symbols = (latents.double() / step).round().transpose(0, 1).flatten(1)
    positions = latents[0, 0].numel()
    total = 0.0
    for row in symbols:
        _, counts = row.unique(return_counts=True)
        shares = counts.double() / len(row)
        nats = float(-(shares * shares.log()).sum()) + (len(counts) - 1) / (2 * len(row))
        total += nats / math.log(2) * positions
    return total


class LatentQuantizer:
    """Rounds a model's latents of some signals, and looks at what that costs.

    Args:
        model: continuous latents, in evaluation mode.
        latents: of the signals, as ``encode`` gives them.
        signals: ``[N, channels, *size]``, all of one size.
        conditions: of each signal, where the decoder has one.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.evaluation import LatentQuantizer
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> signals = torch.as_tensor(digits.gather(range(100)))
        >>> model = vqkit.PCA(4, channels=1, size=(8, 8))
        >>> model.fit(lambda: [signals])
        >>> quantizer = LatentQuantizer(model, model.encode(signals), signals)
    """

    def __init__(self, model: Model, latents: Tensor, signals: Tensor, conditions: Tensor | None = None) -> None:
        self.model = model
        self.conditions = conditions
        self.latents = latents
        self.signals = signals
        self.mse = self._mse(None)

    def at(self, step: float) -> QuantizedLatents:
        """Bits and error with this step."""
        return QuantizedLatents(step=step, bits=entropy_of(self.latents, step), mse=self._mse(step))

    def coarsest(self, loss_db: float = LOSS_DB) -> QuantizedLatents:
        """The largest step (to within 2 %) that costs at most ``loss_db`` of PSNR; float32's finest if none does."""
        allowed = self.mse * 10 ** (loss_db / 10)
        low = self._spread() / 64
        while self._mse(low) > allowed and low > _FINEST * self._spread():
            low /= 4
        high = 2 * low
        while self._mse(high) <= allowed and high < 64 * self._spread():
            low, high = high, 2 * high
        while high / low > 1.02:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self._mse(middle) <= allowed else (low, middle)
        return self.at(low)

    def for_bits(self, bits: float) -> QuantizedLatents | None:
        """The finest step (to within 1 %) whose latents take at most ``bits`` an item; None where none does."""
        low, high = self._spread() / 4096, 64 * self._spread()
        if entropy_of(self.latents, high) > bits:
            return None
        while high / low > 1.01:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if entropy_of(self.latents, middle) <= bits else (middle, high)
        return self.at(high)

    def curve(self, around: float, points: int = 7) -> list[QuantizedLatents]:
        """Bits and error for steps around this one, each 1.6 times the one before."""
        return [self.at(around * 1.6 ** (number - 2)) for number in range(points)]

    def _spread(self) -> float:
        return max(float(self.latents.std(correction=0)), 1e-30)

    @torch.no_grad()
    def _mse(self, step: float | None) -> float:
        total, values = 0.0, 0
        for start in range(0, len(self.latents), _BATCH):
            latents = self.latents[start : start + _BATCH]
            x, known = self.model.without_gaps(self.signals[start : start + _BATCH].to(self.model.device))
            x = self.model.to_float(x)
            condition = None if self.conditions is None else self.conditions[start : start + _BATCH]
            read = latents if step is None else rounded(latents, step)
            decoded = self.model.decode(read, x.shape[2:], condition=condition)
            error = (float64(decoded) - float64(x)).square()
            error = error / float64(self.model.signal_std).square() if self.model.kind.per_channel else error
            total += float(error.sum() if known is None else error[known].sum())
            values += x.numel() if known is None else int(known.sum())
        return total / max(1, values)
