"""Contract of a prior's own methods: shape, dtype and range of what ``_log_prob``, ``_loss``, ``_sample`` give."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.priors.sampling import SamplingParams


class Gridded(Protocol):
    """A prior, as far as its grids go."""

    codebook_size: int
    num_codebooks: int

    @property
    def positions(self) -> int:
        """n, of the grid."""
        ...


def check_log_prob(prior: Gridded, nats: Any, count: int) -> Tensor:
    """Return what ``_log_prob`` gave; raises ``ConfigError`` unless it is one float for each of ``count`` grids."""
    if not isinstance(nats, Tensor) or tuple(nats.shape) != (count,) or not nats.is_floating_point():
        raise ConfigError(
            f"{type(prior).__name__}._log_prob gave {_said(nats)} for {count} grids; it has to give float [{count}], "
            "the log-probability of each whole grid: sum over positions and codebooks"
        )
    return nats


def check_loss(prior: Gridded, loss: Any) -> Tensor:
    """Return what ``_loss`` gave; raises ``ConfigError`` unless it is one float."""
    if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
        raise ConfigError(
            f"{type(prior).__name__}._loss gave {_said(loss)}; it has to give a float scalar, the mean nats per index"
        )
    return loss


def checked_samples(prior: Gridded, made: Any, request: SamplingParams) -> Tensor:
    """Return what ``_sample`` made, as int64 and with the held indices in their places.

    Raises:
        ConfigError: another shape, no integers, or integers that are no indices of the codebook.
    """
    shape = (request.count, prior.positions, prior.num_codebooks)
    integers = isinstance(made, Tensor) and not (
        made.is_floating_point() or made.is_complex() or made.dtype == torch.bool
    )
    if not integers or tuple(made.shape) != shape:
        raise ConfigError(
            f"{type(prior).__name__}._sample made {_said(made)}; it has to make integers of shape {list(shape)}: "
            "[count, positions, codebooks]"
        )
    indices: Tensor = made.long()
    low, high = (int(each) for each in indices.aminmax()) if indices.numel() else (0, 0)
    if low < 0 or high >= prior.codebook_size:
        raise ConfigError(
            f"{type(prior).__name__}._sample made indices from {low} to {high}; they have to lie in "
            f"[0, {prior.codebook_size - 1}], since codebook_size={prior.codebook_size}"
        )
    if request.known is None or request.keep is None:
        return indices
    return torch.where(request.keep.unsqueeze(-1), request.known, indices)


def _said(value: Any) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
