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
    """``encode`` and ``lookup`` of residual codebooks as they are now; the same indices, to the last near tie.

    Args:
        quantizer: in evaluation mode.
        codebooks: how many are used; None: all.
    """

    def __init__(self, quantizer: ResidualQuantizer, codebooks: int | None) -> None:
        stages = list(quantizer.stages)[:codebooks]
        self._quantizer = quantizer
        self._tables = [stage.table().detach().clone() for stage in stages]  # type: ignore[operator]
        self._searches = [PreparedSearch(table) for table in self._tables]
        self._every = torch.cat(self._tables)
        self._first = torch.arange(len(stages), device=self._every.device) * len(self._tables[0])

    def __call__(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid, C]`` of latents ``[batch, code_dim, *grid]``."""
        left = flatten_grid(at_least_float32(latents))
        found = [self._searches[0](left)]
        for table, search in zip(self._tables, self._searches[1:], strict=False):
            left = left - table.index_select(0, found[-1])
            found.append(search(left))
        return torch.stack(found, dim=-1).view(len(latents), *latents.shape[2:], len(found))

    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords of indices, as the quantizer's ``lookup`` gives them."""
        size = len(self._tables[0])
        known = indices.dtype == torch.int64 and indices.ndim > 1 and 1 <= indices.shape[-1] <= len(self._tables)
        if not known or not indices.numel() or not 0 <= int(indices.min()) <= int(indices.max()) < size:
            return self._quantizer.lookup(indices)  # which says what is wrong, or leaves codebooks out
        count = indices.shape[-1]
        rows = self._every.index_select(0, (indices + self._first[:count]).flatten()).unflatten(0, indices.shape)
        total, *more = rows.unbind(-2)
        for codes in more:  # in the order of the codebooks, as these are added everywhere
            total = total + codes
        return total.movedim(-1, 1).contiguous()


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
