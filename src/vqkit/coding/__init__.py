"""Integers to bytes and back. No torch on this floor."""

from vqkit.coding.indices import index_dtype, npy_bytes

__all__ = ["index_dtype", "npy_bytes"]
