"""Files beside the shards of formats that hold indices alone: labels, names, and grids and sizes where they differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.data.arrays.npy import read_header, read_npy
from vqkit.storage import atomic
from vqkit.storage.reading import read_json
from vqkit.tokens.shards import Shard

_NAME_BYTES = 1 << 15
"""Of the longest name, every letter of it escaped."""
Write = Callable[[Path], object]


def npy_writer(array: npt.NDArray[np.generic]) -> Write:
    """Return what fills a file with an array."""
    return lambda file: atomic.save_npy(file, array)


def name_writer(names: list[str | None]) -> Write:
    """Return what fills a file with the names of items, a list of strings."""
    return lambda file: file.write_text(json.dumps(names) + "\n", encoding="utf-8")


def size_writer(shard: Shard) -> Write:
    """Return what fills a file with int64 ``[n, 2, axes]``: the grid of each item, and the size of its signal."""
    books = 0 if shard.vocabulary is None else int(shard.vocabulary.num_codebooks > 1)
    grids = [item.shape[: item.ndim - books] for item in shard.indices]
    return npy_writer(np.array([list(pair) for pair in zip(grids, shard.sizes, strict=True)], np.int64))


def read_label_file(path: Path, count: int) -> npt.NDArray[np.int64]:
    """Read labels. Raises ValueError for another array, or whatever the reader raises."""
    _check(path, lambda dtype, shape: check_labels(dtype, shape, count))
    labels: npt.NDArray[np.int64] = read_npy(path)
    return labels


def check_labels(dtype: str, shape: tuple[int, ...], count: int) -> None:
    """Raise ``ValueError`` unless an array of this kind is the labels of so many items."""
    if dtype != "int64" or shape != (count,):
        raise ValueError(f"its labels are {dtype} {list(shape)}, and should be int64 [{count}]")


def read_name_file(path: Path, count: int) -> Any:
    """Read names, within bounds of so many. Raises OSError and ValueError."""
    return read_json(path, most_bytes=_NAME_BYTES * (count + 1), most_values=count + 1)


def read_size_file(path: Path, count: int) -> npt.NDArray[np.int64]:
    """Read grids and sizes, int64 ``[count, 2, axes]``. Raises ValueError, or what the reader raises."""

    def check(dtype: str, shape: tuple[int, ...]) -> None:
        if dtype != "int64" or shape[:2] != (count, 2) or len(shape) != 3 or shape[2] > 3:
            raise ValueError(f"{path.name} is {dtype} {list(shape)}, and should be int64 [{count}, 2, axes]")

    _check(path, check)
    found: npt.NDArray[np.int64] = read_npy(path)
    if found.size and not 1 <= found.min() <= found.max() <= 1 << 31:
        raise ValueError(f"{path.name} has the side {found.min()}..{found.max()}, and should have 1 and more")
    return found


def _check(path: Path, check: Callable[[str, tuple[int, ...]], None]) -> None:
    with path.open("rb") as opened:
        header = read_header(opened, path.stat().st_size)
    check(header.dtype.name, tuple(header.shape))
