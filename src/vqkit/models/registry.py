"""Models by the names that configs and commands use: the rungs of the ladder in order, then those of vectors."""

from __future__ import annotations

from pathlib import Path

from vqkit.models.autoencoder import Autoencoder
from vqkit.models.base import Model
from vqkit.models.foreign import codecs, vqmodel  # noqa: F401  (register what they read)
from vqkit.models.pca import PCA
from vqkit.models.vae import VAE
from vqkit.models.vectors.product import OptimizedProductQuantization, ProductQuantization
from vqkit.models.vectors.residual import ResidualQuantization
from vqkit.models.vqvae import VQVAE
from vqkit.registry import Registry

MODELS: Registry[type[Model]] = Registry("model", "vqkit.models", Model, attribute="model_type")
"""Every class of model by name."""
for _kind, _cited in (
    (PCA, ("pearson1901lines", "tipping1999probabilistic")),
    (Autoencoder, ("hinton2006reducing",)),
    (VAE, ("kingma2014auto",)),
    (VQVAE, ("vandenoord2017neural",)),
    (ProductQuantization, ("jegou2011product",)),
    (OptimizedProductQuantization, ("ge2013optimized",)),
    (ResidualQuantization, ("juang1982multiple", "babenko2014additive", "martinez2018lsq")),
):
    MODELS.register(_kind.model_type, citations=_cited)(_kind)


def model_class(name: str) -> type[Model]:
    """Return the class of a ``model_type``; ``ae`` is short for ``autoencoder``.

    Raises:
        ConfigError: an unknown name.
    """
    return MODELS.get_part({"ae": Autoencoder.model_type}.get(name, name))


def load_model(name: str | Path, *, revision: str | None = None) -> Model:
    """Load the model in a folder (or run folder, or hub repository), whatever its class; in evaluation mode.

    A prior that was saved with it is used by it again.

    Raises:
        ModelFolderError: nothing there, incomplete, damaged, or of a class that is not registered here.
        ConfigError: the config has keys that the class does not take.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit import load_model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vqkit.VQVAE(16, hidden_channels=8).save_pretrained(folder)
        ...     load_model(folder).codebook_size
        16
    """
    return Model.from_registry(MODELS, name, revision)
