"""p(indices): distributions over grids of indices. They see integers only, never signals."""

from __future__ import annotations

from pathlib import Path

from vqkit.checking import shown
from vqkit.deprecation import moved
from vqkit.errors import ModelFolderError
from vqkit.pretrained import folder
from vqkit.priors.base import Prior, PriorOutput, TokenSet
from vqkit.priors.coding_order import Step
from vqkit.priors.conditions import Conditions
from vqkit.priors.context.prior import ContextPrior
from vqkit.priors.histogram import HistogramPrior
from vqkit.priors.masked.prior import MaskedPrior
from vqkit.priors.pixelcnn.prior import GatedPixelCNN
from vqkit.priors.sequential import SequentialPrior
from vqkit.priors.transformer.prior import TransformerPrior

PRIORS: dict[str, type[Prior]] = {
    kind.model_type: kind for kind in (GatedPixelCNN, TransformerPrior, MaskedPrior, ContextPrior, HistogramPrior)
}
"""Every class of prior by the name that its folder's config gives."""


def load_prior(name: str | Path, *, revision: str | None = None) -> Prior:
    """The prior in a folder (or hub repository), whatever its class; in evaluation mode.

    Raises:
        ModelFolderError: nothing there, incomplete, damaged, or not a prior.
        ConfigError: the config has keys that the class does not take.
    """
    location = folder.locate(name, revision)
    found, config = folder.read_config(location)
    if found not in PRIORS:
        raise ModelFolderError(f"{location}: {shown(found)} is no prior known here; known: {', '.join(PRIORS)}")
    return folder.load(PRIORS[found], config, location)


__all__ = [
    "PRIORS",
    "Conditions",
    "ContextPrior",
    "GatedPixelCNN",
    "HistogramPrior",
    "MaskedPrior",
    "Prior",
    "PriorOutput",
    "SequentialPrior",
    "Step",
    "TokenSet",
    "TransformerPrior",
    "load_prior",
]

__getattr__ = moved(__name__, {name: f"vqkit.pixels:{name}" for name in ("PixelPrior", "PixelStep", "PixelWalk")})
