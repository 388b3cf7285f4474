"""The L1 objective: the absolute error of values."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from vqkit.objectives.base import OBJECTIVES, Decoded, Objective, mean_of


@OBJECTIVES.register("l1", citations=())
@final
class L1Objective(Objective):
    """The absolute error of the reconstruction, ``mean |d(z) - x|``, in standard deviations of the data.

    Up to constants the negative log likelihood under a Laplace distribution of fixed scale; for sound the error of
    samples beside that of spectra, as in EnCodec (Defossez et al. 2022, arXiv 2210.13438, section 3.4).

    Args:
        adaptive: make its weight relative to the gradient of the other terms, see ``WeightedSum``.

    Example:
        >>> from vqkit.objectives import L1Objective, MelObjective
        >>> str(L1Objective() + MelObjective(adaptive=True))
        'l1 + mel(adaptive=True)'
    """

    zero_at_target: ClassVar[bool] = True

    def __init__(self, *, adaptive: bool = False) -> None:
        super().__init__()
        self.adaptive = adaptive

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: ``l1_loss``."""
        return {"l1_loss": mean_of((decoded.mean - decoded.target).abs(), decoded.mask)}
