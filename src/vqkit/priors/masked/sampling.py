"""Sampling from a masked prior: hidden positions are revealed in a few steps, many at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from vqkit.deprecation import moved
from vqkit.errors import ConfigError
from vqkit.priors.filtering import exponential
from vqkit.priors.head import CodebookHead
from vqkit.priors.masked.schedule import unmasked_count
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.stepwise import Steps, begun

__getattr__ = moved(__name__, {"fill": f"{__name__}:iterative_decode"})

ORDERS = ("confident", "random", "fixed")
"""How positions are chosen; see ``MaskedPrior.sample``."""

Features = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""``(items [rows, n, C], hidden [rows, n], conditions)`` to features ``[rows, n, F]``."""


@final
@dataclass(frozen=True)
class UnmaskingSchedule:
    """In how many steps, and in which order, positions are revealed.

    Raises:
        ConfigError: steps below 1, an unknown order, or a ``choice_temperature`` below 0.
    """

    steps: int
    order: str
    choice_temperature: float

    def __post_init__(self) -> None:
        check_steps(self.steps)
        if self.order not in ORDERS:
            raise ConfigError(f"order={self.order!r}: choose one of {', '.join(ORDERS)}")
        if not 0.0 <= self.choice_temperature < math.inf:
            raise ConfigError(f"choice_temperature={self.choice_temperature}: give 0 or more; 0 chooses without noise")


def check_steps(steps: int) -> None:
    """Raise ``ConfigError`` for less than one step."""
    if steps < 1:
        raise ConfigError(f"steps={steps}: give 1 or more; as many as there are positions reveals one a step")


def iterative_decode(
    request: SamplingParams, plan: UnmaskingSchedule, order: Tensor, features_of: Features, head: CodebookHead
) -> Steps:
    """Draw grids ``[count, n, C]`` by MaskGIT's iterative decoding: what is not held is unmasked step by step.

    A step draws indices for the hidden positions that it may reveal: all of them where confidence chooses, else only
    those whose turn it is.

    Args:
        request: see there.
        plan: see there.
        order: int64 ``[n]``, the fixed order.
        features_of: the network.
        head: from features to indices.
    """
    count, n, device = request.count, len(order), order.device
    items, filled = begun(request, n, head.num_codebooks, device)
    yield items, filled
    hidden = ~filled[..., 0]
    to_reveal = hidden.sum(dim=1)
    turn = _turns(request, plan, order)
    for step in range(min(plan.steps, int(to_reveal.max()))):
        left = hidden.sum(dim=1)
        now = unmasked_count(to_reveal, step + 1, plan.steps) - (to_reveal - left)
        looked_at = int((left if turn is None else now).max())
        first = hidden.float() if turn is None else turn.masked_fill(~hidden, -math.inf)
        places = first.argsort(dim=1, descending=True, stable=True)[:, :looked_at]
        features = features_of(_copied(items, request.copies), _copied(hidden, request.copies), request.conditions)
        rows = torch.arange(len(features), device=device).unsqueeze(1)
        chosen, scores = request.pick_scored(head, features[rows, _copied(places, request.copies)].flatten(0, 1))
        rank = torch.arange(looked_at, device=device).expand(count, -1)
        if turn is None:
            noise = plan.choice_temperature * (1.0 - (step + 1) / plan.steps)
            surest = scores.view(count, -1) - noise * exponential(rank, request.generator).log()
            surest = surest.masked_fill(~hidden.gather(1, places), -math.inf)
            rank = surest.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        fresh = rank < now.unsqueeze(1)
        row = rows[:count]
        chosen = chosen.view(count, looked_at, -1)
        items[row, places] = torch.where(fresh.unsqueeze(-1), chosen, items[row, places])
        hidden[row, places] &= ~fresh
        filled[:] = ~hidden.unsqueeze(-1)
        yield items, filled


def _turns(request: SamplingParams, plan: UnmaskingSchedule, order: Tensor) -> Tensor | None:
    """``[count, n]``, larger where a position is revealed earlier; None where the network decides."""
    if plan.order == "confident":
        return None
    if plan.order == "fixed":
        return -order.argsort().float().expand(request.count, -1)
    return exponential(order.expand(request.count, -1), request.generator)


def _copied(x: Tensor, copies: int) -> Tensor:
    return x if copies == 1 else torch.cat([x] * copies)
