"""JSON and safetensors headers from elsewhere, read within bounds and checked before anything is made of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

MOST_JSON_BYTES = 64 << 20
MOST_JSON_VALUES = 1 << 20
"""Each value costs about a hundred bytes of memory, however few it takes in the file."""

_MOST_HEADER_BYTES = 32 << 20
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
}
_METADATA = "__metadata__"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string of JSON, or one that does not end: the commas in it part no values."""


@dataclass(frozen=True)
class TensorSpec:
    """Specification of one tensor in a header: dtype as safetensors writes it (``"F32"``), its shape and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True)
class TensorHeader:
    """The header of a safetensors file, which is exactly as long as it says."""

    tensors: Mapping[str, TensorSpec]
    metadata: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(each.nbytes for each in self.tensors.values())


def read_json(path: Path, *, most_bytes: int = MOST_JSON_BYTES, most_values: int = MOST_JSON_VALUES) -> Any:
    """The value in a file of strict JSON.

    Raises:
        OSError: the file cannot be read.
        ValueError: no such JSON, or more of it than is read: see ``parse_json``.
    """
    if path.stat().st_size > most_bytes:
        raise ValueError(f"it has {path.stat().st_size:,} bytes; at most {most_bytes:,} are read")
    return parse_json(path.read_bytes(), most_values=most_values)


def parse_json(data: bytes | str, *, most_values: int = MOST_JSON_VALUES) -> Any:
    """The value of strict JSON: each key once, only finite numbers, nested less deeply than Python's stack.

    Raises:
        ValueError: something else, or more than ``most_values`` values.
    """
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    if _separators(text) > most_values and _separators(_STRING.sub("", text)) > most_values:
        raise ValueError(f"it holds more than {most_values:,} values")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _separators(text: str) -> int:
    """How many commas and opening brackets there are: at least as many as there are values, but one."""
    return text.count(",") + text.count("[") + text.count("{")


def read_tensor_header(path: Path) -> TensorHeader:
    """The header of a safetensors file; the tensors themselves are not read.

    Raises:
        OSError: the file cannot be read.
        ValueError: no such header, or one that says something else than the length of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"its header would end after the {size:,} bytes of the file")
        if length > _MOST_HEADER_BYTES:
            raise ValueError(f"its header has {length:,} bytes; at most {_MOST_HEADER_BYTES:,} are read")
        found = parse_json(file.read(length))
    if not isinstance(found, dict):
        raise ValueError("its header names no tensors")
    metadata = found.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
        raise ValueError("the metadata of its header are no texts")
    tensors, places = {}, []
    for name, entry in found.items():
        tensors[name], place = _spec(name, entry)
        places.append(place)
    end = 0
    for first, last in sorted(places):
        if first != end:
            raise ValueError(f"the tensors of its header overlap or leave a gap at byte {min(first, end):,}")
        end = last
    if end != size - 8 - length:
        raise ValueError(f"its tensors have {end:,} bytes, the file holds {size - 8 - length:,} for them")
    return TensorHeader(tensors, metadata)


def _spec(name: str, entry: Any) -> tuple[TensorSpec, tuple[int, int]]:
    try:
        dtype, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(each) is int and each >= 0 for each in [*shape, first, last])
        bits = _BITS[dtype] * math.prod(shape) if whole else -1
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"its header does not describe the tensor {name[:80]!r}") from None
    if not whole or bits != 8 * (last - first):
        raise ValueError(f"its header says sizes of the tensor {name[:80]!r} that do not agree")
    return TensorSpec(dtype, tuple(shape), last - first), (first, last)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has the key {twice[:80]!r} twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text[:40]}, which no float holds")
    return value
