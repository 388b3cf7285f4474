"""MaskGIT (Chang et al. 2022, arXiv 2202.04200): a transformer that sees any known positions and fills in the rest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from vqkit.priors.head import CodebookHead, embed_indices
from vqkit.priors.masked.sampling import UnmaskingSchedule, check_steps, iterative_decode
from vqkit.priors.masked.schedule import boundaries, spread_order
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.stepwise import PLAIN, PartialSample, Steps, StepwisePrior, last_of
from vqkit.priors.transformer.blocks import Trunk
from vqkit.priors.transformer.prior import CONDITION_STD, POSITION_STD, check_axes
from vqkit.priors.transformer.rotary import grid_positions
from vqkit.recording import recorded

_MOST_LOGITS = 1 << 27


@final
class MaskedPrior(StepwisePrior):
    """MaskGIT (Chang et al. 2022, arXiv 2202.04200): groups of positions, each at once given those before it.

    A transformer without causality reads every position: the embeddings of its indices where they are known, a
    learned vector where they are hidden; and everywhere a learned vector of the position and a linear map of the
    condition. A small head (``CodebookHead``) gives the indices of a hidden position, one codebook after another. The
    positions of a group are independent of each other given the known ones; how many are revealed in which step is
    MaskGIT's cosine schedule (``unmasked_count``).

    **What the probabilities are of.** ``log_prob`` takes the positions in one fixed order that is spread over the grid
    (``spread_order``), in ``steps`` groups: the exact, normalised distribution of ``sample(order="fixed")``. The
    default order, ``"confident"``, reveals in each step the positions that the network is surest of, which makes
    better pictures; of those samples no probability is known, and ``log_prob`` is not theirs.

    **What training minimises.** Each grid is shown with a random subset of its positions known, as many as before one
    of the schedule's steps: step s with probability (size of group s) / n. The loss is the mean over the hidden
    indices of -log p. For a random order the expected nats of group s are (its size / number of hidden positions)
    times the sum over the hidden ones, so this is an unbiased estimate of the nats per index under ``log_prob``'s
    schedule, averaged over all orders of the positions (``log_prob`` takes one of them). In evaluation mode
    ``forward`` gives the exact nats per index of ``log_prob``.

    Untrained it gives exactly log K nats per index.

    Args:
        codebook_size: K; indices lie in [0, K).
        grid: positions on each axis, 0 to 3 axes.
        num_codebooks: C, indices at each position, the last axis of the indices when above 1.
        classes: the number of classes that the grids are conditioned on; None: without.
        class_names: their names, in this order, kept with the prior; None: they go by their numbers.
        condition_dim: length of the vector that each grid is conditioned on, instead of a class; None: without.
        condition_dropout: probability of training a grid without its condition (see ``Conditions``).
        hidden_channels: width of the blocks and of the head; even.
        layers: blocks.
        heads: of attention, a divisor of half the width; None: as many as make heads of about 64 numbers.
        dropout: probability of dropping a number that a block adds, in training.
        steps: groups of the schedule. More steps take more time and assume less independence.

    Raises:
        ConfigError: a value out of range, or a grid of 4 or more axes.

    Example:
        >>> import torch
        >>> from vqkit import MaskedPrior
        >>> prior = MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2).eval()
        >>> prior.log_prob(torch.zeros(2, 4, 4, dtype=torch.int64)).shape, prior.sample(3).shape
        (torch.Size([2]), torch.Size([3, 4, 4]))
    """

    model_type: ClassVar[str] = "masked"
    sees_all: ClassVar[bool] = True
    guides: ClassVar[bool] = True
    order: Tensor

    def __init__(
        self,
        codebook_size: int,
        grid: Sequence[int],
        *,
        num_codebooks: int = 1,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        condition_dim: int | None = None,
        condition_dropout: float = 0.0,
        hidden_channels: int = 256,
        layers: int = 6,
        heads: int | None = None,
        dropout: float = 0.0,
        steps: int = 8,
    ) -> None:
        super().__init__(recorded(MaskedPrior.__init__, locals()))
        check_axes(self.grid)
        check_steps(steps)
        self.steps = steps
        places = grid_positions(self.grid)
        self.trunk = Trunk(
            hidden_channels,
            layers,
            heads,
            dropout,
            queries=places,
            keys=places,
            longest=max(self.grid, default=1),
            causal=False,
        )
        self.embedding = nn.Parameter(torch.empty(num_codebooks, codebook_size, hidden_channels))
        nn.init.normal_(self.embedding, std=num_codebooks**-0.5)
        self.hidden = nn.Parameter(torch.randn(hidden_channels))
        self.position = nn.Parameter(torch.randn(self.positions, hidden_channels) * POSITION_STD)
        self.condition = self.conditions.layer(hidden_channels, CONDITION_STD)
        self.head = CodebookHead(hidden_channels, hidden_channels, codebook_size, num_codebooks)
        self.register_constants()

    def networks_to_compile(self) -> list[nn.Module]:
        """See ``Trainable.networks_to_compile``."""
        return [self.trunk]

    def constants(self) -> dict[str, Tensor]:
        """See ``SteadyBuffers.constants``."""
        return {"order": spread_order(self.grid)}

    def logits(self, indices: Tensor, condition: Tensor | None = None, *, steps: int | None = None) -> Tensor:
        """Unnormalised log-probabilities ``[batch, *grid, K]`` or ``[batch, *grid, codebooks, K]``.

        Those of an index depend on the positions of earlier groups of the fixed order, and on earlier codebooks of its
        own position only. Arguments and errors as ``log_prob``.
        """
        items = self._checked_items(indices)
        condition = self._checked_condition(condition, len(items))
        found = self.position.new_zeros(*items.shape, self.codebook_size)
        for group, features in self._groups(items, condition, steps):
            each = self.head(features.flatten(0, 1), items[:, group].flatten(0, 1))
            found[:, group] = torch.stack(list(each), dim=1).view(len(items), len(group), *found.shape[2:])
        return found.view(*indices.shape, self.codebook_size)

    def log_prob(self, indices: Tensor, condition: Tensor | None = None, *, steps: int | None = None) -> Tensor:
        """See ``Prior.log_prob``: of ``sample(order="fixed", steps=steps)``; None: the config's ``steps``."""
        items = self._checked_items(indices)
        return self._log_prob(items, self._checked_condition(condition, len(items)), steps)

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
        known: Tensor | None = None,
        keep: Tensor | None = None,
        steps: int | None = None,
        order: str = "confident",
        choice_temperature: float = 4.5,
    ) -> Tensor:
        """See ``Prior.sample``. Held positions are known from the first step on; the schedule is of the others.

        Args:
            count, condition, temperature, top_k, top_p, guidance, generator, known, keep: as for every prior.
            steps: of the schedule; None: the config's. As many as there are positions: one position a step.
            order: ``"confident"``: in each step all hidden positions are drawn, and those stay whose indices have the
                highest log-probability plus ``choice_temperature`` times Gumbel noise times the part of the steps
                that is left; the others are hidden again. ``"random"``: positions in random order, another for each
                grid. ``"fixed"``: in ``log_prob``'s order, so that ``log_prob`` is exactly of these samples (with
                temperature 1, no filters, no guidance).
            choice_temperature: 0 or more; see ``order``.

        Raises:
            ConfigError: an unknown order, steps below 1, a ``choice_temperature`` below 0; and as ``Prior.sample``.
        """
        plan = UnmaskingSchedule(self.steps if steps is None else steps, order, choice_temperature)
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
        return self._sampled(request, lambda part: last_of(self._decode(part, plan)))

    def sample_steps(
        self,
        count: int,
        condition: Tensor | None = None,
        *,
        known: Any = None,
        keep: Any = None,
        steps: int | None = None,
        order: str = "confident",
        choice_temperature: float = 4.5,
        **options: Any,
    ) -> Iterator[PartialSample]:
        """See ``StepwisePrior.sample_steps``; options, errors and defaults as ``sample``."""
        plan = UnmaskingSchedule(self.steps if steps is None else steps, order, choice_temperature)
        request = self._request(count, condition, known=known, keep=keep, **{**PLAIN, **options})
        return self._watched(request, lambda part: self._decode(part, plan))

    def _sample_steps(self, request: SamplingParams) -> Steps:
        return self._decode(request, UnmaskingSchedule(self.steps, "fixed", 0.0))

    def _decode(self, request: SamplingParams, plan: UnmaskingSchedule) -> Steps:
        return iterative_decode(request, plan, self.order, self._features, self.head)

    def _features(self, items: Tensor, hidden: Tensor, condition: Tensor | None) -> Tensor:
        """``[batch, n, F]`` from items ``[batch, n, C]``, which are read where ``hidden`` ``[batch, n]`` is False."""
        x = torch.where(hidden.unsqueeze(-1), self.hidden, embed_indices(items, self.embedding)) + self.position
        if self.condition is not None:
            x = x + self.condition(condition).unsqueeze(1)
        features: Tensor = self.trunk(x)
        return features

    def _groups(self, items: Tensor, condition: Tensor | None, steps: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """``(positions [g], features [batch, g, F])`` of each group of the fixed order in turn."""
        steps = self.steps if steps is None else steps
        check_steps(steps)
        ends = boundaries(self.positions, steps)
        for first, last in itertools.pairwise(ends):
            hidden = torch.zeros(self.positions, dtype=torch.bool, device=items.device)
            hidden[self.order[first:]] = True
            group = self.order[first:last]
            yield group, self._features(items, hidden.expand(len(items), -1), condition)[:, group]

    def _log_prob(self, items: Tensor, condition: Tensor | None, steps: int | None = None) -> Tensor:
        nats = [
            self.head.nats(features.flatten(0, 1), items[:, group].flatten(0, 1)).view(len(items), -1).sum(dim=1)
            for group, features in self._groups(items, condition, steps)
        ]
        return -torch.stack(nats).sum(dim=0)

    def _position_log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        found = items.new_zeros(items.shape[:2], dtype=self._like.dtype)
        for group, features in self._groups(items, condition, None):
            nats = self.head.nats(features.flatten(0, 1), items[:, group].flatten(0, 1)).view(len(items), -1)
            found = found.index_copy(1, group, -nats.to(found.dtype))
        return found

    def _loss(self, items: Tensor, condition: Tensor | None) -> Tensor:
        if not self.training:
            return super()._loss(items, condition)
        hidden = self._random_hidden(len(items))
        features = self._features(items, hidden, condition)
        nats = self.head.nats(features[hidden], items[hidden])
        weight = (1.0 / hidden.sum(dim=1)).unsqueeze(1).expand(hidden.shape)[hidden]
        return (nats * weight.to(nats.dtype)).sum() / (len(items) * self.num_codebooks)

    def _random_hidden(self, count: int) -> Tensor:
        """Draw the mask of hidden positions of a training step: bool ``[count, n]``, see the class.

        A step is chosen as the one whose group holds a random place 0 .. n - 1 of the order. The places of a batch are
        spread evenly (one random shift, one stratum for each grid), which leaves the mean and lowers the variance.
        """
        device = self.order.device
        ends = torch.tensor(boundaries(self.positions, self.steps), device=device)
        shift = torch.rand((), device=device)
        place = ((torch.arange(count, device=device) + shift) * (self.positions / count)).long()
        known = ends[torch.searchsorted(ends, place.clamp_max(self.positions - 1), right=True) - 1]
        rank = torch.rand(count, self.positions, device=device).argsort(dim=1).argsort(dim=1)
        return rank >= known.unsqueeze(1)

    @property
    def _rows_at_once(self) -> int:
        return max(1, _MOST_LOGITS // (self.positions * max(self.codebook_size, 8 * self.trunk.channels)))
