"""Binary codes by the signs of latents, as a package of its own (binarized autoencoders; arXiv 1511.06085)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import straight_through
from vqkit.quantizers import Quantization, Quantizer, masked_mean


class SignQuantizer(Quantizer):
    """One bit a channel: its sign; ``codebook_size`` is ``2 ** code_dim``.

    Args:
        codebook_size: K, a power of two.
        code_dim: D, log2 K.
        beta: weight of the commitment loss.
    """

    def __init__(self, codebook_size: int, code_dim: int, *, beta: float = 0.25) -> None:
        super().__init__()
        if codebook_size != 2**code_dim:
            raise ConfigError(f"codebook_size={codebook_size}: {code_dim} signs have {2**code_dim} codes; take that")
        self.codebook_size, self.code_dim, self.beta = codebook_size, code_dim, beta

    @classmethod
    def own_dim(cls, codebook_size: int, options: Mapping[str, Any]) -> int:
        """Return how many channels so many codes take."""
        del options
        return codebook_size.bit_length() - 1

    def encode(self, latents: Tensor) -> Tensor:
        """Return indices ``[batch, *grid]``."""
        self.check_latents(latents)
        weights = 2 ** torch.arange(self.code_dim, device=latents.device)
        return ((latents > 0).movedim(1, -1) * weights).sum(-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Return codewords ``[batch, code_dim, *grid]`` of -1 and 1."""
        places = torch.arange(self.code_dim, device=indices.device)
        bits = self.check_indices(indices).unsqueeze(-1) >> places & 1
        return (2.0 * bits - 1.0).movedim(-1, 1)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """Quantize; the gradient goes straight through to the encoder."""
        latents = self.validate(latents, mask)
        indices = self.encode(latents)
        codewords = self.lookup(indices).to(latents.dtype)
        loss = self.beta * masked_mean((latents - codewords).square(), mask, reduce_over_ranks=self.training)
        return Quantization(straight_through(latents, codewords), indices, {"commitment_loss": loss})
