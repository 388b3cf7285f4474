"""The next-scale prior: one step for each scale of the indices, all positions of a scale at once."""

from vqkit.priors.scales.prior import NextScalePrior

__all__ = ["NextScalePrior"]
