"""Latents to indices and back: one final class per algorithm, on one small protocol."""

from vqkit.quantizers.base import Quantization, Quantizer
from vqkit.quantizers.binary import BinarySphericalQuantizer, LookupFreeQuantizer
from vqkit.quantizers.ema import EMAVectorQuantizer
from vqkit.quantizers.gumbel import GumbelQuantizer
from vqkit.quantizers.index_backprop import IndexBackpropQuantizer
from vqkit.quantizers.product import ProductQuantizer
from vqkit.quantizers.projected import Projected
from vqkit.quantizers.registry import QUANTIZERS, STACKINGS, build_quantizer, quantizer_options
from vqkit.quantizers.residual import ResidualQuantizer
from vqkit.quantizers.scalar import FiniteScalarQuantizer, levels_for
from vqkit.quantizers.simvq import SimVQ
from vqkit.quantizers.vector import VectorQuantizer

__all__ = [
    "QUANTIZERS",
    "STACKINGS",
    "BinarySphericalQuantizer",
    "EMAVectorQuantizer",
    "FiniteScalarQuantizer",
    "GumbelQuantizer",
    "IndexBackpropQuantizer",
    "LookupFreeQuantizer",
    "ProductQuantizer",
    "Projected",
    "Quantization",
    "Quantizer",
    "ResidualQuantizer",
    "SimVQ",
    "VectorQuantizer",
    "build_quantizer",
    "levels_for",
    "quantizer_options",
]
