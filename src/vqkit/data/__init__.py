"""Data sources -> arrays -> batches: ``load_source`` reads anything, ``Batches`` feeds the training loop.

Importing this package does not import torch; ``Batches`` and ``evaluation_batches`` do, when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vqkit.data.arrays.memory import ArraySource, RaggedSource
from vqkit.data.images.lazy import ArrowSource, FileSource
from vqkit.data.images.reading import decode_image, to_channels
from vqkit.data.label_files import labels_assumed
from vqkit.data.load import load_source
from vqkit.data.showing import show
from vqkit.data.skipped import Skipped
from vqkit.data.source import Source
from vqkit.data.views.center_crops import CenterCrops
from vqkit.data.views.concatenated import ConcatSource
from vqkit.data.views.crops import default_crop
from vqkit.data.views.random_crops import RandomCrops
from vqkit.data.views.segments import Segments
from vqkit.data.views.split import split
from vqkit.data.views.windows import Windows
from vqkit.deprecation import moved

if TYPE_CHECKING:
    from vqkit.data.batches import Batches, evaluation_batches

__all__ = [
    "ArraySource",
    "ArrowSource",
    "Batches",
    "CenterCrops",
    "FileSource",
    "ConcatSource",
    "RaggedSource",
    "RandomCrops",
    "Segments",
    "Skipped",
    "Source",
    "Windows",
    "decode_image",
    "default_crop",
    "evaluation_batches",
    "labels_assumed",
    "load_source",
    "show",
    "split",
    "to_channels",
]


_LAZY = {"Batches": "vqkit.data.batches", "evaluation_batches": "vqkit.data.batches"}
_MOVED = moved(__name__, {"CentreCrops": "vqkit.data:CenterCrops", "Joined": "vqkit.data:ConcatSource"})


def __getattr__(name: str) -> Any:
    return getattr(import_module(_LAZY[name]), name) if name in _LAZY else _MOVED(name)
