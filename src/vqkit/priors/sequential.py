"""Priors that go through the positions in reading order: all at once to learn, one after another to sample."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from vqkit.ops import evaluating
from vqkit.priors.head import CodebookHead
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.stepwise import Steps, StepwisePrior, begun


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
        features = self._features(items, condition)
        return -self.head.nats(features.flatten(0, 1), items.flatten(0, 1)).view(len(items), -1).sum(dim=1)

    def _sample_steps(self, request: SamplingParams) -> Steps:
        """Ancestral sampling; a held position takes the place of what was drawn there."""
        walk = self._walk(request.rows, request.conditions)
        items, filled = begun(request, self.positions, self.num_codebooks, self.device)
        yield items, filled
        previous: Tensor | None = None
        for position in range(self.positions):
            chosen = request.pick(self.head, walk.features(position, previous))
            if request.keep is not None and request.known is not None:
                chosen = torch.where(request.keep[:, position, None], request.known[:, position], chosen)
            items[:, position], filled[:, position] = chosen, True
            yield items, filled
            previous = chosen if request.copies == 1 else chosen.repeat(request.copies, 1)
