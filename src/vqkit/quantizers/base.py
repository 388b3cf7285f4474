"""The protocol of every quantizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class Quantization:
    """What a quantizer makes of latents.

    Attributes:
        quantized: ``[batch, code_dim, *grid]`` float32, the codewords; the gradient passes to the latents.
        indices: ``[batch, *grid]`` int64.
        losses: the quantizer's terms of the loss by name, each already weighted; scalars.
    """

    quantized: Tensor
    indices: Tensor
    losses: dict[str, Tensor]


class Quantizer(nn.Module, ABC):
    """Latents ``[batch, code_dim, *grid]`` to indices ``[batch, *grid]`` and back.

    The law that every quantizer keeps: ``codes(q.indices)`` equals ``q.quantized``, bit for bit, as long as the
    quantizer's state is the same (in training mode the codebook moves after each forward pass).
    """

    codebook_size: int
    code_dim: int
    num_codebooks: int = 1

    @abstractmethod
    def forward(self, latents: Tensor) -> Quantization:
        """Quantise ``[batch, code_dim, *grid]``; in training mode also update the codebook's statistics."""

    @abstractmethod
    def encode(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid]`` int64 of latents ``[batch, code_dim, *grid]``; changes no state."""

    @abstractmethod
    def codes(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *grid]`` of indices ``[batch, *grid]``.

        Raises:
            ValueError: when an index lies outside ``[0, codebook_size)``.
        """

    @property
    @abstractmethod
    def initialised(self) -> bool:
        """Whether the codebook has its first values from data (or needs none)."""

    @abstractmethod
    def initialise(self, vectors: Tensor) -> None:
        """Set the first codebook from latent vectors ``[N, code_dim]``; no communication between processes."""
