"""The vector quantizer whose codebook is a linear image of fixed random vectors."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.ops import on_sphere
from vqkit.ops.reproducible import is_reproducible, reproducible_linear
from vqkit.quantizers.codebook.gradient import GradientCodebook
from vqkit.quantizers.codebook.learning import clone_for_backward
from vqkit.seeds import check_seed


@final
class SimVQ(GradientCodebook):
    """SimVQ (Zhu et al. 2024, arXiv 2411.02038): codes ``C W'``, where ``C [K, D]`` is fixed and ``W`` learns.

    ::

        codebook_loss   =        mean((sg[z] - W c)^2)
        commitment_loss = beta * mean((z - sg[W c])^2)

    Every code moves with every step, chosen or not, so that none is left behind. Nothing else is trained in the
    codebook, so its space has D x D parameters however many codes there are.

    The first values give the codewords the mean and the covariance of the latents (the paper leaves them at random).
    Dead codes restart only where ``restart_below`` is given, by moving their fixed vector to where W takes it onto the
    latent (least squares).

    Args:
        codebook_size: K, at least 2.
        code_dim: D.
        beta: weight of the commitment loss; the paper has 1 in the codebook term and 0.25 here.
        seed: of the fixed vectors and of restarts.

    Raises:
        ConfigError: when a number is out of its range.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import SimVQ
        >>> SimVQ(64, 8)(torch.randn(2, 8, 4, 4)).indices.shape
        torch.Size([2, 4, 4])
    """

    recalibrates = False
    codebook: Tensor

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
        restart_below: float = 0.0,
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
        generator = torch.Generator().manual_seed(check_seed(seed))
        self.register_buffer("codebook", torch.randn(codebook_size, code_dim, generator=generator))
        self.map = nn.Linear(code_dim, code_dim, bias=True)
        with torch.no_grad():
            self.map.weight.copy_(torch.eye(code_dim))
            self.map.bias.zero_()

    def table(self) -> Tensor:
        """See ``CodebookQuantizer.table``."""
        codebook = self.codebook if self._past is None else self._past[0]
        fixed = clone_for_backward(codebook) if self.training else self.codebook  # a restart may write to it
        weight, bias = self.map.weight.to(fixed.dtype), self.map.bias.to(fixed.dtype)
        same = is_reproducible(self)
        table = (reproducible_linear if same else functional.linear)(fixed, weight, bias)
        return on_sphere(table, reproducible=same) if self.cosine else table

    @torch.no_grad()
    def initialize(self, vectors: Tensor) -> None:
        """Let W and its offset give the codewords the mean and the covariance of latents ``[N, code_dim]``."""
        vectors = vectors.double()
        mean = vectors.mean(dim=0)
        centered = vectors - mean
        covariance = centered.t() @ centered / max(len(vectors) - 1, 1)
        values, axes = torch.linalg.eigh(covariance)
        self.map.weight.copy_(axes * values.clamp_min(1e-8).sqrt() @ axes.t())
        self.map.bias.copy_(mean)
        self.uses.fill_(1.0)
        self._set_updates(0)

    @property
    def _learns(self) -> bool:
        return not self.frozen and self.map.weight.requires_grad

    def set_table(self, codewords: Tensor, counts: Tensor) -> None:
        """See ``CodebookQuantizer.set_table``."""
        del counts
        self.map.weight.copy_(torch.eye(self.code_dim))
        self.map.bias.zero_()
        self.codebook.copy_(codewords)

    def per_code(self) -> list[Tensor]:
        """See ``CodebookQuantizer.per_code``."""
        return [self.codebook, *super().per_code()]

    def changes(self) -> list[Tensor]:
        """See ``Learner.changes``."""
        return [self.codebook, *self._statistics()]

    def _revive(self, dead: Tensor, codewords: Tensor) -> None:
        inverse = torch.linalg.pinv(self.map.weight.double())
        self.codebook[dead] = ((codewords - self.map.bias).double() @ inverse.t()).to(self.codebook.dtype)
