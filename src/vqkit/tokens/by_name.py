"""Shards by the name of their format: the functions that were there before formats were classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vqkit.tokens.formats import TOKEN_FORMATS, token_format
from vqkit.tokens.shards import Expected, Indices, Shard

FORMATS = TOKEN_FORMATS
"""The formats of shards, by name."""
_ANY = Expected(1, None, None, 1)


def write_shard(path: Path, kind: str, shard: Shard) -> list[Path]:
    """Write one shard; return its files. See ``TokenFormat.write``."""
    return token_format(kind).write(path, shard)


def read_shard(
    path: Path, kind: str, expected: Expected, count: int, *, ranges: bool = True
) -> Indices | Sequence[Indices]:
    """Return the arrays of one shard, one per item. See ``TokenFormat.read``."""
    return token_format(kind).read(path, expected, count, ranges=ranges)


def read_labels(path: Path, kind: str, count: int) -> npt.NDArray[np.int64]:
    """Return the labels of one shard of arrays that has them. See ``TokenFormat.read_labels``."""
    return token_format(kind).read_labels(path, _ANY, count)


def read_names(path: Path, kind: str, count: int) -> list[str | None]:
    """Return the names of the items of one shard that has them. See ``TokenFormat.read_names``."""
    return token_format(kind).read_names(path, count)


def read_sizes(path: Path, count: int, axes: int | None) -> list[tuple[int, ...]]:
    """Return the signal size of every item of a Parquet shard. See ``TokenFormat.read_sizes``."""
    return token_format("parquet").read_sizes(path, count, axes)


def labels_path(path: Path) -> Path:
    """Return the path of the labels of a NumPy shard."""
    return token_format("npy").labels_place(path)


def names_path(path: Path) -> Path:
    """Return the path of the item names of a NumPy or safetensors shard."""
    return token_format("npy").beside(path, "names", ".json")
