"""The autoregressive transformer over grids of indices, and its incremental sampling."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "prior")
