"""The Gaussian likelihood with one learned scale per channel: squared error, counted in nats."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.chance import normal
from vqkit.likelihoods.base import Likelihood, Unit, bins, to_levels


@final
class Gaussian(Likelihood):
    """``x ~ N(d(z), s_c^2)``, s_c learned for each channel c; over levels, its integral over each level's bin.

    With real numbers this is the density; a decoder that maximises it minimises the squared error, and the best s^2
    is the mean squared error itself (Rybkin, Daniilidis and Levine 2021, arXiv 2006.13202, equation 5).

    Args:
        channels: C.
        learned: s is a parameter, trained with the rest; False: a buffer that ``fit`` sets.

    Example:
        >>> import torch
        >>> from vqkit.likelihoods import Gaussian
        >>> Gaussian(channels=3).outputs  # the mean of each channel
        3
    """

    log_scale: Tensor

    def __init__(self, channels: int, *, learned: bool = False) -> None:
        super().__init__(channels)
        start = torch.zeros(channels)
        if learned:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    @property
    def outputs(self) -> int:
        """C: the means."""
        return self.channels

    @torch.no_grad()
    def fit(self, mean_square: Tensor) -> None:
        """Set the scale that is likeliest for errors of this mean square, ``[C]``, in a network's numbers."""
        self.log_scale.copy_(0.5 * mean_square.clamp_min(1e-10).log())

    def log_prob(self, raw: Tensor, x: Tensor, unit: Unit) -> Tensor:
        """See ``Likelihood.log_prob``."""
        return self.log_prob_known(raw, x, unit, None)

    def log_prob_known(self, raw: Tensor, x: Tensor, unit: Unit, known: Tensor | None) -> Tensor:
        """See ``Likelihood.log_prob_known``."""
        logs = self._log_prob_each(raw, x, unit)
        return (logs if known is None else torch.where(known, logs, logs.new_zeros(()))).sum(dim=1)

    def _log_prob_each(self, raw: Tensor, x: Tensor, unit: Unit) -> Tensor:
        log_scale = self._per_channel(raw)
        inverse = torch.exp(-log_scale)
        if not unit.discrete:
            std = torch.as_tensor(unit.std, dtype=raw.dtype, device=raw.device)
            t = ((x - unit.mean) / std - raw) * inverse
            return -0.5 * t.square() - log_scale - std.log() - 0.5 * math.log(2 * math.pi)
        bin_ = bins(x, unit)
        t, half = (bin_.center - raw) * inverse, bin_.half * inverse
        upper = _log_normal_cdf(half - t.abs())  # the bin, mirrored into the lower tail
        lower = _log_normal_cdf(-half - t.abs())
        tiny = torch.finfo(raw.dtype).tiny
        inner = upper + torch.log((-torch.expm1(lower - upper)).clamp_min(tiny))
        edge = _log_normal_cdf(half + torch.where(bin_.first > 0, t, -t))
        return torch.where(bin_.first + bin_.last > 0, edge, inner)

    def mean(self, raw: Tensor) -> Tensor:
        """See ``Likelihood.mean``."""
        return raw

    def shifted(self, raw: Tensor, numbers: Tensor) -> Tensor:
        """See ``Likelihood.shifted``."""
        return raw + numbers

    def sample(self, raw: Tensor, unit: Unit, generator: torch.Generator | None = None) -> Tensor:
        """See ``Likelihood.sample``."""
        noise = normal(raw.shape, generator, raw.device, raw.dtype)
        return to_levels(raw + noise * torch.exp(self._per_channel(raw)), unit)

    @property
    def draws(self) -> int:
        """See ``Likelihood.draws``: one for each channel."""
        return self.channels

    def draw(self, raw: Tensor, uniform: Tensor, unit: Unit, temperature: float = 1.0) -> Tensor:
        """See ``Likelihood.draw``: the inverse of the distribution function."""
        noise = torch.special.ndtri(uniform.clamp(1e-12, 1 - 1e-12)).to(raw.dtype)
        return to_levels(raw + temperature * noise * torch.exp(self._per_channel(raw)), unit)

    def _per_channel(self, raw: Tensor) -> Tensor:
        return self.log_scale.to(raw.dtype).view(-1, *[1] * (raw.ndim - 2))


class _LogNormalCdf(torch.autograd.Function):
    """PyTorch's own gradient, ``exp(-x^2 / 2 - result)``, is lost to rounding in the far tail, then Inf."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.special.log_ndtr(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = gradients[0] * math.sqrt(2 / math.pi) / torch.special.erfcx(x * -math.sqrt(0.5))
        return slope


def _log_normal_cdf(x: Tensor) -> Tensor:
    """log of the standard normal distribution function, with a gradient that is right however far the tail."""
    result: Tensor = _LogNormalCdf.apply(x)
    return result
