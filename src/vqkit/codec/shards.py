"""One shard of tokens as a file: NumPy, Parquet or safetensors. Every file appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vqkit import atomic
from vqkit.errors import DataError

FORMATS = ("npy", "parquet", "safetensors")
Indices = npt.NDArray[np.unsignedinteger]


@dataclass
class Shard:
    """Consecutive items of a token set.

    Attributes:
        indices: one array ``[*grid]`` per item, in the smallest unsigned dtype.
        sizes: the size of each item's signal, to crop to when decoding.
        labels: int64, one per item (-1: none), or None.
        names: of the items where they came from, or None.
        first: number of the first item in the whole set.
    """

    indices: Sequence[Indices]
    sizes: list[tuple[int, ...]]
    labels: npt.NDArray[np.int64] | None
    first: int
    names: list[str | None] | None = None


def write_shard(path: Path, kind: str, shard: Shard) -> list[Path]:
    """Write one shard in a format of ``FORMATS``; return its files, the indices first.

    ``npy``: an array ``[n, *grid]``, labels beside it in ``labels-...npy``. ``safetensors``: ``indices``, ``labels``.
    ``parquet``: a row per item with ``item``, ``indices`` (flat, row-major), ``grid``, ``size``, ``label`` and
    ``name``; the only format whose items may have different grids. Names of items lie in ``names-...json`` beside the
    other formats, a list of strings.
    """
    if kind == "parquet":
        _write_parquet(path, shard)
        return [path]
    files = [path]
    if shard.names is not None:
        files.append(names_path(path))
        text = json.dumps(shard.names) + "\n"
        atomic.write_file(files[-1], lambda temporary: temporary.write_text(text, encoding="utf-8"))
    stacked = np.stack(list(shard.indices))
    if kind == "safetensors":
        from safetensors.numpy import save_file

        tensors: dict[str, npt.NDArray[np.generic]] = {"indices": stacked}
        if shard.labels is not None:
            tensors["labels"] = shard.labels
        atomic.write_file(path, lambda temporary: save_file(tensors, temporary))
        return files
    _write_npy(path, stacked)
    if shard.labels is not None:
        files.append(labels_path(path))
        _write_npy(files[-1], shard.labels)
    return files


def read_shard(path: Path, kind: str) -> Indices | list[Indices]:
    """The arrays of one shard, one per item; NumPy shards are memory-mapped.

    Raises:
        DataError: the file is damaged or not of that format.
    """
    with _damage(path, kind):
        if kind == "npy":
            found: Indices | list[Indices] = np.load(path, mmap_mode="r", allow_pickle=False)
        elif kind == "safetensors":
            from safetensors.numpy import load_file

            found = load_file(path)["indices"]
        else:
            found = _read_parquet(path)
        if len(found) and found[0].dtype.kind != "u":
            raise TypeError(f"it holds {found[0].dtype}, and indices are unsigned integers")
    return found


def read_labels(path: Path, kind: str) -> npt.NDArray[np.int64]:
    """The labels of one shard that has them."""
    labels: npt.NDArray[np.int64]
    if kind == "npy":
        path = labels_path(path)
    with _damage(path, kind):
        if kind == "npy":
            labels = np.load(path, allow_pickle=False)
        elif kind == "safetensors":
            from safetensors.numpy import load_file

            labels = load_file(path)["labels"]
        else:
            import pyarrow.parquet as parquet

            labels = parquet.read_table(path, columns=["label"])["label"].to_numpy().astype(np.int64)
    return labels


def read_names(path: Path, kind: str) -> list[str | None]:
    """The names of the items of one shard that has them.

    Raises:
        DataError: there are none, or they are damaged.
    """
    with _damage(path, kind):
        if kind == "parquet":
            import pyarrow.parquet as parquet

            found = parquet.read_table(path, columns=["name"])["name"].to_pylist()
        else:
            found = json.loads(names_path(path).read_text(encoding="utf-8"))
        if not isinstance(found, list) or not all(name is None or isinstance(name, str) for name in found):
            raise TypeError("its names are no list of strings")
    return found


def names_path(path: Path) -> Path:
    """Where the names of the items of a NumPy or safetensors shard lie."""
    return path.with_name(path.name.replace("indices-", "names-")).with_suffix(".json")


def labels_path(path: Path) -> Path:
    """Where the labels of a NumPy shard lie."""
    return path.with_name(path.name.replace("indices-", "labels-"))


def _write_npy(path: Path, array: npt.NDArray[np.generic]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    atomic.write_file(path, write)


def _write_parquet(path: Path, shard: Shard) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

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
    atomic.write_file(path, lambda temporary: parquet.write_table(table, temporary, compression="zstd"))


def _read_parquet(path: Path) -> list[Indices]:
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["indices", "grid"])
    indices, grids = table["indices"].combine_chunks(), table["grid"].to_pylist()
    values, offsets = indices.values.to_numpy(), indices.offsets.to_numpy()
    return [values[offsets[i] : offsets[i + 1]].reshape(grid) for i, grid in enumerate(grids)]


def read_sizes(path: Path) -> list[tuple[int, ...]]:
    """The signal size of every item of a Parquet shard."""
    import pyarrow.parquet as parquet

    with _damage(path, "parquet"):
        return [tuple(size) for size in parquet.read_table(path, columns=["size"])["size"].to_pylist()]


@contextmanager
def _damage(path: Path, kind: str) -> Iterator[None]:
    """Errors of reading as ``DataError``: each reader has its own kinds of error for a damaged file."""
    try:
        yield
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not readable as a {kind} shard of tokens ({reason}); encode the data again"
        ) from error
