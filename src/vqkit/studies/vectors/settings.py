"""Settings of a comparison of models of vectors: bytes a vector, and one training of the networks among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from vqkit.checking import from_values
from vqkit.data.naming import recorded_split
from vqkit.errors import ConfigError
from vqkit.seeds import check_seed

RUNGS = ("pq", "opq", "rq", "vqvae")
TITLES = {"pq": "PQ", "opq": "OPQ", "rq": "RQ", "vqvae": "RQ-VAE"}


@dataclass(frozen=True, kw_only=True)
class VectorsConfig:
    """Settings of ``compare_vectors``.

    Attributes:
        codebook_size: K of every codebook; an index costs log2 K bits, 256 is a byte.
        num_codebooks: indices a vector, one comparison for each number.
        steps: optimiser steps of the VQ-VAE; the others are solved for.
        hidden_channels: width of its networks.
        code_dim: numbers in its codewords.
        linear_path: let its networks begin as a linear solution.
        batch_size: vectors per step.
        learning_rate: the peak.
        validation: held-out data, as in ``TrainConfig``.
        seed: of everything random.

    Raises:
        ConfigError: a value out of range.
    """

    codebook_size: int = 256
    num_codebooks: Sequence[int] = (4, 8)
    steps: int = 3000
    hidden_channels: int = 128
    code_dim: int = 64
    linear_path: bool = True
    batch_size: int = 256
    learning_rate: float = 1e-3
    validation: str | float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "validation", recorded_split(self.validation))
        object.__setattr__(self, "num_codebooks", sorted(set(self.num_codebooks)))
        for name in ("steps", "batch_size", "hidden_channels", "code_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: give 1 or more")
        if self.codebook_size < 2:
            raise ConfigError(f"codebook_size={self.codebook_size}: a codebook needs at least 2 codes")
        if not self.num_codebooks or self.num_codebooks[0] < 1:
            raise ConfigError(f"num_codebooks={list(self.num_codebooks)}: give one number or several, of 1 or more")
        check_seed(self.seed)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "a comparison of vectors")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values."""
        return asdict(self)
