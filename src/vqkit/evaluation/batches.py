"""What is handed over to be judged: batches, or data that are to be read in batches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from vqkit.data import Source
from vqkit.data.arrays.items import holds_batches


def are_batches(given: Any, dimensions: int) -> bool:
    """Return True for batches: an iterator, or a list of (indices, signals) with signals of ``dimensions`` axes."""
    whole = (
        isinstance(given, str | os.PathLike | Source | Mapping) or hasattr(given, "__array__") or holds_batches(given)
    )
    if whole or not hasattr(given, "__iter__"):
        return False
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        return True
    first = given[0] if len(given) else ((), torch.empty((0,) * dimensions))
    return isinstance(first, tuple | list) and len(first) == 2 and getattr(first[1], "ndim", 0) == dimensions
