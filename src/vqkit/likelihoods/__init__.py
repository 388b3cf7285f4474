"""Likelihoods p(x | z): Gaussian with a learned scale, discretised logistics and their mixtures, categorical."""

from vqkit.likelihoods.base import Likelihood, Unit
from vqkit.likelihoods.categorical import Categorical
from vqkit.likelihoods.gaussian import Gaussian
from vqkit.likelihoods.logistic import LogisticMixture
from vqkit.likelihoods.registry import LIKELIHOODS, build_likelihood

__all__ = ["LIKELIHOODS", "Categorical", "Gaussian", "Likelihood", "LogisticMixture", "Unit", "build_likelihood"]
