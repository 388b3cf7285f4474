"""Settings of a comparison: one budget of bits, the same networks, steps and data for every rung."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from vqkit.checking import from_values
from vqkit.data.naming import recorded_split
from vqkit.errors import ConfigError
from vqkit.seeds import check_seed
from vqkit.signals import Signal

_SOUND_DOWNSAMPLING = 64
_CLASSIFIER_STEPS = 1000
_BOUND_SAMPLES = 64
_AT_LEAST_1 = (
    "steps", "classifier_steps", "batch_size", "crop", "prior_channels", "prior_layers", "prior_batch_size",
    "bound_samples", "quantized_dim",
)  # fmt: skip
TITLES = {"pca": "PCA", "ae": "Autoencoder", "vae": "VAE", "quantized": "Quantized VAE", "vqvae": "VQ-VAE"}
"""Every rung, in the order of the ladder."""
RUNGS = ("pca", "ae", "vae", "vqvae")
"""Those of a comparison that names none."""
_QUANTIZED_DIM = 4


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Settings of ``compare``.

    Attributes:
        codebook_size: K of the VQ-VAE, which with ``downsampling`` sets the budget: positions times log2 K bits.
        downsampling: pixels (samples) per position on each axis, of all networks; 4 of sound means 64, its default.
        hidden_channels: width of all networks.
        residual_channels: width inside their residual blocks.
        code_dim: numbers in a codeword.
        linear_path: let every network begin as the linear solution (PCA of the signal, or of blocks for the VQ-VAE).
        steps: optimiser steps of each network.
        prior_steps: of the VQ-VAE's prior; None: as many as ``steps``.
        prior_channels: width of the prior.
        prior_layers: depth of the prior.
        prior_dropout: in the prior, while it trains.
        prior_batch_size: grids per step.
        prior_learning_rate: the peak.
        batch_size: signals per step.
        learning_rate: the peak.
        weight_decay: of the autoencoder.
        noise: of the denoising autoencoder (0: a plain one).
        density_components: Gaussians in the mixture that the autoencoder is sampled from.
        beta: of the VAE.
        beta_warmup: steps in which beta rises from 0; None: a tenth of all.
        free_bits: nats of each of the VAE's latent numbers that cost nothing.
        quantized_dim: numbers at each position of the VAE that is quantized; they share an index.
        flip: mirror half of the training images.
        validation: held-out data, as in ``TrainConfig``.
        crop: side of the crops that images of different or large sizes are cut to, once; 64 of sounds means their
            median length, 8,192 samples at most.
        samples: how many each rung generates for the generation metrics (at most as many as there is held out).
        features: ``"auto"`` (a classifier of the data's labels where there are some, else the random network), or a
            name that ``vqkit.evaluation.feature_network`` takes, or ``"classifier"``.
        classifier_steps: that the classifier of ``features`` learns for.
        bound_samples: of the latents of an item, for the VAE's importance-weighted bound.
        seed: of everything random.
        split_seed: of the split, the crops and the classifier; None: ``seed``.

    Raises:
        ConfigError: a value out of range.
    """

    codebook_size: int = 512
    downsampling: int = 4
    hidden_channels: int = 128
    residual_channels: int = 32
    code_dim: int = 64
    linear_path: bool = True
    steps: int = 4000
    prior_steps: int | None = None
    prior_channels: int = 64
    prior_layers: int = 8
    prior_dropout: float = 0.1
    prior_batch_size: int = 64
    prior_learning_rate: float = 2e-3
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    noise: float = 0.0
    density_components: int = 1
    beta: float = 1.0
    beta_warmup: int | None = None
    free_bits: float = 0.0
    quantized_dim: int = _QUANTIZED_DIM
    flip: bool = False
    validation: str | float = 0.1
    crop: int = 64
    samples: int = 2000
    features: str = "auto"
    classifier_steps: int = _CLASSIFIER_STEPS
    bound_samples: int = _BOUND_SAMPLES
    seed: int = 0
    split_seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "validation", recorded_split(self.validation))
        for name in _AT_LEAST_1:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: give 1 or more")
        if self.prior_steps is not None and self.prior_steps < 1:
            raise ConfigError(f"prior_steps={self.prior_steps}: give 1 or more")
        for name in ("beta", "beta_warmup", "free_bits"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{name}={value}: give 0 or more, and finite")
        check_seed(self.seed)
        if self.split_seed is not None:
            check_seed(self.split_seed)
        if self.samples < 16:
            raise ConfigError(f"samples={self.samples}: distances between sets need at least 16")

    @property
    def seed_of_split(self) -> int:
        """The seed of all that is the same for trainings of several seeds."""
        return self.seed if self.split_seed is None else self.split_seed

    def of_kind(self, kind: Signal) -> Self:
        """Return the settings for a kind of signal: of sound 64 samples a position, unless it was said."""
        if kind.axes != 1 or self.downsampling != CompareConfig.downsampling:
            return self
        return replace(self, downsampling=_SOUND_DOWNSAMPLING)

    def budget_bits(self, size: tuple[int, ...]) -> float:
        """Bits of the latents of one image of this size."""
        positions = math.prod(-(-length // self.downsampling) for length in size)
        return positions * math.log2(max(self.codebook_size, 2))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "a comparison")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values; the later ones where they differ, so that earlier comparisons go on."""
        unsaid = {
            "split_seed": None,
            "classifier_steps": _CLASSIFIER_STEPS,
            "bound_samples": _BOUND_SAMPLES,
            "quantized_dim": _QUANTIZED_DIM,
        }
        return {name: value for name, value in asdict(self).items() if name not in unsaid or value != unsaid[name]}
