"""A set of tokens on the disk: shards and a ``tokens.json`` that says what they are."""

from __future__ import annotations

import bisect
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from vqkit.checking import reason
from vqkit.coding.gaps import unpack_gaps
from vqkit.data.arrays.npy import read_npy
from vqkit.data.identity import encoded_digest
from vqkit.data.selection import selected
from vqkit.errors import BitstreamError, DataError
from vqkit.notebooks import table
from vqkit.spelling import option, spelled
from vqkit.storage.mirror import Mirror
from vqkit.storage.remote import is_url, whole_url
from vqkit.tokens.formats import TOKEN_FORMATS
from vqkit.tokens.journal import ENCODING
from vqkit.tokens.layout import Vocabulary
from vqkit.tokens.manifest import MANIFEST as MANIFEST
from vqkit.tokens.manifest import PARQUET_MANIFEST, Description, find_manifest, read_manifest
from vqkit.tokens.remote_journal import NOTES
from vqkit.tokens.shards import Indices, shard_digest

VECTORS = "vectors.npy"

BARE = "a .npy of integers [items, *grid], or Parquet with a column 'indices', a row for each item"
"""Of other programs."""


class Tokens:
    """The indices of a set of signals, an array ``[*grid]`` (or ``[*grid, codebooks]``) per item, read when asked for.

    ``len(tokens)``, ``tokens[i]``, ``tokens[:16]``, iteration. NumPy shards are memory-mapped; of other formats one
    shard is held.

    Attributes:
        path: the folder.
        url: the address that the folder is a copy of (``$VQKIT_CACHE/remote``), or None.
        manifest: the contents of ``tokens.json``.
        codebook_size: K.
        num_codebooks: indices per position.
        grid: the common grid, or None where items differ.
        vocabulary: of the sequences that the files hold (see ``Layout``); None: their format holds arrays of indices.
        kept: how many items ``tokenize`` found done already, by an encoding that was interrupted (or all).
        replaced: in which respects shards that lay there half done, and were replaced, were of other tokens; else "".

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = vqkit.tokenize(model, digits, f"{folder}/tokens")
        ...     tokens.codebook_size, tokens.grid, len(tokens)
        (16, (2, 2), 100)
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.url: str | None = None
        self.manifest = manifest
        self.kept = 0
        self.replaced = ""
        try:
            found = Description.of(manifest)
        except ValueError as error:
            place = find_manifest(path) or path / MANIFEST
            raise DataError(f"{place}: not the description of a token set ({reason(error)})") from error
        self._format = TOKEN_FORMATS.get_part(found.kind)()
        self.kind, self.codebook_size, self.num_codebooks = found.kind, found.codebook_size, found.num_codebooks
        self.grid, self._size = found.grid, found.size
        self._files, self._counts, self._expected = [path / name for name in found.files], found.counts, found.expected
        self.vocabulary: Vocabulary | None = found.expected.vocabulary
        self._checked: set[int] = set()
        self._ends = list(np.cumsum(self._counts))
        self._open: tuple[int, Any] | None = None
        self._sizes: tuple[int, list[tuple[int, ...]]] | None = None
        self._gaps: tuple[int, list[bytes]] | None = None

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Indices: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | npt.NDArray[np.integer]) -> Indices | list[Indices]: ...

    def __getitem__(self, index: int | slice | Sequence[int] | npt.NDArray[np.integer]) -> Indices | list[Indices]:
        """Return the indices ``[*grid]`` of an item, or ``[B, *grid]`` of a slice, a list or a mask of all items.

        Where grids differ, several items are a list. Raises IndexError, or DataError for a damaged shard.
        """
        rows = selected(index, len(self), str(self.path))
        if rows is None:
            return self._item(operator.index(index))  # type: ignore[arg-type]
        found = {int(row): self._item(int(row)) for row in np.unique(rows)}  # shard after shard
        items = [found[int(row)].copy() for row in rows]
        return np.stack(items) if self.grid is not None and items else items

    def __repr__(self) -> str:
        grid = "grids of several sizes" if self.grid is None else " x ".join(map(str, self.grid)) or "one index each"
        about = f"{len(self):,} items, {grid}, {self.codebook_size:,} codes, {self.kind}, {self.path}"
        return f"<{type(self).__name__}: {about}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a table of what the set is."""
        about = {
            "items": len(self),
            "grid": self.grid,
            "codebooks": self.num_codebooks,
            "codes": self.codebook_size,
            "bytes": self.bytes_on_disk(),
            "format": self.kind,
            "source": self.manifest.get("source"),
            "folder": str(self.path),
        }
        return table(about, title="Tokens")

    def _item(self, index: int) -> Indices:
        shard, offset = self._place(index)
        if self._open is None or self._open[0] != shard:
            found = self._format.read(
                self._files[shard], self._expected, self._counts[shard], ranges=shard not in self._checked
            )
            self._checked.add(shard)
            self._open = (shard, found)
        return np.array(self._open[1][offset])  # a copy: an array of a mapped file makes torch warn

    def __iter__(self) -> Iterator[Indices]:
        return (self[index] for index in range(len(self)))

    def size(self, index: int) -> tuple[int, ...]:
        """The size of item ``index``'s signal, to crop to when decoding."""
        if self._size is not None:
            return self._size
        shard, offset = self._place(index)
        if self._sizes is None or self._sizes[0] != shard:
            sizes = self._format.read_sizes(self._files[shard], self._counts[shard], self._expected.axes)
            self._sizes = (shard, sizes)
        return self._sizes[1][offset]

    def gaps(self, index: int) -> npt.NDArray[np.bool_] | None:
        """Return the gaps of item ``index``, bool ``[channels, *size]``, True where a value is missing; None: no gap.

        Raises:
            DataError: they are lost or damaged.
        """
        shard, offset = self._place(index)
        if "gaps" not in self.manifest["shards"][shard]:
            return None
        if self._gaps is None or self._gaps[0] != shard:
            self._gaps = (shard, self._format.read_gaps(self._files[shard], self._counts[shard]))
        shape = (int(self.manifest.get("channels", 1)), *self.size(index))
        try:
            return unpack_gaps(self._gaps[1][offset], shape)
        except BitstreamError as error:
            raise DataError(f"{self.path}: item {index}: {error}; encode the data again") from error

    def labels(self) -> npt.NDArray[np.int64] | None:
        """All labels (-1: none), or None when the data had none."""
        if not self.manifest.get("labels"):
            return None
        counted = zip(self._files, self._counts, strict=True)
        parts = [self._format.read_labels(file, self._expected, count) for file, count in counted]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    @property
    def class_names(self) -> list[str] | None:
        """The names of the classes that the labels number, or None."""
        names = self.manifest.get("class_names")
        return [str(name) for name in names] if isinstance(names, list) else None

    def item_names(self) -> list[str | None] | None:
        """Return the names of all items in their source, or None when it had no names (arrays).

        Raises:
            DataError: the names are missing or damaged.
        """
        if not self.manifest.get("names"):
            return None
        found: list[str | None] = []
        for file, count in zip(self._files, self._counts, strict=True):
            found += self._format.read_names(file, count)
        return found

    def is_whole(self) -> bool:
        """Return True if every shard is readable and holds what ``tokens.json`` says."""
        try:
            self.check()
        except DataError:
            return False
        return True

    def check(self) -> None:
        """Raise ``DataError`` unless every shard is there and holds what ``tokens.json`` says."""
        for end, count in zip(self._ends, self._counts, strict=True):
            self[int(end) - count]

    def check_digests(self) -> None:
        """Raise ``DataError`` unless every file is, to the last byte, what it was when it was written.

        Sets of versions that wrote no digests pass.
        """
        for file, count, entry in zip(self._files, self._counts, self.manifest["shards"], strict=True):
            try:
                files = self._format.shard_files(file, count)
                digests = {each.relative_to(self.path).as_posix(): encoded_digest(each).hex() for each in files}
            except OSError as error:
                raise DataError(f"{error.filename}: {error.strerror}: encode the data again") from error
            if shard_digest(digests) != entry.get("sha256", shard_digest(digests)):
                raise DataError(f"{file}: not what it was when it was written (its digest is another): encode again")

    def vectors(self) -> npt.NDArray[np.float32] | None:
        """The vectors that go with the items, float32 ``[items, D]`` from ``vectors.npy``, or None without the file.

        Raises:
            DataError: a file that is no such array.
        """
        file = self.path / VECTORS
        if not file.is_file():
            return None
        found = read_npy(file)
        if found.ndim != 2 or len(found) != len(self) or found.dtype.kind not in "fiu":
            raise DataError(f"{file}: {found.dtype} of shape {list(found.shape)}, and should be [{len(self)}, D]")
        vectors = np.asarray(found, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise DataError(f"{file}: it has NaN or Inf; give finite numbers")
        return vectors

    def check_maker(self, model_sha256: str, *, any_model: bool) -> None:
        """Raise ``DataError`` unless the tokens are of the model with this digest, or any model will do."""
        made_by = self.manifest.get("model_sha256")
        if not any_model and made_by != model_sha256:
            raise DataError(
                f"{self.path}: these tokens were made by another model (sha256 {str(made_by)[:12]}..., this one is "
                f"{model_sha256[:12]}...); take that model, or decode all the same: {option('any_model', True)}"
            )

    def bytes_on_disk(self) -> int:
        """Size of the shards (without labels and indexes that lie beside them, and without ``tokens.json``)."""
        try:
            counted = zip(self._files, self._counts, strict=True)
            return sum(self._format.nbytes(file, count) for file, count in counted)
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}: encode the data again") from error

    def _place(self, index: int) -> tuple[int, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        shard = bisect.bisect_right(self._ends, index)
        return shard, index - (int(self._ends[shard - 1]) if shard else 0)


def load_tokens(path: str | Path) -> Tokens:
    """The token set in a folder written by ``tokenize`` (``vqkit encode``), or of one at an address a copy.

    Raises:
        DataError: nothing there, no token set, or one whose writing was interrupted.

    Example:
        >>> import tempfile
        >>> import vqkit
        >>> from vqkit.tokens import load_tokens
        >>> digits = vqkit.load_source("builtin:digits").subset(range(100))
        >>> model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokens = vqkit.tokenize(model, digits, f"{folder}/tokens")
        ...     len(load_tokens(f"{folder}/tokens"))
        100
    """
    if is_url(path):
        return _remote_tokens(whole_url(path))
    path = Path(path)
    file = find_manifest(path)
    if file is None:
        started = path.is_dir() and any(any(path.glob(name)) for name in ("indices-*", "imagenet*_codes"))
        making = spelled(python="vqkit.tokenize(model, data)", command="vqkit encode MODEL DATA")
        reading = spelled(python="vqkit.tokens.read_indices(FILE, model)", command="vqkit decode MODEL FILE")
        hint = f"; make one with: {making}"
        if started:
            hint = "; its encoding was interrupted: encode again"
            if not (path / ENCODING).is_file():
                hint = "; shards lie here without their description: copy it beside them, or encode again"
        hint += "" if path.exists() else f"; the path does not exist; {reading} reads {BARE}"
        raise DataError(f"{path}: no token set here (a folder with a {MANIFEST}){hint}")
    try:
        manifest = read_manifest(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: not readable as JSON ({reason(error)})") from error
    return Tokens(path, manifest)


def _remote_tokens(url: str) -> Tokens:
    """A copy of the token set at an address, of which nothing is fetched that is there already."""
    mirror = Mirror(url)
    if not {MANIFEST, PARQUET_MANIFEST} & set(mirror.files):
        begun = any(name.startswith(f"{NOTES}/") for name in mirror.files)
        hint = "its encoding was interrupted: encode again" if begun else "look at the address"
        raise DataError(f"{url}: no token set here (a folder with a {MANIFEST}); {hint}")
    folder = mirror.fetch(name for name in mirror.files if not name.startswith(f"{NOTES}/"))
    tokens = load_tokens(folder)
    tokens.url = url
    return tokens
