"""The training objective: a loss of what the decoder says of a signal, given the signal."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast, final

import torch
from torch import Tensor, nn

from vqkit.calls import write_call
from vqkit.errors import ConfigError
from vqkit.likelihoods import Likelihood, Unit
from vqkit.ops import all_reduce_sum_
from vqkit.recording import Recorded, changed_arguments
from vqkit.registry import Registry

_MOST_RATIO = 1e4


@dataclass(frozen=True)
class Assignment:
    """What a quantizer was given for a batch, and the codes that it chose.

    Attributes:
        latents: what the encoder emitted, ``[batch, D, *grid]``, with its gradient.
        indices: int64 ``[batch, *grid]`` or ``[batch, *grid, codebooks]``; -1 where a codebook was left out.

    Example:
        >>> import torch
        >>> from vqkit.objectives import Assignment
        >>> Assignment(torch.zeros(2, 8, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64)).codes.shape
        torch.Size([2, 16, 1])
    """

    latents: Tensor
    indices: Tensor

    @property
    def grid(self) -> tuple[int, ...]:
        """Positions on each axis."""
        return tuple(self.latents.shape[2:])

    @property
    def codes(self) -> Tensor:
        """The indices as ``[batch, positions, codebooks]``."""
        return self.indices.reshape(len(self.indices), math.prod(self.grid), -1)


@dataclass(frozen=True)
class Decoded:
    """The parameters of p(x | z) that a decoder emits for a batch, and the signals that they belong to.

    Attributes:
        parameters: of the likelihood, ``[batch, outputs, *size]``, float32 or wider, with the decoder's gradient.
        mean: of the likelihood: the reconstruction, ``[batch, channels, *size]``, in units of the data's standard
            deviation and not clipped to the signal's range, so that its gradient vanishes nowhere.
        target: the signals in the same units (mean 0, variance 1 over the training data).
        signal: the signals in their own units (images in [0, 1]).
        likelihood: of the model.
        unit: how the two units belong together.
        mask: ``[batch, *size]`` bool, False where a shorter signal was padded; of fields with gaps ``[batch, channels,
            *size]``, False where there is one; None: all counts.
        warmup: a scalar in [0, 1]: how far a discretized likelihood has taken over from squared error; None: wholly.
        rate: positions a second along the first axis (samples of sound); None: not known.
        latents: what the decoder read, without the condition, ``[batch, D, *grid]`` or ``[batch, D]``, with the
            encoder's gradient (of a quantizer: straight through); None: not said.
        latents_mask: ``[batch, *grid]`` bool, the positions that see something of the signal; None: all.
        classes: int64 ``[batch]``, what the decoder was told of each item, outside [0, N) where nothing; None unless an
            objective says ``reads_classes``.
        decode_as: decodes ``latents`` under classes int64 ``[batch]``, to what ``mean`` would be then; without
            gradients it gives again what it decoded last under these. None unless an objective says ``reads_classes``.
        encode: what the encoder emits (``[batch, D, *grid]`` or ``[batch, D]``) for signals in units of ``mean``. None
            unless an objective says ``reads_classes``.
        assignment: the codes and what they were chosen for; None of models without a quantizer.

    Example:
        >>> import torch
        >>> from vqkit.likelihoods import Gaussian, Unit
        >>> from vqkit.objectives import Decoded, GradientObjective
        >>> x, likelihood = torch.rand(2, 1, 8, 8), Gaussian(channels=1)
        >>> emitted, target = torch.zeros(2, 1, 8, 8), (x - 0.5) / 0.25
        >>> decoded = Decoded(emitted, likelihood.mean(emitted), target, x, likelihood, Unit(0.5, 0.25))
        >>> list(GradientObjective().losses(decoded))
        ['gradient_loss']
    """

    parameters: Tensor
    mean: Tensor
    target: Tensor
    signal: Tensor
    likelihood: Likelihood
    unit: Unit
    mask: Tensor | None = None
    warmup: Tensor | None = None
    rate: int | None = None
    latents: Tensor | None = None
    latents_mask: Tensor | None = None
    classes: Tensor | None = None
    decode_as: Callable[[Tensor, Tensor], Tensor] | None = None
    encode: Callable[[Tensor], Tensor] | None = None
    assignment: Assignment | None = None

    @property
    def whole_positions(self) -> Tensor | None:
        """Positions ``[batch, *size]`` where all channels count, for terms of several values; None: all."""
        several = self.mask is not None and self.mask.ndim == self.target.ndim and self.axes > 0
        return self.mask.all(dim=1) if self.mask is not None and several else self.mask

    @property
    def axes(self) -> int:
        """Spatial axes of the signal: 0 vectors, 1 sound, 2 images, 3 video."""
        return self.target.ndim - 2

    def detach(self) -> Self:
        """The same without gradient."""
        latents = None if self.latents is None else self.latents.detach()
        chosen = self.assignment and replace(self.assignment, latents=self.assignment.latents.detach())
        return replace(
            self, parameters=self.parameters.detach(), mean=self.mean.detach(), latents=latents, assignment=chosen
        )


class Objective(Recorded, nn.Module, ABC):
    """A loss of reconstructions, a sum of named terms; with parameters of its own where it has any.

    Each term is a mean over batch and elements, so that duplicating the batch leaves it unchanged, and reads nothing
    that a mask leaves out. Objectives add up and take weights: ``LikelihoodObjective() + 0.1 * GradientObjective()``,
    or in words ``"likelihood + 0.1*gradient"``.

    An objective with parameters (a discriminator) minimizes ``own_losses`` with an optimizer of its own, after each
    step of the model; the model's step leaves these parameters as they are. Parameters, optimizer and buffers are in
    the checkpoints of a run, and no part of the model that is saved.

    The constructor's arguments are recorded as the objective's settings: JSON values.

    Example:
        >>> from vqkit.objectives import Objective, mean_of
        >>> class AbsoluteError(Objective):
        ...     def losses(self, decoded):
        ...         error = (decoded.mean - decoded.target).abs()
        ...         return {"absolute_loss": mean_of(error, decoded.mask)}
        >>> str(0.5 * AbsoluteError())
        '0.5*AbsoluteError'
    """

    supported_axes: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    """Numbers of spatial axes of the signals that it is for."""
    zero_at_target: ClassVar[bool] = False
    """Whether it is 0, its least value, where the reconstruction equals the signal."""
    adaptive: bool = False
    """Whether its weight is relative to the gradient of the other terms of a sum, see ``WeightedSum``."""
    estimated: ClassVar[bool] = False
    """Whether its terms are estimates by random draws: what holds of the terms of others holds of their means."""
    reads_classes: bool = False
    """Whether it asks for ``Decoded.classes``: it is then for models whose decoder has classes."""

    def __init__(self) -> None:
        super().__init__()

    @abstractmethod
    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """Compute the terms to minimize, by names that end in ``_loss``: scalars with the decoder's gradient.

        Args:
            decoded: the reconstruction and its target.
        """

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """Compute the terms that the objective's own parameters minimize, from a reconstruction without gradient.

        Their names are what the log calls them; they do not end in ``_loss``, which names the terms of the model.
        """
        del decoded
        return {}

    def make_optimizer(self) -> torch.optim.Optimizer | None:
        """Make the optimizer of its own parameters, by default Adam; None without any.

        Its learning rate follows the schedule of the run: it is the peak.
        """
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.9)) if parameters else None

    def prepare(self, axes: int, channels: int) -> None:
        """Make the parts that depend on the signal (a discriminator's layers); called once on an instance, before
        the first step.

        Raises:
            ConfigError: it is not for such signals.
        """
        del channels
        if axes not in self.supported_axes:
            allowed = " or ".join(str(each) for each in self.supported_axes)
            raise ConfigError(
                f"objective {self.name!r} is for signals of {allowed} axes, and these have {axes}; leave it out"
            )

    def prepare_for(self, model: Any) -> None:
        """``prepare`` for the signals of a model; a term that depends on more of the model makes its parts here.

        Raises:
            ConfigError: it is not for such a model.
        """
        self.prepare(model.axes, model.channels)

    def health(self) -> dict[str, Tensor]:
        """Return numbers of the latest step for the log, by name: scalars without gradient, none by default."""
        return {}

    def end_step(self) -> None:
        """Told after each step of the run, own parameters included."""

    @property
    def parts(self) -> tuple[Objective, ...]:
        """The objectives that it is made of, each with an optimizer of its own: itself, if it is no sum."""
        return (self,)

    @property
    def name(self) -> str:
        """The name under which its class is registered, or that of the class."""
        return OBJECTIVES.name_of(type(self)) or type(self).__name__

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments that are not its defaults; one that was changed since counts as it is now."""
        return changed_arguments(self)

    def __str__(self) -> str:
        return write_call(self.name, self.settings)

    def __add__(self, other: Objective) -> WeightedSum:
        return WeightedSum([*_weighted(self), *_weighted(other)])

    def __rmul__(self, weight: float) -> WeightedSum:
        return WeightedSum([(weight * own, part) for own, part in _weighted(self)])


@final
class WeightedSum(Objective):
    """A sum of objectives with weights: ``sum_i w_i L_i``.

    The weight of an adaptive term is relative: it is multiplied by ``|grad sum of the others| / |grad term|``, norms of
    the gradients by what the decoder emits (Esser, Rombach and Ommer 2021, arXiv 2012.09841, equation 7, where they are
    by the weights of its last layer). Under gradient accumulation that is measured in each part. Only the gradient is
    multiplied: what is logged of the term is ``w_i L_i`` as of any other.

    Args:
        terms: weights, finite and 0 or more, and objectives. Terms of one name add up.

    Raises:
        ConfigError: a weight out of range, or no terms.

    Example:
        >>> from vqkit.objectives import GradientObjective, LikelihoodObjective
        >>> type(LikelihoodObjective() + 0.1 * GradientObjective()).__name__
        'WeightedSum'
    """

    def __init__(self, terms: Sequence[tuple[float, Objective]]) -> None:
        super().__init__()
        if not terms:
            raise ConfigError("an objective without terms; give at least one, such as 'likelihood'")
        for weight, term in terms:
            check_weight(weight, str(term))
        self.weights = tuple(float(weight) for weight, _ in terms)
        self.terms = nn.ModuleList(term for _, term in terms)
        self.reads_classes = any(term.reads_classes for _, term in terms)

    @property
    def parts(self) -> tuple[Objective, ...]:
        """See ``Objective.parts``: every term once."""
        return tuple(dict.fromkeys(term for _, term in self._pairs()))

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: each term times its weight."""
        found: dict[str, Tensor] = {}
        ordered = sorted(self._pairs(), key=lambda pair: pair[1].adaptive)  # stable: those come last
        others: list[Tensor] = []
        for weight, term in ordered:
            for name, loss in term.losses(decoded).items():
                ratio = _gradient_ratio(others, loss, decoded.parameters) if term.adaptive else None
                weighted = loss if weight == 1 else weight * loss
                weighted = weighted if ratio is None else _with_gradient_times(ratio, weighted)
                if not term.adaptive:
                    others.append(weighted)
                found[name] = found[name] + weighted if name in found else weighted
        return found

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.own_losses``: of all terms, whatever their weights."""
        return {name: loss for part in self.parts for name, loss in part.own_losses(decoded).items()}

    def prepare(self, axes: int, channels: int) -> None:
        """See ``Objective.prepare``."""
        for part in self.parts:
            part.prepare(axes, channels)

    def prepare_for(self, model: Any) -> None:
        """See ``Objective.prepare_for``."""
        for part in self.parts:
            part.prepare_for(model)

    def end_step(self) -> None:
        """See ``Objective.end_step``."""
        for part in self.parts:
            part.end_step()

    def _pairs(self) -> list[tuple[float, Objective]]:
        return list(zip(self.weights, cast("Iterable[Objective]", self.terms), strict=True))

    def __str__(self) -> str:
        return " + ".join(str(term) if weight == 1 else f"{weight!r}*{term}" for weight, term in self._pairs())


def check_weight(weight: float, term: str) -> None:
    """Raise ``ConfigError`` unless a weight is a finite number, 0 or more."""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
        raise ConfigError(f"objective {term!r} has the weight {weight!r}: give a finite number, 0 or more")


def _weighted(objective: Objective) -> list[tuple[float, Objective]]:
    return objective._pairs() if isinstance(objective, WeightedSum) else [(1.0, objective)]


def _gradient_ratio(others: Sequence[Tensor], term: Tensor, parameters: Tensor) -> Tensor | None:
    """The ratio of gradient norms by what the decoder emits, over all processes; None without a gradient."""
    learned = [loss for loss in others if loss.requires_grad]
    if not (learned and term.requires_grad and parameters.requires_grad and torch.is_grad_enabled()):
        return None
    norms = []
    for loss in (torch.stack(learned).sum(), term):
        (gradient,) = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        norms.append(parameters.new_zeros(()) if gradient is None else gradient.detach().square().sum())
    squares = torch.stack(norms)
    all_reduce_sum_(squares)
    return (squares[0] / squares[1].clamp_min(torch.finfo(squares.dtype).tiny)).sqrt().clamp_max(_MOST_RATIO)


def _with_gradient_times(ratio: Tensor, loss: Tensor) -> Tensor:
    """Return ``loss``, to the last bit, with ``ratio`` times its gradient."""
    scaled = ratio * loss
    return scaled - scaled.detach() + loss.detach()


_ELSEWHERE = {
    "perceptual": "vqkit.models.perceptual.objective:PerceptualObjective",
    "rate": "vqkit.models.rates.objective:RateObjective",
}
OBJECTIVES: Registry[type[Objective]] = Registry("objective", "vqkit.objectives", Objective, elsewhere=_ELSEWHERE)
"""Objectives by the names that ``--objective`` and ``train(objective=...)`` use."""


def mean_of(values: Tensor, mask: Tensor | None) -> Tensor:
    """Average ``[batch, channels, *size]`` over what a mask ``[batch, *size]`` keeps (0 when it keeps nothing).

    A mask ``[batch, channels, *size]`` says so of each value.

    Example:
        >>> import torch
        >>> from vqkit.objectives import mean_of
        >>> mean_of(torch.tensor([[[1.0, 3.0]]]), None).item()
        2.0
    """
    if mask is None:
        return values.mean()
    if mask.ndim == values.ndim:
        return torch.where(mask, values, values.new_zeros(())).sum() / mask.sum().clamp_min(1)
    kept = torch.where(mask.unsqueeze(1), values, values.new_zeros(()))
    return kept.sum() / (mask.sum() * values.shape[1]).clamp_min(1)
