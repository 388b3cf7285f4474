"""Integers to bytes and back. No torch on this floor."""

from vqkit.coding.container import MAX_VALUES, Block, GroupReader, Reader, Writer, check_model, integers_crc
from vqkit.coding.frequencies import TOTAL_BITS, frequencies, ideal_bits, uniform_frequencies
from vqkit.coding.headers import FileHeader, GroupHeader, Place, digest
from vqkit.coding.indices import index_dtype, npy_bytes
from vqkit.coding.names import check_name
from vqkit.coding.range_coder import Decoder, Encoder
from vqkit.coding.tiles import factor_words, grid_of, per_axis, pixels, tiles

__all__ = [
    "MAX_VALUES",
    "TOTAL_BITS",
    "Block",
    "Decoder",
    "Encoder",
    "FileHeader",
    "GroupHeader",
    "GroupReader",
    "Place",
    "Reader",
    "Writer",
    "check_model",
    "check_name",
    "digest",
    "frequencies",
    "factor_words",
    "grid_of",
    "ideal_bits",
    "index_dtype",
    "integers_crc",
    "npy_bytes",
    "per_axis",
    "pixels",
    "tiles",
    "uniform_frequencies",
]
