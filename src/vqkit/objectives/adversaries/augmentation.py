"""Augmentation for discriminators: signals and reconstructions changed alike, so that few signals are not learned."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_SHIFT, _CUT = 0.125, 0.4
"""Of a side: how far a signal is moved at most, and how much is cut out."""
_LOUDER, _BRIGHTER = 0.3, 0.25
_SEED = 0x5A17


@dataclass(frozen=True)
class Augmentation:
    """A change of all signals of a step: moved, scaled, with a box cut out, and images brighter and mirrored too.

    DiffAugment (Zhao et al. 2020, arXiv 2006.10738): what a discriminator is shown of data and of reconstructions is
    changed in the same way, and the model's gradient goes through the change. Here one change is drawn for all items of
    a step, from its number alone: whatever a batch is cut into, and wherever a run was resumed, it is the same.

    Attributes:
        strength: 0 changes nothing; 1 is that of the paper.
        step: of the training.
    """

    strength: float
    step: int

    def apply(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Change a batch, and the mask that goes with it.

        Args:
            x: ``[batch, channels, *size]``, 0 where masked.
            mask: ``[batch, *size]`` bool; None: all counts.

        Example:
            >>> import torch
            >>> from vqkit.objectives.adversaries.augmentation import Augmentation
            >>> changed, _ = Augmentation(1.0, step=3).apply(torch.ones(2, 1, 16, 16))
            >>> changed.shape, bool((changed == 0).any())
            (torch.Size([2, 1, 16, 16]), True)
        """
        if not self.strength:
            return x, mask
        draws = torch.rand(16, generator=torch.Generator().manual_seed(_SEED + 7919 * self.step)).tolist()
        axes, strength = x.ndim - 2, self.strength
        if draws[0] < 0.5:
            x, mask = (-x, mask) if axes == 1 else (x.flip(-1), None if mask is None else mask.flip(-1))
        x = x * (1 + _LOUDER * strength * (2 * draws[1] - 1))
        if axes > 1:
            x = _shown(x + _BRIGHTER * strength * (2 * draws[2] - 1), mask)
        for axis in range(axes):
            by = round((2 * draws[3 + axis] - 1) * _SHIFT * strength * x.shape[2 + axis])
            x = _moved(x, by, 2 + axis)
            mask = None if mask is None else _moved(mask, by, 1 + axis)
        hole = x.new_ones(x.shape[2:])
        cut = hole
        for axis in range(axes):
            length = x.shape[2 + axis]
            wide = int(_CUT * min(strength, 1.0) * length)
            first = int(draws[8 + axis] * (length - wide + 1))
            cut = cut.narrow(axis, min(first, length - wide), wide)
        cut.zero_()
        return x * hole, mask


def _moved(x: Tensor, by: int, axis: int) -> Tensor:
    """Move along an axis, with zeros where nothing comes in."""
    if not by:
        return x
    length = x.shape[axis]
    kept = x.narrow(axis, max(0, -by), length - abs(by))
    widths = [0, 0] * (x.ndim - 1 - axis) + ([by, 0] if by > 0 else [0, -by])
    return functional.pad(kept, widths)


def _shown(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else torch.where(mask.unsqueeze(1), x, x.new_zeros(()))
