"""Multi-scale gradient matching: the error of differences between neighbours, at several resolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.objectives.base import OBJECTIVES, Decoded, Objective

_POOL: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}
_MOST_SCALES = 16


@OBJECTIVES.register("gradient", citations=("li2018megadepth",))
@final
class GradientObjective(Objective):
    """The absolute error of the signal's gradient, at resolutions that halve from scale to scale.

    With the error ``e = d(z) - x``, averaged over blocks of ``2^s`` per axis, and ``D_a`` the difference between
    neighbors on axis a::

        loss = mean over scales s and axes a of  mean |D_a e_s|

    It is 0 exactly where the reconstruction is right up to a constant, and asks for edges that squared error blurs: the
    gradient matching term of Li and Snavely 2018 (arXiv 1804.00607, section 4.2). Scales and axes that a signal
    is too short for are left out; differences and blocks that a mask touches do not count.

    Args:
        scales: how many, from the signal's own resolution downwards.

    Raises:
        ConfigError: ``scales`` out of range.

    Example:
        >>> from vqkit.objectives import GradientObjective, LikelihoodObjective
        >>> str(LikelihoodObjective() + 0.1 * GradientObjective(scales=2))  # objective= of vqkit.train takes both
        'likelihood + 0.1*gradient(scales=2)'
    """

    supported_axes: ClassVar[tuple[int, ...]] = (1, 2, 3)
    zero_at_target: ClassVar[bool] = True

    def __init__(self, *, scales: int = 3) -> None:
        super().__init__()
        if isinstance(scales, bool) or not isinstance(scales, int) or not 1 <= scales <= _MOST_SCALES:
            raise ConfigError(f"objective 'gradient': scales={scales!r}: give an integer from 1 to {_MOST_SCALES}")
        self.scales = scales

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: ``gradient_loss``."""
        mask, axes = decoded.whole_positions, decoded.axes
        error = decoded.mean - decoded.target
        if mask is not None:
            error = torch.where(mask.unsqueeze(1), error, error.new_zeros(()))
        means: list[Tensor] = []
        for scale in range(self.scales):
            if scale:
                if min(error.shape[2:]) < 2:
                    break
                error = _POOL[axes](error, 2)
                mask = None if mask is None else _POOL[axes](mask.unsqueeze(1).to(error.dtype), 2).squeeze(1) == 1
            means += [_mean_difference(error, mask, axis) for axis in range(axes) if error.shape[2 + axis] > 1]
        return {"gradient_loss": torch.stack(means).mean() if means else (error * 0).sum()}


def _mean_difference(error: Tensor, mask: Tensor | None, axis: int) -> Tensor:
    """The mean absolute difference between neighbors on an axis, of pairs that the mask keeps both of."""
    difference: Any = error.diff(dim=2 + axis).abs()
    if mask is None:
        mean: Tensor = difference.mean()
        return mean
    length = mask.shape[1 + axis] - 1
    both = (mask.narrow(1 + axis, 0, length) & mask.narrow(1 + axis, 1, length)).unsqueeze(1)
    kept: Tensor = torch.where(both, difference, difference.new_zeros(())).sum()
    return kept / (both.sum() * error.shape[1]).clamp_min(1)
