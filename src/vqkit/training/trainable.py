"""What the training loop can train: models of signals, and priors over their indices."""

from __future__ import annotations

from pathlib import Path

from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models import MODELS, Model, ModelOutput, load_model
from vqkit.models.folder import locate, read_config
from vqkit.priors import PRIORS, Prior, PriorOutput, load_prior

Trainable = Model | Prior
Output = ModelOutput | PriorOutput


def trainable_class(name: str) -> type[Model] | type[Prior]:
    """The class that a run folder names.

    Raises:
        ConfigError: an unknown name.
    """
    found = MODELS.get(name) or PRIORS.get(name)
    if found is None:
        raise ConfigError(f"{name!r} is unknown; known: {', '.join([*MODELS, *PRIORS])}")
    return found


def load_trained(path: str | Path) -> Trainable:
    """The model, or the prior, in a run folder; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, or it is damaged.
    """
    kind, _ = read_config(locate(path))
    if kind in PRIORS:
        return load_prior(path)
    if kind not in MODELS:
        raise ModelFolderError(f"{path}: model_type {kind!r} is unknown here")
    return load_model(path)
