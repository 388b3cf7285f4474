"""The masked transformer over grids of indices (MaskGIT, Chang et al. 2022)."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "prior")
