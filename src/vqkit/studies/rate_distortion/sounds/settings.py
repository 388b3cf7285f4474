"""Settings of a rate-distortion study on sound: codebooks of the model, rates and qualities of the codecs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from vqkit.checking import from_values
from vqkit.errors import ConfigError
from vqkit.models import VQVAE, model_rates
from vqkit.models.rates.rate import used_codebooks

_CODECS = ("opus", "mp3", "vorbis")


@dataclass(frozen=True, kw_only=True)
class SoundRateDistortionConfig:
    """Settings of ``rate_distortion`` for a model of sound.

    Attributes:
        codebooks: how many of a residual stack, for the points of the model; None: those that it was trained for.
        kbps: the same by their rates, instead.
        items: only so many sounds, the first ones; None: all.
        seconds: only so much of each, from its beginning; None: all.
        opus: kilobits a second to aim at, from 6 a channel; none leaves the format out.
        mp3: kilobits a second (constant rate), from 8 up to 24 kHz and from 32 above.
        vorbis: qualities from 0 to 1.
        shown: how many sounds are played and shown.
        shown_kbps: about which rate is played; None: that of the model with all codebooks.

    Raises:
        ConfigError: a value out of range.
    """

    codebooks: Sequence[int] | None = None
    kbps: Sequence[float] | None = None
    items: int | None = None
    seconds: float | None = None
    opus: Sequence[float] = (6, 9, 12, 16, 24, 32)
    mp3: Sequence[float] = (8, 16, 24, 32, 48)
    vorbis: Sequence[float] = (0, 0.1, 0.3)
    shown: int = 2
    shown_kbps: float | None = None

    def __post_init__(self) -> None:
        for name in ("codebooks", "kbps", *_CODECS):
            values = getattr(self, name)
            object.__setattr__(self, name, None if values is None else list(dict.fromkeys(values)))
        for name, low, high in (("opus", 6, 512), ("mp3", 8, 320), ("vorbis", 0, 1)):
            wrong = [each for each in getattr(self, name) if not low <= each <= high]
            if wrong:
                raise ConfigError(f"{name}={wrong[0]:g}: give {low:g} to {high:g}")
        for name in ("seconds", "shown_kbps"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name}={getattr(self, name)}: give a number above 0")
        if self.items is not None and self.items < 1:
            raise ConfigError(f"items={self.items}: give 1 or more")
        if self.shown < 0:
            raise ConfigError(f"shown={self.shown}: give 0 or more")
        if self.codebooks is not None and self.kbps is not None:
            raise ConfigError("codebooks and kbps: give one of them, the other follows from it")

    @property
    def codec_values(self) -> dict[str, Sequence[float]]:
        """The numbers of each format's curve."""
        return {name: getattr(self, name) for name in _CODECS}

    def model_codebooks(self, model: VQVAE) -> list[int]:
        """Return how many codebooks each point of the model uses, in ascending order.

        Raises:
            ConfigError: codebooks, or a rate, that the model does not have.
        """
        every = model.num_codebooks
        if self.codebooks is not None:
            return sorted({used_codebooks(model, each, None) or every for each in self.codebooks})
        if self.kbps is not None:
            return sorted({used_codebooks(model, None, each) or every for each in self.kbps})
        return [rate.codebooks for rate in model_rates(model)]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "a study of rate and distortion on sound")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values."""
        return asdict(self)
