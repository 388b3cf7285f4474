"""Signals in a network's numbers and back: mean and deviation, of fields those of each channel, from what is no gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vqkit.errors import DataError
from vqkit.likelihoods import Unit
from vqkit.objectives import mean_of
from vqkit.ops import float64

if TYPE_CHECKING:
    from vqkit.signals import Signal

_MOST = 1 << 20
"""Values of a channel that quartiles are taken of."""
_QUARTILES = 1.349
"""Range between the quartiles of a Gaussian, in deviations."""
_RELATIVE = 1e-6
"""Deviation below so much of the mean is none: float32 does not hold it."""


class Scaled:
    """What models share about the scale of signals.

    Attributes:
        signal_mean: of the training signals; of fields ``[channels, 1, ...]``.
        signal_std: of the training signals, likewise.
        signal_size: of a training signal.
    """

    signal_mean: Tensor
    signal_std: Tensor
    signal_size: Tensor
    _kind: Signal
    if TYPE_CHECKING:

        @property
        def _dtype(self) -> torch.dtype: ...
        def to_float(self, x: Tensor) -> Tensor: ...  # noqa: D102
        def _unit_of(self, mean: Tensor, std: Tensor) -> Unit: ...

    def _numbers(self, x: Tensor) -> Tensor:
        """Signals in a network's units: mean 0, standard deviation 1 over the training data."""
        return ((self.to_float(x) - self.signal_mean) / self.signal_std).to(self._dtype)

    def _unit(self) -> Unit:
        return self._unit_of(self.signal_mean, self.signal_std)

    def _measure_channels(self, batches: Sequence[Tensor]) -> None:
        """Take the mean and the deviation of each channel, as the kind says, from what is no gap."""
        if not batches:
            raise DataError("there are no training signals to prepare the model with")
        if all(bool(batch.isnan().all()) for batch in batches):
            raise DataError("every value of the training signals is a gap: there is nothing to learn from")
        mean, deviation = channel_moments(batches, robust=self._kind.scaling == "robust")
        self.signal_mean.copy_(mean.view(self.signal_mean.shape))
        self.signal_std.copy_(deviation.view(self.signal_std.shape))
        self.signal_size.copy_(torch.tensor(batches[-1].shape[2:]))

    def without_gaps(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Signals whose gaps (NaN) hold the mean of their channel, and which values are none.

        Args:
            x: signals as from ``read_signals``.
            mask: ``[batch, *size]`` or ``[batch, channels, *size]`` bool, what else does not count; None: all counts.

        Returns:
            The signals, and ``[batch, channels, *size]`` bool; the mask as it was where there are no gaps.
        """
        if not self._kind.gaps:
            return x, mask
        gaps = x.isnan()
        if not torch.compiler.is_compiling() and not bool(gaps.any()):
            return x, mask
        filled = torch.where(gaps, self.signal_mean.to(x.dtype), x)
        if mask is None:
            return filled, ~gaps
        return filled, ~gaps & (mask if mask.ndim == gaps.ndim else mask.unsqueeze(1))

    def _with_gaps(self, made: Tensor, x: Tensor) -> Tensor:
        """What was made of signals, with their gaps."""
        if not self._kind.gaps:
            return made
        return torch.where(x.isnan().to(made.device), made.new_full((), math.nan), made)

    def _hidden(self, x: Tensor, mask: Tensor) -> Tensor:
        """Signals with a number that says nothing where a mask leaves values out."""
        kept = mask if mask.ndim == x.ndim else mask.unsqueeze(1)
        fill = x.new_zeros(())
        if self._kind.gaps and x.is_floating_point():
            fill = self.signal_mean.to(x.device, x.dtype)
        return torch.where(kept.to(x.device), x, fill)

    def _watched_error(self, reconstruction: Tensor, signal: Tensor, mask: Tensor | None) -> Tensor:
        """The mean squared error; of fields in deviations of each channel, whose units differ."""
        error = (reconstruction - signal).square()
        return mean_of(error / self.signal_std.square() if self._kind.per_channel else error, mask)


def channel_moments(batches: Sequence[Tensor], *, robust: bool = False) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel, or its median and the range between its quartiles.

    NaN counts in neither. The deviation is 1 where a channel does not vary.

    Args:
        batches: ``[batch, channels, *size]`` each.
        robust: the median, and the range between the quartiles over 1.349.

    Returns:
        Two ``[channels]`` float64.

    Example:
        >>> import torch
        >>> from vqkit.models.channels import channel_moments
        >>> mean, deviation = channel_moments([torch.tensor([[[1.0, 3.0]], [[float("nan"), 2.0]]])])
        >>> mean.tolist(), deviation.tolist()
        ([2.0], [0.816496580927726])
    """
    found = [_of_channel(batches, channel, robust=robust) for channel in range(batches[0].shape[1])]
    return torch.tensor([mean for mean, _ in found]).double(), torch.tensor([each for _, each in found]).double()


def _of_channel(batches: Sequence[Tensor], channel: int, *, robust: bool) -> tuple[float, float]:
    known = torch.cat([_known(batch[:, channel]) for batch in batches])
    if not len(known):
        return 0.0, 1.0
    mean = float(known.mean())
    deviation = float((known - mean).square().mean().sqrt())
    if robust:
        some = known[:: max(1, len(known) // _MOST)].sort().values
        low, mean, high = (_at(some, share) for share in (0.25, 0.5, 0.75))
        deviation = (high - low) / _QUARTILES or deviation
    return mean, deviation if deviation > _RELATIVE * 1e-3 * abs(mean) else 1.0


def _known(values: Tensor) -> Tensor:
    flat = float64(values).flatten().cpu()
    return flat[~flat.isnan()]


def _at(ordered: Tensor, share: float) -> float:
    """The quantile of ascending values, between the two nearest."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
