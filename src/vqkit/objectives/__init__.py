"""Training objectives: what a model minimizes, composed by name and weight."""

from vqkit.objectives.adversarial import AdversarialObjective
from vqkit.objectives.adversaries.objective import PatchAdversary
from vqkit.objectives.base import OBJECTIVES, Assignment, Decoded, Objective, WeightedSum, mean_of
from vqkit.objectives.compressed import CompressedObjective, EnvelopeObjective
from vqkit.objectives.confusion import ConfusionObjective
from vqkit.objectives.conversion import ConversionObjective
from vqkit.objectives.expression import Term, build_objective, parse_objective
from vqkit.objectives.gradient import GradientObjective
from vqkit.objectives.l1 import L1Objective
from vqkit.objectives.likelihood import LikelihoodObjective
from vqkit.objectives.spectral import MelObjective, STFTObjective

__all__ = [
    "OBJECTIVES",
    "AdversarialObjective",
    "Assignment",
    "CompressedObjective",
    "ConfusionObjective",
    "ConversionObjective",
    "Decoded",
    "EnvelopeObjective",
    "GradientObjective",
    "L1Objective",
    "LikelihoodObjective",
    "MelObjective",
    "Objective",
    "PatchAdversary",
    "STFTObjective",
    "Term",
    "WeightedSum",
    "build_objective",
    "mean_of",
    "parse_objective",
]
