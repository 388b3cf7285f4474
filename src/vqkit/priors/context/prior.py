"""A prior that is the same integers on every device: what files are coded with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional as F

from vqkit.errors import ConfigError, DataError
from vqkit.exact import TOTAL_BITS, frequencies, frequencies_of, set_storage_dtype, weights_of
from vqkit.exact.formats import LOGIT
from vqkit.exact.probabilities import LARGEST_SIZE
from vqkit.ops import evaluating
from vqkit.priors.coding_order import CodingOrder, Step, check_cell, groups
from vqkit.priors.conditions import check_range
from vqkit.priors.context.network import KNOWN, LATER, NOW, ContextNetwork, Known, plan_for
from vqkit.priors.context.shown import draw_shown
from vqkit.priors.filtering import guided
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.stepwise import Steps, StepwisePrior, begun
from vqkit.recording import recorded

_MOST_NUMBERS = 1 << 23
_ROWS_JUDGED = 4
"""Grids whose probabilities are computed at once: few, so that what they are computed from stays in the cache."""
_WATCHED = 0.02


@final
class ContextPrior(StepwisePrior):
    """Context model for entropy coding: groups of positions in turn; its probabilities are exact integers.

    The positions of a cell (4 on each axis) are in 4^axes groups, in the order of a dispersed-dot threshold
    (``groups.pattern``), so that the known ones are spread evenly at any time. Each group is drawn at once given all
    groups before it. Several codebooks come one after another: all positions of the first, then all of the second
    given all of the first. The network is a stack of convolutions, so grids of any size have probabilities
    (``steps``, ``frequencies``), not only those of ``grid``.

    **What the probabilities are of.** In evaluation mode ``log_prob`` is exactly the sum of log(frequency / 2^24) of
    the integer network (``vqkit.exact``): the same number on every device, with any batch size and any number of
    threads; it has no gradient. In training mode it is that of the same network with straight-through gradients.

    **What training minimises.** Each grid is shown as it is before one random step of its order; a step is chosen
    with a probability in proportion to its number of indices times the nats that an index of its codebook has cost
    lately (``codebook_nats``: most looks go to the codebooks that cost most). The loss is the mean of -log p over the
    indices of the step, weighted for that choice: an unbiased estimate of the nats per index of ``log_prob``. A step
    has few indices (a sixteenth of a grid), so the gradient is not that of the loss alone: ``look_ahead`` times the
    gradient of the mean over the later indices of the same codebook is added. The value of the loss stays the estimate.

    Untrained it gives log K nats per index (up to the integer division: 2^24 by K).

    Args:
        codebook_size: K, at most 65,536; indices lie in [0, K).
        grid: positions on each axis of the grids that it learns from, 0 to 3 axes.
        num_codebooks: C, indices at each position, the last axis of the indices when above 1.
        classes: the number of classes that the grids are conditioned on; None: without.
        class_names: their names, in this order, kept with the prior; None: they go by their numbers.
        condition_dropout: probability of training a grid without its class (see ``Conditions``).
        hidden_channels: width of the stream, of the convolutions and of the head.
        layers: blocks, and the receptive field in positions on each side.
        cell: positions on each axis of a cell, a power of two; cell^axes groups.
        later_cell: the same of the codebooks after the first, which have the first to go by; a list: of the second, the
            third and so on, the last number for all further. Each step costs time in files: the last codebooks of many
            are as well told at once (``[2, 2, 1]``).
        look_ahead: weight of the later indices in training, 0 or more.

    Raises:
        ConfigError: a value out of range, or a grid of 4 or more axes.

    Example:
        >>> import torch
        >>> from vqkit import ContextPrior
        >>> prior = ContextPrior(16, (4, 4), hidden_channels=16, layers=1).eval()
        >>> prior.log_prob(torch.zeros(2, 4, 4, dtype=torch.int64)).shape, prior.sample(3).shape
        (torch.Size([2]), torch.Size([3, 4, 4]))
    """

    model_type: ClassVar[str] = "context"
    conditional_by_default: ClassVar[bool] = False  # files have no classes
    folder_name: ClassVar[str] = "context"
    codes_files: ClassVar[bool] = True
    guides: ClassVar[bool] = True
    training_defaults: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "learning_rate": 4e-3}
    codebook_nats: Tensor

    def __init__(
        self,
        codebook_size: int,
        grid: Sequence[int],
        *,
        num_codebooks: int = 1,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        condition_dropout: float = 0.0,
        hidden_channels: int = 96,
        layers: int = 4,
        cell: int = 4,
        later_cell: int | Sequence[int] = 2,
        look_ahead: float = 0.5,
    ) -> None:
        super().__init__(recorded(ContextPrior.__init__, locals()))
        if codebook_size > LARGEST_SIZE:
            raise ConfigError(
                f"codebook_size={codebook_size}: exact frequencies are for {LARGEST_SIZE:,} values at most"
            )
        if len(self.grid) > 3:
            raise ConfigError(
                f"grid={list(self.grid)}: a context prior reads grids of 0 to 3 axes; {len(self.grid)} are too many"
            )
        for name, value in (("hidden_channels", hidden_channels), ("layers", layers)):
            if value < 1:
                raise ConfigError(f"{name}={value}: give 1 or more")
        check_cell("cell", cell)
        later = later_cell if isinstance(later_cell, int) else tuple(later_cell)
        for each in [later] if isinstance(later, int) else later or [0]:
            check_cell("later_cell", each)
        if not 0.0 <= look_ahead < math.inf:
            raise ConfigError(f"look_ahead={look_ahead}: give 0 or more; 0 trains on the indices of the step alone")
        self.look_ahead = look_ahead
        self.register_buffer("codebook_nats", torch.full((num_codebooks,), math.log(max(codebook_size, 2))))
        self.order = CodingOrder(cell, later)
        self.network = ContextNetwork(
            axes=len(self.grid),
            codebook_size=codebook_size,
            num_codebooks=num_codebooks,
            steps=self.order.number(num_codebooks, 0, len(self.grid)),
            classes=self.conditions.rows,
            channels=hidden_channels,
            layers=layers,
        )

    @property
    def halo(self) -> int:
        """Receptive field, in positions on each side of each axis."""
        return self.network.layers if self.grid else 0

    def steps(self, grid: Sequence[int], num_codebooks: int | None = None) -> list[Step]:
        """Return the coding steps of a grid of any size, in order.

        Args:
            grid: positions on each axis, as many axes as the prior's own grid has.
            num_codebooks: the first so many codebooks; None: all.

        Raises:
            ConfigError: another number of axes, an axis without positions, or more codebooks than there are.
        """
        wanted = self.num_codebooks if num_codebooks is None else num_codebooks
        if not 1 <= wanted <= self.num_codebooks:
            raise ConfigError(f"num_codebooks={wanted}: give 1 to {self.num_codebooks}, the prior's own")
        self._check_grid(grid)
        return self.order.steps(grid, wanted)

    @torch.no_grad()
    def frequencies(
        self, items: Tensor, step: Step, condition: Tensor | None = None, earlier: Tensor | None = None
    ) -> Tensor:
        """Frequencies of the step's indices, int64 ``[batch, m, K]``, each 1 or more, summing to 2^24; exact.

        The network of the evaluation mode is used in any mode.

        Args:
            items: int64 ``[batch, *grid, C']``, a grid of any size, with at least the step's codebook; only what
                earlier steps have filled is read.
            step: one of ``steps(grid, ...)``.
            condition: of each grid, as for ``log_prob``.
            earlier: the sum of ``network.embedded`` of all codebooks before the step's; None: it is computed.

        Raises:
            ConfigError: another number of axes.
            DataError: items of another dtype, or known ones out of range; codebooks that are missing.
        """
        with evaluating(self.network):
            features = self._checked_features(items, step, condition, earlier)
            return self._from_features(features, step.codebook).view(*features.shape[:2], self.codebook_size)

    @torch.no_grad()
    def frequency_rows(self, items: Tensor, step: Step, most: int, earlier: Tensor | None = None) -> Iterator[Tensor]:
        """``frequencies`` row by row ``[batch * m, K]``, ``most`` rows at a time: for many positions of many codes."""
        with evaluating(self.network):
            for part in self._checked_features(items, step, None, earlier).flatten(0, 1).split(most):
                yield self._from_features(part, step.codebook)

    def logits(self, indices: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log-probabilities ``[batch, *grid, K]`` or ``[batch, *grid, codebooks, K]`` of each index in its step.

        Arguments and errors as ``log_prob``; in evaluation mode exact, float64.
        """
        items = self._checked_items(indices)
        condition = self._checked_condition(condition, len(items))
        found: Tensor | None = None
        for step in self.steps(self.grid):
            each = self._log_probabilities(items, step, condition)
            found = each.new_zeros(*items.shape, self.codebook_size) if found is None else found
            found[:, step.positions, step.codebook] = each
        assert found is not None
        return found.view(*indices.shape, self.codebook_size)

    def set_storage_dtype(self, storage_dtype: torch.dtype, *, int8: bool | None = None) -> None:
        """Hold the exact network's integers in float32 (as new) or float64; see ``vqkit.exact.set_storage_dtype``."""
        set_storage_dtype(self.network, storage_dtype, int8=int8)

    def _check_grid(self, grid: Sequence[int]) -> None:
        if len(grid) != len(self.grid) or min(grid, default=1) < 1:
            raise ConfigError(
                f"grid={list(grid)}: this prior reads grids of {len(self.grid)} axes, each with 1 position or more"
            )

    def _known(self, items: Tensor, grid: tuple[int, ...], step: Step, condition: Tensor | None) -> Known:
        """Return the indices known before a step, at the same positions in all grids."""
        group = groups(grid, self.order.cell_of(step.codebook)).to(items.device)
        state = torch.where(group < step.group, KNOWN, torch.where(group == step.group, NOW, LATER))
        known = torch.ones(len(group), step.codebook + 1, dtype=torch.bool, device=items.device)
        known[:, step.codebook] = state == KNOWN
        items = items[:, :, : step.codebook + 1].masked_fill(~known, 0)
        check_range("known indices", items, 0, self.codebook_size, "codebook_size")
        number = torch.tensor([self.order.number(step.codebook, step.group, len(grid))], device=items.device)
        return Known(items, known[None], state[None], number, condition)

    def _checked_features(
        self, items: Tensor, step: Step, condition: Tensor | None, earlier: Tensor | None = None
    ) -> Tensor:
        grid = tuple(items.shape[1:-1])
        if items.dtype != torch.int64 or items.ndim < 2 or items.shape[-1] <= step.codebook:
            raise DataError(
                f"items are {items.dtype} of shape {list(items.shape)}; give torch.int64 [batch, *grid, codebooks] "
                f"with at least the {step.codebook + 1} codebooks of this step"
            )
        self._check_grid(grid)
        flat = items.to(self.device).reshape(len(items), math.prod(grid), items.shape[-1])
        return self._features(flat, grid, step, self._checked_condition(condition, len(items)), earlier)

    def _features(
        self,
        items: Tensor,
        grid: tuple[int, ...],
        step: Step,
        condition: Tensor | None,
        earlier: Tensor | None = None,
    ) -> Tensor:
        """The last stream ``[batch, m, channels]`` at the positions of a step, from flat items, in evaluation mode."""
        known = replace(self._known(items, grid, step, condition), earlier=earlier)
        plan = plan_for(grid, self.order.cell_of(step.codebook), step.group, self.network.layers)
        return self.network.features_at(known, plan)

    def _from_features(self, features: Tensor, codebook: int) -> Tensor:
        """Frequencies ``[rows, K]`` of all positions, whatever their axes."""
        return frequencies(weights_of(self.network.logits(features.flatten(0, -2), codebook)))

    def _log_probabilities(self, items: Tensor, step: Step, condition: Tensor | None) -> Tensor:
        """log p ``[batch, m, K]`` of all values of a step's indices; in training mode with gradient."""
        if not self.training:
            with torch.no_grad():
                features = self._features(items, self.grid, step, condition)
                found = self._from_features(features, step.codebook).view(*features.shape[:2], self.codebook_size)
                return found.double().log() - TOTAL_BITS * math.log(2.0)
        features = self.network.features(self._known(items, self.grid, step, condition), self.grid)
        logits = self.network.logits(features[:, step.positions.to(items.device)].flatten(0, 1), step.codebook)
        return (logits / (1 << LOGIT.bits)).log_softmax(dim=-1).view(len(items), -1, self.codebook_size)

    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        found = []
        rows = self._rows_at_once
        if not self.training and items.device.type == "cpu":
            rows = min(rows, _ROWS_JUDGED)
        for start in range(0, len(items), rows):
            part = items[start : start + rows]
            told = None if condition is None else condition[start : start + rows]
            every = self._training_nats(part, told) if self.training else self._exact_nats(part, told)
            found.append(torch.cat(list(every), dim=1).sum(dim=1))  # along memory: in one order for any batch
        return torch.cat(found)

    @torch.no_grad()
    def _position_log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        rows = min(self._rows_at_once, _ROWS_JUDGED)
        found = torch.zeros(items.shape[:2], dtype=torch.float64, device=items.device)
        with evaluating(self.network):
            for start in range(0, len(items), rows):
                here = slice(start, start + rows)
                told = None if condition is None else condition[here]
                each = self._exact_nats(items[here], told)
                for step, nats in zip(self.steps(self.grid), each, strict=True):
                    found[here].index_add_(1, step.positions.to(items.device), nats)
        return found

    def _training_nats(self, items: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        """log p ``[batch, m]`` of the indices of each step, with gradient."""
        for step in self.steps(self.grid):
            each = self._log_probabilities(items, step, condition)
            index = items[:, step.positions.to(items.device), step.codebook]
            yield each.gather(2, index.unsqueeze(2)).squeeze(2)

    @torch.no_grad()
    def _exact_nats(self, items: Tensor, condition: Tensor | None) -> Iterator[Tensor]:
        """The same by the integer network, float64: all that a step shares with the ones before is kept."""
        earlier: Tensor | None = None
        codebook = 0
        for step in self.steps(self.grid):
            if step.codebook != codebook:
                more = self.network.embedded(items[:, :, codebook], codebook)
                earlier, codebook = more if earlier is None else earlier + more, step.codebook
            features = self._features(items, self.grid, step, condition, earlier)
            weights = weights_of(self.network.logits(features.flatten(0, 1), step.codebook))
            index = items[:, step.positions.to(items.device), step.codebook]
            found = frequencies_of(weights, index.flatten()).view(index.shape)
            yield found.double().log() - TOTAL_BITS * math.log(2.0)

    def _loss(self, items: Tensor, condition: Tensor | None) -> Tensor:
        if not self.training:
            return super()._loss(items, condition)
        shown = draw_shown(self.order, self.codebook_nats, items, self.grid, condition)
        features = self.network.features(shown.known, self.grid)
        now, later = ((shown.known.state == each).to(features.dtype) for each in (NOW, LATER))
        weight = now / now.sum(dim=1, keepdim=True)
        ahead = later * (self.look_ahead / later.sum(dim=1, keepdim=True).clamp_min(1.0))
        loss = features.new_zeros(())
        for each in range(self.num_codebooks):
            wanted = (weight + ahead > 0) & (shown.codebook == each).unsqueeze(1)
            logits = self.network.logits(features[wanted], each) / (1 << LOGIT.bits)
            nats = F.cross_entropy(logits, items[:, :, each][wanted], reduction="none")
            own = weight[wanted]
            self._watch(each, nats.detach(), own)
            nats = nats * shown.worth.unsqueeze(1).expand(weight.shape)[wanted]
            extra = (nats * ahead[wanted]).sum()
            loss = loss + (nats * own).sum() + (extra - extra.detach())
        return loss / len(items)

    @torch.no_grad()
    def _watch(self, codebook: int, nats: Tensor, weight: Tensor) -> None:
        """Let ``codebook_nats`` follow what the indices of this batch have cost."""
        total = weight.sum()
        found = (nats * weight).sum() / total.clamp_min(1e-12)
        self.codebook_nats[codebook].lerp_(found.to(self.codebook_nats.dtype), _WATCHED * (total > 0))

    def _sample_steps(self, request: SamplingParams) -> Steps:
        items, filled = begun(request, self.positions, self.num_codebooks, self.device)
        yield items, filled
        for step in self.steps(self.grid):
            seen = items if request.copies == 1 else torch.cat([items, items])
            every = self._log_probabilities(seen, step, request.conditions).float()
            if request.copies == 2:
                every = guided(every[: request.count], every[request.count :], request.guidance)
            positions = step.positions.to(items.device)
            drawn = request.draw(every.flatten(0, 1)).view(request.count, -1)
            if request.keep is not None and request.known is not None:
                drawn = torch.where(request.keep[:, positions], request.known[:, positions, step.codebook], drawn)
            items[:, positions, step.codebook], filled[:, positions, step.codebook] = drawn, True
            yield items, filled

    @property
    def _rows_at_once(self) -> int:
        largest = max(len(step.positions) for step in self.steps(self.grid))
        stream = self.positions * 4 * self.config["hidden_channels"]
        return max(1, _MOST_NUMBERS // max(largest * self.codebook_size, stream))
