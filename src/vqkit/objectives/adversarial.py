"""The adversarial objective: a discriminator that learns to tell reconstructions from signals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from vqkit.errors import ConfigError
from vqkit.objectives.adversaries.augmentation import Augmentation
from vqkit.objectives.base import Decoded, Objective, mean_of
from vqkit.ops import all_reduce_sum_
from vqkit.ops.precision import at_least_float32

_POOL: dict[int, Callable[..., Tensor]] = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}
_ANCHORED = 0.99
"""Decay of LeCam's running means."""
LOSSES = ("hinge", "relativistic")


class AdversarialObjective(Objective, ABC):
    """The loss of a generative adversarial network; a subclass says which discriminator D.

    ::

        model:          -mean D(d(z))
        discriminator:  mean max(0, 1 - D(x)) / 2 + mean max(0, 1 + D(d(z))) / 2

    the hinge (Lim and Ye 2017, arXiv 1705.02894); for the decoder of a VQ-VAE, Esser, Rombach and Ommer 2021 (arXiv
    2012.09841). The relativistic loss compares each reconstruction with its own signal (Jolicoeur-Martineau 2018, arXiv
    1807.00734)::

        model:          mean softplus(D(x) - D(d(z)))
        discriminator:  mean softplus(D(d(z)) - D(x))

    D learns from the reconstructions of the step that the model has just made, without their gradient, and the model's
    step leaves D's gradient alone. Signals and reconstructions are in units of the data's standard deviation; D is
    computed in float32 whatever the precision of the run. Likely misuse: batch normalization in D, whose statistics
    every process has of its own part of a batch.

    Args:
        after: steps of training before the discriminator, and what it says of the model, begin.
        adaptive: make the term's weight relative to the gradient of the other terms, see ``WeightedSum``.
        learning_rate: the peak of the discriminator's.
        loss: ``"hinge"`` or ``"relativistic"``.
        warmup: steps from the beginning on in which the model's term rises from 0 to its weight: D learns first.
        r1: weight of D's squared gradient by the signals, per patch (Mescheder et al. 2018, arXiv 1801.04406).
        r1_every: steps between two of these penalties, each of which counts so many times.
        lecam: weight of LeCam's regularization of the hinge (Tseng et al. 2021, arXiv 2104.03310): D's logits stay near
            the running means of those of the other kind.
        augment: strength of the augmentation of signals and reconstructions alike; 0: none, 1: that of DiffAugment.

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
    anchors: Tensor

    def __init__(
        self,
        *,
        after: int = 0,
        adaptive: bool = False,
        learning_rate: float = 1e-4,
        loss: str = "hinge",
        warmup: int = 0,
        r1: float = 0.0,
        r1_every: int = 16,
        lecam: float = 0.0,
        augment: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value, least in (("after", after, 0), ("warmup", warmup, 0), ("r1_every", r1_every, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"objective {self.name!r}: {name}={value!r}: give a number of steps, {least} or more")
        for name, weight in (("r1", r1), ("lecam", lecam), ("augment", augment)):
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
                raise ConfigError(f"objective {self.name!r}: {name}={weight!r}: give a finite number, 0 or more")
        if not isinstance(learning_rate, int | float) or not 0 < learning_rate < float("inf"):
            raise ConfigError(f"objective {self.name!r}: learning_rate={learning_rate!r}: give a finite one above 0")
        if loss not in LOSSES:
            raise ConfigError(f"objective {self.name!r}: loss={loss!r}: give {' or '.join(map(repr, LOSSES))}")
        if lecam and loss != "hinge":
            raise ConfigError(f"objective {self.name!r}: lecam is for loss='hinge'; leave it out, or take the hinge")
        self.after, self.adaptive, self.learning_rate = after, adaptive, learning_rate
        self.loss, self.warmup, self.r1, self.r1_every = loss, warmup, r1, r1_every
        self.lecam, self.augment = lecam, augment
        self.steps = 0
        self.strength = 1.0
        """Of the model's term; 0: D rests as well. A guard changes it while the run goes on."""
        self.begun: int | None = None
        """The step at which a guard let it begin; None: it begins ``after`` its steps."""
        self._health: dict[str, Tensor] = {}
        self._seen: list[Tensor] = []
        if lecam:
            self.register_buffer("anchors", torch.zeros(2))

    @abstractmethod
    def make_discriminator(self, axes: int, channels: int) -> nn.Module:
        """Make D: signals ``[batch, channels, *size]`` to logits ``[batch, 1]`` or ``[batch, rows, *patches]``, or a
        list of such."""

    def prepare(self, axes: int, channels: int) -> None:
        """See ``Objective.prepare``; a discriminator that is there already goes on learning."""
        super().prepare(axes, channels)
        if not hasattr(self, "discriminator"):
            self.discriminator = self.make_discriminator(axes, channels)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See ``Objective.make_optimizer``."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=(0.5, 0.9))

    @property
    def active(self) -> bool:
        """Whether it has begun, and is not held."""
        return self.strength > 0 and self.steps >= (self.after if self.begun is None else self.begun)

    @property
    def factor(self) -> float:
        """What the model's term is multiplied by: the strength, less while it warms up."""
        since = self.steps - (self.after if self.begun is None else self.begun)
        return self.strength * (min(1.0, (since + 1) / self.warmup) if self.warmup else 1.0)

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: the term of the model, by the objective's name; 0 before it begins."""
        if not self.active:
            return {f"{self.name}_loss": decoded.parameters.flatten()[:0].sum()}
        constants = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}

        def ask(x: Tensor) -> list[Tensor]:
            return _several(functional_call(self.discriminator, constants, (x,)))

        with torch.autocast(decoded.mean.device.type, enabled=False):
            shown, mask = self._shown(decoded.mean, decoded.whole_positions)
            if shown.requires_grad:
                shown.register_hook(self._keep_gradient)
            made = ask(shown)
            if self.loss == "hinge":
                terms = [-patch_mean(each, mask) for each in made]
            else:
                with torch.no_grad():
                    real = ask(self._shown(decoded.target, decoded.whole_positions)[0])
                terms = [patch_mean(functional.softplus(r - m), mask) for r, m in zip(real, made, strict=True)]
        term = torch.stack(terms).mean()
        return {f"{self.name}_loss": term if self.factor == 1 else self.factor * term}

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.own_losses``: the loss of D, and its penalties."""
        if not self.active:
            return {}
        with torch.autocast(decoded.mean.device.type, enabled=False):
            signals, mask = self._shown(decoded.target, decoded.whole_positions)
            penalized = bool(self.r1) and self.steps % self.r1_every == 0
            signals = signals.detach().requires_grad_() if penalized else signals
            real = _several(self.discriminator(signals))
            made = _several(self.discriminator(self._shown(decoded.mean, decoded.whole_positions)[0]))
            pairs = list(zip(real, made, strict=True))
            if self.loss == "hinge":
                terms = [
                    0.5 * (patch_mean(functional.relu(1 - r), mask) + patch_mean(functional.relu(1 + m), mask))
                    for r, m in pairs
                ]
            else:
                terms = [patch_mean(functional.softplus(m - r), mask) for r, m in pairs]
            found = {f"{self.name}_discriminator": torch.stack(terms).mean()}
            self._note(pairs, mask)
            if penalized:
                found[f"{self.name}_r1"] = 0.5 * self.r1 * self.r1_every * _steepness(real, signals, mask)
            if self.lecam:
                of_real, of_made = self.anchors
                far = [
                    patch_mean((r - of_made).square(), mask) + patch_mean((m - of_real).square(), mask)
                    for r, m in pairs
                ]
                found[f"{self.name}_lecam"] = self.lecam * torch.stack(far).mean()
        return found

    def health(self) -> dict[str, Tensor]:
        """See ``Objective.health``: how often D is right, its logits, and the gradient that it gives the model."""
        return dict(self._health)

    def end_step(self) -> None:
        """See ``Objective.end_step``: counts, and moves LeCam's running means."""
        if self.lecam and self._seen:
            means = torch.stack(self._seen).mean(dim=0)
            all_reduce_sum_(means)
            count = torch.ones_like(means[:1])
            all_reduce_sum_(count)
            self.anchors.mul_(_ANCHORED).add_((means / count).to(self.anchors), alpha=1 - _ANCHORED)
        self.forget_step()
        self.steps += 1

    def forget_step(self) -> None:
        """Forget what was seen in a step that is not made."""
        self._seen, self._health = [], {}

    def get_extra_state(self) -> Tensor:
        """Return the steps made, for a checkpoint."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the steps made from a checkpoint."""
        self.steps = int(state)

    def _shown(self, numbers: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What D is shown of signals, and the mask that goes with it."""
        return Augmentation(self.augment, self.steps).apply(visible(at_least_float32(numbers), mask), mask)

    def _keep_gradient(self, gradient: Tensor) -> None:
        self._health[f"{self.name}_model_gradient_norm"] = gradient.detach().float().norm()

    @torch.no_grad()
    def _note(self, pairs: Sequence[tuple[Tensor, Tensor]], mask: Tensor | None) -> None:
        """Keep what the log says of D."""
        means = [torch.stack([patch_mean(each, mask) for each in kind]).mean() for kind in zip(*pairs, strict=True)]
        relative = self.loss == "relativistic"
        right = [(r > m if relative else r > 0, r < m if relative else m < 0) for r, m in pairs]
        found = [
            torch.stack([patch_mean(each.float(), mask) for each in kind]).mean() for kind in zip(*right, strict=True)
        ]
        self._seen.append(torch.stack(means))
        names = ("real_accuracy", "made_accuracy", "real_logit", "made_logit")
        self._health |= {f"{self.name}_{name}": value for name, value in zip(names, [*found, *means], strict=True)}


def _several(logits: Any) -> list[Tensor]:
    return list(logits) if isinstance(logits, list | tuple) else [logits]


def _steepness(logits: Sequence[Tensor], signals: Tensor, mask: Tensor | None) -> Tensor:
    """The squared gradient of logits by the signals, per patch."""
    found = []
    for each in logits:
        total = patch_mean(each, mask)
        (gradient,) = torch.autograd.grad(total, signals, create_graph=True)
        found.append(gradient.square().sum() * each.numel())
    return torch.stack(found).mean()


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
