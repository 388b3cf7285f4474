"""Storage of indices in files: the smallest unsigned integers that hold them."""

from __future__ import annotations

import io

import numpy as np


def index_dtype(codebook_size: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned dtype for indices in ``[0, codebook_size)``: uint8, uint16 or uint32, little-endian.

    Raises:
        ValueError: more codes than 2**32.

    Example:
        >>> index_dtype(256).itemsize, index_dtype(257).itemsize
        (1, 2)
    """
    for dtype in ("<u1", "<u2", "<u4"):
        if codebook_size <= np.iinfo(dtype).max + 1:
            return np.dtype(dtype)
    raise ValueError(f"codebook_size={codebook_size}: index files hold at most 2**32 codes")


def npy_bytes(shape: tuple[int, ...], dtype: np.dtype[np.unsignedinteger]) -> int:
    """Size in bytes of the ``.npy`` file of an array of this shape and dtype, header included."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return header.tell() + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
