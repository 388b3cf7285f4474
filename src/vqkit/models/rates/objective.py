"""The rate as an objective: what indices cost under a context prior that learns beside the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.exact.formats import LOGIT
from vqkit.objectives import OBJECTIVES, Assignment, Decoded, Objective
from vqkit.ops.precision import at_least_float32
from vqkit.priors import ContextPrior, load_prior
from vqkit.priors.context.network import NOW
from vqkit.priors.context.shown import draw_shown
from vqkit.quantizers.base import Quantizer, flatten_grid
from vqkit.quantizers.codeword_sums import CodewordSum, codeword_sum
from vqkit.spelling import option


@OBJECTIVES.register("rate", citations=("agustsson2017soft",))
@final
class RateObjective(Objective):
    """The rate: bits of a signal's indices under a context prior, per value of the signal.

    The prior learns the model's indices while the model learns (its own loss), and the encoder learns which latents
    are cheap: with latents z, codewords e_k, r what earlier codebooks have left of z, and p the prior given the indices
    that come earlier in its order::

        model:  sum_k w_k (-log2 p_k)     w = softmax(-(|r - e_k|^2 + rate_weight bits_k) / T)
        prior:  -log p of the indices chosen

    The value is that of the indices chosen, ``-log2 p``; the gradient is that of the sum, a relaxed assignment
    (Agustsson et al. 2017, arXiv 1704.00648, section 3.2; here the hard one is what the decoder sees), and reaches the
    encoder through w alone. Codewords learn as their quantizer has them learn. ``rate_weight`` of a quantizer weighs a
    histogram; this weighs what files are coded with. One random step of the prior's order is looked at for each item
    and training step, so that the value is an unbiased estimate.

    The squared error of a model is relative to the variance of the data, per value; so a weight of 0.1 says that one
    bit per value is worth a tenth of the variance. With ``relative`` it is worth so many times the item's own squared
    error: the slope of the logarithm of the error over the rate, which differs less between rates than that of the
    error, so that one weight suits a model of several rates.

    For a model that is trained already (``vqkit train --start RUN``), with its quantizer frozen: a codebook that
    follows its latents goes along with those that the rate moves, so that none becomes cheaper.

    Args:
        prior: folder of a context prior of such indices (``RUN/prior/context/run``), to begin with; "": a new one.
        relative: see above.
        temperature: T, relative to the mean squared distance of the nearest code in the batch, of each codebook.
        after: steps of training before the model's term begins; the prior learns from the first.
        hidden_channels: of a new prior.
        layers: of a new prior.
        learning_rate: the peak of the prior's.

    Raises:
        ConfigError: a value out of range, or no such folder.

    Example:
        >>> import vqkit
        >>> model = vqkit.VQVAE(16, hidden_channels=8)
        >>> model.use_objective("likelihood + 0.1*rate(temperature=0.5)")
        >>> str(model.objective)
        'likelihood + 0.1*rate(temperature=0.5)'
    """

    estimated: ClassVar[bool] = True
    context: ContextPrior

    def __init__(
        self,
        *,
        prior: str = "",
        relative: bool = False,
        temperature: float = 1.0,
        after: int = 0,
        hidden_channels: int = 96,
        layers: int = 4,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__()
        if not isinstance(prior, str):
            raise ConfigError(f"objective {self.name!r}: prior={shown(prior)}: give the folder of a prior")
        for name, value in (("temperature", temperature), ("learning_rate", learning_rate)):
            if type(value) not in {int, float} or not 0 < value < math.inf:
                raise ConfigError(f"objective {self.name!r}: {name}={shown(value)}: give a finite number above 0")
        for name, value, least in (("after", after, 0), ("hidden_channels", hidden_channels, 1), ("layers", layers, 1)):
            if type(value) is not int or value < least:
                raise ConfigError(f"objective {self.name!r}: {name}={shown(value)}: give a whole number from {least}")
        self.prior, self.relative, self.temperature, self.after = prior, bool(relative), temperature, after
        self.hidden_channels, self.layers, self.learning_rate = hidden_channels, layers, learning_rate
        self.steps = 0
        self._quantizer: tuple[Quantizer, ...] = ()  # in a tuple: no part of the objective

    def prepare_for(self, model: Any) -> None:
        """See ``Objective.prepare_for``: makes or loads the prior of the model's indices.

        Raises:
            ConfigError: a model without codebooks whose codewords add up, or a prior of other indices.
        """
        super().prepare_for(model)
        quantizer = getattr(model, "quantizer", None)
        if quantizer is None:
            raise ConfigError(
                f"objective {self.name!r}: indices have a rate, and this model has none; leave {self.name!r} out"
            )
        codeword_sum(quantizer)
        self._quantizer = (quantizer,)
        if not hasattr(self, "context"):
            self.context = self._made(quantizer, model.axes)

    def _made(self, quantizer: Quantizer, axes: int) -> ContextPrior:
        size, codebooks = quantizer.codebook_size, quantizer.num_codebooks
        if not self.prior:
            width, layers = self.hidden_channels, self.layers
            return ContextPrior(size, (1,) * axes, num_codebooks=codebooks, hidden_channels=width, layers=layers)
        made = load_prior(self.prior)
        if not isinstance(made, ContextPrior) or made.conditions.rows:
            raise ConfigError(f"objective {self.name!r}: {self.prior} is no context prior without classes")
        if (made.codebook_size, made.num_codebooks, len(made.grid)) != (size, codebooks, axes):
            raise ConfigError(
                f"objective {self.name!r}: {self.prior} is of {made.num_codebooks} codebooks of {made.codebook_size} "
                f"codes on {len(made.grid)} axes, and the model has {codebooks} of {size} on {axes}"
            )
        return made

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See ``Objective.make_optimizer``."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: bits per value."""
        name, chosen = f"{self.name}_loss", _assignment(decoded, self.name)
        nothing = decoded.parameters.flatten()[:0].sum()
        if self.steps < self.after:
            return {name: nothing}
        generator = None
        if not decoded.parameters.requires_grad:  # judged: the same steps each time
            generator = torch.Generator(chosen.indices.device).manual_seed(0)
        if decoded.parameters.requires_grad and not self._quantizer[0].frozen:
            raise ConfigError(
                f"objective {self.name!r}: the codebook would follow the latents that the rate moves, and nothing "
                f"would cost less; train the model first, then freeze it: {option('freeze', ['quantizer'])}"
            )
        bits = nothing
        with torch.autocast(chosen.latents.device.type, enabled=False):
            with torch.no_grad():
                costs = list(self._costs(chosen, decoded, generator))
            words = codeword_sum(self._quantizer[0])
            left = _left(self._quantizer[0], chosen, words)
            worth = _squared_errors(decoded) if self.relative else left.new_ones(len(chosen.codes))
            for each in costs:
                rows = left[each.codebook][each.asked]
                relaxed = self._relaxed(rows, words, each.codebook, each.logits, each.codes)
                weight = each.weight * worth.unsqueeze(1).expand(each.asked.shape)[each.asked]
                bits = bits + (relaxed * weight).sum()
        return {name: bits / _values(decoded)}

    def own_losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.own_losses``: bits per value, of the indices chosen."""
        chosen = _assignment(decoded, self.name)
        with torch.autocast(chosen.latents.device.type, enabled=False):
            nats = [
                (functional.cross_entropy(each.logits, each.codes, reduction="none") * each.weight).sum()
                for each in self._costs(chosen, decoded, None)
            ]
        if not nats:
            return {}
        return {f"{self.name}_prior": torch.stack(nats).sum() / (math.log(2.0) * _values(decoded))}

    def end_step(self) -> None:
        """See ``Objective.end_step``: counts."""
        self.steps += 1

    def get_extra_state(self) -> Tensor:
        """Return the steps made, for a checkpoint."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the steps made from a checkpoint."""
        self.steps = int(state)

    def _costs(self, chosen: Assignment, decoded: Decoded, generator: torch.Generator | None) -> Iterator[_Cost]:
        """What the prior says of the codes of one random step of each item, codebook by codebook."""
        codes = chosen.codes
        step = draw_shown(
            self.context.order, self.context.codebook_nats, codes.clamp_min(0), chosen.grid, None, generator
        )
        now, known = step.known.state == NOW, step.known
        weight = (step.worth / now.sum(dim=1) * codes.shape[1] * codes.shape[2]).unsqueeze(1).expand(now.shape)
        if decoded.latents_mask is not None:
            counted = decoded.latents_mask.reshape(len(codes), -1)
            now, known = now & counted, replace(known, known=known.known & counted.unsqueeze(2))
        features = self.context.network.features(known, chosen.grid)
        for codebook in range(codes.shape[2]):
            own = codes[:, :, codebook]
            asked = now & (step.codebook == codebook).unsqueeze(1) & (own >= 0)
            if bool(asked.any()):
                logits = self.context.network.logits(features[asked], codebook) / (1 << LOGIT.bits)
                yield _Cost(codebook, asked, logits, own[asked], weight[asked])

    def _relaxed(self, left: Tensor, words: CodewordSum, codebook: int, logits: Tensor, codes: Tensor) -> Tensor:
        """Bits of each row's code, with the gradient of the bits of a relaxed choice."""
        codewords = words.codewords[codebook]
        distances = left.square().sum(dim=1, keepdim=True) - 2 * left @ codewords.mT + codewords.square().sum(dim=1)
        nearest = distances.detach().gather(1, codes.unsqueeze(1)).clamp_min(0.0)
        temperature = (self.temperature * nearest.mean()).clamp_min(torch.finfo(distances.dtype).tiny)
        priced = distances + words.weights[codebook] * words.bits[codebook]
        bits = -logits.log_softmax(dim=1) / math.log(2.0)
        soft = ((-priced / temperature).softmax(dim=1) * bits).sum(dim=1)
        return soft - soft.detach() + bits.gather(1, codes.unsqueeze(1)).squeeze(1)


