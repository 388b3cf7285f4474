"""p(pixels | indices): the exact pixel prior that lossless files are coded with."""

from vqkit.pixels.prior import PixelPrior
from vqkit.pixels.steps import PixelStep, PixelWalk

__all__ = ["PixelPrior", "PixelStep", "PixelWalk"]
