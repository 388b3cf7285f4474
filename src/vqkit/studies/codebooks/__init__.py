"""The study of codebooks: usage, perplexity and error over sizes and quantizers."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "study")
