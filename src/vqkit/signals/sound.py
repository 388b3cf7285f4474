"""Sound: samples in [-1, 1], shown as waveform or spectrogram."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from PIL import Image as Pillow

from vqkit.checking import shown
from vqkit.errors import ConfigError, DataError
from vqkit.signals.audio_file import RATES, AudioFile
from vqkit.signals.base import SIGNALS, Array, Signal, median_side
from vqkit.signals.containers import EXTENSIONS as CONTAINERS
from vqkit.signals.wav import WRITERS

_WHOLE = 1 << 16
_DEFAULT_LENGTH = 1 << 14
_MULTIPLE = 64
_SEGMENT_MULTIPLE = 3840
"""2**8 * 15: of the downsampling of most networks, so that segments need no padding."""
_FRAMES = 50
_KBPS = (1.5, 3.0, 6.0)
_FEW_FRAMES, _FEW_CODES = 25, 512
_WINDOW = 256
_HOP = 64
_HEIGHT = 129
_WIDTH = 256
_DECIBELS = 80.0
_MOST_SPECTRA, _MOST_COLUMNS = 4096, 512


@SIGNALS.register("sound")
@final
class Sound(Signal):
    """Sound ``[C, time]``: floats of [-1, 1] at a sample rate.

    A source of files has their rate, or the one that it resamples them to; a model has that of what it was trained on
    (its config says ``kind="sound@16000"``), and files that it is given are resampled to it. Arrays have none unless
    it is said: models take them as they are.

    Args:
        rate: samples a second; None: not known.

    Raises:
        ConfigError: a rate out of range.

    Example:
        >>> import numpy as np, vqkit
        >>> source = vqkit.load_source(np.zeros((3, 2, 64), np.float32), kind="sound")
        >>> source.describe()
        '3 stereo sounds 64 samples in memory (1.5 kB)'
        >>> vqkit.load_source(np.zeros((3, 2, 64), np.float32), kind="sound@16k").describe()
        '3 stereo sounds at 16 kHz 4 ms in memory (1.5 kB)'
    """

    axes = 1
    noun = ("sound", "sounds")
    unit = "samples"
    value_range = (-1.0, 1.0)
    from_bytes = True
    gains = True
    extensions = (
        ".npy", ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf",
        ".rf64", ".w64", *sorted(CONTAINERS),
    )  # fmt: skip
    channel_names: ClassVar[dict[int, str]] = {1: "mono", 2: "stereo"}
    measures = ("sound",)
    layouts = "[N, T] or [N, C, T]"

    def __init__(self, rate: int | None = None) -> None:
        if rate is not None and not (isinstance(rate, int) and RATES[0] <= rate <= RATES[1]):
            raise ConfigError(f"rate={shown(rate)}: sounds have {RATES[0]} to {RATES[1]:,} samples a second")
        self.rate = rate

    @property
    def tokenizer(self) -> dict[str, Any]:
        """See ``Signal.tokenizer``: ConvNeXt networks, 50 frames a second, three rates; of sounds of a known rate."""
        if self.rate is None:
            return {}
        encoder = {"type": "convnext", "config": {"causal": False, "lapped": True}}  # whose ways the decoder takes over
        networks = {"encoder": encoder, "decoder": "convnext", "hidden_channels": 192}
        return {**networks, "downsampling": max(1, round(self.rate / _FRAMES)), "kbps": _KBPS}

    @property
    def conditional_tokenizer(self) -> dict[str, Any]:
        """See ``Signal.conditional_tokenizer``: 25 frames a second, one codebook of 512 codes, 225 bits a second.

        No lapped transform: so few bits are of magnitudes, not of the waveform.
        """
        suited = self.tokenizer
        if self.rate is None:
            return suited
        del suited["kbps"]
        encoder = {"type": "convnext", "config": {"causal": False, "stage_norms": False}}
        return {
            **suited,
            "encoder": encoder,
            "downsampling": max(1, round(self.rate / _FEW_FRAMES)),
            "codebook_size": _FEW_CODES,
        }

    @classmethod
    def with_setting(cls, text: str) -> Sound:
        """Return sound at a sample rate: ``"16000"``, ``"16k"``, ``"44.1k"``."""
        if not re.fullmatch(r"\d+|\d+(\.\d{1,3})?k", text):
            raise ConfigError(
                f"kind={shown(f'sound@{text}')}: give samples a second after @, as in sound@16000 or @16k"
            )
        return cls(round(float(text[:-1]) * 1000) if text.endswith("k") else int(text))

    @property
    def name(self) -> str:
        """The name in ``SIGNALS``, and the rate: ``"sound@16000"``."""
        return "sound" if self.rate is None else f"sound@{self.rate}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sound) and self.rate == other.rate

    def __hash__(self) -> int:
        return hash((Sound, self.rate))

    def __repr__(self) -> str:
        return f"Sound({'' if self.rate is None else self.rate})"

    def reads(self, other: Signal) -> bool:
        """Return whether the other is sound at the same rate, or one of both rates is not known."""
        return isinstance(other, Sound) and (None in (self.rate, other.rate) or self.rate == other.rate)

    def converts_channels(self, have: int, want: int) -> bool:
        """Return True for mono, which is the mean of all channels, and from mono, which is repeated."""
        return have == want or 1 in (have, want)

    def describe(self, count: int, channels: int) -> str:
        """Return channels and sample rate: ``"mono sounds at 16 kHz"``."""
        words = super().describe(count, channels)
        return words if self.rate is None else f"{words} at {self.rate / 1000:g} kHz"

    def describe_size(self, size: Sequence[int]) -> str:
        """Return how long it lasts, or how many samples it has where the rate is not known."""
        if self.rate is not None:
            return _duration(int(size[0]) / self.rate)
        return f"{int(size[0])} sample{'' if size[0] == 1 else 's'}"

    def suffix(self, channels: int) -> str:
        """WAV where the sample rate is known."""
        return super().suffix(channels) if self.rate is None else ".wav"

    def suffixes(self, channels: int) -> tuple[str, ...]:
        """WAV, or FLAC, where the sample rate is known."""
        return super().suffixes(channels) if self.rate is None else tuple(WRITERS)

    def read(self, path: Path) -> Array:
        """Return a file's samples, resampled where this kind has a rate; ``load_source`` skips files without sound.

        Raises:
            DataError: no sound, or an incomplete file.
            MissingExtraError: without soundfile or, where a rate changes, soxr.
        """
        if path.suffix.lower() == ".npy":
            return super().read(path)
        try:
            return AudioFile(path).read(rate=self.rate)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def write_pieces(
        self, pieces: Iterable[Array], path: Path, *, durable: bool = True, made: str | None = None
    ) -> None:
        """Write a WAV or FLAC file of 16 bits where the sample rate is known, or a ``.npy`` file."""
        if self.rate is None:
            super().write_pieces(pieces, path, durable=durable, made=made)
        else:
            writer = WRITERS.get(path.suffix.lower(), WRITERS[".wav"])
            writer(path, pieces, self.rate, durable=durable, made=made)

    def write(self, item: Array, path: Path, *, durable: bool = True, made: str | None = None) -> None:
        """See ``write_pieces``."""
        if self.rate is None:
            super().write(item, path, durable=durable, made=made)
        else:
            self.write_pieces([item], path, durable=durable, made=made)

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

    def segment_length(self, sizes: Array) -> int | None:
        """Return about 10 seconds where a sound lasts longer than 30; None where the rate is not known."""
        if self.rate is None or int(sizes.max()) <= 30 * self.rate:
            return None
        return max(1, 10 * self.rate // _SEGMENT_MULTIPLE) * _SEGMENT_MULTIPLE

    def shows(self, channels: int) -> bool:
        """Return True: all channels are averaged."""
        return True

    def show(self, item: Array) -> Pillow.Image:
        """Return the log spectrogram (low frequencies below, 80 dB from black to white), or a short sound's waveform.

        All channels are averaged. Spectra are of 256 samples under a Hann window; of a sound of more than 512 each
        column is the mean power of several.
        """
        wave = np.asarray(item, dtype=np.float64).mean(axis=0)
        if len(wave) < 4 * _WINDOW:
            return _waveform(wave)
        hop = max(_HOP, len(wave) // _MOST_SPECTRA)
        windows = np.lib.stride_tricks.sliding_window_view(wave, _WINDOW)[::hop] * np.hanning(_WINDOW)
        power = np.square(np.abs(np.fft.rfft(windows, axis=1)))
        starts = np.arange(0, len(power), -(-len(power) // _MOST_COLUMNS))
        means = np.add.reduceat(power, starts) / np.diff(np.append(starts, len(power)))[:, None]
        decibels = 10 * np.log10(np.maximum(means.T[::-1] / (_WINDOW / 4) ** 2, 1e-18))
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


def _duration(seconds: float) -> str:
    """``4 ms``, ``1.25 s``, ``12:05`` (minutes), ``1:02:03`` (hours)."""
    if seconds < 60:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.1 else f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
