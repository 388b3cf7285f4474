"""Residual codebooks prepared for a stream: what a frame asks of each is one product, one look-up, one subtraction."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from vqkit.ops.assignment.nearest_blocks import PreparedSearch
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantizer, flatten_grid
from vqkit.quantizers.codebook.ema import EMAVectorQuantizer
from vqkit.quantizers.composite.residual import ResidualQuantizer


@final
class PreparedStack:
    """``encode`` of residual codebooks as they are now; the indices are the same, to the last near tie.

    Args:
        quantizer: in evaluation mode.
        codebooks: how many are used; None: all.
    """

    def __init__(self, quantizer: ResidualQuantizer, codebooks: int | None) -> None:
        stages = list(quantizer.stages)[:codebooks]
        self._tables = [stage.table().detach().clone() for stage in stages]  # type: ignore[operator]
        self._searches = [PreparedSearch(table) for table in self._tables]

    def __call__(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid, C]`` of latents ``[batch, code_dim, *grid]``."""
        left = flatten_grid(at_least_float32(latents))
        found = [self._searches[0](left)]
        for table, search in zip(self._tables, self._searches[1:], strict=False):
            left = left - table.index_select(0, found[-1])
            found.append(search(left))
        return torch.stack(found, dim=-1).view(len(latents), *latents.shape[2:], len(found))


def prepared_stack(quantizer: Quantizer, codebooks: int | None) -> PreparedStack | None:
    """Return a prepared stack, where all stages are float32 codebooks that are searched as they are; else None.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, ResidualQuantizer
        >>> from vqkit.quantizers.composite.prepared import prepared_stack
        >>> layer = ResidualQuantizer([EMAVectorQuantizer(16, 8, seed=number) for number in range(3)]).eval()
        >>> latents, prepared = torch.randn(1, 8, 2), prepared_stack(layer, 2)
        >>> torch.equal(prepared(latents), layer.encode(latents)[..., :2])
        True
    """
    if not isinstance(quantizer, ResidualQuantizer) or quantizer.training:
        return None
    plain = all(
        isinstance(stage, EMAVectorQuantizer)
        and not stage.cosine
        and not stage.rate_weight
        and stage.codebook.dtype == torch.float32
        for stage in quantizer.stages
    )
    return PreparedStack(quantizer, codebooks) if plain else None
