"""Tokens back to a file like the one that they were made of: NetCDF, NIfTI or TIFF, with coordinates, affine, tags."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.grids.loading import open_grid, without_like, write_like
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.signals import Field, Signal
from vqkit.spelling import option
from vqkit.tokens.detokenization import detokenize
from vqkit.tokens.tokens import Tokens


def detokenize_like(model: IndexModel, tokens: Tokens, out: str | Path, like: str, **settings: Any) -> int:
    """Decode a token set into one file like the data that it was made of, in its type and units, with its gaps.

    Args:
        model: of fields.
        tokens: of all items of the data, in order.
        out: the file to write; one that is there is an error.
        like: the name of the data, as it was encoded (``wind.nc:u,v``).
        **settings: see ``detokenize``.

    Returns:
        How many items were decoded.

    Raises:
        ConfigError: another kind of signals, a file that is there, or data of no such format.
        DataError: tokens of another number or shape of items.

    Example:
        >>> from vqkit.tokens.like import detokenize_like
        >>> detokenize_like(model, tokens, "back.nc", "wind.nc:u,v")  # doctest: +SKIP
        12
    """
    path = Path(out)
    kind = check_like(model.kind, path, like)
    with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        count = detokenize(model, tokens, Path(folder) / "decoded", **settings)
        parts = [np.load(file, allow_pickle=False) for file in sorted((Path(folder) / "decoded").glob("*.npy"))]
    blocks = [kind.as_floats(_first(kind, part)) for part in parts]
    write_like(like, np.concatenate(blocks), path)
    return count


def check_like(kind: Signal, out: Path, like: str) -> Field:
    """Return the kind of signals, if they can be written into a new file like the data of a name.

    Raises:
        ConfigError: another kind of signals, a file that is there, or data of no such format or of another one.
        DataError: data that cannot be read.
    """
    if not isinstance(kind, Field):
        raise ConfigError(f"{option('like', like)}: of fields, and this model is of {kind.noun[1]}")
    if out.exists():
        raise ConfigError(f"{out} exists; give the name of a new file")
    opened = open_grid(like)
    if opened is None:
        raise ConfigError(f"{option('like', like)}: no file to write one like it; {without_like()}")
    opened.check_out(out)
    return kind


def _first(kind: Field, part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = kind.channels_first(part)
    return part if found is None else found
