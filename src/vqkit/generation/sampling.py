"""New signals: indices from a prior, decoded by the tokenizer that the prior learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.priors import Prior

_AT_ONCE = 64


@torch.no_grad()
def generate(
    model: VQVAE,
    prior: Prior,
    count: int,
    condition: Tensor | None = None,
    *,
    size: Sequence[int] | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Draw from the prior and decode.

    Args:
        model: the tokenizer.
        prior: over its indices.
        count: how many.
        condition: of each, as ``Prior.sample`` takes it.
        size: of the signals; None takes the size that the model was trained on where its grid is the prior's, else the
            grid times the downsampling.
        **options: of ``prior.sample``: temperature, top_k, top_p, guidance, generator, ...

    Returns:
        Signals ``[count, channels, *size]`` and the indices that they were decoded from.

    Raises:
        ConfigError: a prior over other indices than the model's; and what ``prior.sample`` raises.
    """
    check_pair(model, prior)
    indices = prior.sample(count, condition, **options)
    return decode_all(model, indices, size), indices


@torch.no_grad()
def decode_all(model: VQVAE, indices: Tensor, size: Sequence[int] | None = None) -> Tensor:
    """Signals ``[count, channels, *size]`` of many grids of indices, some at a time, on the CPU."""
    if size is None and model.axes:
        grid = tuple(indices.shape[1 : 1 + model.axes])
        known = tuple(int(length) for length in model.signal_size)
        size = known if 0 not in known and model.grid(known) == grid else None
    return torch.cat([model.decode(part.to(model.device), size).cpu() for part in indices.split(_AT_ONCE)])


def check_pair(model: VQVAE, prior: Prior) -> None:
    """Raise ``ConfigError`` unless the prior's indices are such as the model makes."""
    mine = (model.codebook_size, model.num_codebooks, model.axes)
    theirs = (prior.codebook_size, prior.num_codebooks, len(prior.grid))
    if mine != theirs:
        raise ConfigError(
            f"the prior draws grids of {theirs[2]} axes with {theirs[1]} of {theirs[0]:,} codes at each position, the "
            f"model decodes {mine[2]} axes, {mine[1]} of {mine[0]:,}: this prior is of another model"
        )
