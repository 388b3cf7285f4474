"""Quality of one decoded sound, and its mean over the sounds of one setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from vqkit.evaluation.sound import delay_samples, judge_sounds
from vqkit.studies.rate_distortion.measures import Measure
from vqkit.studies.rate_distortion.sounds.codecs import Samples

QUALITIES = ("stoi", "visqol", "pesq", "mel_distance", "stft_distance", "si_sdr_db", "snr_db")
_MOST_DELAY = 0.1
"""Seconds that a codec may be late."""


def delay_of(original: Samples, decoded: Samples, rate: int) -> int:
    """Samples by which a decoded sound is late, at most 100 ms either way."""
    x, y = (torch.from_numpy(each).unsqueeze(0) for each in (original, decoded))
    return int(delay_samples(x, y, round(rate * _MOST_DELAY))[0])


def sound_qualities(original: Samples, decoded: Samples, rate: int) -> dict[str, float]:
    """Measures of one sound by name, those that have a finite value."""
    x, y = (torch.from_numpy(each).unsqueeze(0) for each in (original, decoded))
    found = {name: float(value) for name, value in judge_sounds(x, y, rate).items() if name in QUALITIES}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def sound_point(measures: Sequence[Measure]) -> dict[str, Any]:
    """One setting of one codec over all sounds.

    Rate: the bits of all files over the seconds of all sounds; quality: the mean over the sounds with a finite value.
    """
    seconds = math.fsum(each["seconds"] for each in measures)
    size = sum(each["bytes"] for each in measures)
    found: dict[str, Any] = {"sounds": len(measures), "bytes": size, "kbps": 8 * size / seconds / 1000}
    for name in QUALITIES:
        values = [each["quality"][name] for each in measures if name in each["quality"]]
        if values:
            found[name] = math.fsum(values) / len(values)
    if "bits" in measures[0]:
        names = list(measures[0]["bits"])
        found["kbps_of"] = {name: math.fsum(each["bits"][name] for each in measures) / seconds / 1000 for name in names}
    return found
