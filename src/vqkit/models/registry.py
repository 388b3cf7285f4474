"""Models by the names that configs and commands use: the rungs of the ladder, in order."""

from __future__ import annotations

from pathlib import Path

from vqkit.checking import shown
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models.autoencoder import Autoencoder
from vqkit.models.base import Model
from vqkit.models.pca import PCA
from vqkit.models.vae import VAE
from vqkit.models.vqvae import VQVAE
from vqkit.pretrained import folder

MODELS: dict[str, type[Model]] = {each.model_type: each for each in (PCA, Autoencoder, VAE, VQVAE)}


def model_class(name: str) -> type[Model]:
    """The class of a ``model_type``; ``ae`` is short for ``autoencoder``.

    Raises:
        ConfigError: an unknown name.
    """
    name = {"ae": Autoencoder.model_type}.get(name, name)
    if name not in MODELS:
        raise ConfigError(f"model {name!r} is unknown; choose one of: {', '.join(MODELS)}")
    return MODELS[name]


def load_model(name: str | Path, *, revision: str | None = None) -> Model:
    """The model in a folder (or run folder, or hub repository), whatever its class; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, incomplete or damaged.
        ConfigError: the config has keys that the class does not take.
    """
    location = folder.locate(name, revision)
    model_type, config = folder.read_config(location)
    if model_type not in MODELS:
        raise ModelFolderError(
            f"{location}: model_type {shown(model_type)} is unknown here; known: {', '.join(MODELS)}"
        )
    return folder.load(MODELS[model_type], config, location)
