"""Names of data: what a text names, and the name that means the same from any folder, for a run to record."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from vqkit.data.builtin import BUILTIN_PREFIX, BUILTINS
from vqkit.data.grids.choosing import chosen_name
from vqkit.data.grids.loading import recorded_grid
from vqkit.data.images.reading import EXTENSIONS
from vqkit.data.label_files import label_file
from vqkit.data.sounds.loading import EXTENSIONS as SOUND_EXTENSIONS
from vqkit.signals import SIGNALS, Signal, assumed_kind, signal_kind
from vqkit.storage.remote import is_url, whole_url

HUB_PREFIX = "hub:"
COLUMN_FILES = (".csv", ".tsv", ".arrow", ".feather")
"""Files of tables whose rows are vectors."""
GIVEN_PREFIX = "given:"
"""Of the words for data that were handed over as numbers, so that no name reads them again."""


def builtin_name(spec: str) -> str | None:
    """The built-in data set that a text names: with ``builtin:`` always, without it where no path is called so."""
    if spec.startswith(BUILTIN_PREFIX):
        return spec.removeprefix(BUILTIN_PREFIX)
    return spec if spec in BUILTINS and not os.path.lexists(spec) else None


def shadow_note(spec: str) -> str | None:
    """Return a note if ``spec`` is a path that has the name of a built-in data set, else None."""
    if spec not in BUILTINS or not os.path.lexists(spec):
        return None
    return f"{spec} is the path {Path(spec).absolute()} here; the built-in data set is {BUILTIN_PREFIX}{spec}"


def is_saved_dataset(folder: Path) -> bool:
    """Return True if ``datasets`` wrote this folder with ``save_to_disk``."""
    return any((folder / marker).is_file() for marker in ("dataset_dict.json", "state.json"))


def holds_parquet(folder: Path) -> bool:
    """Return True for a folder with Parquet files, and no images or sounds beside them."""
    top = {entry.suffix.lower() for entry in folder.iterdir() if entry.name[0] != "."}
    return ".parquet" in top and not top & (EXTENSIONS | SOUND_EXTENSIONS)


def are_parquet(path: Path) -> bool:
    """Return True for a folder or a pattern of Parquet files."""
    if path.is_dir():
        return not is_saved_dataset(path) and holds_parquet(path)
    return path.suffix.lower() == ".parquet" and not path.exists() and glob.has_magic(str(path))


def in_archive(path: Path) -> tuple[str, str] | None:
    """The file and the key of ``file.npz:key`` or ``file.safetensors:key``; None for anything else."""
    for suffix in (".npz", ".safetensors"):
        archive, separator, key = str(path).rpartition(f"{suffix}:")
        if separator and Path(archive + suffix).is_file():
            return archive + suffix, key
    return None


def in_columns(spec: str) -> tuple[str, list[str]] | None:
    """The file and the columns of ``FILE.csv:x,y`` (``.tsv``, ``.arrow``, ``.feather``; of Parquet two or more)."""
    for suffix in (*COLUMN_FILES, ".parquet"):
        file, separator, columns = spec.rpartition(f"{suffix}:")
        names = [each.strip() for each in columns.split(",") if each.strip()]
        several = suffix != ".parquet" or len(names) > 1
        if separator and names and several and Path(file + suffix).expanduser().is_file() and not Path(spec).exists():
            return file + suffix, names
    return None


def in_table(path: Path) -> tuple[str, str] | None:
    """The file or pattern and the label column of ``FILE.parquet:COLUMN``; None for anything else."""
    file, separator, column = str(path).rpartition(".parquet:")
    if not separator or not column or path.exists():
        return None
    file += ".parquet"
    return (file, column) if Path(file).is_file() or glob.has_magic(file) else None


def in_labels(spec: str) -> tuple[str, Path, str | None] | None:
    """The data, the file and the key of ``DATA:labels.json`` or ``DATA:labels.csv:KEY``; None for anything else."""
    if Path(spec).exists():
        return None
    for colon in (at for at, letter in enumerate(spec) if letter == ":"):
        data = Path(spec[:colon]).expanduser()
        if not spec[:colon] or not data.exists():
            continue
        found = label_file(spec[colon + 1 :], data)
        if found is not None:
            return spec[:colon], *found
    return None


def kind_in(spec: str) -> tuple[str, Signal | None]:
    """A name of data without the kind of signal that it may begin with (``sound:waves.npy``), and that kind."""
    head, colon, rest = spec.partition(":")
    if colon and head.partition("@")[0] in SIGNALS and not Path(spec).exists():
        return rest, signal_kind(head)
    return spec, None


def recorded_name(spec: str | os.PathLike[str]) -> str:
    """The name of the same data from any working folder: absolute, or ``builtin:`` or ``hub:`` and a name.

    What names nothing here stays as it is.
    """
    text = os.fspath(spec)
    name, kind = kind_in(text)
    if kind is not None:
        return f"{kind.name}:{recorded_name(name)}"
    if is_url(text):
        return whole_url(text)
    if text.startswith((BUILTIN_PREFIX, HUB_PREFIX)) or not text.strip() or "\0" in text:
        return text
    if builtin_name(text) is not None:
        return f"{BUILTIN_PREFIX}{text}"
    path = Path(text).expanduser()
    if path.exists():
        return str(path.resolve())
    grid = recorded_grid(text)
    if grid is not None:
        return grid
    labeled = in_labels(text)
    if labeled is not None:
        data, file, key = labeled
        return f"{recorded_name(data)}:{file.resolve()}{'' if key is None else f':{key}'}"
    columns = in_columns(text)
    if columns is not None:
        return f"{recorded_name(columns[0])}:{','.join(columns[1])}"
    within = in_archive(path)
    if within is not None:
        return f"{Path(within[0]).resolve()}:{within[1]}"
    table = in_table(path)
    if table is not None:
        return f"{recorded_name(table[0])}:{table[1]}"
    folder, _, split = str(path).rpartition("@")
    if folder and Path(folder).is_dir():
        return f"{Path(folder).resolve()}@{split}"
    if path.suffix == ".tar" and "{" in path.name and path.parent.is_dir():
        return str(path.parent.resolve() / path.name)
    if glob.has_magic(str(path)) and not path.is_absolute():
        return str(Path(glob.escape(str(Path.cwd()))) / path)
    return text


def recorded_split(validation: str | float) -> str | float:
    """A share or a number of held-out items as it is; held-out data of its own by the name that is recorded."""
    if not isinstance(validation, str) or validation.startswith(("last:", GIVEN_PREFIX)):
        return validation
    try:
        float(validation)
    except ValueError:
        kind, name = assumed_kind(), recorded_name(chosen_name(validation))
        return name if kind is None or kind_in(name)[1] is not None else f"{kind.name}:{name}"
    return validation


def name_when_recorded(name: str) -> str:
    """Return a data name from a run's settings, with the prefix of built-in sets, which older versions left out."""
    return f"{BUILTIN_PREFIX}{name}" if name in BUILTINS else name
