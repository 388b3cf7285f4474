"""Settings of a study of beta: the weights, the remedies against posterior collapse, and one training for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vqkit.errors import ConfigError
from vqkit.studies.networks import NetworkSettings

PLAIN = "plain"
REMEDIES = {"warmup": "warm-up", "free_bits": "free bits"}


@dataclass(frozen=True, kw_only=True)
class BetaConfig(NetworkSettings):
    """Settings of ``study_beta``; the others are those of ``NetworkSettings``.

    Attributes:
        betas: weights of the KL term.
        remedies: what each beta is also trained with: ``"warmup"`` (beta rises from 0) and ``"free_bits"`` (each latent
            number has some nats for nothing); none: the plain VAE only.
        latent_dim: numbers in the latent vector.
        beta_warmup: steps in which beta rises from 0; None: half of all.
        free_bits: nats of each latent number that cost nothing.

    Raises:
        ConfigError: a value out of range.
    """

    what: ClassVar[str] = "a study of beta"
    betas: Sequence[float] = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0)
    remedies: Sequence[str] = tuple(REMEDIES)
    latent_dim: int = 16
    beta_warmup: int | None = None
    free_bits: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "betas", sorted({float(beta) for beta in self.betas}))
        object.__setattr__(self, "remedies", list(dict.fromkeys(self.remedies)))
        if not self.betas or not all(0 <= beta < math.inf for beta in self.betas):
            raise ConfigError(f"betas={self.betas}: give one or more weights, each 0 or more, and finite")
        unknown = sorted(set(self.remedies) - set(REMEDIES))
        if unknown:
            raise ConfigError(f"remedies={', '.join(unknown)}: choose from {', '.join(REMEDIES)}, or none")
        if self.latent_dim < 1:
            raise ConfigError(f"latent_dim={self.latent_dim}: give 1 or more")
        if self.beta_warmup is not None and self.beta_warmup < 1:
            raise ConfigError(f"beta_warmup={self.beta_warmup}: give 1 step or more")
        if not 0 < self.free_bits < math.inf:
            raise ConfigError(f"free_bits={self.free_bits}: give more than 0 nats, and finite")

    @property
    def variants(self) -> list[str]:
        """The plain VAE, and one with each remedy."""
        return [PLAIN, *self.remedies]

    def options(self, variant: str) -> dict[str, Any]:
        """Keyword arguments of the ``VAE`` with a remedy."""
        warmup = max(1, self.steps // 2) if self.beta_warmup is None else self.beta_warmup
        of: dict[str, dict[str, Any]] = {
            PLAIN: {},
            "warmup": {"beta_warmup": warmup},
            "free_bits": {"free_bits": self.free_bits},
        }
        return of[variant]
