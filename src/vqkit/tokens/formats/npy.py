"""NumPy shards of tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vqkit.data.arrays.npy import read_header, read_npy
from vqkit.storage import atomic
from vqkit.tokens.beside import name_writer, npy_writer
from vqkit.tokens.formats.base import TOKEN_FORMATS, TokenFormat
from vqkit.tokens.shards import Expected, Indices, Shard


@TOKEN_FORMATS.register("npy")
class NpyFormat(TokenFormat):
    """NumPy: an array `[items, *grid]` a shard, memory-mapped; labels and names beside it."""

    suffix = ".npy"

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write the array, then names and labels."""
        files = {path: npy_writer(np.stack(list(shard.indices)))}
        if shard.names is not None:
            files[self.beside(path, "names", ".json")] = name_writer(shard.names)
        if shard.labels is not None:
            files[self.labels_place(path)] = npy_writer(shard.labels)
        atomic.write_files(files)
        return list(files)

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Indices:
        with path.open("rb") as opened:
            header = read_header(opened, path.stat().st_size)
        expected.check_array(header.dtype.name, header.shape, count)
        found: Indices = read_npy(path, limit=0)
        if ranges:
            expected.check_range(found)
        return found
