"""The vector quantizer of the paper's equation 3: the codebook learns by gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqkit.ops import all_reduce_sum_, index_histogram
from vqkit.quantizers.codebook import CodebookQuantizer


class VectorQuantizer(CodebookQuantizer):
    """Codebook loss and commitment loss (van den Oord et al. 2017, arXiv 1711.00937, equation 3).

    ::

        codebook_loss   =        mean((sg[z] - e)^2)     moves the codewords to the latents
        commitment_loss = beta * mean((z - sg[e])^2)     keeps the latents near their codewords

    ``beta`` weighs the *encoder's* term; many copies have it on the other one. Both are means over batch,
    positions and channels. The running counts, which tell dead codes, are the only statistics kept.

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss.
        restart_below: dead codes, see ``CodebookQuantizer``.
        restart_every: likewise.
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.
    """

    codebook: nn.Parameter

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float = 0.25,
        restart_below: float = 0.05,
        restart_every: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(
            codebook_size, code_dim, beta=beta, restart_below=restart_below, restart_every=restart_every, seed=seed
        )
        generator = torch.Generator().manual_seed(seed)
        self.codebook = nn.Parameter(torch.randn(codebook_size, code_dim, generator=generator))

    def _losses(self, latents: Tensor, codes: Tensor) -> dict[str, Tensor]:
        return {
            "codebook_loss": (codes - latents.detach()).square().mean(),
            "commitment_loss": self.beta * (latents - codes.detach()).square().mean(),
        }

    @torch.no_grad()
    def _learn(self, vectors: Tensor, indices: Tensor) -> None:
        counts = index_histogram(indices, self.codebook_size).to(self.average_counts.dtype)
        all_reduce_sum_(counts)
        self.average_counts.lerp_(counts, 0.01)
        dead = self._restart_due()
        if dead is not None:
            self.codebook[dead] = self._replacements(vectors, len(dead))
            self.average_counts[dead] = self.average_counts.mean()
