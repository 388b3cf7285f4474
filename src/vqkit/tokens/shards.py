"""One shard of tokens: what it holds, what its description promises of it, and where the parts beside it lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vqkit.coding import index_dtype
from vqkit.errors import DataError, MissingExtraError
from vqkit.tokens.layout import Vocabulary

Indices = npt.NDArray[np.unsignedinteger]


def shard_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of a shard: SHA-256 of what ``sha256sum`` prints of its files, in the order of their names.

    Args:
        digests: SHA-256 of each file, by its name below the folder.
    """
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


@dataclass
class Shard:
    """Consecutive items of a token set.

    Attributes:
        indices: one array ``[*grid]`` per item, in the smallest unsigned dtype.
        sizes: the size of each item's signal, to crop to when decoding.
        labels: int64, one per item (-1: none), or None.
        names: of the items where they came from, or None.
        first: number of the first item in the whole set.
        vocabulary: of sequences; None: a format of arrays.
        common: whether all items of the set have one grid.
        class_names: the name of each label, or None.
    """

    indices: Sequence[Indices]
    sizes: list[tuple[int, ...]]
    labels: npt.NDArray[np.int64] | None
    first: int
    names: list[str | None] | None = None
    vocabulary: Vocabulary | None = None
    common: bool = True
    class_names: Sequence[str] | None = None


@dataclass(frozen=True)
class Expected:
    """Shards that a description promises.

    Attributes:
        codebook_size: K; indices are below.
        shape: of every item, the codebooks last where there are several; None where items differ.
        axes: of the signals, if it is known.
        num_codebooks: indices per position.
        vocabulary: of sequences; None: a format of arrays.
    """

    codebook_size: int
    shape: tuple[int, ...] | None
    axes: int | None
    num_codebooks: int
    vocabulary: Vocabulary | None = None

    def check_shape(self, shape: Sequence[int]) -> None:
        """Raise ``ValueError`` unless an item may have this shape."""
        shape = tuple(shape)
        more = int(self.num_codebooks > 1)
        if self.shape is None:
            wrong = min(shape, default=1) < 1 or (self.axes is not None and len(shape) != self.axes + more)
            wrong = wrong or bool(more and shape[-1:] != (self.num_codebooks,))
        else:
            wrong = shape != self.shape
        if wrong:
            wanted = f"{self.axes} axes" if self.shape is None else str(list(self.shape))
            raise ValueError(f"it has an item of shape {list(shape)}, the set's description says {wanted}")

    def check_dtype(self, dtype: str) -> None:
        """Raise ``ValueError`` unless indices have this type."""
        wanted = index_dtype(self.codebook_size).name
        if dtype != wanted:
            raise ValueError(f"it holds {dtype}, and indices of {self.codebook_size:,} codes are {wanted}")

    def check_array(self, dtype: str, shape: Sequence[int], count: int) -> None:
        """Raise ``ValueError`` unless an array of all items has this type and shape."""
        self.check_dtype(dtype)
        check_count(shape[0] if shape else 0, count)
        self.check_shape(shape[1:])

    def check_range(self, indices: Indices) -> None:
        """Raise ``ValueError`` where an index is beyond the codebook."""
        if indices.size and self.codebook_size <= np.iinfo(indices.dtype).max:
            highest = int(np.max(indices))
            if highest >= self.codebook_size:
                raise ValueError(f"it holds the index {highest}, and the set says {self.codebook_size} codes")


def check_count(found: int, count: int) -> None:
    """Raise ``ValueError`` unless a shard has as many items as its description says."""
    if found != count:
        raise ValueError(f"it has {found} items, the set's description says {count}")


@contextmanager
def damage(path: Path, kind: str) -> Iterator[None]:
    """Errors of reading as ``DataError``: each reader has its own kinds of error for a damaged file."""
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not readable as a {kind} shard of tokens ({reason}); encode the data again"
        ) from error
