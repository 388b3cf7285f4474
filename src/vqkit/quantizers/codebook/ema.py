"""The vector quantizer whose codebook follows its latents by exponential moving averages."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import all_reduce_sum_, code_sums, laplace_smoothed, on_sphere
from vqkit.ops.compacting import gridded
from vqkit.ops.reproducible import is_reproducible
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.quantizers.codebook.learning import clone_for_backward
from vqkit.seeds import check_seed


@final
class EMAVectorQuantizer(CodebookQuantizer):
    """EMA codebook: codes are running means of the latents assigned to them (arXiv 1711.00937, appendix A.1).

    ::

        N_i <- decay * N_i + (1 - decay) * n_i              n_i latents of this batch nearest to code i
        m_i <- decay * m_i + (1 - decay) * sum_j z_ij
        e_i  = m_i / smoothed(N_i)       (equations 6 to 8) Laplace smoothing, see ops.laplace_smoothed

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
        seed: of k-means and restarts.

    Raises:
        ConfigError: when a number is out of its range.

    Example:
        >>> import torch
        >>> from vqkit import EMAVectorQuantizer
        >>> layer = EMAVectorQuantizer(512, 64)
        >>> output = layer(torch.randn(8, 64, 16, 16))  # channels first, any number of axes
        >>> output.quantized.shape, output.indices.shape, list(output.losses)
        (torch.Size([8, 64, 16, 16]), torch.Size([8, 16, 16]), ['commitment_loss'])
    """

    codebook: Tensor
    average_counts: Tensor
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
            seed=seed,
            rate_weight=rate_weight,
        )
        if not 0 <= decay < 1:
            raise ConfigError(f"decay={decay}: the EMA decay lies in [0, 1); the paper has 0.99")
        self.decay = decay
        self.decay_warmup = decay_warmup
        self.epsilon = epsilon
        codebook = torch.randn(codebook_size, code_dim, generator=torch.Generator().manual_seed(check_seed(seed)))
        self.register_buffer("codebook", codebook)
        self.register_buffer("average_counts", torch.ones(codebook_size))
        self.register_buffer("average_sums", codebook.clone())

    def table(self) -> Tensor:
        """See ``CodebookQuantizer.table``."""
        table = self.codebook if self._past is None else self._past[0]
        if self.training and self.entropy_weight:
            table = clone_for_backward(table)  # learning writes to it before the backward pass
        return on_sphere(table, reproducible=is_reproducible(self)) if self.cosine else table

    def set_table(self, codewords: Tensor, counts: Tensor) -> None:
        """See ``CodebookQuantizer.set_table``."""
        self.codebook.copy_(codewords)
        self.average_counts.copy_(counts)
        self.average_sums.copy_(self.codebook * counts.unsqueeze(1))

    def compact_(self) -> None:
        """Round the codebook to a grid of float16; the averages begin anew from it, each code with one latent."""
        self.set_table(gridded(self.codebook), torch.ones_like(self.average_counts))

    def _losses(self, latents: Tensor, codes: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return {"commitment_loss": self._commitment(latents, codes, mask)}

    def per_code(self) -> list[Tensor]:
        """See ``CodebookQuantizer.per_code``."""
        return [self.codebook, self.average_sums, self.average_counts, *super().per_code()]

    def changes(self) -> list[Tensor]:
        """See ``Learner.changes``."""
        return [self.codebook, self.average_sums, self.average_counts, *self._statistics()]

    @torch.no_grad()
    def learn(self, vectors: Tensor, indices: Tensor, keep: Tensor | None) -> None:
        """See ``CodebookQuantizer.learn``."""
        past = self._updates
        vectors, indices = self._counted(vectors, indices, keep)
        counts = self._histogram(indices)
        sums = code_sums(vectors.to(self.average_sums.dtype), indices, self.codebook_size)
        all_reduce_sum_(counts, sums)
        decay = min(self.decay, (1 + past) / (10 + past)) if self.decay_warmup else self.decay
        weight = counts.new_full((), 1 - decay) * (counts.sum() > 0)  # without any latent nothing changes
        self.average_counts.lerp_(counts, weight)
        self.average_sums.lerp_(sums, weight)
        self._count_uses(counts)
        self._remember(vectors)
        dead = self._restart_due(vectors)
        if dead is not None:
            count = self.average_counts.mean()
            self.average_counts[dead] = count
            self.average_sums[dead] = self._replacements(vectors, len(dead)) * count
        smoothed = laplace_smoothed(self.average_counts, self.epsilon)
        torch.div(self.average_sums, smoothed.unsqueeze(1), out=self.codebook)
