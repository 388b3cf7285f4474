"""The quality of reconstructed sounds by every measure that there is for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

from vqkit.evaluation.sound.perceptual import PESQ_RATES, VISQOL_RATES, pesq, stoi, visqol
from vqkit.evaluation.sound.spectral import mel_distance, stft_distance
from vqkit.evaluation.sound.waveform import delay_samples, si_sdr_db, snr_db

_DELAYS_A_SECOND = 50
_UNKNOWN_RATE = 16000


@dataclass(frozen=True, kw_only=True)
class SoundQuality:
    """Quality of reconstructed sounds: means over the items that have a finite value.

    Silence and perfect reconstructions have no finite ratio in dB. A measure is None where no item has a finite value,
    the sample rate has to be known and is not, its package is not installed, or it was not asked for.

    Attributes:
        snr_db: signal-to-noise ratio, aligned for a delay of at most 20 ms.
        si_sdr_db: scale-invariant signal-to-distortion ratio, aligned for a delay of at most 20 ms.
        delay: of reconstructions in samples, the median.
        stft_distance: see ``vqkit.evaluation.sound.stft_distance``.
        mel_distance: see ``vqkit.evaluation.sound.mel_distance``; needs the rate.
        stoi: short-time objective intelligibility; needs the rate, and pystoi.
        pesq: MOS-LQO of sounds at 8 or 16 kHz; needs pesq.
        visqol: MOS-LQO of sounds at 16 or 48 kHz; needs visqol-python.
        duration: of all items, in seconds; needs the rate.

    Example:
        >>> from vqkit.evaluation.sound import SoundQuality
        >>> SoundQuality(snr_db=12.0, si_sdr_db=11.5, delay=0, stft_distance=1.1).stoi is None
        True
    """

    snr_db: float | None
    si_sdr_db: float | None
    delay: int
    stft_distance: float | None
    mel_distance: float | None = None
    stoi: float | None = None
    pesq: float | None = None
    visqol: float | None = None
    duration: float | None = None


def judge_sounds(x: Tensor, y: Tensor, rate: int | None, *, perceptual: bool = True) -> dict[str, Tensor]:
    """Judge reconstructions of sounds by the measures of ``SoundQuality``.

    Args:
        x: the signals ``[batch, channels, time]``, in [-1, 1].
        y: reconstructions, the same shape.
        rate: samples a second; None, where it is not known: the measures that do without.
        perceptual: also STOI, PESQ and ViSQOL, as far as their packages are installed (slow).

    Returns:
        Measures by name, each ``[batch]`` float64; not finite where an item has no such value.

    Raises:
        ValueError: tensors of other shapes.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import judge_sounds
        >>> list(judge_sounds(torch.ones(2, 1, 64), torch.ones(2, 1, 64), rate=None))
        ['snr_db', 'si_sdr_db', 'delay', 'stft_distance']
    """
    most = max(1, (rate or _UNKNOWN_RATE) // _DELAYS_A_SECOND)
    delays = delay_samples(x, y, most)
    found = {
        "snr_db": snr_db(x, y, most),
        "si_sdr_db": si_sdr_db(x, y, most),
        "delay": delays.double(),
        "stft_distance": stft_distance(x, y),
    }
    if rate is None:
        return found
    found["mel_distance"] = mel_distance(x, y, rate)
    found["duration"] = torch.full((len(x),), x.shape[2] / rate, dtype=torch.float64)
    if perceptual:
        found |= {name: judge(x, y, rate) for name, judge in perceptual_measures(rate).items()}
    return found


def perceptual_measures(rate: int) -> dict[str, Callable[[Tensor, Tensor, int], Tensor]]:
    """Return the perceptual measures of sounds at this rate whose packages are installed, by name.

    Example:
        >>> from vqkit.evaluation.sound import perceptual_measures
        >>> sorted(set(perceptual_measures(16000)) - {"stoi", "pesq", "visqol"})
        []
    """
    known: list[tuple[str, str, bool, Callable[[Tensor, Tensor, int], Tensor]]] = [
        ("stoi", "pystoi", True, stoi),
        ("pesq", "pesq", rate in PESQ_RATES, pesq),
        ("visqol", "visqol", rate in VISQOL_RATES, visqol),
    ]
    return {name: judge for name, package, fits, judge in known if fits and find_spec(package) is not None}


def summarize(batches: Iterable[Mapping[str, Tensor]]) -> SoundQuality:
    """Return the means over items of what ``judge_sounds`` gave of each batch (one at least).

    Example:
        >>> import torch
        >>> from vqkit.evaluation.sound import judge_sounds, summarize
        >>> x = torch.ones(2, 1, 64)
        >>> round(summarize([judge_sounds(x, 0.9 * x, rate=None)]).snr_db, 3)
        20.0
    """
    kept = list(batches)
    values = {name: torch.cat([batch[name] for batch in kept]) for name in kept[0]}
    duration = values.pop("duration", None)
    delay = int(values.pop("delay").median())
    means = {name: float(each[each.isfinite()].mean()) for name, each in values.items()}
    return SoundQuality(
        delay=delay,
        duration=None if duration is None else float(duration.sum()),
        **{name: None if math.isnan(mean) else mean for name, mean in means.items()},
    )
