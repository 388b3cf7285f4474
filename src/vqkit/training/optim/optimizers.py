"""Optimizers by name: what makes the steps of a training from its gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import torch

from vqkit.calls import parse_call, write_call
from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.recording import Recorded, build_part, changed_arguments
from vqkit.registry import Registry
from vqkit.training.optim.muon import Muon

DEFAULT_OPTIMIZER = "adamw"


class OptimizerMaker(Recorded, ABC):
    """What a run makes its optimizer with; ``OPTIMIZERS.register("mine")`` makes one known by name.

    Attributes:
        matrices: whether weight matrices come in groups of their own, see ``make``.
        sharded: whether its steps are right for parameters that are sharded over processes (``parallel="fsdp"``).

    Example:
        >>> import torch
        >>> from vqkit.training import OPTIMIZERS, OptimizerMaker
        >>> class Momentum(OptimizerMaker):
        ...     def make(self, groups, learning_rate, fused):
        ...         return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, fused=fused)
        >>> "adamw" in OPTIMIZERS
        True
    """

    matrices: ClassVar[bool] = False
    sharded: ClassVar[bool] = True

    @abstractmethod
    def make(self, groups: list[dict[str, Any]], learning_rate: float, fused: bool | None) -> torch.optim.Optimizer:
        """Return the optimizer of groups; the tensors that it keeps in its ``state`` are what checkpoints hold.

        Args:
            groups: each with ``params``, ``weight_decay``, ``lr_scale`` (the loop sets ``lr`` before each step), and
                ``orthogonal`` where ``matrices`` is set: whether these are weight matrices.
            learning_rate: the peak.
            fused: True where fused kernels can be used, else None.
        """

    def __str__(self) -> str:
        return write_call(OPTIMIZERS.name_of(type(self)) or type(self).__name__, changed_arguments(self))


OPTIMIZERS: Registry[type[OptimizerMaker]] = Registry("optimizer", "vqkit.optimizers", OptimizerMaker)
"""Registry of the optimizers by name."""


@OPTIMIZERS.register("adamw", citations=("loshchilov2019decoupled",))
@final
class AdamWMaker(OptimizerMaker):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101).

    Args:
        beta1: of the mean of gradients.
        beta2: of the mean of their squares.
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.99) -> None:
        self.betas = (_decay("beta1", beta1), _decay("beta2", beta2))

    def make(self, groups: list[dict[str, Any]], learning_rate: float, fused: bool | None) -> torch.optim.Optimizer:
        """See ``OptimizerMaker.make``."""
        return torch.optim.AdamW(groups, lr=learning_rate, betas=self.betas, fused=fused)


@OPTIMIZERS.register("muon", citations=("jordan2024muon",))
@final
class MuonMaker(OptimizerMaker):
    """Steps of weight matrices made orthogonal, Adam for all else (Jordan et al. 2024, Muon).

    Args:
        scale: of the steps of matrices, as a multiple of the learning rate (which Adam's parameters take as it is).
        momentum: of the mean of gradients.
        iterations: of Newton and Schulz, that make a step orthogonal; three to five.
        beta1: of Adam.
        beta2: of Adam.
    """

    matrices: ClassVar[bool] = True
    sharded: ClassVar[bool] = False

    def __init__(
        self, scale: float = 30.0, momentum: float = 0.95, iterations: int = 3, beta1: float = 0.9, beta2: float = 0.99
    ) -> None:
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < float("inf"):
            raise ConfigError(f"optimizer 'muon': scale={shown(scale)}: give a finite number above 0")
        if isinstance(iterations, bool) or not isinstance(iterations, int) or not 1 <= iterations <= 20:
            raise ConfigError(f"optimizer 'muon': iterations={shown(iterations)}: give a whole number from 1 to 20")
        self.scale = float(scale)
        self.momentum, self.iterations = _decay("momentum", momentum), iterations
        self.betas = (_decay("beta1", beta1), _decay("beta2", beta2))

    def make(self, groups: list[dict[str, Any]], learning_rate: float, fused: bool | None) -> torch.optim.Optimizer:
        """See ``OptimizerMaker.make``."""
        return Muon(
            groups,
            lr=learning_rate,
            scale=self.scale,
            momentum=self.momentum,
            iterations=self.iterations,
            betas=self.betas,
            fused=fused,
        )


def parse_optimizer(given: Any) -> str:
    """Return a setting in its one spelling: a name, perhaps with options. Whether it is known is not asked.

    Raises:
        ConfigError: none of these.

    Example:
        >>> from vqkit.training.optim.optimizers import parse_optimizer
        >>> parse_optimizer("muon( scale = 20 )")
        'muon(scale=20)'
    """
    if isinstance(given, OptimizerMaker) and OPTIMIZERS.name_of(type(given)) is not None:
        return str(given)
    if not isinstance(given, str):
        raise ConfigError(f"optimizer={shown(given)}: give a name, of {', '.join(OPTIMIZERS)}")
    return write_call(*_parsed(given))


def build_optimizer_maker(text: str) -> OptimizerMaker:
    """Build what a setting names.

    Raises:
        ConfigError: an unknown name (the known ones are listed), or options that its class does not take.
    """
    name, options = _parsed(text)
    OPTIMIZERS.get_part(name)  # an unknown name is told with the nearest one
    built: OptimizerMaker = build_part({"type": name, "config": options}, OPTIMIZERS)
    return built


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    try:
        return parse_call(text)
    except ValueError as error:
        raise ConfigError(
            f"optimizer={shown(text)} is not the name of an optimizer ({error}); write it as 'muon' or "
            f"'muon(scale=20)'; known: {', '.join(OPTIMIZERS)}"
        ) from error


def _decay(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(f"optimizer: {name}={shown(value)}: a decay lies in [0, 1)")
    return float(value)
