"""Quantizers with an explicit codebook: nearest-code search, codebook learning, restart of dead codes."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "base")
