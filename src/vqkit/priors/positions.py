"""Where in a grid a prior finds what it did not expect: log-probabilities of single positions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vqkit.priors.base import Prior


def position_log_prob(prior: Prior, indices: Any, condition: Tensor | None = None) -> Tensor | None:
    """Log-probability of each position given those before it in the prior's own order: ``[batch, *grid]``, nats.

    All codebooks of a position together. The sum over the positions is ``log_prob``.

    Args:
        prior: any. One of your own says this where it defines ``_position_log_prob(items, condition)``, of the same
            arguments as ``_log_prob``, which gives float ``[batch, n]``.
        indices: as for ``log_prob``.
        condition: as for ``log_prob``.

    Returns:
        None for a prior that does not say it.

    Raises:
        DataError: as ``log_prob``.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.priors import position_log_prob
        >>> prior, indices = vqkit.HistogramPrior(16, (4, 4)), torch.zeros(2, 4, 4, dtype=torch.int64)
        >>> nats = position_log_prob(prior, indices)
        >>> nats.shape, torch.allclose(nats.sum(dim=(1, 2)), prior.log_prob(indices))
        (torch.Size([2, 4, 4]), True)
    """
    own = getattr(prior, "_position_log_prob", None)
    if own is None:
        return None
    items = prior._checked_items(indices)
    nats: Tensor = own(items, prior._checked_condition(condition, len(items)))
    return nats.view(len(items), *prior.grid)
