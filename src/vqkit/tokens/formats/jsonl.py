"""Shards as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.checking import check_fields, shown
from vqkit.coding import index_dtype
from vqkit.storage import atomic
from vqkit.storage.reading import parse_json
from vqkit.tokens.formats.base import TOKEN_FORMATS
from vqkit.tokens.formats.sequences import SequenceFormat, blocks, vocabulary_of
from vqkit.tokens.layout import Vocabulary
from vqkit.tokens.shards import Expected, Indices, Shard, check_count

_MOST_LINE = 64 << 20
_FIELDS: dict[str, Any] = {"tokens": Sequence[int], "grid": Sequence[int], "size": Sequence[int]}
_MORE_FIELDS: dict[str, Any] = {"class_id": int, "name": str | None}


@TOKEN_FORMATS.register("jsonl")
class JsonLinesFormat(SequenceFormat):
    """JSON lines: an item a line, `tokens` (ids) and `class_id` as 1d-tokenizer reads them, `grid`, `size`, `name`."""

    suffix = ".jsonl"
    has_card = True

    def id_dtype(self, vocabulary: Vocabulary) -> np.dtype[Any] | None:
        """Return None: ids are text."""
        return None

    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write the lines."""

        def write_lines(temporary: Path) -> None:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                for first, sequences in blocks(shard):
                    for place, ids in enumerate(sequences.tolist(), first):
                        file.write(json.dumps(_line(shard, place, ids)) + "\n")

        atomic.write_file(path, write_lines)
        return [path]

    def labels_place(self, path: Path) -> Path:
        """Return the shard itself."""
        return path

    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Sequence[Indices]:
        vocabulary, dtype = vocabulary_of(expected.vocabulary), index_dtype(expected.codebook_size)
        more = (expected.num_codebooks,) if expected.num_codebooks > 1 else ()
        found = []
        for line in _lines(path, count):
            shape = (*line["grid"], *more)
            expected.check_shape(shape)
            found.append(vocabulary.indices(_whole(line["tokens"])[None], shape)[0].astype(dtype))
        return found

    def _labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        return _whole([line["class_id"] for line in _lines(path, count)])

    def _names(self, path: Path, count: int) -> Any:
        return [line["name"] for line in _lines(path, count)]

    def _sizes(self, path: Path, count: int) -> list[tuple[int, ...]]:
        return [tuple(line["size"]) for line in _lines(path, count)]


def _line(shard: Shard, place: int, ids: list[int]) -> dict[str, Any]:
    books = int(vocabulary_of(shard.vocabulary).num_codebooks > 1)
    shape = shard.indices[place].shape
    line: dict[str, Any] = {"tokens": ids, "grid": shape[: len(shape) - books], "size": shard.sizes[place]}
    if shard.labels is not None:
        line["class_id"] = int(shard.labels[place])
    if shard.names is not None:
        line["name"] = shard.names[place]
    return line


def _lines(path: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield the lines, which are as many as the description says. Raises ValueError for a line that says too little."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(_MOST_LINE):
            number += 1
            if number > count:
                raise ValueError(f"it has more lines than the {count} items that the set's description says")
            if not line.endswith(b"\n"):
                raise ValueError(f"line {number} is cut short")
            try:
                yield check_fields(parse_json(line), _FIELDS, _MORE_FIELDS)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    check_count(number, count)


def _whole(values: Sequence[int]) -> npt.NDArray[np.int64]:
    try:
        return np.array(values, np.int64)
    except OverflowError as error:
        raise ValueError(f"ids {shown(values)}") from error
