"""Integers to bytes and back. No torch on this floor."""

from vqkit.coding.frequencies import TOTAL_BITS, frequencies, ideal_bits, uniform_frequencies
from vqkit.coding.indices import index_dtype, npy_bytes
from vqkit.coding.range_coder import Decoder, Encoder

__all__ = [
    "TOTAL_BITS",
    "Decoder",
    "Encoder",
    "frequencies",
    "ideal_bits",
    "index_dtype",
    "npy_bytes",
    "uniform_frequencies",
]
