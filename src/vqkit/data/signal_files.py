"""Files of kinds of signals that are no images: each read by its kind, all kept in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vqkit.data.arrays.items import ragged
from vqkit.data.arrays.memory import ArraySource
from vqkit.data.skipped import Skipped, check_enough_readable
from vqkit.data.source import Array, Source, byte_words
from vqkit.errors import DataError
from vqkit.resources import resolve_memory_limit
from vqkit.signals import Signal
from vqkit.storage.marks import is_made


def load_signal_files(path: Path, kind: Signal, *, memory_limit: int | str | None = None) -> Source:
    """Load one file of a kind of signal, or all such files below a folder, sorted by name.

    Folders that vqkit wrote are left out. Files that the kind does not read are skipped and named.

    Raises:
        DataError: no such files, more than half of them unreadable, mixed channels, or more than ``memory_limit``.
    """
    files = [path] if path.is_file() else _files_below(path, kind)
    if not files:
        raise DataError(f"{path} holds no {kind.noun[1]}: files of {', '.join(kind.extensions)} are read.")
    settled = kind
    limit, taken = resolve_memory_limit(memory_limit), 0
    items: list[Array] = []
    notes: list[str] = []
    names: list[str] = []
    skipped: list[Skipped] = []
    for file in files:
        name = file.name if file == path else file.relative_to(path).as_posix()
        try:
            found = kind.read(file)
            if not items:
                settled, notes = kind.of_file(file).settled(found, name, single=True)
            items.append(settled.checked(found, name))
        except (DataError, OSError) as error:
            skipped.append(Skipped(name, str(error)))
            continue
        except Exception as error:  # a kind's own ``read`` meets damaged files with whatever its libraries raise
            if isinstance(error, MemoryError):
                raise
            skipped.append(Skipped(name, f"not readable as {kind.noun[0]} ({type(error).__name__}: {error})"))
            continue
        names.append(name)
        taken += items[-1].nbytes
        if taken > limit:
            raise DataError(
                f"{path}: {len(items):,} of {len(files):,} {kind.noun[1]} take more than memory_limit, "
                f"{byte_words(limit)}; give more memory, or save them as one .npy array, which is memory-mapped."
            )
    check_enough_readable(str(path), len(items), skipped, kind.noun[1])
    if len({item.shape for item in items}) == 1 and len({item.dtype for item in items}) == 1:
        return ArraySource(
            np.stack(items), name=str(path), skipped=skipped, notes=notes, item_names=names, kind=settled
        )
    return ragged(items, settled, name=str(path), skipped=skipped, notes=notes, item_names=names)


def _files_below(path: Path, kind: Signal) -> list[Path]:
    found: list[Path] = []
    for where, folders, names in os.walk(path):
        if Path(where) != path and is_made(Path(where), {*folders, *names}):
            folders.clear()
            continue
        folders[:] = [name for name in folders if name[0] != "."]
        found += [
            Path(where) / name for name in names if name[0] != "." and Path(name).suffix.lower() in kind.extensions
        ]
    return sorted(found)
