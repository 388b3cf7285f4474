"""One word for every kind of data: ``load_source``."""

from __future__ import annotations

import contextlib
import difflib
import glob
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vqkit.checking import counted
from vqkit.data.arrays.items import IndexSet, from_batches, from_items, holds_batches, holds_items, stream_error
from vqkit.data.arrays.loading import from_array, load_npy, load_npz, load_safetensors
from vqkit.data.builtin import BUILTINS, load_builtin
from vqkit.data.grids.choosing import chosen_name, in_windows
from vqkit.data.grids.loading import load_grid
from vqkit.data.images.folder import load_folder, load_image_file
from vqkit.data.images.reading import EXTENSIONS
from vqkit.data.label_files import assumed_labels, labeled_name, with_labels
from vqkit.data.naming import (
    COLUMN_FILES,
    HUB_PREFIX,
    are_parquet,
    builtin_name,
    holds_parquet,
    in_archive,
    in_columns,
    in_labels,
    in_table,
    is_saved_dataset,
    kind_in,
    recorded_name,
    shadow_note,
)
from vqkit.data.remote import local_copy, shards_at, tars_in
from vqkit.data.shards.source import open_shards
from vqkit.data.shards.store import ShardStore
from vqkit.data.signal_files import load_signal_files
from vqkit.data.sounds.loading import EXTENSIONS as SOUND_EXTENSIONS
from vqkit.data.sounds.loading import load_sounds
from vqkit.data.source import Array, Source
from vqkit.data.views.windows import windowed
from vqkit.errors import ConfigError, DataError
from vqkit.optional import require
from vqkit.resources import resolve_memory_limit
from vqkit.signals import Field, Signal, Sound, assumed_kind, signal_kind
from vqkit.spelling import spelled
from vqkit.storage.marks import holds_tokens, is_made
from vqkit.storage.remote import is_url, whole_url

if TYPE_CHECKING:  # tables need pyarrow, an extra
    from vqkit.data.tables.table import ImageTable

