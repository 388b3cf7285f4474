"""The likelihood as the objective: the reconstruction term of the evidence lower bound."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from vqkit.likelihoods import Gaussian
from vqkit.objectives.base import OBJECTIVES, Decoded, Objective, mean_of


@OBJECTIVES.register("likelihood", citations=())
@final
class LikelihoodObjective(Objective):
    """The negative log likelihood of the signal, under the model's own p(x | z).

    With a Gaussian of fixed scale it is the squared error over the variance of the data,
    ``mean((x - d(z))^2) / variance``; with one that learns its scale, and with the discretized likelihoods,
    ``-log p(x | z)`` in nats per value. The discretized ones begin as the squared error of their mean and take over
    during the model's ``likelihood_warmup``. Which likelihood it is belongs to the model, since it says what the
    decoder's outputs mean; its weight belongs to the training.

    Example:
        >>> from vqkit.objectives import LikelihoodObjective
        >>> str(LikelihoodObjective())
        'likelihood'
    """

    def losses(self, decoded: Decoded) -> dict[str, Tensor]:
        """See ``Objective.losses``: ``reconstruction_loss``."""
        return {"reconstruction_loss": self._loss(decoded)}

    def _loss(self, decoded: Decoded) -> Tensor:
        gaussian = isinstance(decoded.likelihood, Gaussian)
        if gaussian and not isinstance(decoded.likelihood.log_scale, nn.Parameter):
            return _squared_error(decoded)
        nats = _nats_per_value(decoded)
        if gaussian or decoded.warmup is None:
            return nats
        return decoded.warmup * nats + (1 - decoded.warmup) * _squared_error(decoded)


def _squared_error(decoded: Decoded) -> Tensor:
    return mean_of((decoded.mean - decoded.target).square(), decoded.mask)


def _nats_per_value(decoded: Decoded) -> Tensor:
    if decoded.mask is not None and decoded.mask.ndim == decoded.target.ndim:
        logs = decoded.likelihood.log_prob_known(decoded.parameters, decoded.signal, decoded.unit, decoded.mask)
        return -logs.sum() / decoded.mask.sum().clamp_min(1)
    logs = decoded.likelihood.log_prob(decoded.parameters, decoded.signal, decoded.unit)
    return -mean_of(logs.unsqueeze(1), decoded.mask) / decoded.target.shape[1]
