"""Output of a forward pass, the cost of its latents, and the prior that may count it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.objectives.base import Decoded

_OWN_NAMES = {"loss", "mse"}


@dataclass
class ModelOutput:
    """One forward pass.

    Attributes:
        reconstruction: ``[batch, channels, *size]`` in the signal's units and range: exactly what
            ``decode(encode(x))`` gives (in evaluation mode; a VAE that trains decodes a sample instead). It carries
            the gradient, so a loss of one's own on it trains the model; where it is clipped to the range that is 0.
        loss: the scalar to minimise.
        metrics: scalars to watch, by name, without gradient; ``loss`` is the sum of those that end in ``_loss``.
        indices: ``[batch, *grid]`` int64, for discrete models.
        counted: ``[batch, *grid]`` bool, the positions that saw anything of the signal, where a mask was given.
        decoded: without gradient, what an objective with parameters of its own learns from; empty with the likelihood
            alone.

    Example:
        >>> import torch
        >>> import vqkit
        >>> output = vqkit.VQVAE(16, hidden_channels=8)(torch.rand(2, 3, 16, 16))
        >>> output.loss.shape, output.reconstruction.shape, output.indices.shape
        (torch.Size([]), torch.Size([2, 3, 16, 16]), torch.Size([2, 4, 4]))
    """

    reconstruction: Tensor
    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    indices: Tensor | None = None
    counted: Tensor | None = None
    decoded: tuple[Decoded, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        """Return further tensors of the pass by name, which are looked at when the loss is not finite."""
        return {"the reconstruction": self.reconstruction}


@dataclass
class LatentCost:
    """What it costs to say which latents a signal has.

    Attributes:
        codes: indices or latents that ``decode_parameters`` takes, of each signal.
        rate_nats: ``[batch]``.
        how: in words: under which prior, counted how.

    Example:
        >>> import torch
        >>> import vqkit
        >>> cost = vqkit.VQVAE(16, hidden_channels=8).latent_cost(torch.rand(2, 3, 16, 16))
        >>> cost.codes.shape, cost.rate_nats.shape
        (torch.Size([2, 4, 4]), torch.Size([2]))
    """

    codes: Tensor
    rate_nats: Tensor
    how: str


class IndexPrior(Protocol):
    """A distribution over grids of indices, as the packages above this one build them."""

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Indices of ``count`` signals."""
        ...

    def log_prob(self, indices: Tensor) -> Tensor:
        """``[batch]`` nats."""
        ...


def join_losses(terms: Mapping[str, Tensor], others: Mapping[str, Tensor], owner: object) -> dict[str, Tensor]:
    """Join the terms of the objective and those of the latents in one table.

    Args:
        terms: of the objective, by name.
        others: of the latents, by name.
        owner: of ``others``, for messages.

    Raises:
        ConfigError: a name that both have, or one that the log has for something else; one would replace the other.
    """
    taken = (terms.keys() & others.keys()) | ((terms.keys() | others.keys()) & _OWN_NAMES)
    if taken:
        raise ConfigError(
            f"loss terms named {', '.join(sorted(taken))}: the objective has {', '.join(terms)}, the "
            f"{type(owner).__name__} {', '.join(others)}, and the log has {', '.join(sorted(_OWN_NAMES))} for the sum "
            "and the squared error; give each term a name of its own"
        )
    return {**terms, **others}


def add_losses(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of the terms of a loss."""
    return torch.stack(list(losses.values())).sum()
