"""Token sets: the indices of a whole data set on the disk, and back to signals."""

from vqkit.tokens.detokenization import detokenize
from vqkit.tokens.shards import FORMATS
from vqkit.tokens.source import index_source
from vqkit.tokens.tokenization import tokenize
from vqkit.tokens.tokens import Tokens, load_tokens

__all__ = ["FORMATS", "Tokens", "detokenize", "index_source", "load_tokens", "tokenize"]
