"""A set of tokens on the disk: shards and a ``tokens.json`` that says what they are."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.codec import shards
from vqkit.codec.shards import Indices
from vqkit.errors import DataError

MANIFEST = "tokens.json"
VECTORS = "vectors.npy"


class Tokens:
    """The indices of a set of signals, an array ``[*grid]`` (or ``[*grid, codebooks]``) per item, read when asked for.

    ``len(tokens)``, ``tokens[i]``, iteration. NumPy shards are memory-mapped; of other formats one shard is held.

    Attributes:
        path: the folder.
        manifest: the contents of ``tokens.json``.
        codebook_size: K.
        num_codebooks: indices per position.
        grid: the common grid, or None where items differ.
        kept: how many items ``tokenize`` found done already, by an encoding that was interrupted (or all).
        replaced: in which respects shards that lay there half done, and were replaced, were of other tokens; else "".
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.kept = 0
        self.replaced = ""
        try:
            self.kind: str = manifest["format"]
            self.codebook_size: int = manifest["codebook_size"]
            self.num_codebooks: int = manifest.get("num_codebooks", 1)
            self.grid: tuple[int, ...] | None = None if manifest["grid"] is None else tuple(manifest["grid"])
            self._files = [path / Path(shard["file"]).name for shard in manifest["shards"]]
            self._counts = [int(shard["items"]) for shard in manifest["shards"]]
            self._size = None if manifest["size"] is None else tuple(manifest["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path / MANIFEST}: not the description of a token set ({error!r})") from error
        self._ends = list(np.cumsum(self._counts))
        self._open: tuple[int, Any] | None = None
        self._sizes: tuple[int, list[tuple[int, ...]]] | None = None

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends else 0

    def __getitem__(self, index: int) -> Indices:
        shard, offset = self._place(index)
        if self._open is None or self._open[0] != shard:
            found = shards.read_shard(self._files[shard], self.kind)
            if len(found) != self._counts[shard]:
                raise DataError(
                    f"{self._files[shard]} has {len(found)} items, {MANIFEST} says {self._counts[shard]}: encode again"
                )
            self._open = (shard, found)
        item: Indices = self._open[1][offset]
        return item

    def __iter__(self) -> Iterator[Indices]:
        return (self[index] for index in range(len(self)))

    def size(self, index: int) -> tuple[int, ...]:
        """The size of item ``index``'s signal, to crop to when decoding."""
        if self._size is not None:
            return self._size
        shard, offset = self._place(index)
        if self._sizes is None or self._sizes[0] != shard:
            self._sizes = (shard, shards.read_sizes(self._files[shard]))
        return self._sizes[1][offset]

    def labels(self) -> npt.NDArray[np.int64] | None:
        """All labels (-1: none), or None when the data had none."""
        if not self.manifest.get("labels"):
            return None
        return np.concatenate([shards.read_labels(file, self.kind) for file in self._files])

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes that the labels number, or None."""
        names = self.manifest.get("class_names")
        return [str(name) for name in names] if isinstance(names, list) else None

    def item_names(self) -> list[str | None] | None:
        """What all items were called where they came from, or None when the data had no names (arrays).

        Raises:
            DataError: the names are missing or damaged.
        """
        if not self.manifest.get("names"):
            return None
        found: list[str | None] = []
        for file, count in zip(self._files, self._counts, strict=True):
            names = shards.read_names(file, self.kind)
            if len(names) != count:
                raise DataError(f"{file}: {len(names)} names for {count} items: encode again")
            found += names
        return found

    def is_whole(self) -> bool:
        """Whether every shard is there, readable, and of as many items as ``tokens.json`` says."""
        starts = [0, *(int(end) for end in self._ends[:-1])]
        try:
            for start in starts[: len(self._counts)]:
                self[start]
        except (DataError, IndexError):
            return False
        return True

    def vectors(self) -> npt.NDArray[np.float32] | None:
        """The vectors that go with the items, float32 ``[items, D]`` from ``vectors.npy``, or None without the file.

        Raises:
            DataError: a file that is no such array.
        """
        file = self.path / VECTORS
        if not file.is_file():
            return None
        try:
            found = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: not readable as a NumPy array ({error})") from error
        return np.asarray(found, dtype=np.float32)

    def bytes_on_disk(self) -> int:
        """Size of the shards (without labels of NumPy shards, and without ``tokens.json``)."""
        return sum(file.stat().st_size for file in self._files)

    def _place(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        shard = bisect.bisect_right(self._ends, index)
        return shard, index - (int(self._ends[shard - 1]) if shard else 0)


def load_tokens(path: str | Path) -> Tokens:
    """The token set in a folder written by ``tokenize`` (``vqkit encode``).

    Raises:
        DataError: no token set there, or one whose writing was interrupted.
    """
    path = Path(path)
    file = path / MANIFEST
    if not file.is_file():
        started = path.is_dir() and any(path.glob("indices-*"))
        hint = "; its encoding was interrupted: encode again" if started else "; make one with: vqkit encode MODEL DATA"
        raise DataError(f"{path}: no token set here (a folder with a {MANIFEST}){hint}")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as JSON ({error})") from error
    return Tokens(path, manifest)
