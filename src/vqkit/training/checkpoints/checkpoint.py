"""Checkpoints: folders that are complete or not there, whatever kills the process."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vqkit import host
from vqkit.checking import check_fields
from vqkit.pretrained.folder import check_finite
from vqkit.storage import atomic
from vqkit.storage.reading import MOST_JSON_BYTES, MOST_JSON_VALUES, TensorSpec, read_json, read_tensor_header

TENSORS = "state.safetensors"
MODEL = "model/"
"""Prefix of the names of the model's tensors."""
_VALUES = "state.json"
_ASIDE = ".old.part"
_BYTES_PER_COUNT = 32
"""In JSON, with its indentation."""
_MOST_STEPS = 1 << 53


@dataclass(frozen=True)
class Checkpoint:
    """A state read back: the step it was taken after, tensors and JSON values by name, and its folder."""

    step: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    path: Path


def save(folder: Path, step: int, tensors: dict[str, Tensor], values: dict[str, Any], keep: int) -> Path:
    """Write ``folder/step_NNN``; then delete all but the newest ``keep``, and what an abandoned attempt left after it.

    The folder is filled under another name, flushed to the disk and renamed, so a folder of this name is complete;
    the SHA-256 of the tensors lies in the JSON and is checked on reading.

    Raises:
        OSError: as the file system raises it; what ``latest`` would have found before, it finds still.
    """
    path = folder / f"step_{step:09d}"
    if path.exists():  # it was passed over as damaged, or it would have been resumed from
        _set_aside(path)
    with atomic.new_folder(path) as temporary:
        save_file(tensors, temporary / TENSORS)
        document = {"step": step, "sha256": _digest(temporary / TENSORS), "values": values}
        (temporary / _VALUES).write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    present = found(folder)
    here = present.index(path)
    for old in [*present[: max(0, here + 1 - keep)], *present[here + 1 :]]:
        _set_aside(old)
    for leftover in folder.glob(f".*{_ASIDE}"):
        shutil.rmtree(leftover, ignore_errors=True)
    return path


def _set_aside(path: Path) -> Path:
    """Rename before deleting: a kill in the middle of the deletion leaves no half-empty ``step_NNN``."""
    target = path.with_name(f".{path.name}{_ASIDE}")
    shutil.rmtree(target, ignore_errors=True)
    path.rename(target)
    return target


def is_checkpoint(path: Path) -> bool:
    """Return True for the folder of a checkpoint with no other files in it."""
    named = path.is_dir() and re.fullmatch(r"step_\d{9}", path.name) is not None
    return named and {each.name for each in path.iterdir()} <= {TENSORS, _VALUES}


def step_of(path: Path) -> int:
    """Return the step of a checkpoint by the name of its folder; 0 of another name."""
    named = re.fullmatch(r"step_(\d+)", path.name)
    return int(named[1]) if named else 0


def found(folder: Path) -> list[Path]:
    """The checkpoint folders, oldest first."""
    return sorted(path for path in folder.glob("step_*") if path.is_dir())


def remove(path: Path) -> None:
    """Delete a checkpoint, whole or not at all."""
    aside = _set_aside(path)
    shutil.rmtree(aside, ignore_errors=True)


def values_of(path: Path) -> dict[str, Any]:
    """Read the JSON values of a checkpoint, without its tensors.

    Raises:
        OSError, ValueError: not there, or damaged.
    """
    found: dict[str, Any] = check_fields(read_json(path / _VALUES), {"values": Mapping[str, Any]})["values"]
    return found


def latest(folder: Path, codes: int = 0) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that reads back whole, and a sentence for each newer one that does not.

    Args:
        folder: of the checkpoints.
        codes: of the model, all codebooks together: so many numbers more may be in the JSON.
    """
    problems: list[str] = []
    for path in reversed(found(folder)):
        try:
            return read(path, codes), problems
        except (OSError, ValueError, SafetensorError) as error:
            problems.append(f"checkpoint {path} is damaged ({error}); taking an older one")
    return None, problems


def read(path: Path, codes: int = 0) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: of its folder.
        codes: see ``latest``.

    Raises:
        OSError, ValueError, SafetensorError: it is not there, or damaged.
    """
    more_bytes = codes * _BYTES_PER_COUNT
    document = check_fields(
        read_json(path / _VALUES, most_bytes=MOST_JSON_BYTES + more_bytes, most_values=MOST_JSON_VALUES + codes),
        {"step": int, "sha256": str, "values": Mapping[str, Any]},
    )
    if not 0 <= document["step"] <= _MOST_STEPS:
        raise ValueError(f"its step is {document['step']:.6g}")
    read_tensor_header(path / TENSORS)
    if _digest(path / TENSORS) != document["sha256"]:
        raise ValueError("its checksum does not match")
    with host.utf8_path(path / TENSORS) as file:
        tensors = load_file(file)
    check_finite(tensors, path.name)
    return Checkpoint(document["step"], tensors, document["values"], path)


def model_tensors(folder: Path) -> dict[str, TensorSpec] | None:
    """Return the dtypes and shapes of the model's tensors in the newest readable checkpoint; None without any.

    The tensors themselves are not read.
    """
    for path in reversed(found(folder)):
        try:
            tensors = read_tensor_header(path / TENSORS).tensors
        except (OSError, ValueError):
            continue
        return {name.removeprefix(MODEL): spec for name, spec in tensors.items() if name.startswith(MODEL)}
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
