"""Priors by the names that folders, configs and command lines use."""

from __future__ import annotations

from pathlib import Path

from vqkit.priors.base import Prior
from vqkit.priors.context.prior import ContextPrior
from vqkit.priors.histogram import HistogramPrior
from vqkit.priors.masked.prior import MaskedPrior
from vqkit.priors.pixelcnn.prior import GatedPixelCNN
from vqkit.priors.scales.prior import NextScalePrior
from vqkit.priors.transformer.prior import TransformerPrior
from vqkit.registry import Registry

PRIORS: Registry[type[Prior]] = Registry("prior", "vqkit.priors", Prior, attribute="model_type")
"""Every class of prior by name."""
for _kind, _cited in (
    (GatedPixelCNN, ("vandenoord2016conditional",)),
    (TransformerPrior, ("vaswani2017attention", "su2021roformer")),
    (MaskedPrior, ("chang2022maskgit",)),
    (NextScalePrior, ("tian2024visual",)),
    (ContextPrior, ()),
    (HistogramPrior, ()),
):
    PRIORS.register(_kind.model_type, citations=_cited)(_kind)


def load_prior(name: str | Path, *, revision: str | None = None) -> Prior:
    """Load the prior in a folder (or hub repository), whatever its class; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, incomplete, damaged, not a prior, or of a class that is not registered here.
        ConfigError: the config has keys that the class does not take.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit import load_prior
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vqkit.HistogramPrior(16, (4, 4)).save_pretrained(folder)
        ...     load_prior(folder).grid
        (4, 4)
    """
    return Prior.from_registry(PRIORS, name, revision)
