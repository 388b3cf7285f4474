"""Sound: samples in [-1, 1], shown as waveform or spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
from PIL import Image as Pillow

from vqkit.signals.base import SIGNALS, Array, Signal, median_side

_WHOLE = 1 << 16
_DEFAULT_LENGTH = 1 << 14
_MULTIPLE = 64
_WINDOW = 256
_HOP = 64
_HEIGHT = 129
_WIDTH = 256
_DECIBELS = 80.0


@SIGNALS.register("sound")
@final
class Sound(Signal):
    """Sound ``[C, time]``: floats of [-1, 1]; arrays only as yet.

    Example:
        >>> import numpy as np, vqkit
        >>> source = vqkit.load_source(np.zeros((3, 2, 64), np.float32), kind="sound")
        >>> source.describe()
        '3 stereo sounds 64 samples in memory (1.5 kB)'
    """

    axes = 1
    noun = ("sound", "sounds")
    unit = "samples"
    value_range = (-1.0, 1.0)
    from_bytes = True
    channel_names: ClassVar[dict[int, str]] = {1: "mono", 2: "stereo"}
    measures = ("sound",)
    layouts = "[N, T] or [N, C, T]"

    def describe_size(self, size: Sequence[int]) -> str:
        """Return how many samples."""
        return f"{int(size[0])} sample{'' if size[0] == 1 else 's'}"

    def repair_range(self, low: float, high: float) -> str:
        """See ``Signal.repair_range``."""
        return "16-bit samples are x / 32768, louder floats are turned down by one factor for all"

    def default_crop(self, sizes: Array) -> int | None:
        """Return samples a crop, or None where all sounds have one length of at most 65,536.

        16,384, or the median length rounded down to a multiple of 64 where that is less.
        """
        if bool((sizes == sizes[0]).all()) and int(sizes[0, 0]) <= _WHOLE:
            return None
        return median_side(sizes[:, 0], _MULTIPLE, _DEFAULT_LENGTH)

    def shows(self, channels: int) -> bool:
        """Return True: all channels are averaged."""
        return True

    def show(self, item: Array) -> Pillow.Image:
        """Return the log spectrogram (low frequencies below, 80 dB from black to white), or a short sound's waveform.

        All channels are averaged. Spectra are of 256 samples under a Hann window.
        """
        wave = np.asarray(item, dtype=np.float64).mean(axis=0)
        if len(wave) < 4 * _WINDOW:
            return _waveform(wave)
        windows = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
        power = np.abs(np.fft.rfft(windows, axis=1)).T[::-1]
        decibels = 20 * np.log10(np.maximum(power / (_WINDOW / 4), 1e-9))
        return Pillow.fromarray(np.rint((decibels / _DECIBELS + 1).clip(0, 1) * 255).astype(np.uint8))

    def example(self, count: int, generator: np.random.Generator) -> Array:
        """Return mono sines of 64 samples."""
        frequency = generator.uniform(0.05, 0.5, (count, 1, 1))
        return np.sin(frequency * np.arange(64)).astype(np.float32) * 0.5


def _waveform(wave: Array) -> Pillow.Image:
    """A black line on white, one column a sample (short sounds: several columns a sample)."""
    columns = np.arange(max(len(wave), _WIDTH)) * len(wave) // max(len(wave), _WIDTH)
    rows = np.rint((1 - wave[columns].clip(-1, 1)) / 2 * (_HEIGHT - 1)).astype(int)
    before = np.concatenate([rows[:1], rows[:-1]])
    heights = np.arange(_HEIGHT)[:, None]
    ink = (heights >= np.minimum(rows, before)) & (heights <= np.maximum(rows, before))
    return Pillow.fromarray(np.where(ink, 0, 255).astype(np.uint8))
