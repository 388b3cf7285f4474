"""Shards as the tokenized files of datatrove."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.tokens.formats.base import TOKEN_FORMATS
from vqkit.tokens.formats.sequences import FlatFormat
from vqkit.tokens.layout import Vocabulary

_PREFIXES = ("", "k", "M", "G", "T", "P")


@TOKEN_FORMATS.register("datatrove")
class DatatroveFormat(FlatFormat):
    """Tokenized file of datatrove (nanotron): ids in `.ds`, ends of documents in `.ds.index`, counts in `.ds.metadata`.

    ``.ds.index``: for each item the place after its last id, u64 little-endian. ``.ds.metadata``: three lines, the
    tokenizer with the bytes of an id (``vqkit|2``), how many ids, and their number in words (``1.50 kT``).
    """

    suffix = ".ds"
    index_suffixes = (".ds.index", ".ds.metadata")
    more_files = r"indices-\d{5,12}\.ds\.(index|metadata)"

    def index(self, lengths: npt.NDArray[np.int64], dtype: np.dtype[Any], vocabulary: Vocabulary) -> list[bytes]:
        """Return the ends of documents, and the counts."""
        total = int(lengths.sum())
        words = f"vqkit|{dtype.itemsize}\n{total}\n{_metric(total)}"
        return [np.cumsum(lengths).astype("<u8").tobytes(), words.encode()]

    def index_path(self, path: Path, suffix: str) -> Path:
        """Return the path with the suffixes one after another."""
        return path.with_name(path.name.removesuffix(self.suffix) + suffix)


def _metric(count: int) -> str:
    """A number of tokens with three digits and a metric prefix, as humanize writes it: 1.50 kT."""
    power = 0 if count == 0 else math.floor(math.log10(count))
    if round(count / 10 ** (power // 3 * 3), 2 - power % 3) >= 10 ** (power % 3 + 1):  # 999,999 are 1.00 M
        power += 1
    number = f"{count / 10 ** (power // 3 * 3):.{2 - power % 3}f}"
    return f"{number} {_PREFIXES[power // 3]}T"
