"""Settings that studies of networks share: their shape, their training, and the split of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

from vqkit.checking import from_values
from vqkit.data.naming import recorded_split
from vqkit.errors import ConfigError
from vqkit.seeds import check_seed
from vqkit.signals import Signal
from vqkit.studies.images import DEFAULT_CROP
from vqkit.training import TrainConfig

_DOWNSAMPLING, _OF_SOUND = 4, 64


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Base of the settings of studies that train the same networks several times.

    Attributes:
        steps: optimiser steps of each training.
        hidden_channels: width of the networks.
        residual_channels: width inside their residual blocks.
        downsampling: pixels (samples) per position on each axis; 4 of sound means 64, its default.
        linear_path: let every network begin as PCA, as in ``compare``.
        batch_size: signals per step.
        learning_rate: the peak.
        flip: mirror half of the training images.
        validation: held-out data, as in ``TrainConfig``.
        crop: side of the crops that images of different or large sizes are cut to, once.
        seed: of everything random.

    Raises:
        ConfigError: a value out of range.
    """

    what: ClassVar[str] = "a study"
    steps: int = 1000
    hidden_channels: int = 64
    residual_channels: int = 32
    downsampling: int = _DOWNSAMPLING
    linear_path: bool = True
    batch_size: int = 32
    learning_rate: float = 1e-3
    flip: bool = False
    validation: str | float = 0.1
    crop: int = DEFAULT_CROP
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "validation", recorded_split(self.validation))
        for name in ("steps", "batch_size", "crop", "downsampling", "hidden_channels", "residual_channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: give 1 or more")
        check_seed(self.seed)

    def of_kind(self, kind: Signal) -> Self:
        """Return the settings for a kind of signal: of sound 64 samples a position, unless it was said."""
        if kind.axes != 1 or self.downsampling != _DOWNSAMPLING:
            return self
        return replace(self, downsampling=_OF_SOUND)

    def network(self) -> dict[str, Any]:
        """Keyword arguments of every model."""
        names = ("hidden_channels", "residual_channels", "downsampling", "linear_path")
        return {name: getattr(self, name) for name in names}

    def training(self, validation: str | float, split_seed: int | None = None) -> TrainConfig:
        """Settings of every training, on data that are split so."""
        return TrainConfig(
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            flip=self.flip,
            validation=validation,
            seed=self.seed,
            split_seed=split_seed,
            evaluations=0,
            log_every=max(1, min(50, self.steps // 20)),
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, cls.what)

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values."""
        return asdict(self)