KINDS = (
    "a folder of images or sounds, an image or sound file, a .npy, .npz or .safetensors file (file.npz:key for one "
    "array), a .csv or .arrow file of vectors (file.csv:x,y for some columns), "
    ".parquet files (one, a folder or a pattern), the address of any of these (s3://, gs://, hf://), "
    f"a saved data set, {HUB_PREFIX}owner/name, {', '.join(BUILTINS)}, an array, "
    "Pillow images, or a Source"
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+(@\w+)?")
_TABLE_FILES = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tar", ".zip")
_ARRAY_FILES = (".npy", ".npz", ".safetensors", ".tsv", ".feather")
_FETCHED = frozenset((*EXTENSIONS, *SOUND_EXTENSIONS, *_TABLE_FILES, *_ARRAY_FILES))
"""Of the files of a folder at an address."""


def load_source(
    spec: str | os.PathLike[str] | Array | Source | Any,
    *,
    memory_limit: int | str | None = None,
    channels: int | None = None,
    kind: Signal | str | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> Source:
    """Load a data source from whatever names it.

    Args:
        spec: a folder of images or of sounds; an image or sound file; ``file.npy``; ``file.npz`` or
            ``file.npz:key``; ``file.safetensors`` (``:key``); vectors in ``file.csv``, ``.tsv``, ``.arrow``, as a
            column of lists or columns of floats (``file.csv:x,y`` names them); ``.parquet``: a file, a folder of them
            or a pattern (``file.parquet:column`` names the
            column of labels); a folder written by
            ``datasets`` (``folder@split`` for one split); the address of any of these (``s3://``, ``gs://``, ``hf://``:
            fetched into ``$VQKIT_CACHE/remote``); ``hub:owner/name`` or ``hub:owner/name@split``; ``"digits"``,
            ``"photos"`` or ``"speech"`` (a path of that name comes first; ``"builtin:digits"`` is never one); an array
            or tensor in one of the layouts of ``vqkit.data.arrays.loading``; a Pillow image; a list of images, their
            paths or arrays; a data set or a ``DataLoader`` in the sense of torch (see ``vqkit.data.arrays.items``); or
            a Source.
        memory_limit: bytes of decoded data that may stay in memory, or a text such as "2GB"; None: a quarter of
            physical memory.
        channels: 1 or 3 to have images in grey or RGB, 1 or 2 to have sounds in mono or stereo; None: as they are.
        kind: of the signals: a name ("sound", "image", "video", "vector", or one that a package registers;
            "sound@16000" is sound at that sample rate, and files are resampled to it) or a ``vqkit.signals.Signal``;
            None: what ``kind_assumed`` says, else as files' names and arrays' shapes suggest, with a note where that
            is a guess. A name of data says it too: ``"sound:waves.npy"``.
        labels: of named data: a JSON or CSV file beside the signals (``"labels.csv"``, ``"labels.json:speaker"`` for
            one of several; see ``vqkit.data.label_files``), or a column of Parquet files; None: what the data says. A
            name of data says it too: ``"recordings:labels.json:speaker"``.

    Raises:
        DataError: nothing there, of an unknown kind, or unreadable; the message lists the kinds.
        ConfigError: ``channels`` is not 1, 2 or 3, ``memory_limit`` is no size, or ``kind`` is unknown.

    Example:
        >>> import numpy as np, vqkit
        >>> vqkit.load_source(np.zeros((8, 2, 400), np.float32), kind="sound").describe()
        '8 stereo sounds 400 samples in memory (26 kB)'
    """
    if channels not in (None, 1, 2, 3):
        raise ConfigError(
            f"channels is {channels!r}; it is 1 (grey, mono), 2 (stereo), 3 (RGB) or None (as the signals are)."
        )
    resolve_memory_limit(memory_limit)
    if labels is not None and not isinstance(labels, str | os.PathLike):
        raise ConfigError(
            f"labels of type {type(labels).__name__}: give the name of a JSON or CSV file, or of a column; labels in "
            "memory go with an array in memory: vqkit.data.ArraySource(array, labels=labels)"
        )
    said = kind if kind is not None else assumed_kind()
    read_as = None if said is None else signal_kind(said)
    if isinstance(spec, str | os.PathLike):
        source, read_as = _opened(os.fspath(spec), memory_limit, channels, read_as, labels)
    elif labels is not None:
        raise ConfigError(f"labels={os.fspath(labels)!r} are of named data; this is a {type(spec).__name__}")
    elif isinstance(spec, Source):
        source = spec if kind is None else spec.with_kind(signal_kind(kind))
    elif isinstance(spec, IndexSet):
        raise DataError(f"{spec!r} are indices, which are no signals: a prior learns them, model.decode(tokens[:16])")
    elif holds_batches(spec):
        source = from_batches(spec, read_as)
    elif isinstance(spec, Image.Image):
        source = from_items([spec], read_as)
    else:
        source = from_items(spec, read_as) if holds_items(spec) else from_array(_as_array(spec), kind=read_as)
    if read_as is not None and not read_as.reads(source.kind) and not isinstance(spec, Source):
        raise DataError(
            f"{source.describe()}: not {read_as.noun[1]} (kind={read_as.name!r}), which are read from arrays "
            f"{read_as.layouts}, or files of {', '.join(read_as.extensions)}."
        )
    return source if channels is None else source.with_channels(channels)


def _opened(
    spec: str,
    limit: int | str | None,
    channels: int | None,
    read_as: Signal | None,
    labels: str | os.PathLike[str] | None,
) -> tuple[Source, Signal | None]:
    """Load what a text names; returns the kind that it was read as, too, which the text may say."""
    name, in_name = kind_in(spec)
    name = chosen_name(name)
    if in_name is not None and not (in_name.rate is None and read_as is not None and read_as.reads(in_name)):
        read_as = in_name
    address = whole_url(name) if is_url(name) else None
    shards = None if labels is not None or (read_as is not None and read_as.name != "image") else _shards(name, limit)
    if address is not None and shards is None:
        name = local_copy(name, _FETCHED if read_as is None else {*_FETCHED, *read_as.extensions})
    name = labeled_name(name, assumed_labels() if labels is None else os.fspath(labels), asked_for=labels is not None)
    note = shadow_note(name)
    try:
        if shards is not None:
            source: Source = open_shards(shards, name=name if address is None else address, channels=channels)
        else:
            source = _load_named(name, limit, channels, read_as)
    except DataError as error:
        if note is None and address is None:
            raise
        words = str(error) if address is None else str(error).replace(name, address)
        raise DataError(words if note is None else f"{words} (Note: {note}.)") from error
    own = recorded_name(name) if address is None else address
    source.spec = own if read_as is None else f"{read_as.name}:{own}"
    source.name = source.name if address is None else address
    source.notes.extend([note] if note else [])
    return source, read_as


def open_table(spec: str) -> ImageTable | None:
    """The encoded images of Parquet files or of a data set, none of them decoded yet; None: ``spec`` is no such thing.

    Raises DataError where it is one that cannot be read.
    """
    table = _any_table(spec)
    return None if table is None or table.arrays or table.columns.sounds else table


def _any_table(spec: str, *, sounds: bool = False) -> ImageTable | None:
    """A table of encoded images or sounds, or of arrays."""
    if builtin_name(spec) is not None:
        return None
    if spec.startswith(HUB_PREFIX):
        return _hub().hub_table(spec, sounds=sounds)
    path = Path(spec).expanduser()
    if path.is_dir():
        return (
            _hub().dataset_folder_table(path, sounds=sounds)
            if is_saved_dataset(path)
            else _parquet_at_top(path, sounds)
        )
    if path.is_file():
        return _parquet(path, sounds) if path.suffix.lower() == ".parquet" else None
    if in_archive(path) is not None:
        return None
    if in_table(path) is not None:
        return _parquet(path, sounds)
    folder, _, split = str(path).rpartition("@")
    if folder and Path(folder).is_dir():
        return _hub().dataset_folder_table(folder, split, sounds=sounds)
    return _parquet(path, sounds) if glob.has_magic(str(path)) else None


def _parquet_at_top(path: Path, sounds: bool) -> ImageTable | None:
    return _parquet(path, sounds) if holds_parquet(path) else None


def _parquet(path: Path, sounds: bool) -> ImageTable:
    """See ``parquet_table``. Raises MissingExtraError without pyarrow."""
    require("pyarrow", f"Parquet files ({path})")
    from vqkit.data.tables.parquet import parquet_table

    return parquet_table(path, sounds=sounds)


def _hub() -> ModuleType:
    """The reader of Hugging Face data sets. Raises MissingExtraError without ``datasets`` (which brings pyarrow)."""
    require("datasets", "Hugging Face data sets")
    from vqkit.data.tables import hub

    return hub


def _shards(name: str, limit: int | str | None) -> ShardStore | None:
    """Images in tar files, or in Parquet files at an address that are larger than the memory; None: other data."""
    if is_url(name):
        at = shards_at(name, resolve_memory_limit(limit))
        return None if at is None else ShardStore(*at)
    here = tars_in(name)
    return None if here is None else ShardStore(*here)


def _load_named(spec: str, limit: int | str | None, channels: int | None, kind: Signal | None = None) -> Source:
    if not isinstance(spec, str) or not spec.strip():
        raise DataError(f"{spec!r} names no data; give {KINDS}.")
    if holds_tokens(Path(spec).expanduser()):
        decoding = spelled(python=f"vqkit.load_tokens({spec!r})", command=f"vqkit decode MODEL {spec}")
        raise DataError(f"{spec} holds tokens, and no signals: {decoding} reads them; name the data that they are of")
    cut = in_windows(spec)
    if cut is not None:
        return windowed(_load_named(cut[0], limit, channels, (kind or Field()).of_axes(1)), *cut[1:])
    grid = load_grid(spec, kind, limit=resolve_memory_limit(limit))
    if grid is not None:
        return grid
    vectors = _vectors(spec, limit, kind)
    if vectors is not None:
        return vectors
    table = _any_table(spec, sounds=isinstance(kind, Sound))
    if table is not None:
        from vqkit.data.tables.loading import load_table

        return load_table(table, limit=resolve_memory_limit(limit), channels=channels, kind=kind)
    builtin = builtin_name(spec)
    if builtin is not None:
        return load_builtin(builtin, kind)
    if (path := Path(spec).expanduser()).is_dir():
        return _load_folder(path, limit, channels, kind)
    if path.is_file():
        return _load_file(path, limit, channels, kind)
    labeled = in_labels(spec)
    if labeled is not None:
        return with_labels(_load_named(labeled[0], limit, channels, kind), *labeled[1:])
    within = in_archive(path)
    if within is not None and within[0].endswith(".safetensors"):
        return load_safetensors(Path(within[0]), within[1], limit, kind)
    if within is not None:
        return load_npz(*within, memory_limit=limit, kind=kind)
    raise DataError(_not_found(spec, path))


def _vectors(spec: str, limit: int | str | None, kind: Signal | None) -> Source | None:
    """Vectors in a table: CSV, Arrow, or Parquet with a column for each number; None: it is no such thing."""
    path, within = Path(spec).expanduser(), in_columns(spec)
    whole = path.is_file() and path.suffix.lower() in (*COLUMN_FILES, ".parquet")
    if within is None and not whole and not are_parquet(path):
        return None
    require("pyarrow", f"tables ({path})")
    from vqkit.data.tables.vectors import load_vectors

    file, columns = within or (str(path), None)
    return load_vectors(str(Path(file).expanduser()), columns, limit=resolve_memory_limit(limit), kind=kind)


def _load_folder(path: Path, limit: int | str | None, channels: int | None, kind: Signal | None) -> Source:
    """Load a folder by what it holds: images, or tables further down."""
    if isinstance(kind, Sound) and _holds(path, SOUND_EXTENSIONS):
        return load_sounds(path, kind, memory_limit=limit, channels=channels)
    if kind is not None and not kind.encoded:
        return load_signal_files(path, kind, memory_limit=limit)
    try:
        return load_folder(path, memory_limit=limit, channels=channels)
    except DataError as error:
        if "holds no images" not in str(error):
            raise
        if kind is None and _holds(path, SOUND_EXTENSIONS):
            return load_sounds(path, Sound(), memory_limit=limit, channels=channels)
        if not _holds(path, _TABLE_FILES):
            raise
    return _hub().load_dataset_folder(path, memory_limit=limit, channels=channels)


def _holds(path: Path, extensions: Collection[str]) -> bool:
    """Return True if there is a file of these extensions in or below a folder, outside of what vqkit wrote."""
    for where, folders, names in os.walk(path):
        if Path(where) != path and is_made(Path(where), {*folders, *names}):
            folders.clear()
        elif any(Path(name).suffix.lower() in extensions for name in names):
            return True
    return False


def _load_file(path: Path, limit: int | str | None, channels: int | None, kind: Signal | None) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return load_npy(path, memory_limit=limit, kind=kind)
    if suffix == ".safetensors":
        return load_safetensors(path, None, limit, kind)
    if suffix == ".npz":
        return load_npz(path, memory_limit=limit, kind=kind)
    if suffix in SOUND_EXTENSIONS and (kind is None or isinstance(kind, Sound)):
        return load_sounds(path, kind or Sound(), memory_limit=limit, channels=channels)
    if kind is not None and suffix in kind.extensions and not kind.encoded:
        return load_signal_files(path, kind, memory_limit=limit)
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
    name = type(spec).__name__
    if isinstance(spec, Mapping) and spec and all(holds_items(part) for part in spec.values()):
        parts = ", ".join(map(repr, spec))
        raise DataError(
            f"{name} holds {counted(len(spec), 'data set')}, {parts}: choose one, data[{next(iter(spec))!r}]."
        )
    if hasattr(spec, "__iter__") and not hasattr(spec, "__len__"):
        raise stream_error(name)
    if hasattr(spec, "__iter__") and not isinstance(spec, Mapping):
        raise DataError(
            f"{name} gives objects one after the other; of items give list(data), of batches "
            "np.concatenate(list(data))."
        )
    raise DataError(f"an object of type {name} is no data source; give {KINDS}.")


def _not_found(spec: str, path: Path) -> str:
    """Say that there is nothing of this name, with close names and, for owner/name, the hub prefix."""
    parent = path.parent
    neighbors: list[str] = []
    with contextlib.suppress(OSError):
        neighbors = [entry.name for entry in parent.iterdir() if entry.name[0] != "."]
    close = [str(parent / name) for name in difflib.get_close_matches(path.name, neighbors, n=3, cutoff=0.6)]
    close = difflib.get_close_matches(spec, BUILTINS, n=1, cutoff=0.6) + close
    if _HUB_NAME.fullmatch(spec) and path.suffix.lower() not in _FETCHED:
        close.append(f"{HUB_PREFIX}{spec} (a data set on the Hugging Face hub)")
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"{spec!r} does not exist.{hint} A data source is {KINDS}."
