"""Base of every likelihood p(x | z): a distribution over signals, given the parameters that a decoder emits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from vqkit.deprecation import renamed
from vqkit.errors import ConfigError
from vqkit.spelling import setting


@dataclass(frozen=True)
class Unit:
    """Affine map from a network's numbers to signal values: ``value = std * number + mean``.

    Attributes:
        mean: of the signal; scalar.
        std: of the signal; scalar.
        levels: how many values a signal can take, evenly from 0 to 1 (256 for 8-bit data); None for real numbers.
        step: how far apart the values are that a signal can take, multiples of it (1 of integers); None: as levels say.
        bounds: with a step, the lowest and the highest value; what lies beyond counts to these. None: there are none.

    Example:
        >>> from vqkit.likelihoods import Unit
        >>> unit = Unit(mean=0.5, std=0.25)
        >>> unit.std * 1.0 + unit.mean
        0.75
    """

    mean: Tensor | float
    std: Tensor | float
    levels: int | None = 256
    step: float | None = None
    bounds: tuple[float, float] | None = None

    @property
    def discrete(self) -> bool:
        """Whether a signal takes values that are counted, and no real numbers."""
        return self.levels is not None or self.step is not None


@dataclass
class Bins:
    """Signals as the bins of their levels, in a network's numbers.

    Attributes:
        center: ``[batch, channels, *size]``.
        half: half of a bin's width.
        first: 1.0 where the level is the lowest (its bin reaches to minus infinity), else 0.0.
        last: 1.0 where the level is the highest, else 0.0.
    """

    center: Tensor
    half: Tensor
    first: Tensor
    last: Tensor

    @property
    def centre(self) -> Tensor:
        """Old name of ``center``."""
        renamed("Bins.centre", "center")
        return self.center


class Likelihood(nn.Module, ABC):
    """p(x | z), independent over positions given the decoder's output.

    Args:
        channels: C, of the signal.

    Example:
        >>> from vqkit.likelihoods import LIKELIHOODS, Likelihood
        >>> all(issubclass(kind, Likelihood) for kind in LIKELIHOODS.values())
        True
    """

    needs_levels: ClassVar[bool] = False
    """Whether it is one of levels only (8-bit images and video)."""
    own_levels: int | None = None
    """Levels that it rounds signals without any to; its probabilities are then those of the rounded signal."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Channels that the decoder emits at each position."""

    @abstractmethod
    def log_prob(self, raw: Tensor, x: Tensor, unit: Unit) -> Tensor:
        """Natural logarithm of the probability of each position's values, all channels together.

        Args:
            raw: what the decoder emits, ``[batch, outputs, *size]``.
            x: signals ``[batch, C, *size]`` in [0, 1] (with ``unit.levels``: multiples of ``1 / (levels - 1)``,
                rounded to the nearest), or any real numbers.
            unit: how the two belong together.

        Returns:
            ``[batch, *size]`` in nats: log probabilities with ``unit.levels``, else log densities per value of x.
        """

    def log_prob_known(self, raw: Tensor, x: Tensor, unit: Unit, known: Tensor | None) -> Tensor:
        """``log_prob`` of the values that are known; the others are left out.

        Args:
            raw: see ``log_prob``.
            x: see ``log_prob``; what is not known is any finite number.
            unit: see ``log_prob``.
            known: ``[batch, C, *size]`` bool; None: all are.

        Raises:
            ConfigError: it cannot leave values out.
        """
        if known is None:
            return self.log_prob(raw, x, unit)
        raise ConfigError(
            f"a {type(self).__name__} counts all channels of a position together, so it takes no data with gaps; give "
            f"{setting('likelihood', 'gaussian')}"
        )

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """The expected signal in a network's numbers (not clipped to the signal's range), ``[batch, C, *size]``."""

    @abstractmethod
    def shifted(self, raw: Tensor, numbers: Tensor) -> Tensor:
        """Parameters whose means are higher by ``numbers``, ``[batch, C, *size]``."""

    @abstractmethod
    def sample(self, raw: Tensor, unit: Unit, generator: torch.Generator | None = None) -> Tensor:
        """A signal drawn at each position, ``[batch, C, *size]``, in the signal's own values."""

    def expected(self, raw: Tensor, unit: Unit) -> Tensor:
        """``mean`` of a likelihood that has to know how a network's numbers and the signal's values belong together."""
        del unit
        return self.mean(raw)

    def discretized(self, x: Tensor, unit: Unit) -> Tensor:
        """Signals ``[batch, C, *size]`` rounded to the values that the likelihood gives a probability to."""
        if unit.step is not None:
            return (x / unit.step).round() * unit.step
        return x if unit.levels is None else (x * (unit.levels - 1)).round() / (unit.levels - 1)

    @property
    def draws(self) -> int:
        """How many uniform numbers ``draw`` turns into the values of a position.

        Raises:
            ConfigError: it has no ``draw``, and an autoregressive decoder needs one.
        """
        raise self._draws_nothing()

    def draw(self, raw: Tensor, uniform: Tensor, unit: Unit, temperature: float = 1.0) -> Tensor:
        """A signal drawn at each position, the same for the same uniform numbers, whatever else is in the batch.

        Args:
            raw: what the decoder emits, ``[batch, outputs, *size]``.
            uniform: independent numbers of [0, 1), ``[batch, draws, *size]`` float64.
            unit: how a network's numbers and values belong together.
            temperature: of the distribution: 1 draws from it, less keeps closer to the likeliest, 0 takes that.

        Returns:
            ``[batch, C, *size]``, in the signal's own values.
        """
        del raw, uniform, unit, temperature
        raise self._draws_nothing()

    def _draws_nothing(self) -> ConfigError:
        return ConfigError(
            f"an autoregressive decoder draws value by value, which a {type(self).__name__} cannot: give another "
            f"{setting('likelihood')}, such as categorical"
        )


def widened(x: Tensor) -> Tensor:
    """In float64, where the device has it: the same level for the same value, in whatever it was computed."""
    return x if x.device.type == "mps" else x.double()


def bins(x: Tensor, unit: Unit) -> Bins:
    """The bins of signals ``[batch, C, *size]`` in [0, 1]; needs ``unit.levels``, or (of any signals) ``unit.step``."""
    if unit.step is not None:
        return _steps(x, unit)
    assert unit.levels is not None
    top = unit.levels - 1
    level = (x * top).round()
    std = torch.as_tensor(unit.std, dtype=x.dtype, device=x.device)
    center = (level / top - unit.mean) / std
    return Bins(center, 0.5 / top / std, (level <= 0).to(x.dtype), (level >= top).to(x.dtype))


def _steps(x: Tensor, unit: Unit) -> Bins:
    assert unit.step is not None
    std = torch.as_tensor(unit.std, dtype=x.dtype, device=x.device)
    values = (x / unit.step).round() * unit.step
    low, high = unit.bounds or (-math.inf, math.inf)
    first, last = (values <= low).to(x.dtype), (values >= high).to(x.dtype)
    return Bins((values - unit.mean) / std, 0.5 * unit.step / std, first, last)


def to_levels(numbers: Tensor, unit: Unit) -> Tensor:
    """A network's numbers as values of the signal, rounded to the nearest level where it has levels."""
    values = numbers * unit.std + unit.mean
    if unit.step is not None:
        low, high = unit.bounds or (-math.inf, math.inf)
        return ((values / unit.step).round() * unit.step).clamp(low, high)
    if unit.levels is None:
        return values
    top = unit.levels - 1
    return (values * top).round().clamp(0, top) / top
