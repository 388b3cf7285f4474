"""p(pixels | indices): the exact pixel prior that lossless files are coded with."""

from vqkit.deprecation import moved
from vqkit.pixels.prior import PixelPrior
from vqkit.pixels.steps import PixelState, PixelStep

__all__ = ["PixelPrior", "PixelState", "PixelStep"]

__getattr__ = moved(__name__, {"PixelWalk": "vqkit.pixels:PixelState"})
