"""p(indices): distributions over grids of indices. They see integers only, never signals."""

from __future__ import annotations

from pathlib import Path

from vqkit.checking import shown
from vqkit.errors import ModelFolderError
from vqkit.models import folder
from vqkit.priors.base import Prior, PriorOutput, TokenSet
from vqkit.priors.conditions import Conditions
from vqkit.priors.context import ContextPrior
from vqkit.priors.groups import Step
from vqkit.priors.histogram import HistogramPrior
from vqkit.priors.masked import MaskedPrior
from vqkit.priors.pixel_walk import PixelStep, PixelWalk
from vqkit.priors.pixelcnn import GatedPixelCNN
from vqkit.priors.pixels import PixelPrior
from vqkit.priors.sequential import SequentialPrior
from vqkit.priors.transformer import TransformerPrior

PRIORS: dict[str, type[Prior]] = {
    kind.prior_type: kind for kind in (GatedPixelCNN, TransformerPrior, MaskedPrior, ContextPrior, HistogramPrior)
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
    "PixelPrior",
    "PixelStep",
    "PixelWalk",
    "Prior",
    "PriorOutput",
    "SequentialPrior",
    "Step",
    "TokenSet",
    "TransformerPrior",
    "load_prior",
]
