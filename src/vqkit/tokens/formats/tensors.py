"""safetensors shards of tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit import host
from vqkit.storage import atomic
from vqkit.storage.reading import read_tensor_header
from vqkit.tokens.beside import Write, check_labels, name_writer
from vqkit.tokens.formats.base import TOKEN_FORMATS, TokenFormat
from vqkit.tokens.shards import Expected, Indices, Shard

_TYPES = {"U8": "uint8", "U16": "uint16", "U32": "uint32", "I64": "int64", "F32": "float32"}


@TOKEN_FORMATS.register("safetensors")
class SafetensorsFormat(TokenFormat):
    """safetensors: the tensors `indices` `[items, *grid]` and `labels` a shard; names beside it."""

    suffix = ".safetensors"

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write the tensors, then the names."""
        from safetensors.numpy import save_file

        tensors: dict[str, npt.NDArray[np.generic]] = {"indices": np.stack(list(shard.indices))}
        if shard.labels is not None:
            tensors["labels"] = shard.labels
        files: dict[Path, Write] = {path: lambda temporary: save_file(tensors, temporary)}
        if shard.names is not None:
            files[self.beside(path, "names", ".json")] = name_writer(shard.names)
        atomic.write_files(files)
        return list(files)

    def labels_place(self, path: Path) -> Path:
        """Return the shard itself."""
        return path

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Indices:
        _check(path, "indices", lambda dtype, shape: expected.check_array(dtype, shape, count))
        found: Indices = _tensor(path, "indices")
        if ranges:
            expected.check_range(found)
        return found

    def _labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        _check(path, "labels", lambda dtype, shape: check_labels(dtype, tuple(shape), count))
        found: npt.NDArray[np.int64] = _tensor(path, "labels")
        return found


def _check(path: Path, name: str, check: Callable[[str, tuple[int, ...]], None]) -> None:
    spec = read_tensor_header(path).tensors[name]
    check(_TYPES.get(spec.dtype, spec.dtype), spec.shape)


def _tensor(path: Path, name: str) -> npt.NDArray[Any]:
    from safetensors import safe_open

    with host.utf8_path(path) as file, safe_open(file, "numpy") as opened:
        found: npt.NDArray[Any] = opened.get_tensor(name)
    return found
