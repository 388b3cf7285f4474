"""Data sources -> arrays -> batches: ``load_source`` reads anything, ``Batches`` feeds the training loop.

Importing this package does not import torch; ``Batches`` and ``evaluation_batches`` do, when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqkit.data.arrays.memory import ArraySource, RaggedSource
from vqkit.data.images.lazy import ArrowSource, FileSource
from vqkit.data.images.reading import decode_image, to_channels
from vqkit.data.load import load_source
from vqkit.data.source import Skipped, Source, split
from vqkit.data.views.center_crops import CentreCrops
from vqkit.data.views.concatenated import Joined
from vqkit.data.views.crops import default_crop
from vqkit.data.views.random_crops import RandomCrops

if TYPE_CHECKING:
    from vqkit.data.batches import Batches, evaluation_batches

__all__ = [
    "ArraySource",
    "ArrowSource",
    "Batches",
    "CentreCrops",
    "FileSource",
    "Joined",
    "RaggedSource",
    "RandomCrops",
    "Skipped",
    "Source",
    "decode_image",
    "default_crop",
    "evaluation_batches",
    "load_source",
    "split",
    "to_channels",
]


def __getattr__(name: str) -> Any:
    if name in ("Batches", "evaluation_batches"):
        return getattr(import_module("vqkit.data.batches"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
