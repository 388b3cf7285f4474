"""Trainable classes: models of signals, priors over their indices, and pixel priors."""

from __future__ import annotations

from pathlib import Path

from vqkit.errors import ConfigError
from vqkit.models import MODELS, Model, ModelOutput, load_model
from vqkit.pixels import PixelPrior
from vqkit.pretrained.folder import locate, read_config
from vqkit.priors import PRIORS, Prior, PriorOutput, load_prior

Trainable = Model | Prior | PixelPrior
Output = ModelOutput | PriorOutput


def trainable_class(name: str) -> type[Model] | type[Prior] | type[PixelPrior]:
    """The class that a run folder names.

    Raises:
        ConfigError: an unknown name.
    """
    found = PixelPrior if name == PixelPrior.model_type else MODELS.get(name) or PRIORS.get(name)
    if found is None:
        raise ConfigError(f"{MODELS.missing(name, None)}, {', '.join([*PRIORS, PixelPrior.model_type])}")
    return found


def load_trained(path: str | Path) -> Trainable:
    """The model, or the prior, in a run folder; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, or it is damaged.
    """
    kind, _ = read_config(locate(path))
    if kind in PRIORS:
        return load_prior(path)
    if kind == PixelPrior.model_type:
        return PixelPrior.from_pretrained(path)
    return load_model(path)
