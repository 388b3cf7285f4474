"""The vector quantizer of the paper's equation 3: the codebook learns by gradient."""

from __future__ import annotations

from typing import final

from vqkit.quantizers.codebook.gradient import ParameterCodebook


@final
class VectorQuantizer(ParameterCodebook):
    """Codebook by gradient: codebook and commitment loss (van den Oord et al. 2017, arXiv 1711.00937, eq. 3).

    ::

        codebook_loss   =        mean((sg[z] - e)^2)     moves the codewords to the latents
        commitment_loss = beta * mean((z - sg[e])^2)     keeps the latents near their codewords

    ``beta`` weighs the *encoder's* term; many copies have it on the other one. Both are means over batch,
    positions and channels. The running counts, which tell dead codes, are the only statistics kept.

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss.
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.

    Example:
        >>> import torch
        >>> from vqkit import VectorQuantizer
        >>> output = VectorQuantizer(64, 8)(torch.randn(2, 8, 10))
        >>> output.indices.shape, sorted(output.losses)
        (torch.Size([2, 10]), ['codebook_loss', 'commitment_loss'])
    """

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float = 0.25,
        cosine: bool = False,
        gradient: str = "straight_through",
        entropy_weight: float = 0.0,
        temperature: float = 1.0,
        restart_below: float = 0.2,
        restart_every: int = 10,
        reservoir: int | None = None,
        rate_weight: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            codebook_size,
            code_dim,
            beta=beta,
            cosine=cosine,
            gradient=gradient,
            entropy_weight=entropy_weight,
            temperature=temperature,
            restart_below=restart_below,
            restart_every=restart_every,
            reservoir=reservoir,
            rate_weight=rate_weight,
            seed=seed,
        )
        self._make_codebook()
