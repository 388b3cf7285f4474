"""Signals as pictures: what a study shows of them, and what networks for images judge of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from vqkit.data import ArraySource, Source
from vqkit.errors import ConfigError
from vqkit.ops import stft_magnitude
from vqkit.signals import Signal
from vqkit.spelling import option

_WINDOW, _HOP, _DECIBELS = 256, 64, 80.0
_MOST_VALUES = 1 << 26


def is_studied(kind: Signal) -> bool:
    """Return whether a study can compare models of this kind: images, and sound."""
    return kind.converts or "sound" in kind.measures


def shown(kind: Signal, signals: Tensor | Sequence[Tensor]) -> list[Tensor | Image.Image]:
    """Signals as ``before_after_sheet`` takes them: images as they are, of other kinds their pictures."""
    if kind.converts:
        return list(signals)
    pictures = [kind.show(each.detach().float().cpu().numpy()) for each in signals]
    if any(picture is None for picture in pictures):
        raise ConfigError(f"there are no pictures of {kind.noun[1]}")
    return [picture for picture in pictures if picture is not None]


def as_images(kind: Signal, signals: Tensor) -> Tensor:
    """Signals as images in [0, 1]: images as they are, sounds ``[batch, channels, time]`` as log spectrograms.

    80 dB lie between 0 and 1; the image is ``[batch, channels, 129, frames]``, of 256 samples each, 64 apart.
    """
    if kind.converts:
        return signals
    magnitudes = stft_magnitude(signals.float(), _WINDOW, _HOP) / (_WINDOW / 4)
    return (20 * magnitudes.clamp_min(1e-9).log10() / _DECIBELS + 1).clamp(0, 1)


def as_image_source(source: Source) -> Source:
    """A source of the same items as images; see ``as_images``.

    Raises:
        ConfigError: sounds whose spectrograms do not fit in memory together.
    """
    if source.kind.converts:
        return source
    size = as_images(source.kind, torch.from_numpy(source.gather([0])))[0].numel()
    if len(source) * size > _MOST_VALUES:
        raise ConfigError(
            f"the spectrograms of {source.describe()} take {len(source) * size / 2**28:,.1f} GiB; take "
            + option("features", "random")
        )
    images = torch.cat([
        as_images(source.kind, torch.from_numpy(source.gather(range(start, min(start + 256, len(source))))))
        for start in range(0, len(source), 256)
    ])  # fmt: skip
    return ArraySource(images.numpy(), name=source.name, labels=source.labels, class_names=source.class_names)
