"""Settings of a study of latents: the plane that is decoded, and one training for both models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from vqkit.errors import ConfigError
from vqkit.studies.networks import NetworkSettings

MODELS = {"ae": "Autoencoder", "vae": "VAE"}


@dataclass(frozen=True, kw_only=True)
class LatentsConfig(NetworkSettings):
    """Settings of ``study_latents``; the others are those of ``NetworkSettings``.

    Attributes:
        steps: optimiser steps of each training; with few the VAE's latents do not yet lie as its prior does.
        cells: decoded pictures along each axis of the plane.
        reach: the plane goes from minus this to plus this, in standard deviations of what is sampled.
        beta: of the VAE.
        items: training items whose latents are counted at most.
        dots: of them so many are drawn.
        draws: latents that are drawn from the prior and decoded, to measure how far they lie from the data.
        compared: training items that decoded samples are compared with at most.

    Raises:
        ConfigError: a value out of range.
    """

    what: ClassVar[str] = "a study of latents"
    steps: int = 2000
    cells: int = 15
    reach: float = 3.0
    beta: float = 1.0
    items: int = 10_000
    dots: int = 1000
    draws: int = 512
    compared: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("items", "draws", "compared"):
            if getattr(self, name) < 2:
                raise ConfigError(f"{name}={getattr(self, name)}: give 2 or more")
        if not 2 <= self.cells <= 64:
            raise ConfigError(f"cells={self.cells}: give 2 to 64")
        if self.dots < 0:
            raise ConfigError(f"dots={self.dots}: give 0 or more")
        for name in ("reach", "beta"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name == "reach" and value == 0):
                raise ConfigError(f"{name}={value}: give a finite number above 0")
