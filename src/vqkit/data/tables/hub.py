"""Hugging Face data sets: from the hub by name, or a local folder. Needs ``pip install "vqkit[hub]"``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqkit.data.naming import HUB_PREFIX, is_saved_dataset
from vqkit.data.source import Source
from vqkit.data.tables.loading import choose_columns, describe_columns, load_table
from vqkit.data.tables.table import ImageTable
from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.resources import resolve_memory_limit

BATCH_ROWS = 512


def load_hub(spec: str, *, memory_limit: int | str | None = None, channels: int | None = None) -> Source:
    """Load ``hub:owner/name`` or ``hub:owner/name@split`` (default split: train, else the first one).

    Raises DataError if ``datasets`` is not installed, the data set or split is not found, it cannot be
    fetched, or it has no image column.
    """
    limit = resolve_memory_limit(memory_limit)
    return load_table(hub_table(spec), limit=limit, channels=channels)


def hub_table(spec: str, *, sounds: bool = False) -> ImageTable:
    """The rows that ``load_hub`` loads, not decoded yet. Raises DataError like it."""
    name, _, split = spec.removeprefix(HUB_PREFIX).partition("@")
    if not name:
        raise DataError(f"{spec!r} names no data set; write hub:owner/name or hub:owner/name@split.")
    datasets = require("datasets", "Hugging Face data sets")
    wanted = {"split": split} if split else {}  # fetches no more than that split
    return _opened(lambda: datasets.load_dataset(name, **wanted), spec, None, sounds)


def load_dataset_folder(
    folder: str | Path,
    split: str | None = None,
    *,
    memory_limit: int | str | None = None,
    channels: int | None = None,
) -> Source:
    """Load a local folder: one that ``datasets`` saved with save_to_disk, or any that load_dataset can read.

    Raises DataError like ``load_hub``.
    """
    limit = resolve_memory_limit(memory_limit)
    return load_table(dataset_folder_table(folder, split), limit=limit, channels=channels)


def dataset_folder_table(folder: str | Path, split: str | None = None, *, sounds: bool = False) -> ImageTable:
    """The rows that ``load_dataset_folder`` loads, not decoded yet. Raises DataError like it."""
    path = Path(folder)
    datasets = require("datasets", "Hugging Face data sets")
    saved = is_saved_dataset(path)
    return _opened(
        lambda: datasets.load_from_disk(str(path)) if saved else datasets.load_dataset(str(path)),
        str(folder),
        split,
        sounds,
    )


def _opened(load: Any, name: str, split: str | None, sounds: bool) -> ImageTable:
    try:
        found = load()
        dataset, notes = _one_split(found, name, split)
    except DataError:
        raise
    except Exception as error:  # a broken archive or table raises whatever its reader does
        hint = (
            "check the name, the network and, for a private one, `hf auth login`"
            if name.startswith(HUB_PREFIX)
            else "check the tables and archives in it (one may be empty or damaged), or name the one to read"
        )
        raise DataError(
            f"{name} cannot be loaded as a Hugging Face data set ({type(error).__name__}: {_first_line(error)}); "
            f"{hint}."
        ) from error
    return _table(dataset, name, notes, sounds)


def _one_split(found: Any, name: str, split: str | None) -> tuple[Any, list[str]]:
    """Return one Dataset of what was loaded, and a note if there was a choice. Raises DataError."""
    if not isinstance(found, dict):
        if split is not None and split != str(found.split):
            raise DataError(f"{name} was saved as a single split ({found.split}), and has no {split!r}; leave @ out.")
        return found, []
    splits = list(found)
    chosen = split or ("train" if "train" in splits else splits[0])
    if chosen not in splits:
        raise DataError(f"{name} has no split {chosen!r}; it has: {', '.join(map(str, splits))}.")
    note = f"split {chosen!r} was read, of {', '.join(map(str, splits))}"
    return found[chosen], [note] if len(splits) > 1 and split is None else []


def _table(dataset: Any, name: str, notes: list[str], sounds: bool) -> ImageTable:
    schema = dataset.features.arrow_schema
    columns = choose_columns(name, schema, sounds=sounds)
    columns.notes.extend(notes)

    def batches(wanted: list[str]) -> Iterator[tuple[str, int, Any]]:
        row = 0
        for table in dataset.select_columns(wanted).with_format("arrow").iter(batch_size=BATCH_ROWS):
            yield name.rsplit("/", 1)[-1], row, table
            row += table.num_rows

    return ImageTable(
        name=name,
        rows=len(dataset),
        columns=columns,
        found=describe_columns(schema),
        batches=batches,
        identity=["datasets", dataset._fingerprint, len(dataset)],
        follow_paths=True,
    ).labeled()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no message"
