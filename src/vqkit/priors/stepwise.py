"""Stepwise sampling: a grid of indices as it fills, after each step of a prior that draws in steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from vqkit.ops import evaluating
from vqkit.priors.base import Prior
from vqkit.priors.contracts import checked_samples
from vqkit.priors.sampling import SamplingParams

Steps = Iterator[tuple[Tensor, Tensor]]
"""Items int64 ``[count, n, C]`` and which of them are there, bool of the same shape: one pair of tensors, which changes
in place from step to step."""
PLAIN = {"temperature": 1.0, "top_k": None, "top_p": None, "guidance": 1.0, "generator": None}
"""What ``sample`` draws by where nothing else is said."""


@final
@dataclass(frozen=True)
class PartialSample:
    """Grids that a prior is filling.

    Attributes:
        indices: int64 ``[count, *grid]`` or ``[count, *grid, codebooks]``; where nothing has been drawn yet, any.
        filled: bool, the same shape: what is held, or has been drawn.

    Example:
        >>> import torch
        >>> from vqkit.priors import PartialSample
        >>> PartialSample(torch.tensor([[3, 0]]), torch.tensor([[True, False]])).fraction
        0.5
    """

    indices: Tensor
    filled: Tensor

    @property
    def fraction(self) -> float:
        """The part of the indices that is there, 0 to 1."""
        return float(self.filled.float().mean())


class StepwisePrior(Prior):
    """Abstract: a prior that draws a grid in steps, and can be watched while it does.

    A subclass defines ``_sample_steps``; ``_sample`` is the last of them.

    Example:
        >>> import torch
        >>> import vqkit
        >>> prior = vqkit.MaskedPrior(16, (4, 4), hidden_channels=16, layers=1, heads=2, steps=3).eval()
        >>> [round(part.fraction, 2) for part in prior.sample_steps(1)]
        [0.0, 0.19, 0.5, 1.0]
    """

    @abstractmethod
    def _sample_steps(self, request: SamplingParams) -> Steps:
        """Yield what is held, before anything is drawn, and then the grids after each step."""

    def _sample(self, request: SamplingParams) -> Tensor:
        return last_of(self._sample_steps(request))

    def sample_steps(
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
    ) -> Iterator[PartialSample]:
        """Yield the grids of ``sample`` as they fill: what is held first, then after each step, the whole ones last.

        Of one seed the last are those of ``sample``. Closing the iterator ends the drawing. Arguments and errors as
        ``sample``; the errors come at once.
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
        return self._watched(request, self._sample_steps)

    def _watched(self, request: SamplingParams, make: Callable[[SamplingParams], Steps]) -> Iterator[PartialSample]:
        """Yield samples as ``make`` fills the parts of a request, in eval mode while it draws."""
        items, filled = begun(request, self.positions, self.num_codebooks, self.device)
        start = 0
        for number, part in enumerate(request.parts(self._rows_at_once)):
            here, steps, first = slice(start, start + part.count), make(part), number > 0
            while True:
                with torch.no_grad(), evaluating(self):
                    step = next(steps, None)
                if step is None:
                    break
                if first:  # what is held of a later part is there from the beginning
                    first = False
                    continue
                items[here], filled[here] = step
                yield PartialSample(
                    items.clone().view(request.count, *self.item_shape),
                    filled.clone().view(request.count, *self.item_shape),
                )
            checked_samples(self, items[here], part)
            start += part.count


def last_of(steps: Steps) -> Tensor:
    """The items after the last step."""
    items: Tensor | None = None
    for items, _ in steps:  # noqa: B007
        pass
    assert items is not None
    return items


def begun(request: SamplingParams, positions: int, codebooks: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Items and which of them are there before the first step: what the request holds."""
    shape = (request.count, positions, codebooks)
    if request.keep is None or request.known is None:
        none = torch.zeros(shape, dtype=torch.bool, device=device)
        return torch.zeros(shape, dtype=torch.int64, device=device), none
    return request.known.clone(), request.keep.unsqueeze(-1).repeat(1, 1, codebooks)
