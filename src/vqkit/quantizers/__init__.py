"""Latents to indices and back: one final class per algorithm, on one small protocol."""

from vqkit.quantizers.base import Quantization, Quantizer
from vqkit.quantizers.ema import EMAVectorQuantizer
from vqkit.quantizers.product import ProductQuantizer
from vqkit.quantizers.registry import QUANTIZERS, build_quantizer
from vqkit.quantizers.vector import VectorQuantizer

__all__ = [
    "QUANTIZERS",
    "EMAVectorQuantizer",
    "ProductQuantizer",
    "Quantization",
    "Quantizer",
    "VectorQuantizer",
    "build_quantizer",
]
