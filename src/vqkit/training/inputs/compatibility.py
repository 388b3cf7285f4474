"""Compatibility of a model and the data that it is to be trained on."""

from __future__ import annotations

import numpy as np

from vqkit.checking import counted
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.models import Model
from vqkit.priors import Prior
from vqkit.training.inputs.labels import labels_for
from vqkit.training.trainable import Trainable


def check_fit(model: Trainable, source: Source) -> None:
    """Raise ``ConfigError`` unless the model reads what the source holds."""
    if isinstance(model, Prior):
        if (source.channels, source.size) != (1, model.item_shape) or source.dtype != np.int32:
            raise ConfigError(
                f"the prior reads indices of shape {list(model.item_shape)}, but this is {source.describe()}; tokenize "
                "the data first (vqkit.tokenize), and make the prior with the grid and the codebooks of these tokens"
            )
        labels_for(model, source)
        return
    if source.dtype == np.int32:
        raise ConfigError(f"{source.describe()} are indices: a prior learns them, not a {type(model).__name__}")
    if (model.channels, model.axes) != (source.channels, source.axes):
        raise ConfigError(
            f"the model reads signals of {counted(model.axes, 'axis', 'axes')} and "
            f"{counted(model.channels, 'channel')}, but this is "
            f"{source.describe()}; make the model with {type(model).__name__}.for_source(source), or "
            f"channels={source.channels}, axes={source.axes}"
        )
    if isinstance(model, Model):
        model.check_source(source)


def check_size(model: Trainable, size: tuple[int, ...] | None) -> None:
    """Raise ``ConfigError`` unless a model of one size is shown signals of that size (None: of several)."""
    only = model.only_size if isinstance(model, Model) else None
    if only is not None and only != size:
        shown = "several sizes" if size is None else f"size {list(size)}"
        raise ConfigError(
            f"the model reads signals of size {list(only)} only, and training shows it {shown}; make it for the size "
            "of the data (or of the crops: crop=)"
        )
