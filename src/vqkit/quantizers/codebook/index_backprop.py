"""Index back-propagation: the gradient reaches every code through the softmax over all of them."""

from __future__ import annotations

from typing import final

from torch import Tensor

from vqkit.quantizers.base import unflatten_grid
from vqkit.quantizers.codebook.gradient import ParameterCodebook


@final
class IndexBackpropQuantizer(ParameterCodebook):
    """IBQ (Shi et al. 2024, arXiv 2412.02692): the one-hot choice of a code, with the gradient of a softmax.

    ::

        p = softmax(-|z - e_k|^2 / (2 temperature D))
        quantized = (onehot - sg[p] + p) applied to the codebook            equations 3 and 4

    beside the codebook and commitment losses of ``VectorQuantizer`` and the entropy penalty (``quantizers.entropy``).
    The chosen codeword receives the decoder's gradient, and every codeword and the latent that of the probabilities.
    Ports of the authors' code take the codebook terms through the soft one-hot too; here they are those of
    ``VectorQuantizer``. The paper's logits are dot products; distances order codes of one length alike and keep long
    codewords from winning everywhere. The softmax over all codes is made for a block of latents at a time
    (``ops.soft_assignment``).

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss.
        entropy_weight: of the entropy penalty.
        temperature: of the softmax, in units of a mean squared difference per channel.
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import IndexBackpropQuantizer
        >>> IndexBackpropQuantizer(64, 8)(torch.randn(2, 8, 4, 4)).indices.shape
        torch.Size([2, 4, 4])
    """

    learns_from_output = True

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float = 0.25,
        entropy_weight: float = 0.05,
        temperature: float = 0.1,
        cosine: bool = False,
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
            gradient="straight_through",
            entropy_weight=entropy_weight,
            temperature=temperature * code_dim,
            restart_below=restart_below,
            restart_every=restart_every,
            reservoir=reservoir,
            rate_weight=rate_weight,
            seed=seed,
        )
        self._make_codebook()

    def _estimate(
        self, latents: Tensor, vectors: Tensor, table: Tensor, codes: Tensor, indices: Tensor, keep: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        del codes
        quantized, losses = self._soft(vectors, table, table, indices, keep)
        return unflatten_grid(quantized, latents), losses
