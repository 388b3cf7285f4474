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

_FIRST_MEAN, _KEPT, _WORTH, _PAUSE = 2.0, 0.75, 1.3, 16
"""Of the mean number of positions that a pass takes: where it begins, how much of it stays from pass to pass, and
below what it is not worth guessing; then so many passes go without, and a short guess looks whether that has changed.
"""

_FEW, _MUCH = 16, 1 / 3


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


def pays(request: SamplingParams) -> bool:
    """Whether guessing is faster for any prior, measured on a CPU: a few grids, of which a third or more is held."""
    if request.keep is None or request.keep.device.type != "cpu" or request.count > _FEW:
        return False
    return float(request.keep.all(dim=0).float().mean()) >= _MUCH


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
    what passes have taken. Where that is little more than one position, most go one by one, as without guesses.
    Positions that are held in every grid are no guesses, and come along.

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
    free = [True] * positions if request.keep is None else (~request.keep).any(dim=0).tolist()
    noise = _Noise(request, codebooks, head.last)
    start, mean, pause = 0, _FIRST_MEAN, 0
    while start < positions:
        guesses = 0 if pause else max(1, round(4 * mean) - 3)
        pause = max(0, pause - 1)
        end = _end(free, start, guesses, min(start + 1 + ahead, walk.reach(start)))
        new, drawn = noise.until(start, end)
        if new < end:
            items[:, new:end] = request.held(drawn[:, new - start :].argmin(dim=-1), new)
        every = items if request.copies == 1 else items.repeat(request.copies, 1, 1)
        if end == start + 1:
            features = walk.features(start, every[:, start - 1] if start else None)
        else:
            features = walk.window(start, end, every).flatten(0, 1)
        made = request.pick(head, features, drawn.flatten(0, 1))
        made = request.held(made.view(request.count, end - start, codebooks), start)
        taken = 1
        if end > start + 1:
            agrees = (made[:, :-1] == items[:, start : end - 1]).all(dim=2).all(dim=0)
            taken += int(agrees.long().cumprod(dim=0).sum())
        items[:, start:end] = made
        if guesses and free[start]:
            mean = _KEPT * mean + (1 - _KEPT) * sum(free[start : start + taken])
            pause = _PAUSE if mean < _WORTH else 0
        start += taken
        filled[:, :start] = True
        yield items, filled


class _Noise:
    """The noise of the positions that are not done with, drawn in the order of one position after another."""

    def __init__(self, request: SamplingParams, codebooks: int, like: Tensor) -> None:
        self._request = request
        self._like = like.new_empty(request.count, like.shape[-1])
        self._first = 0
        self._drawn = self._like.new_empty(request.count, 0, codebooks, like.shape[-1], dtype=torch.float32)

    def until(self, start: int, end: int) -> tuple[int, Tensor]:
        """The first position of them that has not been drawn before, and ``[count, end - start, C, K]``."""
        drawn = self._drawn[:, start - self._first :]
        new = start + drawn.shape[1]
        if new < end:
            count, _, codebooks, size = drawn.shape
            each = [noise_like(self._like, self._request.generator) for _ in range((end - new) * codebooks)]
            drawn = torch.cat([drawn, torch.stack(each, dim=1).view(count, end - new, codebooks, size)], dim=1)
        self._first, self._drawn = start, drawn
        return min(new, end), drawn[:, : end - start]


def _end(free: list[bool], start: int, guesses: int, most: int) -> int:
    """The end of a window from ``start`` on whose indices before the last are guessed at so many free positions."""
    left, end = guesses, start + 1
    while end < most and (left or not free[end - 1]):
        left -= free[end - 1]
        end += 1
    return end
