"""Settings of a study of codebooks: sizes, quantizers, and one training for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from vqkit.checking import from_values
from vqkit.data.naming import recorded_split
from vqkit.errors import ConfigError
from vqkit.quantizers import QUANTIZERS
from vqkit.seeds import check_seed
from vqkit.signals import Signal

COLLAPSING = "gradient:cosine=false:restart_below=0"
"""Equation 3 of the paper and nothing besides: without restarts and on no sphere the codebook collapses."""

OF_A_VAE = "gaussian"
"""Draws that learn nothing: ``vqkit quantize`` gives them to a VAE."""


@dataclass(frozen=True, kw_only=True)
class CodebooksConfig:
    """Settings of ``codebooks``.

    Attributes:
        sizes: codewords that a position can be given, K; a quantizer of C codebooks has the C-th root in each.
        quantizers: names as ``QuantizerSpec.parse`` reads them; by default all kinds but draws, and one that collapses.
        steps: optimiser steps of each training.
        hidden_channels: width of the networks.
        residual_channels: width inside their residual blocks.
        code_dim: numbers in a codeword.
        linear_path: let every network begin as a linear solution, as those of ``compare`` do.
        downsampling: pixels (samples, frames) per position on each axis; the default means 1 of vectors.
        batch_size: signals per step.
        learning_rate: the peak.
        flip: mirror half of the training images.
        validation: held-out data, as in ``TrainConfig``.
        crop: side of the random crops of images to train on; None takes the default of the data.
        positions: usage and perplexity are also counted over the whole data (where training sees crops: over other
            random crops), or as much of it as has so many positions: 65,536 codes cannot all occur in a small held-out
            set.
        seed: of everything random.

    Raises:
        ConfigError: a value out of range.
    """

    sizes: Sequence[int] = (64, 512, 4096)
    quantizers: Sequence[str] = (*(name for name in QUANTIZERS.available() if name != OF_A_VAE), COLLAPSING)
    steps: int = 1000
    hidden_channels: int = 64
    residual_channels: int = 32
    code_dim: int = 64
    linear_path: bool = False
    downsampling: int = 4
    batch_size: int = 32
    learning_rate: float = 1e-3
    flip: bool = False
    validation: str | float = 0.1
    crop: int | None = None
    positions: int = 1 << 22
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "validation", recorded_split(self.validation))
        object.__setattr__(self, "sizes", sorted(set(self.sizes)))
        object.__setattr__(self, "quantizers", list(self.quantizers))
        if not self.sizes or not self.quantizers:
            raise ConfigError("give one or more sizes and one or more quantizers")
        for name in ("steps", "batch_size", "positions"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: give 1 or more")
        check_seed(self.seed)
        if self.sizes[0] < 2:
            raise ConfigError(f"sizes={self.sizes[0]}: a codebook needs at least 2 codes")

    def of_kind(self, kind: Signal) -> Self:
        """Return the settings for a kind of signal: a vector is one position, unless something else was said."""
        if kind.axes or self.downsampling != CodebooksConfig.downsampling:
            return self
        return replace(self, downsampling=1)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "a study of codebooks")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values."""
        return asdict(self)
