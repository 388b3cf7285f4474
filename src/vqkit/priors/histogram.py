"""The simplest prior that knows anything: how often each index occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Self, final

import torch
from torch import Tensor

from vqkit.errors import DataError
from vqkit.priors.base import Prior
from vqkit.priors.sampling import SamplingParams
from vqkit.recording import recorded

_FLOOR = 0.5
_MOST_LOGITS = 1 << 25


@final
class HistogramPrior(Prior):
    """Independent indices, each from the histogram of its codebook: what any other prior has to beat.

    p(i) = (count of i + 1/2) / (all counts + K/2): the Krichevsky-Trofimov estimate, which gives every index a
    probability above 0. Before anything has been counted it is uniform.

    ``fit`` counts; so does ``vqkit.train`` (one pass over the training items), and ``HistogramPrior.of(indices)``.

    Args:
        codebook_size: K; indices lie in [0, K).
        grid: positions on each axis, any number of them.
        num_codebooks: C, indices at each position, the last axis of the indices when above 1.
        per_position: a histogram for each position of the grid, not one for all.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit import HistogramPrior
        >>> prior = HistogramPrior(16, (4, 4))
        >>> bits = -prior.log_prob(torch.zeros(1, 4, 4, dtype=torch.int64)) / torch.tensor(2.0).log()
        >>> round(bits.item(), 3)  # not fitted: log2 16 for each of 16 positions
        64.0
    """

    model_type: ClassVar[str] = "histogram"
    closed_form: ClassVar[bool] = True
    codes_files: ClassVar[bool] = True
    counts: Tensor

    def __init__(
        self, codebook_size: int, grid: Sequence[int], *, num_codebooks: int = 1, per_position: bool = False
    ) -> None:
        super().__init__(recorded(HistogramPrior.__init__, locals()))
        places = self.positions if per_position else 1
        self.register_buffer("counts", torch.zeros(places, num_codebooks, codebook_size, dtype=torch.int64))

    @classmethod
    def of(
        cls, indices: Tensor, codebook_size: int, *, grid: Sequence[int] | None = None, per_position: bool = False
    ) -> Self:
        """The prior of these grids.

        Args:
            indices: int64 ``[items, *grid]``, or ``[items, *grid, codebooks]``.
            codebook_size: K.
            grid: where the indices have an axis of codebooks: the grid, without it. None: they have none.
            per_position: see the class.

        Raises:
            DataError: indices that are no such grids, or out of range.
        """
        shape = tuple(indices.shape[1:])
        own = shape if grid is None else tuple(grid)
        if indices.ndim == 0 or len(shape) - len(own) not in (0, 1) or shape[: len(own)] != own:
            raise DataError(
                f"indices have shape {list(indices.shape)}; with grid={list(own)} give [items, *grid] or [items, "
                "*grid, codebooks]"
            )
        codebooks = shape[len(own)] if len(shape) > len(own) else 1
        prior = cls(codebook_size, own, num_codebooks=codebooks, per_position=per_position)
        prior.count(indices.view(len(indices), *prior.item_shape))
        return prior.eval()

    @classmethod
    def from_histogram(cls, counts: Tensor, grid: Sequence[int]) -> Self:
        """The prior of counts that exist already, ``[K]`` or ``[codebooks, K]``; for grids of this shape.

        Raises:
            DataError: counts of another shape, or below 0.
        """
        table = counts if counts.ndim == 2 else counts.unsqueeze(0)
        if table.ndim != 2 or table.numel() == 0 or bool((table < 0).any()):
            raise DataError(
                f"counts have shape {list(counts.shape)}; give how often each index occurs, [codebook_size] or "
                "[codebooks, codebook_size], each 0 or more"
            )
        prior = cls(table.shape[1], grid, num_codebooks=len(table))
        prior.counts.copy_(table.long().unsqueeze(0))
        return prior.eval()

    def fit(self, stream: Callable[[], Iterable[Tensor]]) -> None:
        """Count all grids of a stream, from nothing.

        Args:
            stream: gives an iterable over training batches ``[batch, 1, *item_shape]`` of any integers.

        Raises:
            DataError: indices of another shape or range.
        """
        self.counts.zero_()
        for batch in stream():
            self.count(self.read_batch(batch))

    def count(self, indices: Tensor) -> None:
        """Add the indices of a batch to the counts; shapes and errors as ``log_prob``."""
        items = self._checked_items(indices)
        if len(self.counts) == 1:
            items = items.reshape(-1, 1, self.num_codebooks)
        offsets = torch.arange(self.counts[..., 0].numel(), device=items.device) * self.codebook_size
        flat = items + offsets.view(items.shape[1:])
        self.counts += flat.flatten().bincount(minlength=self.counts.numel()).view_as(self.counts)

    def probabilities(self) -> Tensor:
        """p of each index, float64 ``[n, C, K]`` (``[1, C, K]`` where all positions share a histogram)."""
        counts = self.counts.double() + _FLOOR
        return counts / counts.sum(dim=-1, keepdim=True)

    def _log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        return self._each(items, condition).flatten(1).sum(dim=1)

    def _position_log_prob(self, items: Tensor, condition: Tensor | None) -> Tensor:
        return self._each(items, condition).sum(dim=2)

    def _each(self, items: Tensor, condition: Tensor | None) -> Tensor:
        """log p ``[batch, n, C]`` of each index."""
        del condition
        table = self.probabilities().log().expand(self.positions, -1, -1)
        return table.expand(len(items), -1, -1, -1).gather(3, items.unsqueeze(-1)).squeeze(-1)

    def _sample(self, request: SamplingParams) -> Tensor:
        logits = self.probabilities().log().expand(self.positions, -1, -1).expand(request.count, -1, -1, -1)
        items = request.draw(logits.flatten(0, 2)).view(logits.shape[:3])
        if request.keep is None or request.known is None:
            return items
        return torch.where(request.keep.unsqueeze(-1), request.known, items)

    @property
    def _rows_at_once(self) -> int:
        return max(1, _MOST_LOGITS // (self.indices_per_item * self.codebook_size))

    @property
    def device(self) -> torch.device:
        """Device of the counts."""
        return self._like.device

    @property
    def _like(self) -> Tensor:
        return self.counts
