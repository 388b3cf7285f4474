"""The categorical likelihood: a probability of its own for each level (softmax); of sound the levels of mu-law."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.chance import uniform as drawn
from vqkit.errors import ConfigError
from vqkit.likelihoods.base import Likelihood, Unit, widened

MU = 255
MU_LEVELS = 256
"""Values that a sample takes under mu-law: 8 bits, as in WaveNet (arXiv 1609.03499, section 2.2) and ITU-T G.711."""


@final
class Categorical(Likelihood):
    """A softmax over levels (van den Oord et al. 2016, PixelRNN, arXiv 1601.06759, and WaveNet, arXiv 1609.03499).

    Signals with levels (8-bit images) have these. Sound, whose samples are real numbers of [-1, 1], is rounded to the
    256 levels of mu-law, which lie the closer the softer: the likelihood is then one of the rounded sound. It can say
    any distribution of a value, which an autoregressive decoder makes the most of; channels are independent.

    Args:
        channels: C.
        levels: of the signal; None: those of mu-law.

    Example:
        >>> import torch
        >>> from vqkit.likelihoods import Categorical, Unit
        >>> likelihood = Categorical(channels=1)
        >>> likelihood.outputs, likelihood.own_levels
        (256, 256)
        >>> float(likelihood.log_prob(torch.zeros(1, 256, 1), torch.zeros(1, 1, 1), Unit(0.0, 1.0, None)).exp())
        0.00390625
    """

    def __init__(self, channels: int, levels: int | None = None) -> None:
        super().__init__(channels)
        self._levels = MU_LEVELS if levels is None else levels
        self.own_levels = MU_LEVELS if levels is None else None
        self._values: dict[Any, Tensor] = {}

    @property
    def outputs(self) -> int:
        """A logit for each level of each channel."""
        return self.channels * self._levels

    @property
    def draws(self) -> int:
        """See ``Likelihood.draws``: one for each channel."""
        return self.channels

    def values(self, unit: Unit, like: Tensor) -> Tensor:
        """The levels as values of the signal, ascending, ``[levels]``."""
        key = unit.levels is None, like.device, like.dtype
        if key not in self._values:
            ramp = torch.arange(self._levels, dtype=torch.float64, device="cpu")
            found = ramp / (self._levels - 1) if unit.levels is not None else expanded(ramp)
            self._values[key] = found.to(like.device, like.dtype)
        return self._values[key]

    def level_of(self, x: Tensor, unit: Unit) -> Tensor:
        """The number of the nearest level of each value, int64."""
        if unit.levels is None:
            return compressed(x).long()
        return (widened(x) * (self._levels - 1)).round().clamp(0, self._levels - 1).long()

    def discretized(self, x: Tensor, unit: Unit) -> Tensor:
        """See ``Likelihood.discretized``."""
        return self.values(unit, x)[self.level_of(x, unit)]

    def log_prob(self, raw: Tensor, x: Tensor, unit: Unit) -> Tensor:
        """See ``Likelihood.log_prob``."""
        logs = functional.log_softmax(self._logits(raw), dim=2)
        return logs.gather(2, self.level_of(x, unit).unsqueeze(2)).squeeze(2).sum(dim=1)

    def mean(self, raw: Tensor) -> Tensor:
        """The expected value in the signal's own unit; see ``expected``."""
        return self.expected(raw, Unit(0.0, 1.0, None if self.own_levels else self._levels))

    def expected(self, raw: Tensor, unit: Unit) -> Tensor:
        """See ``Likelihood.expected``."""
        values = (self.values(unit, raw) - unit.mean) / unit.std
        shape = (1, 1, -1, *[1] * (raw.ndim - 2))
        return (functional.softmax(self._logits(raw), dim=2) * values.to(raw.dtype).view(shape)).sum(dim=2)

    def shifted(self, raw: Tensor, numbers: Tensor) -> Tensor:
        """A softmax has no mean that could be moved.

        Raises:
            ConfigError: always.
        """
        del raw, numbers
        raise ConfigError("likelihood='categorical' goes with no linear_path: it has no mean to add a line to")

    def sample(self, raw: Tensor, unit: Unit, generator: torch.Generator | None = None) -> Tensor:
        """See ``Likelihood.sample``."""
        shape = (len(raw), self.draws, *raw.shape[2:])
        return self.draw(raw, drawn(shape, generator, raw.device, torch.float64), unit)

    def draw(self, raw: Tensor, uniform: Tensor, unit: Unit, temperature: float = 1.0) -> Tensor:
        """See ``Likelihood.draw``: where the cumulative probability exceeds a uniform number."""
        logits = widened(self._logits(raw))
        if temperature == 0:
            level = logits.argmax(dim=2)
        else:
            mass = functional.softmax(logits / temperature, dim=2).cumsum(dim=2)
            level = (mass <= uniform.unsqueeze(2) * mass[:, :, -1:]).sum(dim=2).clamp_max(self._levels - 1)
        return self.values(unit, raw)[level]

    def _logits(self, raw: Tensor) -> Tensor:
        """``[batch, C, levels, *size]``."""
        return raw.unflatten(1, (self.channels, self._levels))


def compressed(x: Tensor) -> Tensor:
    """The mu-law level nearest to each value of [-1, 1], 0 to 255 (values beyond count as the bounds).

    Example:
        >>> import torch
        >>> from vqkit.likelihoods.categorical import compressed
        >>> compressed(torch.tensor([-1.0, 0.01, 1.0]))
        tensor([  0., 157., 255.], dtype=torch.float64)
    """
    x = widened(x).clamp(-1.0, 1.0)
    companded = x.sign() * (MU * x.abs()).log1p() / math.log1p(MU)
    return ((companded + 1) / 2 * (MU_LEVELS - 1)).round()


def expanded(level: Tensor) -> Tensor:
    """The values of mu-law levels, the inverse of ``compressed``.

    Example:
        >>> import torch
        >>> from vqkit.likelihoods.categorical import expanded
        >>> expanded(torch.tensor([0.0, 128.0, 255.0]))
        tensor([-1.0000e+00,  8.6213e-05,  1.0000e+00])
    """
    companded = 2 * level / (MU_LEVELS - 1) - 1
    return companded.sign() * (companded.abs() * math.log1p(MU)).expm1() / MU
