"""The study of rate and distortion: a model's own files beside standard image codecs."""

from vqkit.deprecation import moved_into

__getattr__ = moved_into(__name__, "study")
