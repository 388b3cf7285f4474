"""What training shows to ``ContextPrior``: each grid as it is before one random step of its order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from vqkit.priors.coding_order import CodingOrder, groups
from vqkit.priors.context.network import KNOWN, LATER, NOW, Known

_LEAST = 0.1
"""Of the mean cost of a codebook: so much any is looked at."""


@final
@dataclass(frozen=True)
class Shown:
    """A random step of each grid of a batch.

    Attributes:
        codebook: int64 ``[batch]``, of the step.
        known: what is known before it.
        worth: ``[batch]``, by which the mean nats of the step are multiplied, so that their mean over steps is the nats
            per index of the whole grid.
    """

    codebook: Tensor
    known: Known
    worth: Tensor


def draw_shown(
    order: CodingOrder,
    codebook_nats: Tensor,
    items: Tensor,
    grid: Sequence[int],
    condition: Tensor | None,
    generator: torch.Generator | None = None,
) -> Shown:
    """Draw a step of each grid.

    A step is chosen as the one that holds a random place of the order, codebooks that cost more taking more
    room. The places of a batch are spread evenly (one random shift, one stratum for each grid), which
    leaves the mean and lowers the variance.

    Args:
        order: in which grids are coded.
        codebook_nats: ``[C]``, what an index of each codebook costs, on a mean.
        items: int64 ``[batch, n, C]``.
        grid: positions on each axis, n together; of any size.
        condition: of each grid, checked.
        generator: to draw from, on the device of the items.
    """
    count, device, num_codebooks = len(items), items.device, len(codebook_nats)
    steps = order.steps(grid, num_codebooks)
    sizes = torch.tensor([len(step.positions) for step in steps], device=device)
    costs = codebook_nats.double()
    costs = (costs / costs.mean().clamp_min(1e-12)).clamp_min(_LEAST)[[step.codebook for step in steps]]
    ends = (sizes * costs).cumsum(0)
    shift = torch.rand((), device=device, generator=generator)
    place = (torch.arange(count, device=device) + shift) * (ends[-1] / count)
    chosen = torch.searchsorted(ends, place, right=True).clamp_max(len(steps) - 1)
    indices = math.prod(grid) * num_codebooks
    worth = (ends[-1] / indices / costs)[chosen].to(codebook_nats.dtype)
    codebook, group, number = (
        torch.tensor(values, device=device)[chosen]
        for values in (
            [step.codebook for step in steps],
            [step.group for step in steps],
            [order.number(step.codebook, step.group, len(grid)) for step in steps],
        )
    )
    shape = tuple(grid)
    tables = torch.stack([groups(shape, order.cell_of(each)) for each in range(num_codebooks)])
    turn, group = tables.to(device)[codebook], group.unsqueeze(1)
    state = torch.where(turn < group, KNOWN, torch.where(turn == group, NOW, LATER))
    every = torch.arange(num_codebooks, device=device)
    current = every == codebook[:, None, None]
    known = (every < codebook[:, None, None]) | (current & (state == KNOWN).unsqueeze(2))
    return Shown(codebook, Known(items, known, state, number, condition), worth)
