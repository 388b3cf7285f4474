"""Tokens back to a file like the one that they were made of: NetCDF, NIfTI or TIFF, with coordinates, affine, tags."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.grids.loading import open_grid, write_like
from vqkit.errors import ConfigError, DataError
from vqkit.models import IndexModel
from vqkit.signals import Field
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
    check_like(model, like, path)
    with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        count = detokenize(model, tokens, Path(folder) / "decoded", **settings)
        join_like(model, sorted((Path(folder) / "decoded").glob("*.npy")), like, path)
    return count


def check_like(model: IndexModel, like: str, path: Path) -> None:
    """Raise ``ConfigError`` for another kind of signals, a file that is there, or data of no such format."""
    if not isinstance(model.kind, Field):
        raise ConfigError(f"{option('like', like)}: of fields, and this model is of {model.kind.noun[1]}")
    if path.exists():
        raise ConfigError(f"{path} exists; give the name of a new file")
    if open_grid(like) is None:
        raise ConfigError(f"{option('like', like)}: no NetCDF, NIfTI or TIFF file; decode without it into .npy")


def join_like(model: IndexModel, files: Sequence[Path], like: str, path: Path) -> None:
    """Write decoded items, one or several in a .npy, in the order of the data, as one file like the data.

    Raises:
        DataError: of another number or shape than the data.
    """
    kind = model.kind
    assert isinstance(kind, Field)
    loaded = (np.load(file, allow_pickle=False) for file in files)
    batches = (part[None] if part.ndim == model.axes + 1 else part for part in loaded)
    parts = [kind.as_floats(_first(kind, part)) for part in batches]
    if len({part.shape[1:] for part in parts}) > 1:
        raise DataError(f"{option('like', like)}: the decoded items have several shapes; decode without it into .npy")
    write_like(like, np.concatenate(parts), path)


def _first(kind: Field, part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = kind.channels_first(part)
    return part if found is None else found
