"""Shards of ids without a header, as nanoGPT reads them, with a JSON file that says what they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.tokens.formats.base import TOKEN_FORMATS
from vqkit.tokens.formats.sequences import FlatFormat
from vqkit.tokens.layout import Vocabulary


@TOKEN_FORMATS.register("bin")
class FlatBinaryFormat(FlatFormat):
    """Flat memory map (nanoGPT, lit-llama): uint16 or uint32 ids, no header; a JSON file says what they are.

    The JSON file has ``dtype``, ``tokens`` (how many), ``sequences``, ``length`` of each sequence (null where they
    differ), ``vocab_size``, and the ids of the layout.
    """

    suffix = ".bin"
    index_suffixes = (".json",)
    more_files = r"indices-\d{5,12}\.json"

    def index(self, lengths: npt.NDArray[np.int64], dtype: np.dtype[Any], vocabulary: Vocabulary) -> list[bytes]:
        """Return the JSON file."""
        same = len(lengths) > 0 and bool((lengths == lengths[0]).all())
        about = {
            "dtype": dtype.name,
            "tokens": int(lengths.sum()),
            "sequences": len(lengths),
            "length": int(lengths[0]) if same else None,
            "vocab_size": vocabulary.size,
            "codebook_size": vocabulary.codebook_size,
            "num_codebooks": vocabulary.num_codebooks,
            "layout": vocabulary.to_json(),
        }
        return [(json.dumps(about, indent=2) + "\n").encode()]
