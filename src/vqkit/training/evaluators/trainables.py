"""Evaluations of a trainable by its own measures of held-out batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vqkit.priors.labels import picked
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch
from vqkit.training.trainable import Trainable


class TrainableEvaluator(Evaluator):
    """Judges a trainable by ``Trainable.evaluate_batch``: the means of its measures over the held-out items."""

    def _judge(self, model: Trainable, items: int, watch: Watch, *, last: bool) -> dict[str, Any] | None:
        del last
        conditions = model.conditions_of(self.source)

        def one(numbers: npt.NDArray[Any], batch: Tensor) -> tuple[int, dict[str, float]]:
            condition = picked(conditions, numbers, model.device)
            return len(batch), dict(model.evaluate_batch(batch.to(model.device), *condition))

        found = watch.each(self.source, self.batch_size, one, most=items)
        if not found:
            return None
        counts = [count for count, _ in found]
        means = {
            name: float(np.average([measures[name] for _, measures in found], weights=counts)) for name in found[0][1]
        }
        return {"items": sum(counts), **means}
