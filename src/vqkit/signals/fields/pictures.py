"""Pictures in their full depth: PNG of 8 and 16 bits, TIFF of any type and number of bands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from vqkit.errors import DataError
from vqkit.optional import require

PICTURES = (".png", ".tif", ".tiff")
"""Extensions of pictures that are read as fields."""
_DEEP = "RGB;16B"
_LOW = "RGB;16L"


def read_picture(path: Path) -> npt.NDArray[Any]:
    """Return the values of a picture ``[C, height, width]`` as they are in the file: uint8, uint16, int16, float32 ...

    Transparency is a channel like the others; the colours of a palette become RGB.

    Raises:
        DataError: not readable, or of values that Pillow would round.
        MissingExtraError: a TIFF of several bands or of a type that Pillow does not read, without tifffile.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from vqkit.signals.fields.pictures import read_picture
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "deep.png"
        ...     Image.fromarray(np.array([[1, 40_000]], np.uint16)).save(file)
        ...     read_picture(file)
        array([[[    1, 40000]]], dtype=uint16)
    """
    try:
        if path.suffix.lower() != ".png":
            return _tiff(path)
        return _png(path)
    except (OSError, ValueError, SyntaxError, KeyError, Pillow.DecompressionBombError) as error:
        raise DataError(f"{path}: not readable as a picture ({' '.join(str(error).split())[:200]})") from error


def _png(path: Path) -> npt.NDArray[Any]:
    with Pillow.open(path) as opened:
        tile: Any = opened.tile[0] if getattr(opened, "tile", None) else None
        args = None if tile is None else tile.args
        raw = args[0] if isinstance(args, tuple) else args
        if opened.mode == "P":
            opened = opened.convert("RGB")  # type: ignore[assignment]
        if isinstance(raw, str) and raw.startswith("I;16"):
            values = np.asarray(opened).astype(np.uint16)
        elif raw == _DEEP:
            values = np.asarray(opened).astype(np.uint16) << 8 | _low_bytes(path)
        elif isinstance(raw, str) and ";16" in raw:
            raise DataError(f"{path}: 16 bits with transparency, which would be rounded: save it without, or as TIFF")
        else:
            values = np.asarray(opened.convert("L") if opened.mode == "1" else opened)
    return values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)


def _low_bytes(path: Path) -> npt.NDArray[Any]:
    """The lower bytes of a PNG of 16 bits a channel, of which Pillow keeps the upper ones."""
    with Pillow.open(path) as opened:
        tiles: Any = opened.tile
        opened.tile = [
            tile._replace(args=(_LOW, *tile.args[1:]) if isinstance(tile.args, tuple) else _LOW) for tile in tiles
        ]
        return np.asarray(opened)


def _tiff(path: Path) -> npt.NDArray[Any]:
    with path.open("rb") as file:
        if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise DataError(f"{path}: not readable as a picture (it does not begin as a TIFF)")
    tifffile = require("tifffile", "TIFF files in their full depth")
    try:
        with tifffile.TiffFile(path) as opened:
            series = opened.series[0]
            values: npt.NDArray[Any] = series.asarray()
            axes = series.axes
    except (tifffile.TiffFileError, IndexError, RuntimeError, TypeError) as error:
        raise DataError(f"{path}: not readable as a TIFF ({' '.join(str(error).split())[:200]})") from error
    if values.ndim == 2:
        return values[None]
    if values.ndim == 3:
        return np.moveaxis(values, 2, 0) if axes.endswith("S") else values
    raise DataError(f"{path}: a TIFF of {values.ndim} axes ({axes}); pictures have two, and channels: save it as .npy")
