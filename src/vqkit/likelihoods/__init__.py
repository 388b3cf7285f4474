"""Likelihoods p(x | z): Gaussian with a learned scale, discretised logistic, mixtures of discretised logistics."""

from vqkit.likelihoods.base import Likelihood, Unit
from vqkit.likelihoods.gaussian import Gaussian
from vqkit.likelihoods.logistic import LogisticMixture
from vqkit.likelihoods.registry import LIKELIHOODS, build_likelihood

__all__ = ["LIKELIHOODS", "Gaussian", "Likelihood", "LogisticMixture", "Unit", "build_likelihood"]
