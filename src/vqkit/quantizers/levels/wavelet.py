"""Positions from coarse to fine: the latents of a cell as averages and differences, so that a part of them stands."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops.linear.haar import band_sizes, from_haar_bands, haar_bands
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid
from vqkit.quantizers.codebook.restart import initialize_from
from vqkit.quantizers.levels.stages import LevelStages, codes_of


@final
class WaveletQuantizer(LevelStages):
    """One index for each position, in an order from coarse to fine: of the Haar coefficients of a cell of positions.

    The latents are those of a fine grid, folded (``vqkit.ops.cells``). The orthonormal Haar wavelet of each cell
    (Mallat 1989) is its average and, scale by scale, differences; each coefficient is a vector and gets an index. There
    are as many as positions, and the first of them decode alone, what is missing being 0. With ``scales=(1, 2, 4)``
    two axes have 1, 4 or 16 indices a cell: a sixteenth, a quarter, or all of the positions.

    Nested dropout over the levels (Rippel, Gelbart and Adams 2014, arXiv 1402.0915) has each prefix learned: one model
    of as many lengths. Each level has a codebook. Each loss is the mean over indices. The gradient with respect to the
    latents is the identity, but for levels that a signal does not use: what is not there cannot say what it should be.

    Args:
        stages: of each level, equal in size, each of one codebook; none on a sphere, on which differences are not.
        scales: positions on each axis of a cell that the levels up to this one stand for: 1, 2, 4 and so on.
        axes: of the grid.
        dropout: the probability that a signal of a training batch uses the first levels only.

    Raises:
        ConfigError: see ``LevelStages``; scales that do not double from 1, or stages on a sphere.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, WaveletQuantizer
        >>> layer = WaveletQuantizer([EMAVectorQuantizer(16, 4) for _ in range(3)], scales=(1, 2, 4))
        >>> layer(torch.randn(2, 64, 3, 3)).indices.shape, layer.level_codebooks
        (torch.Size([2, 3, 3, 16]), (1, 3, 12))
    """

    def __init__(
        self, stages: Sequence[Quantizer], *, scales: Sequence[int] = (1, 2, 4), axes: int = 2, dropout: float = 0.0
    ) -> None:
        if list(scales) != [2**number for number in range(len(scales))]:
            raise ConfigError(f"scales={list(scales)}: each is twice the one before, from 1 on, e.g. 1 2 4")
        super().__init__(stages, scales, axes, dropout)
        if any(getattr(stage, "cosine", False) for stage in stages):
            raise ConfigError("cosine=true: differences have lengths, which codes on a sphere cannot follow")

    def indices_of_levels(self) -> tuple[int, ...]:
        """See ``LevelStages``."""
        return band_sizes(self.cell, self.axes)

    @torch.no_grad()
    def initialize(self, vectors: Tensor) -> None:
        """Set each codebook from its level's coefficients of the latents ``[N, code_dim]``."""
        bands = haar_bands(at_least_float32(vectors), self.cell, self.axes)
        for stage, band in zip(self._quantizers(), bands, strict=True):
            if not stage.initialized and not stage.frozen:
                stage.initialize(flatten_grid(band).contiguous())

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            if self.training and not self.initialized:
                initialize_from(self, latents.detach(), mask)
            used = self._used(latents)
            codes, indices = list[Tensor](), list[Tensor]()
            losses: dict[str, Tensor] = {}
            for number, (stage, band) in enumerate(
                zip(self._quantizers(), haar_bands(latents, self.cell, self.axes), strict=True)
            ):
                on = None if used is None else (used > number).view(-1, *[1] * (band.ndim - 2)).expand_as(band[:, 0])
                kept = None if mask is None else mask.unsqueeze(1).expand_as(band[:, 0])
                found = stage(band, on if kept is None else kept if on is None else kept & on)
                chosen, number_of = found.quantized, found.indices
                if on is not None:
                    chosen = torch.where(on.unsqueeze(1), chosen, chosen.new_zeros(()))
                    number_of = torch.where(on, number_of, -1)
                codes.append(chosen)
                indices.append(number_of.movedim(1, -1))
                share = self.level_codebooks[number] / self.num_codebooks
                for name, loss in found.losses.items():
                    losses[name] = losses.get(name, 0.0) + share * loss
            quantized = from_haar_bands(codes, self.axes)
        return Quantization(quantized, torch.cat(indices, dim=-1), losses)

    @torch.no_grad()
    def encode_first(self, latents: Tensor, codebooks: int | None) -> Tensor:
        """See ``EncodesFirst``."""
        self.check_latents(latents)
        wanted, found = self.num_codebooks if codebooks is None else codebooks, list[Tensor]()
        starts = itertools.accumulate(self.level_codebooks, initial=0)
        with torch.autocast(latents.device.type, enabled=False):
            bands = haar_bands(at_least_float32(latents), self.cell, self.axes)
            for start, stage, band in zip(starts, self._quantizers(), bands, strict=False):
                if start < wanted:
                    found.append(stage.encode(band).movedim(1, -1))
        return torch.cat(found, dim=-1)[..., :wanted]

    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *coarse]`` of indices ``[batch, *coarse, m]``, m <= C; -1 adds nothing.

        Raises:
            ValueError: more codebooks than there are, or an index outside ``[-1, codebook_size)``.
        """
        levels = self.whole_indices(indices).split(self.level_codebooks, dim=-1)
        with torch.autocast(indices.device.type, enabled=False):
            pairs = zip(self._quantizers(), levels, strict=True)
            return from_haar_bands([codes_of(stage, own.movedim(-1, 1)) for stage, own in pairs], self.axes)
