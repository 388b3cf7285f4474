"""The gated PixelCNN over grids of indices (van den Oord et al. 2016)."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "prior")
