"""Every image as a file of the model and of other codecs at every setting: written, decoded, measured."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from vqkit.codec import Compressor, Decompressor, Signal
from vqkit.codec.entropy.models import EntropyModel
from vqkit.data import Source
from vqkit.models import VQVAE
from vqkit.pictures import to_uint8
from vqkit.studies.rate_distortion.image_codecs import ImageCodec, Pixels
from vqkit.studies.rate_distortion.measures import Measure, MeasureLog, distortions
from vqkit.studies.rate_distortion.settings import ModelSetting

Found = dict[tuple[str, Any], list[Measure]]
"""Measurements in the order of the images, by codec (``model``) and setting."""


@dataclass
class Bench:
    """The model's two ways, one image a file."""

    model: VQVAE
    entropy: EntropyModel
    beside: list[EntropyModel]
    optimize: bool = False

    def __post_init__(self) -> None:
        self._decompressor = Decompressor(self.model, self.entropy)

    @property
    def about_entropy(self) -> str:
        """Kind and digest of what codes the indices, and whether it chooses them."""
        return f"{self.entropy.kind} {self.entropy.digest.hex()}{' optimized' * self.optimize}".strip()

    def compressor(self, setting: ModelSetting) -> Compressor:
        """Return the compressor at this setting.

        Raises:
            ConfigError: the model has no such setting.
        """
        codebooks, weight = setting
        return Compressor(
            self.model,
            self.entropy,
            codebooks=codebooks,
            rate_weight=weight,
            optimize=self.optimize,
            beside=self.beside,
        )

    def coded(self, pixels: Pixels, setting: ModelSetting) -> tuple[bytes, Pixels, dict[str, float]]:
        """The file of one image, what it decodes to, and its bits by name."""
        file = io.BytesIO()
        report = self.compressor(setting).write(file, [Signal(pixels)])
        data = file.getvalue()
        (decoded,) = self._decompressor.read(io.BytesIO(data))
        bits: dict[str, float] = {"nominal": float(report.nominal_bits)}
        for kind in ("uniform", "histogram", "context"):
            if kind in report.model_bits:
                bits[kind] = report.model_bits[kind]
        bits |= {"coded indices": 8.0 * report.index_bytes, "headers": 8.0 * report.header_bytes}
        return data, decoded.values.numpy(), bits

    def measure(self, pixels: Pixels, setting: ModelSetting) -> dict[str, Any]:
        """One image as one file of the model."""
        data, decoded, bits = self.coded(pixels, setting)
        size = pixels.shape[1] * pixels.shape[2]
        return {"bytes": len(data), "pixels": size, **distortions(pixels, decoded), "bits": bits}


def codec_measure(codec: ImageCodec, pixels: Pixels, value: float) -> dict[str, Any]:
    """One image as one file of a codec."""
    data = codec.encode(pixels, value)
    decoded = codec.decode(data, len(pixels))
    return {"bytes": len(data), "pixels": pixels.shape[1] * pixels.shape[2], **distortions(pixels, decoded)}


def image(source: Source, number: int) -> Pixels:
    """One image in 8 bits ``[channels, height, width]``."""
    return np.ascontiguousarray(to_uint8(torch.from_numpy(source.read(number)).unsqueeze(0))[0])


def measured(
    bench: Bench,
    curves: Mapping[str, Sequence[ModelSetting]],
    codecs: Sequence[ImageCodec],
    source: Source,
    count: int,
    log: MeasureLog,
    say: Callable[[str], None],
) -> Found:
    """All measurements of every setting, in the order of the images; those that are not in the log are made now.

    Args:
        bench: of the model.
        curves: the settings of its curves.
        codecs: what it is compared with.
        source: the images.
        count: how many of them, from the first.
        log: what is known.
        say: told after each image that was not.
    """
    settings = list(dict.fromkeys(each for one in curves.values() for each in one))
    numbers = sum(len(codec.values) for codec in codecs)
    say(f"{count:,} images, each as {len(settings)} files of the model and {numbers} of {len(codecs)} other codecs")
    found: Found = {}
    began, made = time.monotonic(), 0
    for number in range(count):
        pixels = image(source, number)
        which = [number, zlib.crc32(pixels.tobytes())]
        new = False
        for setting in settings:
            key = ["model", *setting, *which]
            new |= key not in log
            measure = log.measured(key, partial(bench.measure, pixels, setting))
            found.setdefault(("model", setting), []).append(measure)
        for codec in codecs:
            for value in codec.values:
                key = [codec.name, codec.about, value, *which]
                new |= key not in log
                measure = log.measured(key, partial(codec_measure, codec, pixels, value))
                found.setdefault((codec.name, value), []).append(measure)
        if new:
            made += 1
            left = (time.monotonic() - began) / made * (count - number - 1)
            say(f"image {number + 1:,} of {count:,}, about {left / 60:.1f} minutes left")
    return found
