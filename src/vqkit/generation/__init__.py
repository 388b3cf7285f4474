"""A tokenizer and a prior together: new signals, and old ones redrawn in part."""

from vqkit.generation.conversion import convert
from vqkit.generation.editing import (
    Canvas,
    blend,
    cells,
    extend,
    inpaint,
    interpolate,
)
from vqkit.generation.sampling import check_pair, decode_all, generate
from vqkit.generation.stretches import redraw_stretch

__all__ = [
    "Canvas",
    "blend",
    "cells",
    "check_pair",
    "convert",
    "decode_all",
    "extend",
    "generate",
    "inpaint",
    "interpolate",
    "redraw_stretch",
]
