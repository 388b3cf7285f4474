"""Base of quantizers whose levels have grids of their own: all indices of a cell stand at one position of one grid."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from vqkit.ops.cells import fold_cells, unfold_cells
from vqkit.ops.precision import at_least_float32
from vqkit.quantizers.base import Quantization, flatten_grid, mean_losses
from vqkit.quantizers.codebook.restart import initialize_from
from vqkit.quantizers.levels.stages import LevelStages, codes_of


class LevelQuantizer(LevelStages):
    """Levels of codes, coarse to fine: level l has ``scales[l]`` positions on each axis of a cell.

    The latents are those of a fine grid, folded (``vqkit.ops.cells``): ``cell = scales[-1]`` positions on each axis
    are one position of the *coarse* grid, on which all that reads indices works. There a position holds the indices of
    all levels, ``scales[0]^axes`` of the first, then ``scales[1]^axes`` of the second, and so on, each level in reading
    order: ``[batch, *coarse, C]`` with ``C = sum(scales[l]^axes)``. So whatever works with several codebooks works
    with levels: a prior that goes codebook by codebook goes from coarse to fine, each level given all above it, and
    the first codebooks of a file are its coarse levels, which decode alone.

    A level has one codebook, whatever the position within the cell. Latents of another number of axes than ``axes``
    (vectors, for one) are cells without neighbors.

    Args:
        stages: the quantizer of each level, equal in codebook size and dimension (D).
        scales: positions of each level on each axis of a cell, ascending.
        axes: of the grid.
        dropout: the probability that a signal of a training batch uses the first levels only (1 to all but one,
            equally likely); their indices are -1 in the others, which ``lookup`` takes as "nothing".

    Raises:
        ConfigError: other numbers of stages and scales, stages of different sizes, or a value out of range.
    """

    def indices_of_levels(self) -> tuple[int, ...]:
        """See ``LevelStages``."""
        return tuple(scale**self.axes for scale in self.scales)

    @abstractmethod
    def targets(self, fine: Tensor, codes: Sequence[Tensor]) -> Tensor:
        """What the next level quantizes, ``[batch, D, *(coarse * scales[l])]``, given the codewords of those above.

        Args:
            fine: latents ``[batch, D, *(coarse * cell)]``.
            codes: codewords of the levels above; ``len(codes)`` is the level's number.
        """

    @abstractmethod
    def compose(self, codes: Sequence[Tensor]) -> Tensor:
        """What the decoder reads, ``[batch, D, *(coarse * cell)]``, of the codewords of all levels."""

    def passed(self, fine: Tensor, quantized: Tensor) -> Tensor:
        """``quantized`` with the gradient that goes to the latents; by default that which it has."""
        del fine
        return quantized

    @torch.no_grad()
    def initialize(self, vectors: Tensor) -> None:
        """Set each codebook from what the levels above leave of the latents ``[N, code_dim]``."""
        fine, codes = self._opened(at_least_float32(vectors)), list[Tensor]()
        for stage in self._quantizers():
            target = self.targets(fine, codes)
            if not stage.initialized and not stage.frozen:
                stage.initialize(flatten_grid(target).contiguous())
            codes.append(stage.lookup(stage.encode(target)))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            if self.training and not self.initialized:
                initialize_from(self, latents.detach(), mask)
            fine = self._opened(latents)
            counted = None if mask is None else self._opened_mask(mask, latents)
            used = self._used(fine)
            codes, indices, losses = list[Tensor](), list[Tensor](), []
            for number, stage in enumerate(self._quantizers()):
                target = self.targets(fine, codes)
                kept = None if counted is None else _spread(counted, self.scales[number])
                on = None if used is None else (used > number).view(-1, *[1] * self.axes).expand_as(target[:, 0])
                found = stage(target, on if kept is None else kept if on is None else kept & on)
                chosen, number_of = found.quantized, found.indices
                if on is not None:
                    chosen = torch.where(on.unsqueeze(1), chosen, chosen.new_zeros(()))
                    number_of = torch.where(on, number_of, -1)
                codes.append(chosen)
                indices.append(number_of)
                losses.append(found.losses)
            quantized = self.passed(fine, self.compose(codes))
        return Quantization(self._closed(quantized, latents), self._joined(indices, latents), mean_losses(losses))

    @torch.no_grad()
    def encode_first(self, latents: Tensor, codebooks: int | None) -> Tensor:
        """See ``EncodesFirst``."""
        self.check_latents(latents)
        wanted = self.num_codebooks if codebooks is None else codebooks
        with torch.autocast(latents.device.type, enabled=False):
            fine, codes, found = self._opened(at_least_float32(latents)), list[Tensor](), list[Tensor]()
            for number, stage in enumerate(self._quantizers()):
                if sum(self.level_codebooks[:number]) >= wanted:
                    break
                found.append(stage.encode(self.targets(fine, codes)))
                codes.append(stage.lookup(found[-1]))
        return self._joined(found, latents)[..., :wanted]

    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *coarse]`` of indices ``[batch, *coarse, m]``, m <= C; -1 adds nothing.

        Raises:
            ValueError: more codebooks than there are, or an index outside ``[-1, codebook_size)``.
        """
        whole, like = self.whole_indices(indices), indices.movedim(-1, 1)
        with torch.autocast(indices.device.type, enabled=False):
            codes = []
            for own, stage, scale in zip(
                whole.split(self.level_codebooks, dim=-1), self._quantizers(), self.scales, strict=True
            ):
                level = unfold_cells(self._gridded(own.movedim(-1, 1)), scale)[:, 0]
                codes.append(codes_of(stage, level))
            return self._closed(self.compose(codes), like)

    def level_grids(self, grid: Sequence[int]) -> list[tuple[int, ...]]:
        """The grid of each level, coarse to fine, of indices on this grid.

        Example:
            >>> from vqkit.quantizers import EMAVectorQuantizer, MultiScaleQuantizer
            >>> layer = MultiScaleQuantizer([EMAVectorQuantizer(16, 4) for _ in range(3)], scales=(1, 2, 4))
            >>> layer.level_grids((3, 2))
            [(3, 2), (6, 4), (12, 8)]
        """
        return [tuple(length * scale for length in grid) for scale in self.scales]

    def level_indices(self, indices: Tensor) -> list[Tensor]:
        """Indices ``[batch, *coarse, C]`` as one grid for each level, ``[batch, *(coarse * scales[l])]``."""
        parts = indices.split(self.level_codebooks, dim=-1)
        return [unfold_cells(part.movedim(-1, 1), each)[:, 0] for part, each in zip(parts, self.scales, strict=True)]

    def _gridded(self, values: Tensor) -> Tensor:
        """``[batch, D, *grid]`` as it is, or, where the axes are others, each position as a grid of its own."""
        if values.ndim == self.axes + 2:
            return values
        return flatten_grid(values).unflatten(1, (-1, *[1] * self.axes))

    def _opened(self, latents: Tensor) -> Tensor:
        return unfold_cells(self._gridded(latents), self.cell)

    def _opened_mask(self, mask: Tensor, latents: Tensor) -> Tensor:
        return mask if latents.ndim == self.axes + 2 else mask.reshape(-1, *[1] * self.axes)

    def _closed(self, fine: Tensor, like: Tensor) -> Tensor:
        """Folded values ``[batch, D, *grid]`` on the grid of ``like``."""
        folded = fold_cells(fine, self.cell)
        if like.ndim == self.axes + 2:
            return folded
        rows = folded.flatten(1)
        return rows.view(like.shape[0], *like.shape[2:], rows.shape[1]).movedim(-1, 1)

    def _joined(self, indices: Sequence[Tensor], like: Tensor) -> Tensor:
        folded = [fold_cells(each.unsqueeze(1), scale) for each, scale in zip(indices, self.scales, strict=False)]
        joined = torch.cat(folded, dim=1).movedim(1, -1)
        return joined.reshape(like.shape[0], *like.shape[2:], joined.shape[-1])


def _spread(mask: Tensor, scale: int) -> Tensor:
    for axis in range(1, mask.ndim):
        mask = mask.repeat_interleave(scale, dim=axis)
    return mask
