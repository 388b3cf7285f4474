"""Base of quantizers whose codebook learns by gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from vqkit.ops import all_reduce_sum_, on_sphere, straight_through
from vqkit.ops.reproducible import is_reproducible
from vqkit.quantizers.base import masked_mean
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.quantizers.codebook.learning import clone_for_backward


class GradientCodebook(CodebookQuantizer, ABC):
    """A codebook that learns by the gradient of its codebook loss; its running counts only tell dead codes."""

    def _losses(self, latents: Tensor, codes: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        return {
            "codebook_loss": masked_mean((codes - latents.detach()).square(), mask, reduce_over_ranks=self.training),
            "commitment_loss": self._commitment(latents, codes, mask),
        }

    @torch.no_grad()
    def learn(self, vectors: Tensor, indices: Tensor, keep: Tensor | None) -> None:
        """See ``CodebookQuantizer.learn``."""
        vectors, indices = self._counted(vectors, indices, keep)
        counts = self._histogram(indices)
        all_reduce_sum_(counts)
        self._count_uses(counts)
        self._remember(vectors)
        dead = self._restart_due(vectors)
        if dead is not None:
            self._revive(dead, self._replacements(vectors, len(dead)))

    @abstractmethod
    def _revive(self, dead: Tensor, codewords: Tensor) -> None:
        """Move the codes of these numbers ``[m]`` to codewords ``[m, D]``."""


class ParameterCodebook(GradientCodebook, ABC):
    """The codewords themselves are the parameter: ``codebook [K, D]``."""

    codebook: nn.Parameter

    def _make_codebook(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self.codebook = nn.Parameter(torch.randn(self.codebook_size, self.code_dim, generator=generator))

    def table(self) -> Tensor:
        """See ``CodebookQuantizer.table``."""
        table: Tensor = self.codebook
        if self._past is not None:
            table = straight_through(table, self._past[0])
        elif self.training and torch.is_grad_enabled():
            table = clone_for_backward(table)  # a restart may write to it before the backward pass
        return on_sphere(table, reproducible=is_reproducible(self)) if self.cosine else table

    @property
    def _learns(self) -> bool:
        return not self.frozen and self.codebook.requires_grad

    def set_table(self, codewords: Tensor, counts: Tensor) -> None:
        """See ``CodebookQuantizer.set_table``."""
        del counts
        self.codebook.copy_(codewords)

    def per_code(self) -> list[Tensor]:
        """See ``CodebookQuantizer.per_code``."""
        return [self.codebook.detach(), *super().per_code()]

    def changes(self) -> list[Tensor]:
        """See ``Learner.changes``."""
        return [self.codebook.detach(), *self._statistics()]

    def _revive(self, dead: Tensor, codewords: Tensor) -> None:
        self.codebook[dead] = codewords.to(self.codebook.dtype)
