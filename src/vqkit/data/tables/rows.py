"""Rows of numbers that come block by block, as one array: in memory, or in a memory-mapped file of the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.resources import cache_folder


def gathered_rows(blocks: Iterable[Array], *, limit: int, identity: Any, name: str) -> Array | None:
    """Join blocks ``[rows, ...]`` of one shape and dtype; None where there are none.

    Beyond ``limit`` bytes they go, a block at a time, into a file of the cache folder ($VQKIT_CACHE or
    ~/.cache/vqkit), which is memory-mapped; one that is there already, of the same ``identity``, is written anew.

    Raises:
        DataError: the cache folder cannot be written.
    """
    held: list[Array] = []
    taken = 0
    stream = iter(blocks)
    for block in stream:
        held.append(block)
        taken += block.nbytes
        if taken > limit:
            return _mapped(held, stream, identity, name)
    return np.concatenate(held) if held else None


def _mapped(held: list[Array], rest: Iterator[Array], identity: Any, name: str) -> Array:
    first = held[0]
    key = hashlib.sha256(json.dumps([identity, first.dtype.str, first.shape[1:]]).encode()).hexdigest()[:32]
    folder = cache_folder() / "rows"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=key, suffix=".partial", dir=folder)
    except OSError as error:
        raise _unwritable(name, folder, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            for block in held:
                _write(file, block, name, folder)
            held.clear()
            for block in rest:
                _write(file, block, name, folder)
            written = file.tell()
        path = folder / f"{key}.rows"
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    rows = written // (first.dtype.itemsize * math.prod(first.shape[1:]))
    return np.memmap(path, first.dtype, "r", 0, (rows, *first.shape[1:]))


def _write(file: IO[bytes], block: Array, name: str, folder: Path) -> None:
    try:
        np.ascontiguousarray(block).tofile(file)
    except OSError as error:
        raise _unwritable(name, folder, error) from error


def _unwritable(name: str, folder: Path, error: OSError) -> DataError:
    return DataError(
        f"{name} does not fit in memory, and its copy cannot be written to {folder}: {error.strerror or error}; free "
        "some space there, set VQKIT_CACHE to another folder, or raise memory_limit."
    )
