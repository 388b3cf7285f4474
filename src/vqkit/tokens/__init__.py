"""Token sets: the indices of a whole data set on the disk, and back to signals."""

from vqkit.tokens.bare import BareTokens, read_indices
from vqkit.tokens.by_name import FORMATS
from vqkit.tokens.detokenization import detokenize
from vqkit.tokens.engines import ENGINES, Engine
from vqkit.tokens.formats import TOKEN_FORMATS, TokenFormat
from vqkit.tokens.layout import Layout, Vocabulary
from vqkit.tokens.planning import EncodingPlan, plan_encoding
from vqkit.tokens.source import index_source
from vqkit.tokens.tokenization import tokenize
from vqkit.tokens.tokens import Tokens, load_tokens

__all__ = [
    "ENGINES",
    "FORMATS",
    "TOKEN_FORMATS",
    "BareTokens",
    "EncodingPlan",
    "Engine",
    "Layout",
    "TokenFormat",
    "Tokens",
    "Vocabulary",
    "detokenize",
    "index_source",
    "load_tokens",
    "plan_encoding",
    "read_indices",
    "tokenize",
]
