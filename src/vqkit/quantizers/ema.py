"""The vector quantizer whose codebook follows its latents by exponential moving averages."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import all_reduce_sum_, code_sums, index_histogram, laplace_smoothed
from vqkit.quantizers.codebook import CodebookQuantizer


class EMAVectorQuantizer(CodebookQuantizer):
    """Codewords are running means of the latents assigned to them (arXiv 1711.00937, appendix A.1, eq. 6 to 8).

    ::

        N_i <- decay * N_i + (1 - decay) * n_i              n_i latents of this batch nearest to code i
        m_i <- decay * m_i + (1 - decay) * sum_j z_ij
        e_i  = m_i / smoothed(N_i)                          Laplace smoothing, see ops.laplace_smoothed

    The loss has the commitment term only: ``beta * mean((z - sg[e])^2)``, on the encoder's side. Under
    ``torch.distributed`` the counts and sums are added over all processes before the update, so every process
    holds the same codebook.

    Likely misuse: leaving the module in training mode during evaluation, which trains the codebook on the
    evaluation set.

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss.
        decay: gamma of the moving averages, in [0, 1).
        decay_warmup: begin with ``min(decay, (1 + t) / (10 + t))`` after t updates, so that the codebook keeps up with
            an encoder that still moves fast, and codes that it leaves behind are soon seen to be dead (sonnet's bias
            correction has the same aim); False has the constant decay of the equations.
        epsilon: of the Laplace smoothing.
        restart_below: dead codes, see ``CodebookQuantizer``.
        restart_every: likewise.
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.
    """

    average_sums: Tensor

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float = 0.25,
        decay: float = 0.99,
        decay_warmup: bool = True,
        epsilon: float = 1e-5,
        restart_below: float = 0.05,
        restart_every: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__(
            codebook_size, code_dim, beta=beta, restart_below=restart_below, restart_every=restart_every, seed=seed
        )
        if not 0 <= decay < 1:
            raise ConfigError(f"decay={decay}: the EMA decay lies in [0, 1); the paper has 0.99")
        self.decay = decay
        self.decay_warmup = decay_warmup
        self.epsilon = epsilon
        codebook = torch.randn(codebook_size, code_dim, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("codebook", codebook)
        self.register_buffer("average_sums", codebook.clone())

    @torch.no_grad()
    def set_codebook(self, codebook: Tensor, counts: Tensor | None = None) -> None:
        """See ``CodebookQuantizer.set_codebook``."""
        super().set_codebook(codebook, counts)
        self.average_sums.copy_(self.codebook * self.average_counts.unsqueeze(1))

    def _losses(self, latents: Tensor, codes: Tensor) -> dict[str, Tensor]:
        return {"commitment_loss": self.beta * (latents - codes.detach()).square().mean()}

    @torch.no_grad()
    def _learn(self, vectors: Tensor, indices: Tensor) -> None:
        counts = index_histogram(indices, self.codebook_size).to(self.average_counts.dtype)
        sums = code_sums(vectors.to(self.average_sums.dtype), indices, self.codebook_size)
        all_reduce_sum_(counts, sums)
        past = self._updates - 1
        decay = min(self.decay, (1 + past) / (10 + past)) if self.decay_warmup else self.decay
        self.average_counts.lerp_(counts, 1 - decay)
        self.average_sums.lerp_(sums, 1 - decay)
        dead = self._restart_due()
        if dead is not None:
            count = self.average_counts.mean()
            self.average_counts[dead] = count
            self.average_sums[dead] = self._replacements(vectors, len(dead)) * count
        smoothed = laplace_smoothed(self.average_counts, self.epsilon)
        torch.div(self.average_sums, smoothed.unsqueeze(1), out=self.codebook)
