"""Parquet shards of tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit import host
from vqkit.optional import require
from vqkit.resources import physical_bytes
from vqkit.storage import atomic
from vqkit.tokens.formats.base import TOKEN_FORMATS, TokenFormat
from vqkit.tokens.shards import Expected, Indices, Shard, check_count

_PURPOSE = "Parquet shards of tokens"


@TOKEN_FORMATS.register("parquet")
class ParquetFormat(TokenFormat):
    """Parquet: a row an item, with `item`, `indices` (flat, row-major), `grid`, `size`, `label` and `name`."""

    suffix = ".parquet"
    several_sizes = True
    manifest = "_tokens.json"

    def check_installed(self) -> None:
        """Raise ``MissingExtraError`` without pyarrow."""
        require("pyarrow.parquet", _PURPOSE)

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write the table."""
        arrow, parquet = require("pyarrow", _PURPOSE), require("pyarrow.parquet", _PURPOSE)
        flat = [array.reshape(-1) for array in shard.indices]
        offsets = np.concatenate([[0], np.cumsum([len(array) for array in flat])]).astype(np.int32)
        columns = {
            "item": arrow.array(np.arange(shard.first, shard.first + len(flat))),
            "indices": arrow.ListArray.from_arrays(arrow.array(offsets), arrow.array(np.concatenate(flat))),
            "grid": arrow.array([list(array.shape) for array in shard.indices], arrow.list_(arrow.int32())),
            "size": arrow.array([list(size) for size in shard.sizes], arrow.list_(arrow.int32())),
        }
        if shard.labels is not None:
            columns["label"] = arrow.array(shard.labels)
        if shard.names is not None:  # Arrow's strings are UTF-8; file names need not be
            plain = [name and name.encode("utf-8", "backslashreplace").decode() for name in shard.names]
            columns["name"] = arrow.array(plain, arrow.string())
        table = arrow.table(columns)
        features = _features(shard)
        if features:
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        atomic.write_file(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))
        return [path]

    def labels_place(self, path: Path) -> Path:
        """Return the shard itself."""
        return path

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Sequence[Indices]:
        table = _columns(path, ["indices", "grid"], count)
        indices, grids = table["indices"].combine_chunks(), table["grid"].to_pylist()
        values, offsets = indices.values.to_numpy(), indices.offsets.to_numpy()
        if indices.null_count:
            raise ValueError(f"{indices.null_count} of its rows hold no indices")
        expected.check_dtype(values.dtype.name)
        for grid in grids:
            expected.check_shape(grid)
        if ranges:
            expected.check_range(values)
        return [values[offsets[i] : offsets[i + 1]].reshape(grid) for i, grid in enumerate(grids)]

    def _labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        column = _columns(path, ["label"], count)["label"]
        if column.null_count or str(column.type) != "int64":
            raise ValueError(f"its labels are {column.type}, {column.null_count} of them null")
        labels: npt.NDArray[np.int64] = column.to_numpy()
        return labels

    def _names(self, path: Path, count: int) -> Any:
        return _columns(path, ["name"], count)["name"].to_pylist()

    def _sizes(self, path: Path, count: int) -> list[tuple[int, ...]]:
        return [tuple(size) for size in _columns(path, ["size"], count)["size"].to_pylist()]


def _features(shard: Shard) -> dict[str, Any]:
    """Features of ``datasets`` that the types of the columns do not say: the names of the classes."""
    names = shard.class_names
    if shard.labels is None or not names or len(set(names)) < len(names) or shard.labels.max(initial=-1) >= len(names):
        return {}
    return {"label": {"names": list(names), "_type": "ClassLabel"}}


def _columns(path: Path, names: list[str], count: int) -> Any:
    """A table of some columns of a Parquet shard, which has so many rows and says that they fit into the memory."""
    parquet = require("pyarrow.parquet", _PURPOSE)
    with host.utf8_path(path) as place, parquet.ParquetFile(place) as file:
        check_count(file.metadata.num_rows, count)
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        stated = sum(group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns))
        if not 0 <= stated <= physical_bytes():
            raise ValueError(f"it states {stated:,} bytes of values, more than the memory of this machine")
        return file.read(columns=names)
