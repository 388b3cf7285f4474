"""Mixtures of discretised logistics (Salimans, Karpathy, Chen and Kingma 2017, arXiv 1701.05517, section 2.1, 2.2)."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.chance import uniform as drawn
from vqkit.errors import ConfigError
from vqkit.likelihoods.base import Likelihood, Unit, bins, to_levels

_SMALLEST_LOG_SCALE = -7.0
_LARGEST_LOG_SCALE = 20.0
"""Beyond it a bin's probability is lost to rounding in float32, then 0."""
_FIRST_LOG_SCALE = -2.0
"""Where a decoder that emits zeros begins: errors of about a quarter of the data's spread."""


class LogisticMixture(Likelihood):
    """A mixture of logistics, each integrated over the bin of every level; the outermost bins reach to infinity.

    One mixture for all channels of a position. With ``conditional_channels`` the mean of a later channel (green, blue)
    moves linearly with the true values of the earlier ones, as in PixelCNN++: still a normalised likelihood of x given
    z alone, since the values of one position are coded one after the other. Here it moves with how far those values
    are from their own means, so that the means themselves are what the decoder expects::

        mean of channel c = m_c + sum over e < c of a_ce (x_e - m_e)

    The bin's probability is ``s(b) - s(a) = s(b) s(-a) (1 - e^(a - b))`` with s the logistic function: exact, and
    stable in float32 however far the tail.

    Args:
        channels: C.
        components: of the mixture; with 1 and no conditioning it is the plain discretised logistic.
        conditional_channels: see above.

    Raises:
        ConfigError: less than one component.

    Example:
        >>> from vqkit.likelihoods import LogisticMixture
        >>> LogisticMixture(3, components=5).outputs
        50
    """

    needs_levels: ClassVar[bool] = True

    def __init__(self, channels: int, *, components: int = 5, conditional_channels: bool = True) -> None:
        super().__init__(channels)
        if components < 1:
            raise ConfigError(f"components={components}: a mixture has 1 component or more")
        self.components = components
        self.pairs = channels * (channels - 1) // 2 if conditional_channels else 0

    @property
    def outputs(self) -> int:
        """Mixture weights, then means and log scales of each channel, then coefficients between channels."""
        return self.components * ((self.components > 1) + 2 * self.channels + self.pairs)

    def log_prob(self, raw: Tensor, x: Tensor, unit: Unit) -> Tensor:
        """See ``Likelihood.log_prob``.

        Raises:
            ValueError: real numbers (no ``unit.levels``): this likelihood is one of levels.
        """
        return self.log_prob_known(raw, x, unit, None)

    def log_prob_known(self, raw: Tensor, x: Tensor, unit: Unit, known: Tensor | None) -> Tensor:
        """See ``Likelihood.log_prob_known``: a value that is not known moves the means of no later channel.

        Raises:
            ValueError: see ``log_prob``.
        """
        if not unit.discrete:
            raise ValueError("a discretised likelihood needs signals with levels (8-bit images); take 'gaussian'")
        log_weights, means, log_scales, coefficients = self._parts(raw)
        bin_ = bins(x, unit)
        center = bin_.center.unsqueeze(1)  # [batch, 1, C, *size] against [batch, M, C, *size]
        first, last = bin_.first.unsqueeze(1), bin_.last.unsqueeze(1)
        kept = None if known is None else known.unsqueeze(1)
        means = self._conditioned(means, coefficients, center, kept)
        inverse = torch.exp(-log_scales)
        half = (bin_.half.unsqueeze(0) if isinstance(bin_.half, Tensor) and bin_.half.ndim > 1 else bin_.half) * inverse
        t = (center - means) * inverse
        upper, lower = t + half, t - half
        log_bin = (
            (1 - last) * functional.logsigmoid(upper)
            + (1 - first) * functional.logsigmoid(-lower)
            + (1 - first) * (1 - last) * torch.log(-torch.expm1(-2 * half))
        )
        joint = (log_bin if kept is None else torch.where(kept, log_bin, log_bin.new_zeros(()))).sum(dim=2)
        return joint.squeeze(1) if log_weights is None else torch.logsumexp(log_weights + joint, dim=1)

    def mean(self, raw: Tensor) -> Tensor:
        """See ``Likelihood.mean``."""
        log_weights, means, _, _ = self._parts(raw)
        return means.squeeze(1) if log_weights is None else (log_weights.exp().unsqueeze(2) * means).sum(dim=1)

    def shifted(self, raw: Tensor, numbers: Tensor) -> Tensor:
        """See ``Likelihood.shifted``."""
        weighted = self.components if self.components > 1 else 0
        first, many = raw[:, :weighted], self.components * self.channels
        means = raw[:, weighted : weighted + many] + numbers.repeat(1, self.components, *[1] * (raw.ndim - 2))
        return torch.cat([first, means, raw[:, weighted + many :]], dim=1)

    def sample(self, raw: Tensor, unit: Unit, generator: torch.Generator | None = None) -> Tensor:
        """See ``Likelihood.sample``."""
        size, uniform = raw.shape[2:], []
        if self.components > 1:
            uniform.append(drawn((len(raw), self.components, *size), generator, raw.device, raw.dtype))
        uniform += [drawn((len(raw), 1, *size), generator, raw.device, raw.dtype) for _ in range(self.channels)]
        return self.draw(raw, torch.cat(uniform, dim=1), unit)

    @property
    def draws(self) -> int:
        """See ``Likelihood.draws``: one for each component of a mixture, one for each channel."""
        return (self.components if self.components > 1 else 0) + self.channels

    def draw(self, raw: Tensor, uniform: Tensor, unit: Unit, temperature: float = 1.0) -> Tensor:
        """See ``Likelihood.draw``: a component by the Gumbel trick, then the inverse distribution of each channel."""
        log_weights, means, log_scales, coefficients = self._parts(raw)
        uniform, chosen = uniform.to(raw.dtype), torch.zeros_like(means[:, :1, :1], dtype=torch.int64)
        if log_weights is not None:
            noise = -(-uniform[:, : self.components].clamp(1e-7, 1 - 1e-7).log()).log()
            chosen = (log_weights + (noise if temperature == 1 else temperature * noise)).argmax(dim=1, keepdim=True)
            chosen = chosen.unsqueeze(2)
        one = [part.gather(1, chosen.expand(-1, 1, *part.shape[2:])).squeeze(1) for part in (means, log_scales)]
        slopes = None
        if coefficients is not None:
            slopes = coefficients.gather(1, chosen.expand(-1, 1, *coefficients.shape[2:])).squeeze(1)
        numbers: list[Tensor] = []  # in a network's numbers, as the values that were drawn
        values: list[Tensor] = []
        for channel in range(self.channels):
            mean = one[0][:, channel]
            if slopes is not None:
                first = channel * (channel - 1) // 2
                for earlier in range(channel):
                    mean = mean + slopes[:, first + earlier] * (numbers[earlier] - one[0][:, earlier])
            noise = torch.logit(uniform[:, self.draws - self.channels + channel].clamp(1e-6, 1 - 1e-6))
            scale = torch.exp(one[1][:, channel])
            number = mean + (scale if temperature == 1 else temperature * scale) * noise
            values.append(to_levels(number, unit))
            numbers.append((values[-1] - unit.mean) / unit.std)
        return torch.stack(values, dim=1)

    def _parts(self, raw: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor | None]:
        """log weights ``[B, M, ...]``, means and log scales ``[B, M, C, ...]``, coefficients ``[B, M, pairs, ...]``."""
        components, channels = self.components, self.channels
        size = raw.shape[2:]
        weighted = components if components > 1 else 0
        many = components * channels
        logits, means, log_scales, coefficients = raw.split([weighted, many, many, components * self.pairs], dim=1)
        means = means.reshape(-1, components, channels, *size)
        log_scales = 2 * log_scales.reshape(-1, components, channels, *size) + _FIRST_LOG_SCALE
        log_scales = log_scales.clamp(_SMALLEST_LOG_SCALE, _LARGEST_LOG_SCALE)
        slopes = None
        if self.pairs:  # channels that move with the one before them, unless the decoder says otherwise
            first = [float(earlier == later - 1) for later in range(channels) for earlier in range(later)]
            shape = (1, 1, self.pairs, *[1] * len(size))
            slopes = coefficients.reshape(-1, components, self.pairs, *size) + raw.new_tensor(first).view(shape)
        return (functional.log_softmax(logits, dim=1) if weighted else None), means, log_scales, slopes

    def _conditioned(self, means: Tensor, slopes: Tensor | None, values: Tensor, known: Tensor | None = None) -> Tensor:
        """The means of each channel given the true ``values`` of the earlier ones."""
        if slopes is None:
            return means
        found = [means[:, :, 0]]
        surprises = values - means
        if known is not None:
            surprises = torch.where(known, surprises, surprises.new_zeros(()))
        pair = 0
        for channel in range(1, self.channels):
            mean = means[:, :, channel]
            for earlier in range(channel):
                mean = mean + slopes[:, :, pair] * surprises[:, :, earlier]
                pair += 1
            found.append(mean)
        return torch.stack(found, dim=2)


@final
class Logistic(LogisticMixture):
    """The discretised logistic: one component, each channel on its own.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, components=1, conditional_channels=False)
