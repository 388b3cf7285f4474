"""A model and data to files of tokens or to compressed files, and back."""

from vqkit.codec.codec import Codec
from vqkit.codec.compressing import Compressor, RateReport
from vqkit.codec.decoding import detokenize
from vqkit.codec.decompressing import Decompressor
from vqkit.codec.encoding import tokenize
from vqkit.codec.entropy_models import entropy_model
from vqkit.codec.index_source import index_source
from vqkit.codec.known_priors import known_priors
from vqkit.codec.lossless import decode_pixels, encode_pixels
from vqkit.codec.shards import FORMATS
from vqkit.codec.signals import Signal
from vqkit.codec.targeting import RateSearch, weight_unit
from vqkit.codec.tokens import Tokens, load_tokens

__all__ = [
    "FORMATS",
    "Codec",
    "Compressor",
    "Decompressor",
    "RateReport",
    "RateSearch",
    "Signal",
    "Tokens",
    "decode_pixels",
    "detokenize",
    "encode_pixels",
    "entropy_model",
    "index_source",
    "known_priors",
    "load_tokens",
    "tokenize",
    "weight_unit",
]
