"""The adversarial objective: a discriminator that learns to tell reconstructions from signals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.objectives.base import Decoded, Objective, mean_of

_POOL: dict[int, Callable[..., Tensor]] = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}


class AdversarialObjective(Objective, ABC):
    """The hinge loss of a generative adversarial network; a subclass says which discriminator D.

    ::

        model:          -mean D(d(z))
        discriminator:  mean max(0, 1 - D(x)) / 2 + mean max(0, 1 + D(d(z))) / 2

    Lim and Ye 2017 (arXiv 1705.02894); for the decoder of a VQ-VAE, Esser, Rombach and Ommer 2021 (arXiv 2012.09841).
    D learns from the reconstructions of the step that the model has just made, without their gradient, and the model's
    step leaves D's gradient alone. Signals and reconstructions are in units of the data's standard deviation. Likely
    misuse: batch normalization in D, whose statistics every process has of its own part of a batch.

    Args:
        after: steps of training before the discriminator, and what it says of the model, begin.
        adaptive: make the term's weight relative to the gradient of the other terms, see ``WeightedSum``.
        learning_rate: the peak of the discriminator's.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> from torch import nn
        >>> from vqkit.objectives import AdversarialObjective
        >>> class Patches(AdversarialObjective):
        ...     def make_discriminator(self, axes, channels):
        ...         return nn.Conv2d(channels, 1, 4, stride=2)
        >>> Patches(after=100).after
        100
    """

    discriminator: nn.Module

    def __init__(self, *, after: int = 0, adaptive: bool = False, learning_rate: float = 1e-4) -> None:
        super().__init__()
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise ConfigError(f"objective {self.name!r}: after={after!r}: give a number of steps, 0 or more")
        if not isinstance(learning_rate, int | float) or not 0 < learning_rate < float("inf"):
            raise ConfigError(f"objective {self.name!r}: learning_rate={learning_rate!r}: give a finite one above 0")
        self.after = after
        self.adaptive = adaptive
        self.learning_rate = learning_rate
        self.steps = 0

    @abstractmethod
    def make_discriminator(self, axes: int, channels: int) -> nn.Module:
        """Make D: signals ``[batch, channels, *size]`` to logits ``[batch, 1]`` or ``[batch, 1, *patches]``."""

    def prepare(self, axes: int, channels: int) -> None:
        """See ``Objective.prepare``; a discriminator that is there already goes on learning."""
        super().prepare(axes, channels)
        if not hasattr(self, "discriminator"):
            self.discriminator = self.make_discriminator(axes, channels)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See ``Objective.make_optimizer``."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=(0.5, 0.9))

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: the term of the model, by the objective's name; 0 before it begins."""
        if self.steps < self.after:
            return {f"{self.name}_loss": decoded.parameters.flatten()[:0].sum()}
        constants = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        logits = functional_call(self.discriminator, constants, (visible(decoded.mean, decoded.whole_positions),))
        return {f"{self.name}_loss": -patch_mean(logits, decoded.whole_positions)}

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.own_losses``: the hinge loss of D."""
        if self.steps < self.after:
            return {}
        real = self.discriminator(visible(decoded.target, decoded.whole_positions))
        made = self.discriminator(visible(decoded.mean, decoded.whole_positions))
        hinges = (
            patch_mean(functional.relu(1 - real), decoded.whole_positions),
            patch_mean(functional.relu(1 + made), decoded.whole_positions),
        )
        return {f"{self.name}_discriminator": 0.5 * (hinges[0] + hinges[1])}

    def end_step(self) -> None:
        """See ``Objective.end_step``: counts."""
        self.steps += 1

    def get_extra_state(self) -> Tensor:
        """Return the steps made, for a checkpoint."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the steps made from a checkpoint."""
        self.steps = int(state)


def visible(numbers: Tensor, mask: Tensor | None) -> Tensor:
    """Return ``numbers`` with zeros where ``mask`` is False (padding)."""
    return numbers if mask is None else torch.where(mask.unsqueeze(1), numbers, numbers.new_zeros(()))


def patch_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of logits, over patches that hold something of a signal."""
    values = values if values.dtype == torch.float64 else values.float()
    if mask is not None and mask.ndim > 1:
        patches = values.shape[2:]
        pooled = _POOL[mask.ndim - 1](mask.unsqueeze(1).float(), patches or [1] * (mask.ndim - 1)) > 0
        mask = pooled.squeeze(1) if patches else pooled.flatten(1)[:, 0]
    return mean_of(values, mask)
