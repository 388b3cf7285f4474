"""The exponential average of a model's weights: smoother than the last step's, and what is saved."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.training.trainable import Trainable


class WeightAverage:
    """A second model that follows the first: ``a <- d a + (1 - d) w``, codebook and other float buffers included.

    The decay starts low, ``min(decay, (1 + t) / (10 + t))``, so that the average forgets the initial weights. Codes
    that were restarted in a step are taken as they are: half-way between where such a code was and where it has gone
    to is no place for a code.

    Args:
        model: the model that trains.
        shadow: another of the same class; becomes the average.
        decay: d; 0 makes the average equal to the model.
    """

    def __init__(self, model: Trainable, shadow: Trainable, decay: float) -> None:
        self.model = model
        shadow.eval().requires_grad_(False)
        self.shadow = shadow
        self.decay = decay
        self._codebooks = [
            (own, other)
            for own, other in zip(shadow.modules(), model.modules(), strict=True)
            if isinstance(own, CodebookQuantizer) and isinstance(other, CodebookQuantizer)
        ]
        self.copy()

    @torch.no_grad()
    def copy(self) -> None:
        """Make the average equal to the model now."""
        for own, other in self._pairs():
            own.copy_(other)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = self._pairs()
        floats = [(own, other) for own, other in pairs if own.is_floating_point()]
        torch._foreach_lerp_([own for own, _ in floats], [other for _, other in floats], 1 - decay)
        for own, other in pairs:
            if not own.is_floating_point():
                own.copy_(other)
        for codebook, live in self._codebooks:
            if live.restarted is not None:
                for mine, theirs in zip(codebook.per_code(), live.per_code(), strict=True):
                    mine[live.restarted] = theirs[live.restarted]

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return [
            (_local(own), _local(other)) for own, other in zip(_tensors(self.shadow), _tensors(self.model), strict=True)
        ]


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*(parameter.detach() for parameter in model.parameters()), *model.buffers()]


def _local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that FSDP has sharded; any other tensor itself."""
    to_local = getattr(tensor, "to_local", None)
    local: Tensor = to_local() if to_local is not None else tensor
    return local
