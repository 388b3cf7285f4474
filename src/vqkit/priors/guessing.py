"""Predictive sampling: several positions in one pass, by guesses that are checked, with the samples of one by one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.priors.filtering import noise_like
from vqkit.priors.head import CodebookHead
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.stepwise import Steps

_FIRST_MEAN, _KEPT = 2.0, 0.75
"""Of the mean number of positions that a pass takes: where it begins, and how much of it stays from pass to pass."""


class IncrementalState(Protocol):
    """One pass through the positions of a batch of grids, which remembers what it has computed."""

    def features(self, position: int, previous: Tensor | None) -> Tensor:
        """``[rows, F]``, of everything before ``position``.

        Called for position 0, 1, 2 and so on. It waits for nothing on the device, so that a whole walk can be captured
        as one CUDA graph.

        Args:
            position: which.
            previous: int64 ``[rows, C]``, the indices of the position before; None for the first.
        """
        ...


@runtime_checkable
class WindowState(IncrementalState, Protocol):
    """An ``IncrementalState`` that computes several positions in one pass, from indices that may turn out wrong."""

    def window(self, start: int, end: int, items: Tensor) -> Tensor:
        """``[rows, end - start, F]``, of everything before each of these positions.

        From call to call ``start`` grows, to ``end`` at most, and nothing before it changes any more.

        Args:
            start: the first position.
            end: behind the last one, at most ``reach(start)``.
            items: int64 ``[rows, n, C]``, read before ``end - 1``.
        """
        ...

    def reach(self, start: int) -> int:
        """The furthest end of a window that begins there."""
        ...


def check_ahead(ahead: int | None) -> None:
    """Raise ``ConfigError`` unless it is a number of positions, or None."""
    if ahead is not None and ahead < 0:
        raise ConfigError(f"ahead={ahead}: give the positions to guess, 0 or more, or None for what is faster")


def guess_and_check(
    request: SamplingParams, walk: WindowState, head: CodebookHead, items: Tensor, filled: Tensor, ahead: int
) -> Steps:
    """Ancestral sampling with at most ``ahead`` positions guessed behind the next one, and all checked in one pass.

    The index of a position is argmax(logits + Gumbel noise): a function of what is before it and of noise that does not
    depend on anything. So the noise is drawn first, in the order of one position after another. A pass makes the
    indices of a window from guesses of what is before each; up to the first guess that differs from what the pass makes
    there, and that one included, they are the indices of one position after another. What it made of those behind is
    the next guess (fixed-point iteration: Wiggers and Hoogeboom 2020, arXiv 2002.09928, section 3.1; Song et al. 2021,
    arXiv 2002.03629). The first guess is what the noise alone makes. No draft model is needed, and the distribution is
    that of the prior under every filter, for any guesses.

    All grids are at one position: as many are taken as agree in each of them. The window is about four times as long as
    what passes have taken, so that guesses that seldom hold cost little.

    Args:
        request: see there.
        walk: new.
        head: of the prior.
        items: int64 ``[count, n, C]`` and
        filled: bool, the same shape: what is held; both change in place.
        ahead: 1 or more.
    """
    yield items, filled
    positions, codebooks = items.shape[1:]
    like = torch.empty(request.count, head.last.shape[-1], device=items.device, dtype=head.last.dtype)
    noise = torch.empty(request.count, 0, codebooks, like.shape[1], device=items.device)
    start, mean = 0, _FIRST_MEAN
    while start < positions:
        end = min(start + 1 + ahead, start + max(2, round(4 * mean) - 2), walk.reach(start))
        seen = start + noise.shape[1]
        if end > seen:
            new = [noise_like(like, request.generator) for _ in range(codebooks * (end - seen))]
            drawn = torch.stack(new, dim=1).view(request.count, end - seen, *noise.shape[2:])
            items[:, seen:end] = request.held(drawn.argmin(dim=-1), seen)
            noise = torch.cat([noise, drawn], dim=1)
        every = items if request.copies == 1 else items.repeat(request.copies, 1, 1)
        features = walk.window(start, end, every).flatten(0, 1)
        made = request.pick(head, features, noise[:, : end - start].flatten(0, 1))
        made = request.held(made.view(request.count, end - start, codebooks), start)
        agrees = (made[:, :-1] == items[:, start : end - 1]).all(dim=2).all(dim=0)
        taken = 1 + int(agrees.long().cumprod(dim=0).sum())
        items[:, start:end] = made
        noise = noise[:, taken:]
        start += taken
        mean = _KEPT * mean + (1 - _KEPT) * taken
        filled[:, :start] = True
        yield items, filled
