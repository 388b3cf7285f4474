"""Trainable classes by name: models of signals, priors over their indices, and whatever else is registered."""

from __future__ import annotations

from pathlib import Path

import vqkit.pixels  # noqa: F401 - registers its class
from vqkit.errors import ConfigError
from vqkit.models import MODELS, ModelOutput, load_model
from vqkit.pretrained import folder
from vqkit.pretrained.trainable import TRAINABLES, StepOutput, Trainable
from vqkit.priors import PRIORS, load_prior

__all__ = ["Output", "Trainable", "load_trained", "trainable_class"]

Output = ModelOutput | StepOutput
_REGISTRIES = (MODELS, PRIORS, TRAINABLES)


def trainable_class(name: str) -> type[Trainable]:
    """Return the class that a run folder names.

    Raises:
        ConfigError: an unknown name.
    """
    for registry in _REGISTRIES:
        if name in registry:
            found: type[Trainable] = registry.get_part(name)
            return found
    others = [known for registry in _REGISTRIES[1:] for known in registry]
    raise ConfigError(f"{MODELS.missing(name, None)}, {', '.join(others)}")


def load_trained(path: str | Path) -> Trainable:
    """Load the model, the prior or the other trainable in a run folder; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, damaged, or of a class that is not registered here.
    """
    kind, _ = folder.read_config(folder.locate(path))
    if kind in PRIORS:
        return load_prior(path)
    if kind in TRAINABLES:
        return Trainable.from_registry(TRAINABLES, path, None)
    return load_model(path)
