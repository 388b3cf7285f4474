"""Choice of the evaluator that suits what is trained."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path

import numpy as np

from vqkit.data import Source
from vqkit.models import Model
from vqkit.pixels import PixelPrior
from vqkit.priors import Prior
from vqkit.training.config import TrainConfig
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.models import ModelEvaluator
from vqkit.training.evaluators.pixels import PixelPriorEvaluator
from vqkit.training.evaluators.priors import PriorEvaluator, fitting_grids
from vqkit.training.evaluators.trainables import TrainableEvaluator
from vqkit.training.trainable import Trainable

_EVALUATED_AT_ONCE = 64 * 128 * 128
"""Positions in a batch of an evaluation, so that it can end soon after any."""


@singledispatch
def evaluator_for(model: Trainable, validation: Source, config: TrainConfig, pictures: Path | None) -> Evaluator:
    """Return the evaluator of a trainable on held-out items; by default its own ``evaluate_batch``.

    Args:
        model: that is trained; its class chooses.
        validation: the held-out items.
        config: of the training.
        pictures: folder for sheets; None draws none.
    """
    del model, pictures
    return TrainableEvaluator(validation, _fitting_signals(validation), config.evaluation_items)


@evaluator_for.register
def _model_evaluator(model: Model, validation: Source, config: TrainConfig, pictures: Path | None) -> Evaluator:
    drawing = "likelihood_bits_per_dim" if model.autoregressive and model.counts_bits else None
    return ModelEvaluator(validation, _fitting_signals(validation), config.evaluation_items, pictures, drawing)


@evaluator_for.register
def _prior_evaluator(model: Prior, validation: Source, config: TrainConfig, pictures: Path | None) -> Evaluator:
    del model
    return PriorEvaluator(validation, fitting_grids(validation), config.evaluation_items, pictures)


@evaluator_for.register
def _pixel_evaluator(model: PixelPrior, validation: Source, config: TrainConfig, pictures: Path | None) -> Evaluator:
    del pictures
    return PixelPriorEvaluator(model.tokenizer, validation, _fitting_signals(validation), config.evaluation_items)


def _fitting_signals(validation: Source) -> int:
    largest = int(np.prod(validation.item_sizes(), axis=1).max())
    return max(1, min(256, _EVALUATED_AT_ONCE // max(largest, 1)))
