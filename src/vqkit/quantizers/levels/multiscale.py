"""Multi-scale residual quantization: each level quantizes, at its own scale, what the coarser ones leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.ops import straight_through
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.levels.base import LevelQuantizer

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@final
class MultiScaleQuantizer(LevelQuantizer):
    """Next-scale indices (VAR: Tian et al. 2024, arXiv 2404.02905, algorithm 1).

    Level l sees the mean of what is left of the latents over its positions, and what it chooses is taken off after
    linear interpolation to the finest grid. The codeword is the sum over levels; the gradient with respect to the
    latents is the identity. Without the convolutions that VAR puts behind the interpolation, and with scales that grow
    with the picture instead of ending at 1x1: any size of picture has levels.

    Args:
        stages: of each level, equal in size, each of one codebook; none on a sphere.
        scales: positions of each level on each axis of a cell, ascending; any numbers.
        axes: of the grid.
        dropout: see ``LevelQuantizer``.

    Raises:
        ConfigError: see ``LevelQuantizer``; stages on a sphere.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, MultiScaleQuantizer
        >>> layer = MultiScaleQuantizer([EMAVectorQuantizer(16, 4) for _ in range(3)], scales=(1, 2, 4))
        >>> layer(torch.randn(2, 64, 3, 3)).indices.shape  # 1 + 4 + 16 indices for each cell of 4 x 4
        torch.Size([2, 3, 3, 21])
    """

    def __init__(
        self, stages: Sequence[Quantizer], *, scales: Sequence[int] = (1, 2, 4), axes: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__(stages, scales, axes, dropout)
        if any(getattr(stage, "cosine", False) for stage in stages):
            raise ConfigError("cosine=true: residuals have lengths, which codes on a sphere cannot follow")

    def targets(self, fine: Tensor, codes: Sequence[Tensor]) -> Tensor:
        """See ``LevelQuantizer.targets``: the means of what is left."""
        left = fine - self.compose([each.detach() for each in codes]) if codes else fine
        size = [length // self.cell * self.scales[len(codes)] for length in fine.shape[2:]]
        return left if size == list(fine.shape[2:]) else functional.interpolate(left, size, mode="area")

    def compose(self, codes: Sequence[Tensor]) -> Tensor:
        """See ``LevelQuantizer.compose``: the sum of what is interpolated."""
        size = [length // self.scales[0] * self.cell for length in codes[0].shape[2:]]
        total: Tensor | None = None
        for each in codes:
            whole = each
            if list(each.shape[2:]) != size:
                whole = functional.interpolate(each, size, mode=_LINEAR[self.axes], align_corners=False)
            total = whole if total is None else total + whole
        assert isinstance(total, torch.Tensor)
        return total

    def passed(self, fine: Tensor, quantized: Tensor) -> Tensor:
        """See ``LevelQuantizer.passed``: straight through."""
        return quantized if self._quantizers()[0].learns_from_output else straight_through(fine, quantized.detach())
