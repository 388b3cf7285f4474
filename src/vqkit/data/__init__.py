"""Data sources -> arrays -> batches: ``load_source`` reads anything, ``Batches`` feeds the training loop.

Importing this package does not import torch; ``Batches`` and ``evaluation_batches`` do, when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqkit.data.centred import CentreCrops
from vqkit.data.crops import default_crop
from vqkit.data.encoded import ArrowSource, FileSource
from vqkit.data.images import decode_image, to_channels
from vqkit.data.joined import Joined
from vqkit.data.load import load_source
from vqkit.data.memory import ArraySource, RaggedSource
from vqkit.data.random_crops import RandomCrops
from vqkit.data.source import Skipped, Source, split

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