@final
@dataclass(frozen=True)
class _Cost:
    """Of one codebook: which positions ``[batch, n]`` are asked for; of those logits, codes, and weights in a sum."""

    codebook: int
    asked: Tensor
    logits: Tensor
    codes: Tensor
    weight: Tensor


def _assignment(decoded: Decoded, name: str) -> Assignment:
    if decoded.assignment is None:
        raise ConfigError(f"objective {name!r}: indices have a rate, and this model has none; leave {name!r} out")
    return decoded.assignment


@torch.no_grad()
def _squared_errors(decoded: Decoded) -> Tensor:
    """The mean squared error of each item ``[batch]``, relative to the variance of the data."""
    errors = (decoded.mean - decoded.target).square().mean(dim=1)
    if decoded.mask is None:
        return errors.flatten(1).mean(dim=1) if errors.ndim > 1 else errors
    kept = torch.where(decoded.mask, errors, errors.new_zeros(())).flatten(1).sum(dim=1)
    return kept / decoded.mask.flatten(1).sum(dim=1).clamp_min(1)


def _values(decoded: Decoded) -> int | Tensor:
    """Values of all items of a batch that count."""
    kept = len(decoded.target) * math.prod(decoded.target.shape[2:]) if decoded.mask is None else decoded.mask.sum()
    return kept * decoded.target.shape[1]


def _left(quantizer: Quantizer, chosen: Assignment, words: CodewordSum) -> Tensor:
    """What the codebooks before each one have left of the latents, ``[codebooks, batch, n, D]``, with gradient."""
    placed = flatten_grid(quantizer.place(at_least_float32(chosen.latents)))
    whole = placed.view(len(chosen.codes), -1, placed.shape[1])
    codes = chosen.codes
    earlier = whole.new_zeros(whole.shape)
    found = []
    for codebook in range(codes.shape[2]):
        found.append(whole - earlier)
        own = codes[:, :, codebook]
        earlier = earlier + torch.where((own >= 0).unsqueeze(2), words.codewords[codebook][own.clamp_min(0)], 0.0)
    return torch.stack(found)
