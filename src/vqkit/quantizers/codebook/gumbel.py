"""Gumbel-softmax quantisation: the index is drawn in training, with the gradient of a relaxed draw."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.ops import global_mean, nearest_code, soft_assignment
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, unflatten_grid
from vqkit.quantizers.entropy import position_weights
from vqkit.seeds import check_seed


@final
class GumbelQuantizer(Quantizer):
    """Straight-through Gumbel-softmax (Jang et al. 2016, arXiv 1611.01144; in this place: DALL-E, arXiv 2102.12092).

    ::

        logits    = z keys^T                                     [K] for each position
        index     = argmax(logits + Gumbel noise)                in training: a draw from softmax(logits)
        quantized = codebook[index]                              backwards: softmax((logits + noise) / temperature)
        kl_loss   = kl_weight * mean KL(softmax(logits) || uniform)

    In evaluation the most probable code is taken, without noise. The noise comes from torch's default generator.
    The softmax is made for a block of latents at a time (``ops.soft_assignment``).

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        temperature: of the relaxation, in the backward pass only.
        kl_weight: of the term that keeps all codes probable.
        seed: of the first keys and codewords.

    Raises:
        ConfigError: when a number is out of its range.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import GumbelQuantizer
        >>> GumbelQuantizer(64, 8)(torch.randn(2, 8, 4, 4)).indices.shape
        torch.Size([2, 4, 4])
    """

    learns_from_output = True
    follows_latents = False

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        temperature: float = 1.0,
        kl_weight: float = 5e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if codebook_size < 2 or code_dim < 1:
            raise ConfigError(f"codebook_size={codebook_size}, code_dim={code_dim}: give 2 or more codes of 1 or more")
        if not (temperature > 0 and kl_weight >= 0):
            raise ConfigError(
                f"temperature={temperature}, kl_weight={kl_weight}: the temperature is above 0, the weight 0 or more"
            )
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self.temperature = temperature
        self.kl_weight = kl_weight
        generator = torch.Generator().manual_seed(check_seed(seed))
        self.keys = nn.Parameter(torch.randn(codebook_size, code_dim, generator=generator) / math.sqrt(code_dim))
        self.codebook = nn.Parameter(torch.randn(codebook_size, code_dim, generator=generator))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``. Losses: ``kl_loss``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            keys, codebook = at_least_float32(self.keys), at_least_float32(self.codebook)
            vectors = flatten_grid(latents).to(keys.dtype)
            weights, count = position_weights(None if mask is None else mask.reshape(-1), vectors)
            chosen = None if self.training else nearest_code(vectors, self.keys, metric="dot")
            seed = torch.randint(1 << 31, (), device="cpu") if self.training else None
            soft = soft_assignment(
                vectors,
                keys,
                codebook,
                indices=chosen,
                weights=weights,
                temperature=self.temperature if self.training else 1.0,
                noise_seed=seed,
            )
            divergence = math.log(self.codebook_size) * weights.sum() - soft.entropy
            if self.training:
                divergence = global_mean(divergence, count)
            losses = {"kl_loss": self.kl_weight * divergence} if self.kl_weight else {}
            quantized = unflatten_grid(soft.quantized.to(self.codebook.dtype), latents)
        return Quantization(quantized, soft.indices.view(latents.shape[0], *latents.shape[2:]), losses)

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``: the most probable codes."""
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            vectors = flatten_grid(at_least_float32(latents))
            return nearest_code(vectors, self.keys, metric="dot").view(latents.shape[0], *latents.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        return nn.functional.embedding(self.check_indices(indices), self.codebook).movedim(-1, 1)
