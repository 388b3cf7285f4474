"""A memory-mapped array as one process hands it to another: the place in the file, not the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np

from vqkit.data.source import Array


@final
@dataclass(frozen=True)
class MappedPart:
    """Offset, shape and strides of a view into a memory-mapped file.

    Attributes:
        file: its path.
        offset: of the first number, in bytes.
        dtype: of the numbers.
        shape: of the view.
        strides: of the view, in bytes.
    """

    file: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, array: Array) -> Self | None:
        """The place of an array; None where it is not memory-mapped from a file, or runs backwards in it."""
        if not isinstance(array, np.memmap) or array.filename is None or min(array.strides, default=0) < 0:
            return None
        root: Any = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        if not isinstance(root, np.memmap):
            return None
        begin = int(array.__array_interface__["data"][0]) - int(root.__array_interface__["data"][0])
        return cls(str(array.filename), root.offset + begin, array.dtype, array.shape, array.strides)

    def open(self) -> Array:
        """Map the file again."""
        last = sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))
        flat = np.memmap(self.file, np.uint8, "r", self.offset, (last + self.dtype.itemsize,)).view(self.dtype)
        found: Array = np.lib.stride_tricks.as_strided(flat, self.shape, self.strides, subok=True, writeable=False)
        return found
