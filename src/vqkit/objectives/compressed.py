"""Spectral objectives with powers in place of logarithms: what is soft counts less than what is loud, but it counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.objectives.base import OBJECTIVES
from vqkit.objectives.spectral import SpectralObjective, mean_of_frames, whole_numbers
from vqkit.ops.spectra import mel_magnitude, stft

_UNKNOWN_RATE = 16000
_LEAST_CHANGE = 1e-3
"""Of the mean square: a signal whose bands hardly change is not measured by their changes alone."""


@OBJECTIVES.register("compressed", citations=("braun2021consolidated",))
@final
class CompressedObjective(SpectralObjective):
    """The compressed spectral loss: the squared error of short-time spectra whose magnitudes are raised to a power.

    With the spectrum ``S = |S| exp(i angle)`` and ``S^c = |S|^c exp(i angle)``::

        loss = mean over windows of  ((1 - phase) mean (|S(d(z))|^c - |S(x)|^c)^2 + phase mean |S(d(z))^c - S(x)^c|^2)
                                     / mean |S(x)|^2c

    Braun and Tashev 2021 (arXiv 2009.12286, section 3.2), where it is the loss of speech enhancement. The part with
    phases asks for the waveform, of loud harmonics first, which magnitudes alone do not.

    Args:
        windows: lengths in samples.
        power: c of magnitudes, above 0 and at most 1.
        phase: share of the error with phases, 0 to 1.
        floor: magnitudes of about it and below count little (of samples; noise has its standard deviation).
        adaptive: make its weight relative to the gradient of the other terms, see ``WeightedSum``.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> from vqkit.objectives import CompressedObjective, MelObjective
        >>> str(CompressedObjective(phase=0.1) + 0.5 * MelObjective())
        'compressed(phase=0.1) + 0.5*mel'
    """

    def __init__(
        self,
        *,
        windows: Sequence[int] = (256, 512, 1024),
        power: float = 0.3,
        phase: float = 0.3,
        floor: float = 1e-5,
        adaptive: bool = False,
    ) -> None:
        super().__init__(windows, floor=floor, adaptive=adaptive)
        self.power = _power(power, self.name)
        if isinstance(phase, bool) or not isinstance(phase, int | float) or not 0 <= phase <= 1:
            raise ConfigError(f"objective 'compressed': phase={shown(phase)}: give a number from 0 to 1")
        self.phase = float(phase)

    def window_loss(self, made: Tensor, wanted: Tensor, mask: Tensor | None, number: int, rate: int | None) -> Tensor:
        """See ``SpectralObjective.window_loss``."""
        del rate
        window = self.windows[number]
        scale = (0.375 * window) ** -0.5  # of white noise under a Hann window
        (sizes, spectra), (wanted_sizes, wanted_spectra) = (
            self._compressed(stft(x, window, window // 4) * scale) for x in (made, wanted)
        )
        error = (1 - self.phase) * (sizes - wanted_sizes).square()
        if self.phase:
            difference = spectra - wanted_spectra
            error = error + self.phase * (difference.real.square() + difference.imag.square())
        return mean_of_frames(error, mask) / mean_of_frames(wanted_sizes.square(), mask).clamp_min(
            self.floor ** (2 * self.power)
        )

    def _compressed(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitudes to the power, and spectra of these magnitudes."""
        power = spectra.real.square() + spectra.imag.square() + self.floor**2
        factors = power ** ((self.power - 1) / 2)
        return power ** (self.power / 2), spectra * factors


@OBJECTIVES.register("envelope", citations=())
@final
class EnvelopeObjective(SpectralObjective):
    """The squared error of the envelopes of a few wide bands, relative to how much they change over time.

    With the mel spectrogram ``M`` of magnitudes in as few bands as hearing has critical bands, ``E = (M^2 + floor^2)^(c
    / 2)`` and its mean over time ``E0``::

        loss = mean over windows of  mean (E(d(z)) - E(x))^2 / mean (E(x) - E0(x))^2

    What speech is understood by: the measure of intelligibility STOI (Taal et al. 2011) correlates such envelopes. In
    wide bands the error of a noise's random magnitudes averages out, which fine bands make a network learn in vain.

    Args:
        rate: samples a second of the signals, which places the bands; None: that of the model's signals, or 16,000
            where they have none.
        windows: lengths in samples.
        bands: mel bands of each window.
        power: c.
        floor: magnitudes of bands of about it and below count little.
        adaptive: make its weight relative to the gradient of the other terms, see ``WeightedSum``.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> from vqkit.objectives import CompressedObjective, EnvelopeObjective
        >>> str(CompressedObjective() + EnvelopeObjective(windows=[512], bands=[24]))
        'compressed + envelope(windows=[512], bands=[24])'
    """

    def __init__(
        self,
        *,
        rate: int | None = None,
        windows: Sequence[int] = (256, 512, 1024),
        bands: Sequence[int] = (16, 24, 32),
        power: float = 0.3,
        floor: float = 5e-5,
        adaptive: bool = False,
    ) -> None:
        super().__init__(windows, floor=floor, adaptive=adaptive)
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int) or rate < 1):
            raise ConfigError(f"objective 'envelope': rate={shown(rate)}: give the samples a second, such as 16000")
        self.rate = rate
        self.power = _power(power, self.name)
        self.bands = whole_numbers(bands, "objective 'envelope': bands", 1, 1 << 15)
        if len(self.bands) != len(self.windows):
            raise ConfigError(
                f"objective 'envelope': bands has {len(self.bands)} numbers and windows {len(self.windows)}; "
                "give one for each window"
            )

    def window_loss(self, made: Tensor, wanted: Tensor, mask: Tensor | None, number: int, rate: int | None) -> Tensor:
        """See ``SpectralObjective.window_loss``."""
        window, rate = self.windows[number], self.rate or rate or _UNKNOWN_RATE
        first, second = (
            (mel_magnitude(x, rate, window, window // 4, self.bands[number]).square() + self.floor**2)
            ** (self.power / 2)
            for x in (made, wanted)
        )
        if mask is None:
            mean = second.mean(dim=3, keepdim=True)
        else:
            kept = torch.where(mask[:, None, None], second, second.new_zeros(()))
            mean = kept.sum(dim=3, keepdim=True) / mask.sum(dim=1).clamp_min(1)[:, None, None, None]
        change = mean_of_frames((second - mean).square(), mask)
        least = _LEAST_CHANGE * mean_of_frames(second.square(), mask)
        return mean_of_frames((first - second).square(), mask) / torch.maximum(change, least)


def _power(given: float, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= 1:
        raise ConfigError(f"objective {name!r}: power={shown(given)}: give a number above 0 and at most 1")
    return float(given)
