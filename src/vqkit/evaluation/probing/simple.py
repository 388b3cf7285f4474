"""Simple features of signals as they are, beside which probes of latents are read: log-mel means, averaged pixels."""

from __future__ import annotations

import math

from torch import Tensor

from vqkit.evaluation.probing.pooling import pooled
from vqkit.ops import mel_magnitude
from vqkit.signals import Signal

_BANDS = 40
_SECONDS = 0.032
_FLOOR = 1e-5
_ASSUMED_RATE = 16000
"""Of sound whose sample rate is not known; mel bands then lie where they would at this rate."""
_MOST_VALUES = 1024


def signal_features(x: Tensor, kind: Signal, parts: int, largest: int) -> Tensor:
    """Features of signals without any model.

    - Sound: log10 of mel magnitudes (40 bands, windows of about 32 ms), their mean in each part.
    - Other signals on a grid: values averaged in so many equal parts along every axis that there are 1,024 numbers at
      most; images of 28x28 pixels are their pixels.
    - Vectors: the numbers.

    Args:
        x: ``[batch, channels, *size]``, float32.
        kind: of the signals.
        parts: of sound.
        largest: the longest side of all signals of the set.

    Returns:
        ``[batch, D]``, D the same for all signals of a set.

    Example:
        >>> import torch
        >>> from vqkit.evaluation.probing import signal_features
        >>> from vqkit.signals import signal_kind
        >>> signal_features(torch.rand(2, 1, 4000), signal_kind("sound@8000"), 8, 4000).shape
        torch.Size([2, 320])
        >>> signal_features(torch.rand(2, 3, 64, 64), signal_kind("image"), 4, 64).shape  # 3 channels of 18x18
        torch.Size([2, 972])
    """
    if _is_sound(kind):
        rate = kind.rate or _ASSUMED_RATE
        window = 1 << max(4, round(math.log2(_SECONDS * rate)))
        mels = mel_magnitude(x.mean(dim=1, keepdim=True), rate, window, window // 4, _BANDS)
        return pooled(mels.clamp_min(_FLOOR).log10()[:, 0], parts)
    if x.ndim == 2:
        return x
    return pooled(x, min(largest, max(1, math.floor((_MOST_VALUES / x.shape[1]) ** (1 / kind.axes) + 1e-9))))


def describe_features(kind: Signal) -> str:
    """Say in words what ``signal_features`` are."""
    if _is_sound(kind):
        return f"log-mel means ({_BANDS} bands) of the signal"
    return (
        "the numbers of the signal" if kind.axes == 0 else f"values of the signal, averaged to {_MOST_VALUES} at most"
    )


def _is_sound(kind: Signal) -> bool:
    return "sound" in kind.measures
