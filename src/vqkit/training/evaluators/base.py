"""Base of evaluators: a few held-out items during training, all of them at the end, as far as time allows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vqkit.data import Source
from vqkit.ops import evaluating
from vqkit.training.evaluators.measures import Measure
from vqkit.training.evaluators.watch import Watch


class Evaluator(ABC):
    """Judges on a held-out set.

    The numbers of an evaluation say of how many ``items`` they are, and ``of`` how many held-out ones.

    Args:
        source: the validation items.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.

    Attributes:
        headline: the measure that says most, by which the best model is kept unless another is named.
        sounds: of the last evaluation, those to be played: a name, samples ``[channels, time]``, samples a second.
    """

    headline: str = "loss"
    sounds: Sequence[tuple[str, npt.NDArray[np.generic], int]] = ()

    def __init__(self, source: Source, batch_size: int, items: int) -> None:
        self.source = source
        self.batch_size = batch_size
        self.items = min(items, len(source))

    def validate(
        self, model: Any, step: int, watch: Watch | None = None
    ) -> tuple[dict[str, Any], Image.Image | None] | None:
        """Evaluate on the first ``items``.

        With a limit of time on as many of them as fit, in an order that is spread over the whole set: always the same
        ones first, so that evaluations of one number of items are of the same.
        """
        return self._evaluated(model, f"step_{step:09d}.png", watch or Watch(), last=False)

    def finalize(self, model: Any, watch: Watch | None = None) -> tuple[dict[str, Any], Image.Image | None] | None:
        """Evaluate on the whole set, or as much of it as the time allows; None where that is nothing."""
        return self._evaluated(model, "final.png", watch or Watch(), last=True)

    def measures(self, model: Any) -> list[str]:
        """Return the names of the numbers that an evaluation gives, which is found by judging one item."""
        with torch.no_grad(), evaluating(model):
            values = self._judge(model, 1, Watch(), last=False) or {}
        return [name for name in values if name != "items" and _is_number(name, values)]

    def _evaluated(
        self, model: Any, name: str, watch: Watch, *, last: bool
    ) -> tuple[dict[str, Any], Image.Image | None] | None:
        with torch.no_grad(), evaluating(model):
            values = self._judge(model, len(self.source) if last else self.items, watch, last=last)
            if values is None:
                return None
            return {**values, "of": len(self.source)}, self._picture(model, name, watch)

    @abstractmethod
    def _judge(self, model: Any, items: int, watch: Watch, *, last: bool) -> dict[str, Any] | None:
        """The numbers of one evaluation of so many items, in evaluation mode; None without an item."""

    def _picture(self, model: Any, name: str, watch: Watch) -> Image.Image | None:
        """A picture of what the model does to the first items; None draws none."""
        del model, name, watch
        return None


def _is_number(name: str, values: dict[str, Any]) -> bool:
    """Return True for a measure that is a number, NaN too, or an infinity that the values say None for."""
    return isinstance(values[name], float) or not math.isnan(Measure(name, 1).value_in(values))
