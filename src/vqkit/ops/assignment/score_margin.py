"""Margins of computed scores: how far apart two must lie before their order is sure.

A dot product of n numbers in any order of summation is off by at most ``n u / (1 - n u)`` times the sum of the
products' magnitudes (Higham 2002, eq. 3.5), u being the unit roundoff; Cauchy-Schwarz bounds that sum by ``|x| |c|``
plus the half norm of the score ``x.c - |c|^2 / 2``. So the error of a score grows with the code. The nearest code of a
short latent is a short one, however long others may be: the best score found bounds how long it can be, since it lies
within ``|x| + |x - c|`` of the origin. Frames of silence among loud ones are the case where this matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Margin:
    """What the order of a block's scores depends on.

    Attributes:
        sizes: ``[rows, 1]``: of the latents.
        longest: norm of the longest code.
        euclidean: what is compared.
        scale: of a margin, by the sum of magnitudes in one score.
        slack: relative error of a squared size, at most.
        wide: whether scores are float64: a margin then also covers the rounding of distances in float64, which decide.

    Example:
        >>> import torch
        >>> from vqkit.ops.assignment.score_margin import Margin
        >>> latents, longest = torch.tensor([[0.0, 1.0]]), torch.tensor(100.0)
        >>> margin = Margin.of(latents, longest, euclidean=True)
        >>> far, near = margin.beside(torch.tensor([[-1e5]])), margin.beside(torch.tensor([[0.5]]))
        >>> bool(far > 100 * near)
        True
    """

    sizes: Tensor
    longest: Tensor
    euclidean: bool
    scale: float
    slack: float
    wide: bool

    @classmethod
    def of(cls, block: Tensor, longest: Tensor, *, euclidean: bool) -> Margin:
        """Of latents ``[rows, D]`` and the norm of the longest code."""
        wide = block.dtype == torch.float64
        terms = (block.shape[1] + 3) * (2.0**-53 if wide else product_roundoff(block.device))
        sizes = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        return cls(sizes, longest, euclidean, (4.04 if wide else 2.02) * terms / max(1 - terms, 0.01), 4 * terms, wide)

    def most(self) -> Tensor:
        """``[rows, 1]``: for scores of any two codes; twice the bound of one, and a little more for its rounding."""
        return self._between(self.longest)

    def beside(self, best: Tensor) -> Tensor:
        """``[rows, 1]``: the margin below the best computed scores ``[rows, 1]`` within which the best code lies.

        That code and the one of the computed score are no farther from the latent than the score says, allowing for
        its own error; for their two norms the bound is ``most`` with this norm in place of the longest.
        """
        if not self.euclidean:
            return self.most()
        squared = self.sizes.square().mul_(1 + self.slack).sub_(best, alpha=2).add_(self.most()).clamp_min_(0)
        return self._between(torch.fmin(squared.sqrt_().add_(self.sizes), self.longest))

    def _between(self, norm: Tensor) -> Tensor:
        if self.euclidean and self.wide:
            return (self.sizes + norm).square_().mul_(0.5 * self.scale)
        magnitudes = self.sizes * norm
        return (magnitudes.add_(0.5 * norm.square()) if self.euclidean else magnitudes).mul_(self.scale)


def product_roundoff(device: torch.device) -> float:
    """The unit roundoff of the factors of a float32 product, as torch is set up: 2^-24, or that of TF32 or bfloat16."""
    backend: Any = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    found = getattr(getattr(backend, "matmul", None), "fp32_precision", "none")
    if found == "none":
        found = getattr(torch.backends, "fp32_precision", "none")
    if found == "none":
        try:
            found = torch.get_float32_matmul_precision()
        except RuntimeError:  # set by torch's newer and older names for it at once
            found = "bf16"
    return {"ieee": 2.0**-24, "highest": 2.0**-24, "tf32": 2.0**-10, "high": 2.0**-10}.get(found, 2.0**-8)
