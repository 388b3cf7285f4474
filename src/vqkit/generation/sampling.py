"""New signals: indices from a prior, decoded by the tokenizer that the prior learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.priors import Prior

_AT_ONCE = 64


@torch.no_grad()
def generate(
    model: IndexModel,
    prior: Prior,
    count: int,
    condition: Tensor | None = None,
    *,
    to: Any = None,
    size: Sequence[int] | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Draw from the prior and decode.

    Args:
        model: the tokenizer.
        prior: over its indices.
        count: how many.
        condition: of each, as ``Prior.sample`` takes it.
        to: the condition that the decoder decodes under, for all or for each, where it has one; None: that of the
            prior, where the two have the same classes.
        size: of the signals; None takes the size that the model was trained on where its grid is the prior's, else the
            grid times the downsampling.
        **options: of ``prior.sample``: temperature, top_k, top_p, guidance, generator, ...

    Returns:
        Signals ``[count, channels, *size]`` and the indices that they were decoded from.

    Raises:
        ConfigError: a prior over other indices than the model's; and what ``prior.sample`` raises.

    Example:
        >>> import vqkit
        >>> from vqkit.generation import generate
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> prior = vqkit.MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
        >>> images, indices = generate(model, prior, 2)
        >>> images.shape, indices.shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 4, 4]))
    """
    check_pair(model, prior)
    same = prior.classes is not None and (prior.classes, prior.class_names) == (
        model.conditions.classes, model.class_names
    )  # fmt: skip
    to = condition if to is None and same else to
    read = model.read_condition(to, count) if model.conditions else None
    indices = prior.sample(count, condition, **options)
    with model.conditioned_on(to if read is None else None):  # refuses one
        return decode_all(model, indices, size, read), indices


@torch.no_grad()
def decode_all(
    model: IndexModel, indices: Tensor, size: Sequence[int] | None = None, condition: Tensor | None = None
) -> Tensor:
    """Signals ``[count, channels, *size]`` of many grids of indices, some at a time, on the CPU.

    ``condition`` is that of each, where the decoder has one, as ``Model.read_condition`` gives it.

    Example:
        >>> import torch
        >>> from vqkit import VQVAE
        >>> from vqkit.generation import decode_all
        >>> model = VQVAE(16, hidden_channels=8).eval()
        >>> decode_all(model, torch.zeros(100, 4, 4, dtype=torch.int64)).shape
        torch.Size([100, 3, 16, 16])
    """
    if size is None and model.axes:
        grid = tuple(indices.shape[1 : 1 + model.axes])
        known = tuple(int(length) for length in model.signal_size)
        size = known if 0 not in known and model.grid(known) == grid else None
    conditions = [None] * len(indices) if condition is None else condition.split(_AT_ONCE)
    return torch.cat(
        [
            model.decode(part.to(model.device), size, condition=one).cpu()
            for part, one in zip(indices.split(_AT_ONCE), conditions, strict=False)
        ]
    )


def check_pair(model: IndexModel, prior: Prior) -> None:
    """Raise ``ConfigError`` unless the prior's indices are such as the model makes.

    Example:
        >>> import vqkit
        >>> from vqkit.generation import check_pair
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> prior = vqkit.MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
        >>> check_pair(model, prior)
    """
    mine = (model.codebook_size, model.num_codebooks, model.axes)
    theirs = (prior.codebook_size, prior.num_codebooks, len(prior.grid))
    if mine != theirs:
        raise ConfigError(
            f"the prior draws grids of {theirs[2]} axes with {theirs[1]} of {theirs[0]:,} codes at each position, the "
            f"model decodes {mine[2]} axes, {mine[1]} of {mine[0]:,}: this prior is of another model"
        )
