"""Models by the names that configs and commands use: the rungs of the ladder, in order."""

from __future__ import annotations

from vqkit.errors import ConfigError
from vqkit.models.autoencoder import Autoencoder
from vqkit.models.base import Model
from vqkit.models.pca import PCA
from vqkit.models.vae import VAE
from vqkit.models.vqvae import VQVAE

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
