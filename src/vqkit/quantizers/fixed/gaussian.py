"""Gaussian quantization: a codebook of draws from N(0, I), nothing of which is learned."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from vqkit.chance import normal
from vqkit.errors import ConfigError
from vqkit.ops import nearest_code, straight_through
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, masked_mean, unflatten_grid
from vqkit.seeds import check_seed


@final
class GaussianQuantizer(Quantizer):
    """GQ (Xu et al. 2025, arXiv 2512.06609): the nearest of K draws from the prior of a VAE, N(0, I).

    ::

        e_k   ~ N(0, I_D),                                          k = 1 ... K, drawn once from the seed
        index = argmin_k sum_i precision_i (z_i - e_ki)^2           precision 1 unless it is set

    It is what ``vqkit.quantize`` puts between the encoder and the decoder of a VAE that has been trained: of K draws
    one lies as near to the mean of q(z | x) as the VAE's own noise does, once log2 K exceeds KL(q || N(0, I)) in bits
    by a little (``draw_margin_bits``). ``precision`` says in which numbers of a latent an error matters: the mean of
    1 / variance of q.

    Trained from nothing, latents have to come to the codes, which the commitment loss sees to.

    Args:
        codebook_size: K, at least 2.
        code_dim: D, numbers in a group.
        beta: weight of the commitment loss.
        seed: of the draws.

    Raises:
        ConfigError: when a number is out of its range.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import GaussianQuantizer
        >>> layer = GaussianQuantizer(512, 4, seed=1)
        >>> layer(torch.randn(2, 4, 8, 8)).indices.shape
        torch.Size([2, 8, 8])
    """

    fixed_scale = True
    codebook: Tensor
    precision: Tensor

    def __init__(self, codebook_size: int, code_dim: int, *, beta: float = 0.25, seed: int = 0) -> None:
        super().__init__()
        if codebook_size < 2:
            raise ConfigError(f"codebook_size={codebook_size}: give 2 or more codes; an index into 1 code has 0 bits")
        if code_dim < 1:
            raise ConfigError(f"code_dim={code_dim}: a code needs at least 1 number; give code_dim=1 or more")
        if not 0 <= beta < math.inf:
            raise ConfigError(f"beta={beta}: the weight of the commitment loss is 0 or more")
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self.beta = beta
        generator = torch.Generator("cpu").manual_seed(check_seed(seed))
        draws = normal((codebook_size, code_dim), generator, torch.device("cpu"))
        self.register_buffer("codebook", draws.to(torch.get_default_device()))
        self.register_buffer("precision", torch.ones(code_dim))

    @torch.no_grad()
    def set_precision(self, precision: Tensor) -> None:
        """Weigh squared errors of the numbers of a latent by these from now on, ``[D]``.

        Raises:
            ConfigError: another shape, or numbers that are not positive.
        """
        if tuple(precision.shape) != (self.code_dim,) or not bool((torch.isfinite(precision) & (precision > 0)).all()):
            raise ConfigError(f"precision has shape {tuple(precision.shape)}; give {self.code_dim} positive numbers")
        self.precision.copy_(precision)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``. Losses: ``commitment_loss``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            indices = self._nearest(latents.detach())
            codes = self.lookup(indices).to(latents.dtype)
            losses = {}
            if self.beta:
                apart = (latents - codes).square()
                losses["commitment_loss"] = self.beta * masked_mean(apart, mask, reduce_over_ranks=self.training)
        return Quantization(straight_through(latents, codes), indices, losses)

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            return self._nearest(at_least_float32(latents))

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        return unflatten_grid(self.codebook[self.check_indices(indices).flatten()], indices.unsqueeze(1))

    def _nearest(self, latents: Tensor) -> Tensor:
        scale = self.precision.sqrt()
        found = nearest_code(flatten_grid(latents) * scale, self.codebook * scale)
        return found.view(latents.shape[0], *latents.shape[2:])  # len() would bind an exported graph to one batch


def draw_margin_bits(numbers: int) -> float:
    """Bits above the KL from which the nearest of K draws is as near as the posterior's own noise, more often than not.

    Within the squared distance ``numbers * sigma^2`` of the mean, which is what the noise of q has on average, a draw
    from N(0, I) lies with probability p = exp(-KL) (n/2)^(n/2) exp(-n/2) / Gamma(n/2 + 1) for small sigma, of K draws
    at least one with probability 1 - (1 - p)^K; that is a half for K p = log 2. So log2 K = KL + this, which grows as
    log2(pi n) / 2 only.

    Args:
        numbers: n in a group.

    Example:
        >>> from vqkit.quantizers.fixed.gaussian import draw_margin_bits
        >>> [round(draw_margin_bits(numbers), 2) for numbers in (1, 4, 16)]
        [0.52, 1.36, 2.31]
    """
    half = numbers / 2
    log_ratio = half * math.log(half) - half - math.lgamma(half + 1)
    return (math.log(math.log(2)) - log_ratio) / math.log(2)
