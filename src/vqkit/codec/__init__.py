"""A model and data to files of tokens, and back."""

from vqkit.codec.decoding import detokenize
from vqkit.codec.encoding import tokenize
from vqkit.codec.index_source import index_source
from vqkit.codec.lossless import decode_pixels, encode_pixels
from vqkit.codec.shards import FORMATS
from vqkit.codec.tokens import Tokens, load_tokens

__all__ = [
    "FORMATS",
    "Tokens",
    "decode_pixels",
    "detokenize",
    "encode_pixels",
    "index_source",
    "load_tokens",
    "tokenize",
]
