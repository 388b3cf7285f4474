"""Factorized quantizer of the Descript Audio Codec: the nearest code by angle, between two linear maps."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.ops import nearest_code, on_sphere, straight_through
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, masked_mean, unflatten_grid


@final
class FactorizedQuantizer(Quantizer):
    """Latents are mapped to few numbers, the code nearest by angle is chosen, and mapped back as it is.

    Kumar et al. 2023 (arXiv 2306.06546), section 3.2, after Yu et al. 2022 (arXiv 2110.04627). Only the search is by
    angle: codewords keep their lengths, so that a residual stack can follow them (``cosine=True`` of other codebooks
    gives codewords of one length). The codebook learns by gradient.

    Args:
        codebook_size: K, at least 2.
        code_dim: D of the latents.
        projection_dim: numbers in which the search is done.
        beta: weight of the commitment loss.

    Raises:
        ConfigError: a number out of range.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import FactorizedQuantizer
        >>> output = FactorizedQuantizer(64, 16, projection_dim=4)(torch.randn(2, 16, 10))
        >>> output.quantized.shape, output.indices.shape
        (torch.Size([2, 16, 10]), torch.Size([2, 10]))
    """

    def __init__(self, codebook_size: int, code_dim: int, *, projection_dim: int = 8, beta: float = 0.25) -> None:
        super().__init__()
        if codebook_size < 2 or code_dim < 1 or projection_dim < 1 or not beta >= 0:
            raise ConfigError(
                f"codebook_size={codebook_size}, code_dim={code_dim}, projection_dim={projection_dim}, beta={beta}: "
                "give 2 codes or more, 1 number or more, and a weight of 0 or more"
            )
        self.codebook_size, self.code_dim, self.beta = codebook_size, code_dim, beta
        self.project_in = nn.Linear(code_dim, projection_dim)
        self.project_out = nn.Linear(projection_dim, code_dim)
        self.codebook = nn.Parameter(torch.randn(codebook_size, projection_dim))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            projected = unflatten_grid(self.project_in(flatten_grid(latents)), latents)
            flat = self._chosen(flatten_grid(projected))
            codes = unflatten_grid(functional.embedding(flat, self.codebook), latents)
            means = {"mask": mask, "reduce_over_ranks": self.training}
            losses = {
                "codebook_loss": masked_mean((codes - projected.detach()).square(), **means),  # type: ignore[arg-type]
                "commitment_loss": self.beta * masked_mean((projected - codes.detach()).square(), **means),  # type: ignore[arg-type]
            }
            chosen = flatten_grid(straight_through(projected, codes))
            quantized = unflatten_grid(self.project_out(chosen), latents)
        return Quantization(quantized, flat.view(latents.shape[0], *latents.shape[2:]), losses)

    @torch.no_grad()
    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            flat = self._chosen(self.project_in(flatten_grid(at_least_float32(latents))))
        return flat.view(latents.shape[0], *latents.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        with torch.autocast(indices.device.type, enabled=False):
            codes = functional.embedding(self.check_indices(indices), self.codebook)
            found: Tensor = self.project_out(codes)
            return found.movedim(-1, 1)

    def _chosen(self, vectors: Tensor) -> Tensor:
        return nearest_code(on_sphere(vectors.detach()), on_sphere(self.codebook.detach()))
