"""Base of the formats of token shards, and their registry."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vqkit.coding.gaps import split_gaps
from vqkit.data.arrays.npy import read_npy
from vqkit.errors import ConfigError
from vqkit.registry import Registry
from vqkit.spelling import option, spelled
from vqkit.tokens.beside import read_label_file, read_name_file, read_size_file
from vqkit.tokens.layout import Layout, Vocabulary
from vqkit.tokens.shards import Expected, Indices, Shard, damage


class TokenFormat(ABC):
    """Base of formats of token shards: a shard as files, and back.

    A format has no state. Every file appears whole or not at all: ``write`` goes through ``vqkit.storage.atomic``.

    Attributes:
        name: by which it is registered.
        suffix: of a shard's first file, ``indices-00000`` before it.
        several_sizes: whether items may have different grids.
        sequences: whether items are sequences of ids in a ``Layout``; otherwise arrays of indices.
        manifest: name of the set's description. Readers of folders leave out names that begin with ``_``.
        shard_items: most items of a shard, where nobody says how many.
        more_files: pattern of the names of files beside ``indices-00000``, below the folder.
        has_card: whether a ``README.md`` names the shards to ``datasets.load_dataset``, which reads this format and
            would take the description for data.

    Example:
        >>> from vqkit.tokens import TOKEN_FORMATS, TokenFormat
        >>> issubclass(TOKEN_FORMATS["megatron"], TokenFormat), TOKEN_FORMATS["megatron"].suffix
        (True, '.bin')
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    several_sizes: ClassVar[bool] = False
    sequences: ClassVar[bool] = False
    manifest: ClassVar[str] = "tokens.json"
    shard_items: ClassVar[int] = 1 << 18
    more_files: ClassVar[str] = r"(?!)"
    has_card: ClassVar[bool] = False

    def check_installed(self) -> None:  # noqa: B027  (most formats need nothing)
        """Raise ``MissingExtraError`` unless shards can be written and read here."""

    def check_source(self, size: Sequence[int] | None, what: str) -> None:
        """Raise ``ConfigError`` unless signals of this size (None: several) can be items.

        Args:
            size: of every signal, or None.
            what: the data, for messages.
        """
        if size is None and not self.several_sizes:
            raise ConfigError(
                f"{what} has items of different sizes; a {self.name} shard is one array: give "
                + spelled(python="kind='parquet'", command="--format parquet")
            )

    def check_layout(self, layout: Layout) -> None:
        """Raise ``ConfigError`` unless items can have this layout."""
        if layout.given() and not self.sequences:
            able = ", ".join(name for name, part in TOKEN_FORMATS.items() if part.sequences)
            first = layout.given()[0]
            raise ConfigError(
                f"{option(first, getattr(layout, first))} is of sequences of ids, and {self.name} holds indices as "
                f"they are; choose one of the formats {able}, or leave it out"
            )

    def id_dtype(self, vocabulary: Vocabulary) -> np.dtype[Any] | None:
        """Return the dtype of ids in the files (None: text, or no sequences); ConfigError where none holds them."""
        return None

    def shard_name(self, number: int, first: int, size: Sequence[int] | None) -> str:
        """Return the name of a shard's first file, below the folder.

        Args:
            number: of the shard.
            first: number of its first item.
            size: of every signal, or None where they differ.
        """
        return f"indices-{number:05d}{self.suffix}"

    @property
    def shard_pattern(self) -> str:
        """Pattern of the names of first files."""
        return rf"indices-[0-9]{{5,12}}{re.escape(self.suffix)}"

    @property
    def file_pattern(self) -> str:
        """Pattern of the names of all files, below the folder."""
        return rf"{self.shard_pattern}|(labels|sizes|gaps)-\d{{5,12}}\.npy|names-\d{{5,12}}\.json|{self.more_files}"

    @abstractmethod
    def write(self, path: Path, shard: Shard) -> list[Path]:
        """Write a shard; return its files, the first of them ``path``."""

    @abstractmethod
    def _read(self, path: Path, expected: Expected, count: int, *, ranges: bool) -> Indices | Sequence[Indices]:
        """Read the items of a shard. Any error says that it is damaged."""

    def read(self, path: Path, expected: Expected, count: int, *, ranges: bool = True) -> Indices | Sequence[Indices]:
        """Return the arrays of one shard, one per item; memory-mapped where the format allows it.

        Args:
            path: the first file.
            expected: what it holds; its header is compared before anything of the size that it states is made.
            count: how many items.
            ranges: look at the indices too.

        Raises:
            DataError: the file is damaged, not of this format, or holds something else.
        """
        with damage(path, self.name):
            return self._read(path, expected, count, ranges=ranges)

    def read_labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        """Return the labels of one shard that has them.

        Raises:
            DataError: there are none, or others than so many whole numbers from -1.
        """
        with damage(self.labels_place(path), self.name):
            labels = self._labels(path, expected, count)
            if labels.size and labels.min() < -1:
                raise ValueError(f"it holds the label {labels.min()}; the lowest is -1, for none")
        return labels

    def read_names(self, path: Path, count: int) -> list[str | None]:
        """Return the names of the items of one shard that has them.

        Raises:
            DataError: there are none, they are damaged, or they are not so many.
        """
        with damage(path, self.name):
            found = self._names(path, count)
            if not isinstance(found, list) or not all(name is None or isinstance(name, str) for name in found):
                raise TypeError("its names are no list of strings")
            if len(found) != count:
                raise ValueError(f"{len(found)} names for {count} items")
        return found

    def read_sizes(self, path: Path, count: int, axes: int | None) -> list[tuple[int, ...]]:
        """Return the signal size of every item of a shard whose items differ.

        Raises:
            DataError: there are none, or no sizes of signals of so many axes.
        """
        with damage(path, self.name):
            sizes = self._sizes(path, count)
            wrong = next((size for size in sizes if min(size, default=1) < 1 or len(size) != (axes or len(size))), None)
            if wrong is not None:
                raise ValueError(f"it states the size {list(wrong)} of a signal of {axes} axes")
        return sizes

    def read_gaps(self, path: Path, count: int) -> list[bytes]:
        """Return the packed gaps of every item of a shard that has some (``vqkit.coding.gaps``).

        Raises:
            DataError: there are none, or they are damaged.
        """
        with damage(self.gaps_place(path), self.name):
            return split_gaps(read_npy(self.gaps_place(path)).astype(np.uint8, casting="equiv").tobytes(), count)

    def nbytes(self, path: Path, count: int) -> int:
        """Return the bytes of a shard's indices. Raises OSError."""
        return path.stat().st_size

    def shard_files(self, path: Path, count: int) -> list[Path]:
        """Return the files of a shard that is there."""
        number = path.name.removeprefix("indices-").partition(".")[0]
        return [each for each in path.parent.glob(f"*-{number}.*") if not each.name.startswith(".")]

    def labels_place(self, path: Path) -> Path:
        """Return the path of the file that holds the labels of a shard."""
        return self.beside(path, "labels", ".npy")

    def gaps_place(self, path: Path) -> Path:
        """Return the path of the file that holds the gaps of a shard's signals."""
        return self.beside(path, "gaps", ".npy")

    def beside(self, path: Path, what: str, suffix: str) -> Path:
        """Return the path of a part that lies beside a shard: ``labels-00000.npy``."""
        return path.with_name(path.name.replace("indices-", f"{what}-")).with_suffix(suffix)

    def _labels(self, path: Path, expected: Expected, count: int) -> npt.NDArray[np.int64]:
        return read_label_file(self.labels_place(path), count)

    def _names(self, path: Path, count: int) -> Any:
        return read_name_file(self.beside(path, "names", ".json"), count)

    def _sizes(self, path: Path, count: int) -> list[tuple[int, ...]]:
        return [tuple(size) for size in read_size_file(self.beside(path, "sizes", ".npy"), count)[:, 1].tolist()]


TOKEN_FORMATS: Registry[type[TokenFormat]] = Registry(
    "token format", "vqkit.token_formats", TokenFormat, attribute="name"
)


def token_format(name: str) -> TokenFormat:
    """Return a format by its name.

    Raises:
        ConfigError: unknown.
        MissingExtraError: it cannot be written here.

    Example:
        >>> from vqkit.tokens.formats import token_format
        >>> token_format("npy").suffix
        '.npy'
    """
    found = TOKEN_FORMATS.get_part(name)()
    found.check_installed()
    return found
