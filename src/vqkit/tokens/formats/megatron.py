"""Shards as the indexed datasets of Megatron-LM."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.errors import ConfigError
from vqkit.spelling import option
from vqkit.tokens.formats.base import TOKEN_FORMATS
from vqkit.tokens.formats.sequences import FlatFormat
from vqkit.tokens.layout import Vocabulary

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_CODES = {"uint16": 8, "int32": 4}
_SMALL_VOCABULARY = 65500
"""Below it Megatron-LM writes uint16 (``DType.optimal_dtype``)."""


@TOKEN_FORMATS.register("megatron")
class MegatronFormat(FlatFormat):
    """Indexed dataset of Megatron-LM (NeMo, GPT-NeoX): ids in `.bin`, `MMIDIDX` index in `.idx`, an item a document.

    The index, little-endian: magic (9 bytes), version 1 (u64), code of the dtype (u8: 8 for uint16, 4 for int32),
    sequences n (u64), document bounds n + 1 (u64), lengths (int32 [n]), byte offsets (int64 [n]), document bounds
    (int64 [n + 1], from 0).
    """

    suffix = ".bin"
    index_suffixes = (".idx",)
    more_files = r"indices-\d{5,12}\.idx"

    def id_dtype(self, vocabulary: Vocabulary) -> np.dtype[Any] | None:
        """Return uint16 below 65,500 ids, else int32."""
        if vocabulary.size > 1 << 31:
            raise ConfigError(
                f"ids up to {vocabulary.size - 1:,}: megatron holds ids below {1 << 31:,}; give a smaller "
                f"{option('vocab_offset')}"
            )
        return np.dtype("<u2" if vocabulary.size < _SMALL_VOCABULARY else "<i4")

    def index(self, lengths: npt.NDArray[np.int64], dtype: np.dtype[Any], vocabulary: Vocabulary) -> list[bytes]:
        """Return the index of so many sequences."""
        count = len(lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]) * dtype.itemsize
        head = _MAGIC + struct.pack("<QBQQ", _VERSION, _CODES[dtype.name], count, count + 1)
        parts = (lengths.astype("<i4"), offsets.astype("<i8"), np.arange(count + 1, dtype="<i8"))
        return [head + b"".join(part.tobytes() for part in parts)]
