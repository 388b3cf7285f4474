"""Parameter groups: what a part of a model says of how its own parameters are optimized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from vqkit.errors import ConfigError


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are optimized alike, in another way than the rest of the model.

    Attributes:
        parameters: of the part that says it, or of its own parts.
        weight_decay: of these parameters; None: the run's on those of two or more axes, none on the others.
        lr_scale: factor of the run's learning rate, all along its schedule.
        orthogonal: whether an optimizer that makes the steps of matrices orthogonal (``"muon"``) may do so with these;
            False for codebooks, tables and transforms that begin as something known.

    Raises:
        ConfigError: a number that no optimizer takes.

    Example:
        >>> import torch
        >>> import vqkit
        >>> class Encoder(torch.nn.Sequential):
        ...     def parameter_groups(self):
        ...         return [vqkit.ParameterGroup(list(self[0].parameters()), weight_decay=0.0, lr_scale=0.1)]
        >>> encoder = Encoder(torch.nn.Conv2d(1, 8, 4, stride=4), torch.nn.Conv2d(8, 8, 1))
        >>> [group.lr_scale for group in encoder.parameter_groups()]
        [0.1]
    """

    parameters: Sequence[nn.Parameter]
    weight_decay: float | None = None
    lr_scale: float = 1.0
    orthogonal: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lr_scale) and self.lr_scale > 0):
            raise ConfigError(
                f"lr_scale={self.lr_scale}: give a finite factor above 0; requires_grad_(False) freezes parameters"
            )
        if self.weight_decay is not None and not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ConfigError(f"weight_decay={self.weight_decay}: give a finite number of at least 0, or None")


@runtime_checkable
class OwnGroups(Protocol):
    """A module that says how its own parameters are optimized."""

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return groups of its parameters; those in none are optimized as the run's settings say."""
        ...
