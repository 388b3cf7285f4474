"""Sound files to test with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "u8.wav": ("WAV", "PCM_U8"),
    "24.wav": ("WAV", "PCM_24"),
    "32.wav": ("WAV", "PCM_32"),
    "float.wav": ("WAV", "FLOAT"),
    "aiff": ("AIFF", "PCM_16"),
    "flac": ("FLAC", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def tones(seconds: float = 1.0, rate: int = 48_000, channels: int = 1, seed: int = 0) -> Any:
    """A chord below 3 kHz that changes slowly, ``[channels, n]``, of at most 0.6."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    parts = [
        0.2 * np.sin(2 * np.pi * rng.uniform(200, 3000) * time + rng.uniform(0, 6)) * np.cos(2 * np.pi * 3 * time)
        for _ in range(3 * channels)
    ]
    return np.stack([sum(parts[start::channels]) for start in range(channels)]).astype(np.float32)


def write(path: Path, samples: Any, rate: int = 48_000, name: str | None = None) -> Path:
    """Write samples ``[channels, n]`` in the format that the file's name (or ``name``) says."""
    form, subtype = FORMATS[name or path.name.partition(".")[2]]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.T, rate, format=form, subtype=subtype)
    return path
