"""Distances of two lists of feature maps: of the features where they are, and of their Gram matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.ops import all_reduce_sum_

_POOL: dict[int, Callable[..., Tensor]] = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}
_FLOOR = 0.01
"""Of the mean variance: a channel that hardly varies is measured by this much of what the others do."""
_LEAST = 1e-4
"""Added to a variance, relative to the mean square, and absolutely."""


def feature_distances(
    made: Sequence[Tensor], wanted: Sequence[Tensor], mask: Tensor | None, *, together: bool
) -> tuple[Tensor, Tensor]:
    """Return the mean squared distance of features and of Gram matrices, both relative, the mean over layers.

    Every channel is normalized to the mean and the deviation that ``wanted`` has in the batch: 1 is the distance of
    features that are always the mean. Gram matrices ``G = F F^T / positions`` of these, one of each item, say which
    features come together, and not where (Gatys et al. 2015, arXiv 1505.07376). With q their squared distance relative
    to the mean square of those of ``wanted``, an item's is ``2 (sqrt(1 + q) - 1)``: q where it is small, and no fourth
    power of the maps where a model has just begun. Layers of vectors ``[batch, D]`` have the first distance alone.

    Args:
        made: layers ``[batch, C, *size]``, with gradient.
        wanted: layers of the same shapes, without.
        mask: ``[batch, *size]`` of the signals, False where nothing counts; None: all does.
        together: whether all processes call this, and the batch is what they have together.

    Example:
        >>> import torch
        >>> from vqkit.models.perceptual.distances import feature_distances
        >>> maps = [torch.randn(2, 4, 8, 8)]
        >>> [float(each) for each in feature_distances(maps, maps, None, together=False)]
        [0.0, 0.0]
    """
    kept = [_weights(each, mask) for each in wanted]
    sums = [
        torch.stack([(w * k).sum(dim=(0, 2)), (w.square() * k).sum(dim=(0, 2)), k.sum().expand(w.shape[1])])
        for w, k in zip(map(_flat, wanted), kept, strict=True)
    ]
    if together:
        all_reduce_sum_(*sums)
    errors, differences, squares = [], [], []
    for own, other, k, (total, square, count) in zip(made, wanted, kept, sums, strict=True):
        mean, power = total / count.clamp_min(1), square / count.clamp_min(1)
        variance = (power - mean.square()).clamp_min(0)
        scale = (variance + _FLOOR * variance.mean() + _LEAST * (power.mean() + 1)).rsqrt().view(1, -1, 1)
        first, second = (torch.where(k > 0, (_flat(each) - mean.view(1, -1, 1)) * scale, 0.0) for each in (own, other))
        errors.append((first - second).square().sum() / (k.sum() * first.shape[1]).clamp_min(1))
        if first.shape[2] > 1:
            positions = k.sum(dim=2, keepdim=True).clamp_min(1)
            gram, target = (each @ each.mT / positions for each in (first, second))
            differences.append((gram - target).square().sum(dim=(1, 2)))
            squares.append(torch.stack([target.square().sum(), k.new_tensor(len(first))]))
    if not squares:
        return torch.stack(errors).mean(), errors[0].new_zeros(())
    if together:
        all_reduce_sum_(*squares)
    relative = [
        difference / (total / items).clamp_min(_LEAST)
        for difference, (total, items) in zip(differences, squares, strict=True)
    ]
    grams = [(2 * (torch.sqrt(1 + each) - 1)).mean() for each in relative]
    return torch.stack(errors).mean(), torch.stack(grams).mean()


def _flat(maps: Tensor) -> Tensor:
    return maps.flatten(2) if maps.ndim > 2 else maps.unsqueeze(2)


def _weights(maps: Tensor, mask: Tensor | None) -> Tensor:
    """``[batch, 1, positions]``: 1 where a position of the maps sees something that counts, else 0."""
    size = maps.shape[2:]
    if mask is None:
        return maps.new_ones(len(maps), 1, max(1, size.numel()))
    if len(size) != mask.ndim - 1:  # of another number of axes: an item counts, or it does not
        return mask.flatten(1).any(dim=1).to(maps.dtype).view(-1, 1, 1).expand(-1, 1, max(1, size.numel()))
    return (_POOL[len(size)](mask.unsqueeze(1).to(maps.dtype), list(size)) > 0).to(maps.dtype).flatten(2)
