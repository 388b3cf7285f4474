"""The classes that a prior is shown beside the indices: the labels of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.priors import Prior
from vqkit.training.trainable import Trainable

Labels = npt.NDArray[np.int64]


def labels_for(model: Trainable, source: Source) -> Labels | None:
    """The class ids of all items, int64 ``[N]``, for a prior with classes; None for anything else.

    Raises:
        ConfigError: a prior whose condition the data cannot give: vectors, classes without labels, labels out of
            range, items without a label for a prior that always has one.
    """
    if not isinstance(model, Prior) or not model.conditions:
        return None
    classes = model.classes
    if classes is None:
        raise ConfigError(
            f"condition_dim={model.conditions.dim}: this loop shows a prior the labels of the data, and they have no "
            "vectors; train it in a loop of your own with prior(indices, condition).loss, or make it with classes="
        )
    labels = source.labels
    if labels is None:
        raise ConfigError(
            f"classes={classes}: {source.describe()} have no labels to condition on; encode data that have labels (a "
            "folder for each class, for example), or make the prior with classes=None"
        )
    if int(labels.max()) >= classes or int(labels.min()) < -1:
        raise ConfigError(
            f"classes={classes}: the labels of {source.name} run from {labels.min()} to {labels.max()}; make the prior "
            f"with classes={int(labels.max()) + 1}"
        )
    without = int((labels < 0).sum())
    if without and not model.conditions.dropout:
        raise ConfigError(
            f"{without:,} of {len(labels):,} items of {source.name} have no label (-1), and this prior was made with "
            "condition_dropout=0, so it has no distribution without one; leave these items out, or make the prior with "
            "condition_dropout=0.1"
        )
    return labels


def picked(labels: Labels | None, indices: npt.NDArray[Any], device: torch.device) -> tuple[Tensor, ...]:
    """What a model is given after its batch: the labels of these items as ``(int64 [b],)``; nothing without labels."""
    return () if labels is None else (torch.from_numpy(labels[indices]).to(device, non_blocking=True),)
