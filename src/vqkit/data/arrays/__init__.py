"""Arrays as sources: NumPy files, memory maps, items handed over one by one."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "loading")
