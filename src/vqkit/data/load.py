"""One word for every kind of data: ``load_source``."""

from __future__ import annotations

import contextlib
import difflib
import glob
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.arrays import from_array, load_npy, load_npz
from vqkit.data.builtin import BUILTINS
from vqkit.data.folder import load_folder, load_image_file
from vqkit.data.hub import PREFIX, dataset_folder_table, hub_table, is_saved_dataset, load_dataset_folder
from vqkit.data.images import EXTENSIONS
from vqkit.data.items import from_items, holds_items
from vqkit.data.limits import resolve_memory_limit
from vqkit.data.parquet import parquet_table
from vqkit.data.source import Array, Source
from vqkit.data.tables import ImageTable, load_table
from vqkit.errors import ConfigError, DataError

KINDS = (
    "a folder of images, an image file, a .npy or .npz file (file.npz:key for one array), .parquet files "
    "(one, a folder "
    f"or a pattern), a saved data set, {PREFIX}owner/name, {' or '.join(BUILTINS)}, an array, or a Source"
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+(@\w+)?")
_TABLE_FILES = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tar", ".zip")


def load_source(
    spec: str | os.PathLike[str] | Array | Source | Any,
    *,
    memory_limit: int | None = None,
    channels: int | None = None,
) -> Source:
    """Load a data source from whatever names it.

    Args:
        spec: a folder of images; an image file; ``file.npy``; ``file.npz`` or ``file.npz:key``; ``.parquet``:
            a file, a folder of them or a pattern; a folder written by ``datasets`` (``folder@split`` for one
            split); ``hub:owner/name`` or ``hub:owner/name@split``; ``"digits"`` or ``"photos"``; an array or
            tensor in one of the layouts of ``vqkit.data.arrays``; a list of Pillow images or arrays, or a data set in
            the sense of torch (see ``vqkit.data.items``); or a Source.
        memory_limit: bytes of decoded data that may stay in memory; None: a quarter of physical memory.
        channels: 1 or 3 to have images in grey or RGB; None: as they are.

    Raises:
        DataError: nothing there, of an unknown kind, or unreadable; the message lists the kinds.
        ConfigError: ``channels`` is not 1 or 3, or ``memory_limit`` is no size.
    """
    if channels not in (None, 1, 3):
        raise ConfigError(f"channels is {channels!r}; it is 1 (grey), 3 (RGB) or None (as the images are).")
    resolve_memory_limit(memory_limit)
    if isinstance(spec, str | os.PathLike):
        source = _load_named(os.fspath(spec), memory_limit, channels)
    elif isinstance(spec, Source):
        source = spec
    else:
        source = from_items(spec) if holds_items(spec) else from_array(_as_array(spec))
    return source if channels is None else source.with_channels(channels)


def open_table(spec: str) -> ImageTable | None:
    """The encoded images of Parquet files or of a data set, none of them decoded yet; None: ``spec`` is no such thing.

    Raises DataError where it is one that cannot be read.
    """
    if spec in BUILTINS:
        return None
    if spec.startswith(PREFIX):
        return hub_table(spec)
    path = Path(spec).expanduser()
    if path.is_dir():
        return dataset_folder_table(path) if is_saved_dataset(path) else _parquet_at_top(path)
    if path.is_file():
        return parquet_table(path) if path.suffix.lower() == ".parquet" else None
    if _in_archive(path) is not None:
        return None
    folder, _, split = str(path).rpartition("@")
    if folder and Path(folder).is_dir():
        return dataset_folder_table(folder, split)
    return parquet_table(path) if glob.has_magic(str(path)) else None


def _parquet_at_top(path: Path) -> ImageTable | None:
    top = {entry.suffix.lower() for entry in path.iterdir() if entry.name[0] != "."}
    return parquet_table(path) if ".parquet" in top and not top & EXTENSIONS else None


def _in_archive(path: Path) -> tuple[str, str] | None:
    """The file and the key of ``file.npz:key``."""
    archive, separator, key = str(path).rpartition(".npz:")
    return (archive + ".npz", key) if separator and Path(archive + ".npz").is_file() else None


def _load_named(spec: str, limit: int | None, channels: int | None) -> Source:
    if not isinstance(spec, str) or not spec.strip():
        raise DataError(f"{spec!r} names no data; give {KINDS}.")
    table = open_table(spec)
    if table is not None:
        return load_table(table, limit=resolve_memory_limit(limit), channels=channels)
    if spec in BUILTINS:
        return BUILTINS[spec]()
    path = Path(spec).expanduser()
    if path.is_dir():
        return _load_folder(path, limit, channels)
    if path.is_file():
        return _load_file(path, limit, channels)
    within = _in_archive(path)
    if within is not None:
        return load_npz(*within, memory_limit=limit)
    raise DataError(_not_found(spec, path))


def _load_folder(path: Path, limit: int | None, channels: int | None) -> Source:
    """Load a folder by what it holds: images, or tables further down."""
    try:
        return load_folder(path, memory_limit=limit, channels=channels)
    except DataError as error:
        tables = (each for each in path.rglob("*") if each.suffix.lower() in _TABLE_FILES)
        if "holds no images" not in str(error) or next(tables, None) is None:
            raise
    return load_dataset_folder(path, memory_limit=limit, channels=channels)


def _load_file(path: Path, limit: int | None, channels: int | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return load_npy(path, memory_limit=limit)
    if suffix == ".npz":
        return load_npz(path, memory_limit=limit)
    if suffix in EXTENSIONS:
        return load_image_file(path, channels=channels)
    raise DataError(f"{path} is a file of an unknown kind ({suffix or 'no extension'}); give {KINDS}.")


def _as_array(spec: Any) -> Array:
    """Return a NumPy array of an array or a tensor of any framework that has ``.numpy()``."""
    if isinstance(spec, np.ndarray):
        return spec
    for step in ("detach", "cpu"):
        spec = getattr(spec, step, lambda spec=spec: spec)()
    if callable(getattr(spec, "numpy", None)):
        try:
            return np.asarray(spec.numpy())
        except (TypeError, RuntimeError) as error:
            raise DataError(f"this tensor has no NumPy form ({error}); convert it to float32 or uint8.") from error
    raise DataError(f"an object of type {type(spec).__name__} is no data source; give {KINDS}.")


def _not_found(spec: str, path: Path) -> str:
    """Say that there is nothing of this name, with close names and, for owner/name, the hub prefix."""
    parent = path.parent
    neighbours: list[str] = []
    with contextlib.suppress(OSError):
        neighbours = [entry.name for entry in parent.iterdir() if entry.name[0] != "."]
    close = [str(parent / name) for name in difflib.get_close_matches(path.name, neighbours, n=3, cutoff=0.6)]
    close = difflib.get_close_matches(spec, BUILTINS, n=1, cutoff=0.6) + close
    if _HUB_NAME.fullmatch(spec):
        close.append(f"{PREFIX}{spec} (a data set on the Hugging Face hub)")
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"{spec!r} does not exist.{hint} A data source is {KINDS}."
