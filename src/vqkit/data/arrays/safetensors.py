"""Tensors of ``.safetensors`` files as arrays: the header checked, the numbers read or memory-mapped."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.source import Array, byte_words
from vqkit.errors import DataError

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_MOST_HEADER = 100 << 20
_PREFERRED = ("vectors", "embeddings", "embedding", "weight", "images", "x", "data")


def read_safetensors(path: Path, key: str | None, *, limit: int) -> Array:
    """Return one tensor of a file: in memory, or memory-mapped where it takes more than ``limit`` bytes.

    Args:
        path: the file.
        key: of the tensor; None: the only one, or the first present of vectors, embeddings, embedding, weight, images,
            x, data.
        limit: bytes.

    Raises:
        DataError: a damaged file, no such tensor, several candidates, or numbers that NumPy does not have (bfloat16).
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MOST_HEADER):
                raise ValueError("its header is cut short")
            tensors = {name: each for name, each in json.loads(file.read(length)).items() if name != "__metadata__"}
            chosen = _chosen(path, list(tensors), key)
            dtype, shape, begin, end = _place(tensors[chosen], chosen)
            if end > size - 8 - length:
                raise ValueError(f"tensor {chosen!r} reaches beyond its end: it is cut short or damaged")
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as a .safetensors file: {error}; write it anew.") from error
    offset = 8 + length + begin
    if end - begin > limit:
        return np.memmap(path, dtype, "r", offset, shape)
    return np.fromfile(path, dtype, math.prod(shape), offset=offset).reshape(shape)


def _place(about: Any, name: str) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    shape, (begin, end) = tuple(about["shape"]), about["data_offsets"]
    if about["dtype"] not in _DTYPES:
        raise DataError(f"tensor {name!r} is of {about['dtype']}, which NumPy does not have; save it as F32 or F16.")
    dtype = np.dtype(_DTYPES[about["dtype"]])
    whole = all(type(each) is int and each >= 0 for each in (*shape, begin, end))
    if not whole or end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"tensor {name!r} takes {byte_words(end - begin)}, not what its shape {list(shape)} needs")
    return dtype, shape, begin, end


def _chosen(path: Path, names: list[str], key: str | None) -> str:
    held = ", ".join(names[:12]) or "nothing"
    if key is not None and key not in names:
        raise DataError(f"{path} has no tensor {key!r}; it holds: {held}.")
    if key is not None:
        return key
    named = [each for each in _PREFERRED if each in names]
    if named or len(names) == 1:
        return (named or names)[0]
    first = names[0] if names else "vectors"
    raise DataError(f"{path} holds {len(names)} tensors ({held}): name one, {path}:{first}.")
