"""The vector quantizer of the paper's equation 3: the codebook learns by gradient."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from vqkit.ops import on_sphere
from vqkit.quantizers.codebook import GradientCodebook


@final
class VectorQuantizer(GradientCodebook):
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
        cosine: see ``CodebookQuantizer``, as the others below.
        gradient: likewise.
        restart_below: likewise.
        restart_every: likewise.
        reservoir: likewise.
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
        cosine: bool = False,
        gradient: str = "straight_through",
        restart_below: float = 0.05,
        restart_every: int = 10,
        reservoir: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            codebook_size,
            code_dim,
            beta=beta,
            cosine=cosine,
            gradient=gradient,
            restart_below=restart_below,
            restart_every=restart_every,
            reservoir=reservoir,
            seed=seed,
        )
        generator = torch.Generator().manual_seed(seed)
        self.codebook = nn.Parameter(torch.randn(codebook_size, code_dim, generator=generator))

    def table(self) -> Tensor:
        """See ``CodebookQuantizer.table``."""
        return on_sphere(self.codebook) if self.cosine else self.codebook

    def set_table(self, codewords: Tensor, counts: Tensor) -> None:
        """See ``CodebookQuantizer.set_table``."""
        del counts
        self.codebook.copy_(codewords)

    def _changes(self) -> list[Tensor]:
        return [self.codebook.detach(), self.average_counts, self.updates, self.reservoir]

    def _revive(self, dead: Tensor, codewords: Tensor) -> None:
        self.codebook[dead] = codewords
