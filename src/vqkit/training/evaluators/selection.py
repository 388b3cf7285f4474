"""Choice of the evaluator that suits what is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vqkit.data import Source
from vqkit.pixels import PixelPrior
from vqkit.priors import Prior
from vqkit.training.config import TrainConfig
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.models import ModelEvaluator
from vqkit.training.evaluators.pixels import PixelPriorEvaluator
from vqkit.training.evaluators.priors import PriorEvaluator, fitting_grids
from vqkit.training.trainable import Trainable

_EVALUATED_AT_ONCE = 64 * 128 * 128
"""Positions in a batch of an evaluation, so that it can end soon after any."""


def evaluator_for(model: Trainable, validation: Source, config: TrainConfig, pictures: Path | None) -> Evaluator:
    """Return the evaluator of a model, a prior or a pixel prior on held-out items."""
    if isinstance(model, Prior):
        return PriorEvaluator(validation, fitting_grids(validation), config.evaluation_items, pictures)
    largest = int(np.prod(validation.item_sizes(), axis=1).max())
    batch_size = max(1, min(256, _EVALUATED_AT_ONCE // max(largest, 1)))
    if isinstance(model, PixelPrior):
        return PixelPriorEvaluator(model.tokenizer, validation, batch_size, config.evaluation_items)
    return ModelEvaluator(validation, batch_size, config.evaluation_items, pictures)
