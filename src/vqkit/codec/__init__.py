"""Compressed files: signals to ``.vqk`` bytes and back, with a model and an entropy model of its indices."""

from vqkit.codec.archive.archive import Archive, open_archive
from vqkit.codec.codec import Codec
from vqkit.codec.compressor import Compressor
from vqkit.codec.decompressor import Decompressor
from vqkit.codec.entropy.known_priors import known_priors
from vqkit.codec.entropy.models import entropy_model
from vqkit.codec.file_sizes import file_sizes
from vqkit.codec.lossless import decode_pixels, encode_pixels
from vqkit.codec.rate_control import RateController, weight_unit
from vqkit.codec.report import RateReport
from vqkit.codec.signals import Signal
from vqkit.codec.streaming import StreamCompressor
from vqkit.deprecation import moved

__all__ = [
    "Archive",
    "Codec",
    "Compressor",
    "Decompressor",
    "RateReport",
    "RateController",
    "Signal",
    "StreamCompressor",
    "decode_pixels",
    "encode_pixels",
    "entropy_model",
    "file_sizes",
    "known_priors",
    "open_archive",
    "weight_unit",
]

__getattr__ = moved(
    __name__,
    {
        "RateSearch": "vqkit.codec:RateController",
        "FORMATS": "vqkit.tokens:FORMATS",
        "Tokens": "vqkit.tokens:Tokens",
        "detokenize": "vqkit.tokens:detokenize",
        "tokenize": "vqkit.tokens:tokenize",
        "index_source": "vqkit.tokens:index_source",
        "load_tokens": "vqkit.tokens:load_tokens",
    },
)
