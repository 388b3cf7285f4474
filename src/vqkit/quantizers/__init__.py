"""Latents to indices and back: one final class per algorithm, on one small protocol."""

from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, masked_mean, unflatten_grid
from vqkit.quantizers.binary import BinarySphericalQuantizer, LookupFreeQuantizer
from vqkit.quantizers.channels_last import ChannelsLast
from vqkit.quantizers.codebook.ema import EMAVectorQuantizer
from vqkit.quantizers.codebook.factorized import FactorizedQuantizer
from vqkit.quantizers.codebook.gumbel import GumbelQuantizer
from vqkit.quantizers.codebook.index_backprop import IndexBackpropQuantizer
from vqkit.quantizers.codebook.learning import whole_batch
from vqkit.quantizers.codebook.simvq import SimVQ
from vqkit.quantizers.codebook.vector import VectorQuantizer
from vqkit.quantizers.composite.product import ProductQuantizer
from vqkit.quantizers.composite.projected import Projected
from vqkit.quantizers.composite.residual import ResidualQuantizer
from vqkit.quantizers.fixed.gaussian import GaussianQuantizer, draw_margin_bits
from vqkit.quantizers.levels.hierarchical import HierarchicalQuantizer
from vqkit.quantizers.levels.multiscale import MultiScaleQuantizer
from vqkit.quantizers.levels.wavelet import WaveletQuantizer
from vqkit.quantizers.registry import QUANTIZERS, STACKINGS, build_quantizer, given_quantizer, quantizer_options
from vqkit.quantizers.scalar import FiniteScalarQuantizer, levels_for

__all__ = [
    "QUANTIZERS",
    "STACKINGS",
    "BinarySphericalQuantizer",
    "ChannelsLast",
    "EMAVectorQuantizer",
    "FactorizedQuantizer",
    "FiniteScalarQuantizer",
    "GaussianQuantizer",
    "GumbelQuantizer",
    "HierarchicalQuantizer",
    "IndexBackpropQuantizer",
    "LookupFreeQuantizer",
    "MultiScaleQuantizer",
    "ProductQuantizer",
    "Projected",
    "Quantization",
    "Quantizer",
    "ResidualQuantizer",
    "SimVQ",
    "VectorQuantizer",
    "WaveletQuantizer",
    "build_quantizer",
    "draw_margin_bits",
    "flatten_grid",
    "given_quantizer",
    "levels_for",
    "masked_mean",
    "quantizer_options",
    "unflatten_grid",
    "whole_batch",
]
