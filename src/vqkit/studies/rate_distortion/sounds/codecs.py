"""Sound formats that a model is compared with: Opus, MP3 and Vorbis, as libsndfile has them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError
from vqkit.optional import require

Samples = npt.NDArray[np.float32]
"""``[channels, time]`` in [-1, 1]."""
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_OPUS_KBPS = (6.0, 256.0)
_MPEG_2_RATE = 24000
_MP3_KBPS = {1: (32.0, 320.0), 2: (8.0, 160.0)}
"""Of MPEG-1 (above 24 kHz) and MPEG-2 Layer III."""
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class SoundCodec:
    """One format with one encoder.

    Attributes:
        name: for people: "Opus".
        about: library, version and settings: what the files depend on.
        setting: what the encoder's number is: "kbps wanted", "quality".
        values: the numbers that a curve is made of.
        encode: samples, their rate and a number to a whole file.
        decode: a whole file to samples, and their rate.
    """

    name: str
    about: str
    setting: str
    values: tuple[float, ...]
    encode: Callable[[Samples, int, float], bytes]
    decode: Callable[[bytes], tuple[Samples, int]]


def sound_codecs(values: Mapping[str, Sequence[float]], channels: int) -> tuple[list[SoundCodec], list[str]]:
    """The codecs that are installed here, and sentences about those that are not.

    Args:
        values: the numbers of each curve by ``opus``, ``mp3`` and ``vorbis``; a format without numbers is left out.
        channels: of the sounds.

    Raises:
        MissingExtraError: soundfile is not installed.
    """
    sf = require("soundfile", "a study of rate and distortion on sound")
    about, known = f"{sf.__libsndfile_version__}", sf.available_subtypes()
    library = f"libsndfile {about}"
    offered = [
        ("opus", "OPUS", SoundCodec("Opus", f"{library}, libopus, Ogg", "kbps wanted", (), _opus, _decoded)),
        ("mp3", "MPEG_LAYER_III", SoundCodec("MP3", f"{library}, LAME, constant", "kbps wanted", (), _mp3, _decoded)),
        ("vorbis", "VORBIS", SoundCodec("Vorbis", f"{library}, libvorbis, Ogg", "quality", (), _vorbis, _decoded)),
    ]  # fmt: skip
    found, missing = [], []
    for name, subtype, codec in offered:
        numbers = tuple(dict.fromkeys(float(each) for each in values.get(name, ())))
        if numbers and subtype not in known:
            missing.append(f"{codec.name}: {library} was built without it.")
        elif numbers and name == "mp3" and channels > 2:
            missing.append("MP3: it has one or two channels.")
        elif numbers:
            found.append(SoundCodec(codec.name, codec.about, codec.setting, numbers, codec.encode, codec.decode))
    return found, missing


def _opus(samples: Samples, rate: int, kbps: float) -> bytes:
    own = next((each for each in _OPUS_RATES if each >= rate), _OPUS_RATES[-1])
    low, high = _OPUS_KBPS
    each = kbps / len(samples)  # libsndfile multiplies by the channels
    level = 1 - (min(max(each, low), high) - low) / (high - low)
    return _written(_resampled(samples, rate, own), own, "OGG", "OPUS", level, None)


def _mp3(samples: Samples, rate: int, kbps: float) -> bytes:
    own = next((each for each in _MP3_RATES if each >= rate), _MP3_RATES[-1])
    low, high = _MP3_KBPS[2 if own <= _MPEG_2_RATE else 1]
    level = 1 - (min(max(kbps, low), high) - low) / (high - low)
    return _written(_resampled(samples, rate, own), own, "MP3", "MPEG_LAYER_III", min(level, 0.999), "CONSTANT")


def _vorbis(samples: Samples, rate: int, quality: float) -> bytes:
    return _written(samples, rate, "OGG", "VORBIS", 1 - quality, None)


def _written(samples: Samples, rate: int, form: str, subtype: str, level: float, mode: str | None) -> bytes:
    sf = require("soundfile", "a study of rate and distortion on sound")
    file = io.BytesIO()
    try:
        sf.write(file, samples.T, rate, format=form, subtype=subtype, compression_level=float(level), bitrate_mode=mode)
    except (sf.LibsndfileError, ValueError, TypeError) as error:
        raise DataError(
            f"a sound of {len(samples)} channels at {rate} Hz cannot be saved as {subtype}: {error}"
        ) from error
    return file.getvalue()


def _decoded(data: bytes) -> tuple[Samples, int]:
    sf = require("soundfile", "a study of rate and distortion on sound")
    samples, rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), int(rate)


def _resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    if rate == wanted:
        return samples
    soxr = require("soxr", f"sounds of {rate} samples a second in a format without that rate")
    found: Samples = np.ascontiguousarray(soxr.resample(samples.T, rate, wanted).T, dtype=np.float32)
    return found


def matched(original: Samples, decoded: Samples, rate: int, own: int, delay: Callable[[Samples], int]) -> Samples:
    """Return decoded samples at the rate and length of the original, with the codec's delay taken out.

    Args:
        original: what was encoded.
        decoded: what came back, at the rate ``own``.
        rate: of the original.
        own: of what came back.
        delay: of samples of the original's shape, in samples.
    """
    back = _fitted(_resampled(decoded, own, rate), original.shape[1])
    late = delay(back)
    if not late:
        return back
    return _fitted(back[:, late:] if late > 0 else np.pad(back, ((0, 0), (-late, 0))), original.shape[1])


def _fitted(samples: Samples, length: int) -> Samples:
    return np.pad(samples[:, :length], ((0, 0), (0, max(0, length - samples.shape[1]))))
