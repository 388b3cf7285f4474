"""Priors that go through the positions in reading order: all at once to learn, one after another to sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import evaluating
from vqkit.priors.guessing import IncrementalState, WindowState, check_ahead, guess_and_check, pays
from vqkit.priors.head import CodebookHead
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.stepwise import PLAIN, PartialSample, Steps, StepwisePrior, begun, last_of

_AHEAD = 31
"""Positions to guess at most, where it is faster and the caller does not say."""


class SequentialPrior(StepwisePrior):
    """Abstract: p(indices) as a product over positions in reading order, and over the codebooks of each in turn.

    A subclass says what describes everything before a position: ``_features`` for all positions at once and ``_walk``
    for one after another, from cached activations; both must give the same numbers up to rounding. A ``CodebookHead``
    makes logits of them.

    Example:
        >>> import vqkit
        >>> from vqkit.priors import SequentialPrior
        >>> issubclass(vqkit.TransformerPrior, SequentialPrior), issubclass(vqkit.MaskedPrior, SequentialPrior)
        (True, False)
    """

    guides: ClassVar[bool] = True
    head: CodebookHead

    @abstractmethod
    def _features(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """``[batch, n, F]`` of checked arguments: of everything before each position."""

    @abstractmethod
    def _walk(self, rows: int, condition: Tensor | None) -> IncrementalState:
        """A new walk over ``rows`` grids with these conditions, ``[rows]`` of them; without gradient."""

    def logits(self, indices: Tensor, condition: Tensor | None = None) -> Tensor:
        """Unnormalised log-probabilities ``[batch, *grid, K]`` or ``[batch, *grid, codebooks, K]``.

        Those of an index depend on earlier positions and on earlier codebooks of its own position only. Arguments and
        errors as ``log_prob``.
        """
        items = self._checked_items(indices)
        features = self._features(items, self._checked_condition(condition, len(items)))
        logits = torch.stack(list(self.head(features.flatten(0, 1), items.flatten(0, 1))), dim=1)
        return logits.view(*indices.shape, self.codebook_size)

    @torch.no_grad()
    def stepwise_logits(self, indices: Tensor, condition: Tensor | None = None) -> Tensor:
        """``logits`` as sampling computes them: one position after another, from cached activations.

        Equal to ``logits`` up to rounding, and slower. Arguments and errors as ``log_prob``.
        """
        items = self._checked_items(indices)
        with evaluating(self):
            walk = self._walk(len(items), self._checked_condition(condition, len(items)))
            steps = []
            for position in range(self.positions):
                features = walk.features(position, items[:, position - 1] if position else None)
                steps.append(torch.stack(list(self.head(features, items[:, position])), dim=1))
        return torch.stack(steps, dim=1).view(*indices.shape, self.codebook_size)

    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        return self._position_log_prob(items, condition).sum(dim=1)

    def _position_log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        features = self._features(items, condition)
        return -self.head.nats(features.flatten(0, 1), items.flatten(0, 1)).view(len(items), -1)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        condition: Tensor | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float = 1.0,
        generator: torch.Generator | None = None,
        known: Any = None,
        keep: Any = None,
        ahead: int | None = None,
    ) -> Tensor:
        """See ``Prior.sample``: one position after another, or several in one pass where that is faster.

        Args:
            count, condition, temperature, top_k, top_p, guidance, generator, known, keep: as for every prior.
            ahead: positions that are guessed behind the next one, at most, and checked in the same pass; 0: none. The
                samples of a seed are those of one position after another, whatever is guessed (see ``guessing``); but
                for rounding, which may decide between two indices that are equally good to the last bits. None: 31
                where that is always faster, on a CPU for up to 16 grids of which a third or more is held; else 0.
                For others: the less positions depend on each other and the larger the network is, the more it gains.

        Raises:
            ConfigError: ``ahead`` below 0, or above 0 for a prior that computes no window; and as ``Prior.sample``.
        """
        request = self._request(
            count,
            condition,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance=guidance,
            generator=generator,
            known=known,
            keep=keep,
        )
        check_ahead(ahead)
        return self._sampled(request, lambda part: last_of(self._steps_of(part, ahead)))

    def sample_steps(
        self,
        count: int,
        condition: Tensor | None = None,
        *,
        known: Any = None,
        keep: Any = None,
        ahead: int | None = None,
        **options: Any,
    ) -> Iterator[PartialSample]:
        """See ``StepwisePrior.sample_steps``; options, errors and defaults as ``sample``."""
        request = self._request(count, condition, known=known, keep=keep, **{**PLAIN, **options})
        check_ahead(ahead)
        return self._watched(request, lambda part: self._steps_of(part, ahead))

    def _sample_steps(self, request: SamplingParams) -> Steps:
        return self._steps_of(request, None)

    def _steps_of(self, request: SamplingParams, ahead: int | None) -> Steps:
        walk = self._walk(request.rows, request.conditions)
        if ahead is None:
            ahead = _AHEAD if isinstance(walk, WindowState) and pays(request) else 0
        if ahead == 0:
            return self._one_by_one(request, walk)
        if not isinstance(walk, WindowState):
            raise ConfigError(
                f"ahead={ahead}: {type(walk).__name__} of {type(self).__name__} has no window(); give ahead=0"
            )
        begin = begun(request, self.positions, self.num_codebooks, self.device)
        return guess_and_check(request, walk, self.head, *begin, ahead)

    def _one_by_one(self, request: SamplingParams, walk: IncrementalState) -> Steps:
        """Ancestral sampling; a held position takes the place of what was drawn there."""
        items, filled = begun(request, self.positions, self.num_codebooks, self.device)
        yield items, filled
        previous: Tensor | None = None
        for position in range(self.positions):
            chosen = request.pick(self.head, walk.features(position, previous))
            chosen = request.held(chosen[:, None], position)[:, 0]
            items[:, position], filled[:, position] = chosen, True
            yield items, filled
            previous = chosen if request.copies == 1 else chosen.repeat(request.copies, 1)
