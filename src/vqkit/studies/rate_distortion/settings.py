"""Settings of a rate-distortion study: rates of the model, qualities of the codecs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from vqkit.checking import from_values
from vqkit.codec import weight_unit
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.models.tiling import codebooks_of

_OF_TRAINED = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_OF_UNIT = (0.0, 1.0, 4.0, 16.0, 64.0)
_CODECS = ("jpeg", "webp", "avif", "jpeg_xl", "jpeg_2000")
ModelSetting = tuple[int, float | None]
"""Codebooks in use, and the ``rate_weight`` (None: as trained)."""


@dataclass(frozen=True, kw_only=True)
class RateDistortionConfig:
    """Settings of ``rate_distortion``.

    Attributes:
        rate_weights: of the curve with all codebooks; None: multiples of the trained weight, or where that is 0 of the
            smallest that changes much, unless ``codebooks`` is given.
        codebooks: how many of a residual stack, for a curve at the trained weight (without a prior: at none); None: no
            such curve, or from 1 to all of them where there is no prior, or the quantizer cannot weigh bits.
        optimize: that of the ``Compressor``: codes weigh the bits of the prior that codes them.
        images: only so many, the first ones; None: all.
        jpeg, webp, avif: qualities from 0 (JPEG: 1) to 100; none of them leaves the format out.
        jpeg_xl: distances, from 0.1 (near lossless) to 25.
        jpeg_2000: bits per pixel to aim at.
        low_rate: bits per pixel up to which a second BD-rate is taken.
        shown: how many images the picture shows.
        shown_rate: bits per pixel, about, of what the picture shows.
        crop: side of the part of each image that it shows.

    Raises:
        ConfigError: a value out of range.
    """

    rate_weights: Sequence[float] | None = None
    codebooks: Sequence[int] | None = None
    optimize: bool = False
    images: int | None = None
    jpeg: Sequence[int] = (1, 3, 5, 8, 12, 17, 25, 35, 50, 65, 80, 90)
    webp: Sequence[int] = (0, 2, 5, 10, 20, 35, 50, 65, 75, 85, 92)
    avif: Sequence[int] = (0, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80)
    jpeg_xl: Sequence[float] = (25, 20, 15, 10, 7, 5, 3.5, 2.5, 1.7, 1)
    jpeg_2000: Sequence[float] = (0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 1.6, 2.5)
    low_rate: float = 0.5
    shown: int = 2
    shown_rate: float = 0.25
    crop: int = 192

    def __post_init__(self) -> None:
        for name in ("rate_weights", "codebooks", *_CODECS):
            values = getattr(self, name)
            object.__setattr__(self, name, None if values is None else list(dict.fromkeys(values)))
        for name in ("jpeg", "webp", "avif"):
            self._within(name, 1 if name == "jpeg" else 0, 100)
        self._within("jpeg_xl", 0.1, 25)
        self._within("jpeg_2000", 0.001, 24)
        self._within("rate_weights", 0, math.inf)
        for name in ("images", "crop"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: give 1 or more")
        if self.shown < 0:
            raise ConfigError(f"shown={self.shown}: give 0 or more")
        for name in ("low_rate", "shown_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name}={getattr(self, name)}: give bits per pixel, above 0")

    def _within(self, name: str, low: float, high: float) -> None:
        wrong = [each for each in getattr(self, name) or () if not (low <= each <= high and math.isfinite(each))]
        if wrong:
            bounds = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
            raise ConfigError(f"{name}={wrong[0]:g}: give {bounds}")

    @property
    def codec_values(self) -> dict[str, Sequence[float]]:
        """The numbers of each format's curve."""
        return {name: getattr(self, name) for name in _CODECS}

    def model_curves(self, model: VQVAE, *, prior: bool) -> dict[str, list[ModelSetting]]:
        """The settings of each of the model's curves, by what varies along it.

        Args:
            model: the tokenizer.
            prior: whether anything codes its indices. Without, every code costs the same bits, so that a curve over
                rate weights has one rate only, and the nearest codes are the best ones of any number of codebooks.

        Raises:
            ConfigError: codebooks that the model does not have or cannot drop; weights that it cannot use (the
                ``Compressor`` says so).
        """
        weighs, every = bool(codebooks_of(model)), model.num_codebooks
        droppable = every > 1 and model.config["stacking"] == "residual"
        weights, counts = self.rate_weights, self.codebooks
        if weights is None and counts is None:
            by_weight = weighs and (prior or not droppable)
            weights = default_weights(model) if by_weight else None
            counts = range(1, every + 1) if droppable and not by_weight else None
        found: dict[str, list[ModelSetting]] = {}
        if weights:
            found["rate weight"] = [(every, float(each)) for each in weights]
        if counts:
            found["codebooks"] = [(int(each), 0.0 if weighs and not prior else None) for each in counts]
        return found or {"as trained": [(every, None)]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "a study of rate and distortion")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values."""
        return asdict(self)


def trained_weight(model: VQVAE) -> float:
    """The largest ``rate_weight`` of the codebooks, as they were trained; 0 for those that cannot weigh bits."""
    return max((each.rate_weight for each in codebooks_of(model)), default=0.0)


def default_weights(model: VQVAE) -> list[float]:
    """Rate weights that give a curve: around the trained one, or upwards from none."""
    trained = trained_weight(model)
    unit, factors = (trained, _OF_TRAINED) if trained > 0 else (weight_unit(model), _OF_UNIT)
    return [float(f"{unit * factor:.6g}") for factor in factors]
