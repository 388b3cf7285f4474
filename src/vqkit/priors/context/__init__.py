"""The exact context prior: integer probabilities for entropy coding."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "prior")
