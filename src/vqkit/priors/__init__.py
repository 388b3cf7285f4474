"""p(indices): distributions over grids of indices. They see integers only, never signals."""

from __future__ import annotations

from vqkit.deprecation import moved
from vqkit.priors.base import Prior, PriorOutput, TokenSet
from vqkit.priors.coding_order import Step
from vqkit.priors.conditions import Conditions
from vqkit.priors.context.prior import ContextPrior
from vqkit.priors.filtering import guided
from vqkit.priors.histogram import HistogramPrior
from vqkit.priors.masked.prior import MaskedPrior
from vqkit.priors.pixelcnn.prior import GatedPixelCNN
from vqkit.priors.positions import position_log_prob
from vqkit.priors.registry import PRIORS, load_prior
from vqkit.priors.sampling import SamplingParams
from vqkit.priors.scales.prior import NextScalePrior
from vqkit.priors.sequential import SequentialPrior
from vqkit.priors.stepwise import PartialSample, StepwisePrior
from vqkit.priors.transformer.prior import TransformerPrior

__all__ = [
    "PRIORS",
    "Conditions",
    "ContextPrior",
    "GatedPixelCNN",
    "HistogramPrior",
    "MaskedPrior",
    "NextScalePrior",
    "PartialSample",
    "Prior",
    "PriorOutput",
    "SamplingParams",
    "SequentialPrior",
    "Step",
    "StepwisePrior",
    "TokenSet",
    "TransformerPrior",
    "guided",
    "load_prior",
    "position_log_prob",
]

_PIXELS = {"PixelPrior": "PixelPrior", "PixelStep": "PixelStep", "PixelWalk": "PixelState"}
__getattr__ = moved(__name__, {name: f"vqkit.pixels:{new}" for name, new in _PIXELS.items()})
