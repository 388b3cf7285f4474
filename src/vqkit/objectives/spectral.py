"""Spectral objectives for sound: multi-scale log-mel and multi-resolution STFT losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.objectives.base import OBJECTIVES, Decoded, Objective, mean_of
from vqkit.ops.spectra import MEL_SCALES, mel_magnitude, stft_magnitude

_LEAST_WINDOW, _MOST_WINDOW = 4, 1 << 16
_BANDS_OF_32 = 5
_UNKNOWN_RATE = 16000


class SpectralObjective(Objective, ABC):
    """A loss of spectra at several window lengths, the mean over these; hops are a quarter of the window.

    Both signals are taken in their own units (samples of [-1, 1]), all channels alike. Beyond their ends they are
    zero, so that any length will do; frames whose center a mask leaves out do not count. A clip that is padded and
    masked so has the loss that it has alone.

    Args:
        windows: lengths in samples.
        floor: magnitudes below it count as it: what is told apart at the silent end.
        adaptive: make the term's weight relative to the gradient of the other terms, see ``WeightedSum``: the losses'
            gradients then stand in fixed proportions, as by EnCodec's balancer (arXiv 2210.13438, section 3.4).

    Raises:
        ConfigError: a value out of range.
    """

    supported_axes: ClassVar[tuple[int, ...]] = (1,)
    zero_at_target: ClassVar[bool] = True

    def __init__(self, windows: Sequence[int], *, floor: float, adaptive: bool) -> None:
        super().__init__()
        self.windows = whole_numbers(windows, f"objective {self.name!r}: windows", _LEAST_WINDOW, _MOST_WINDOW)
        if isinstance(floor, bool) or not isinstance(floor, int | float) or not 0 < floor < 1:
            raise ConfigError(f"objective {self.name!r}: floor={shown(floor)}: give a number between 0 and 1")
        self.floor = floor
        self.adaptive = adaptive

    @abstractmethod
    def window_loss(self, made: Tensor, wanted: Tensor, mask: Tensor | None, number: int, rate: int | None) -> Tensor:
        """Compute the loss at one window, a scalar.

        Args:
            made: reconstructions ``[batch, channels, time]``, 0 where masked.
            wanted: the signals, likewise.
            mask: ``[batch, frames]`` bool; None: all count.
            number: of the window, in ``windows``.
            rate: samples a second, where known.
        """

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: one term, by the objective's name."""
        unit, mask = decoded.unit, decoded.whole_positions
        pair = [numbers * unit.std + unit.mean for numbers in (decoded.mean, decoded.target)]
        if mask is not None:
            pair = [torch.where(mask.unsqueeze(1), x, x.new_zeros(())) for x in pair]
        with torch.autocast(decoded.mean.device.type, enabled=False):
            values = []
            for number, window in enumerate(self.windows):
                frames = None if mask is None else mask[:, :: window // 4]
                values.append(self.window_loss(pair[0], pair[1], frames, number, decoded.rate))
        return {f"{self.name}_loss": torch.stack(values).mean()}


@OBJECTIVES.register("mel", citations=("kumar2023high",))
@final
class MelObjective(SpectralObjective):
    """The multi-scale log-mel loss: the absolute error of log mel spectrograms, at several window lengths.

    With the mel spectrogram ``M`` of magnitudes, and ``log M`` meaning ``log10 max(M, floor)``::

        loss = mean over windows of  mean |log M(d(z)) - log M(x)|

    Its unit is the decade of magnitude, 20 dB. Kumar et al. 2023 (arXiv 2306.06546, section 3.4), where it is the sum
    over these windows and bands, and stands beside no squared error of samples.

    Args:
        rate: samples a second of the signals, which places the bands; None: that of the model's signals, or 16,000
            where they have none.
        windows: lengths in samples.
        bands: mel bands of each window; None: 5 for every 32 samples of the window.
        scale: ``"slaney"`` or ``"htk"``, see ``vqkit.ops.mel_filters``.
        floor: magnitudes of bands below it count as it.
        adaptive: make its weight relative to the gradient of the other terms, see ``WeightedSum``.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> from vqkit.objectives import LikelihoodObjective, MelObjective
        >>> str(LikelihoodObjective() + 2 * MelObjective(rate=8000, adaptive=True))
        'likelihood + 2.0*mel(rate=8000, adaptive=True)'
    """

    def __init__(
        self,
        *,
        rate: int | None = None,
        windows: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        bands: Sequence[int] | None = None,
        scale: str = "slaney",
        floor: float = 1e-5,
        adaptive: bool = False,
    ) -> None:
        super().__init__(windows, floor=floor, adaptive=adaptive)
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int) or rate < 1):
            raise ConfigError(f"objective 'mel': rate={shown(rate)}: give the samples a second, such as 16000")
        if scale not in MEL_SCALES:
            raise ConfigError(f"objective 'mel': scale={shown(scale)}: give {' or '.join(map(repr, MEL_SCALES))}")
        if bands is None:
            bands = [max(1, _BANDS_OF_32 * window // 32) for window in self.windows]
        self.bands = whole_numbers(bands, "objective 'mel': bands", 1, _MOST_WINDOW // 2)
        if len(self.bands) != len(self.windows):
            raise ConfigError(
                f"objective 'mel': bands has {len(self.bands)} numbers and windows {len(self.windows)}; "
                "give one for each window, or leave bands out"
            )
        self.rate = rate
        self.scale = scale

    def window_loss(self, made: Tensor, wanted: Tensor, mask: Tensor | None, number: int, rate: int | None) -> Tensor:
        """See ``SpectralObjective.window_loss``."""
        window, bands, rate = self.windows[number], self.bands[number], self.rate or rate or _UNKNOWN_RATE
        logs = [
            mel_magnitude(x, rate, window, window // 4, bands, self.scale).clamp_min(self.floor).log10()
            for x in (made, wanted)
        ]
        return mean_of_frames((logs[0] - logs[1]).abs(), mask)


@OBJECTIVES.register("stft", citations=("yamamoto2020parallel",))
@final
class STFTObjective(SpectralObjective):
    """The multi-resolution STFT loss: spectral convergence and the absolute error of log magnitudes.

    With the magnitudes ``S`` of the short-time Fourier transform::

        loss = mean over windows of  |S(d(z)) - S(x)| / |S(x)|  +  mean |log S(d(z)) - log S(x)|

    with Frobenius norms over the batch, so that a silent signal does not weigh infinitely, and natural logarithms of
    magnitudes of at least ``floor``: Yamamoto, Song and Kim 2020 (arXiv 1910.11480, section 2.2).

    Args:
        windows: lengths in samples.
        floor: magnitudes below it count as it.
        adaptive: make its weight relative to the gradient of the other terms, see ``WeightedSum``.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> from vqkit.objectives import LikelihoodObjective, STFTObjective
        >>> str(LikelihoodObjective() + 0.5 * STFTObjective(windows=[512, 2048]))
        'likelihood + 0.5*stft(windows=[512, 2048])'
    """

    def __init__(
        self, *, windows: Sequence[int] = (512, 1024, 2048), floor: float = 1e-5, adaptive: bool = False
    ) -> None:
        super().__init__(windows, floor=floor, adaptive=adaptive)

    def window_loss(self, made: Tensor, wanted: Tensor, mask: Tensor | None, number: int, rate: int | None) -> Tensor:
        """See ``SpectralObjective.window_loss``."""
        del rate
        window = self.windows[number]
        first, second = (stft_magnitude(x, window, window // 4) for x in (made, wanted))
        logs = (first.clamp_min(self.floor).log() - second.clamp_min(self.floor).log()).abs()
        if mask is not None:
            first, second = (torch.where(mask[:, None, None], x, x.new_zeros(())) for x in (first, second))
        least = self.floor * second.numel() ** 0.5
        convergence = torch.linalg.vector_norm(first - second) / torch.linalg.vector_norm(second).clamp_min(least)
        return convergence + mean_of_frames(logs, mask)


def mean_of_frames(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of ``[batch, channels, bands, frames]`` over the frames that a mask ``[batch, frames]`` keeps."""
    return mean_of(values.flatten(1, 2), mask)


def whole_numbers(given: Sequence[int], what: str, least: int, most: int) -> tuple[int, ...]:
    """Return a list of whole numbers within bounds as a tuple; anything else is a ConfigError."""
    numbers = tuple(given) if isinstance(given, list | tuple) else ()
    if not numbers or any(type(number) is not int or not least <= number <= most for number in numbers):
        raise ConfigError(f"{what}={shown(given)}: give a list of whole numbers from {least} to {most}")
    return numbers
