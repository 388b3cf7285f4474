"""Encoded images: files and bytes decoded as a person sees them, folders of them, lazy or in memory."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "reading")
