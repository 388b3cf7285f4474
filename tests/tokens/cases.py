"""Formats of shards by what tests can ask of them."""

from __future__ import annotations

import re
from pathlib import Path

from vqkit.tokens import TOKEN_FORMATS

ARRAYS = ("npy", "parquet", "safetensors")
ANY_SHAPE = tuple(name for name in TOKEN_FORMATS if name != "llamagen")
"""LlamaGen reads square pictures."""
SEQUENCES = tuple(name for name, part in TOKEN_FORMATS.items() if part.sequences)


def shard_files(folder: Path, kind: str) -> list[Path]:
    """Return the first files of the shards in a folder (of LlamaGen, which has a file an item, all)."""
    pattern = TOKEN_FORMATS[kind]().shard_pattern
    files = [file for file in folder.rglob("*") if re.fullmatch(pattern, file.relative_to(folder).as_posix())]
    return sorted(files)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files, by their names below the folder."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}
