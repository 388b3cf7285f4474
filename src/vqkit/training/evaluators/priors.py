"""Evaluations of a prior: the bits that it would code held-out grids of indices with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vqkit.data import Source
from vqkit.priors.labels import picked
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch

_INDICES = 1 << 15
"""In a batch, so that an evaluation can end soon after any."""


def fitting_grids(source: Source) -> int:
    """Grids of indices to judge at a time."""
    return max(1, min(256, _INDICES // max(1, int(np.prod(source.item_size(0))))))


class PriorEvaluator(Evaluator):
    """Judges a prior on held-out indices, given their classes where it has classes.

    Args:
        source: the validation items, indices.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
        pictures: not used: indices make no picture.
    """

    headline = "bits_per_item"

    def __init__(self, source: Source, batch_size: int, items: int, pictures: Path | None) -> None:
        del pictures
        super().__init__(source, batch_size, items)

    def _judge(self, model: Any, items: int, watch: Watch, *, last: bool) -> dict[str, Any] | None:
        del last
        count = model.indices_per_item
        labels = model.conditions_of(self.source)

        def one(numbers: npt.NDArray[Any], batch: Tensor) -> tuple[int, float]:
            grids = model.read_batch(batch.to(model.device))
            condition = picked(labels, numbers, model.device)
            # forward, since FSDP gathers the parameters for it
            return len(grids), float(model(grids, *condition).loss) * len(grids) * count

        found = watch.each(self.source, self.batch_size, one, most=items)
        judged, nats = sum(each for each, _ in found), sum(each for _, each in found)
        if not judged:
            return None
        return {
            "items": judged,
            "nats_per_index": nats / judged / count,
            "bits_per_item": nats / judged / math.log(2),
            "uniform_bits_per_item": count * math.log2(model.codebook_size),
        }
