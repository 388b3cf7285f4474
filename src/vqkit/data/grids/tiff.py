"""Multi-band TIFF by tifffile: geographic tags are kept, and put into what is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from vqkit.data.grids.base import GRID_FORMATS, GridFormat, Selection
from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.signals.fields.pictures import read_picture
from vqkit.storage import atomic

_KEPT = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)
"""Tags of GeoTIFF (scale, tie points, transformation, keys) and of GDAL (metadata, the number for gaps)."""
_NODATA = 42113


@GRID_FORMATS.register("tiff", citations=())
@final
class TiffFile(GridFormat):
    """One picture of any number of bands; what it says of its place on the earth goes into what is written.

    Example:
        >>> from pathlib import Path
        >>> from vqkit.data.grids.tiff import TiffFile
        >>> TiffFile.reads(Path("scene.tif")), TiffFile.reads(Path("scene.png"))
        (True, False)
    """

    extensions: ClassVar[tuple[str, ...]] = (".tif", ".tiff")
    asks_for_field: ClassVar[bool] = True
    axes = 2

    def __init__(self, path: Path, chosen: Selection) -> None:
        super().__init__(path, chosen)
        self.refuse_words()
        self._values = read_picture(path)
        tifffile = require("tifffile", "TIFF files with their tags")
        with tifffile.TiffFile(path) as opened:
            page: Any = opened.pages[0]
            tags = [page.tags[code] for code in _KEPT if code in page.tags]
            self._extra = [(tag.code, int(tag.dtype), tag.count, _plain(tag.value), True) for tag in tags]
            self._order, self._planar = opened.byteorder, int(page.planarconfig)
            self._last = opened.series[0].axes.endswith("S") and self._values.shape[0] > 1
        self._nodata = next((_number(each[3]) for each in self._extra if each[0] == _NODATA), None)

    def blocks(self) -> Iterator[Array]:
        """See ``GridFormat.blocks``: the one picture."""
        yield self._values[None]

    def write(self, values: Array, out: Path) -> None:
        """Write a TIFF of the type, the bands and the tags of the source; NaN as its number for gaps."""
        self.check_values(values, (1, *self._values.shape))
        kind, picture = self._values.dtype.newbyteorder("="), values[0]
        gaps = np.isnan(picture) if picture.dtype.kind == "f" else np.zeros(picture.shape, bool)
        if kind.kind in "iu":
            about = np.iinfo(kind)
            if gaps.any() and self._nodata is None:
                raise DataError(f"{self.path} has no number for gaps, and the decoded have gaps: write .npy instead")
            made = np.clip(np.rint(np.where(gaps, 0, picture)), about.min, about.max).astype(kind)
        else:
            made = picture.astype(kind)
        if self._nodata is not None:
            made[gaps] = self._nodata
        tifffile = require("tifffile", "TIFF files with their tags")
        bands = len(made)
        turned = made[0] if bands == 1 else np.moveaxis(made, 0, 2) if self._last else made
        planar = None if bands == 1 else "contig" if self._last else "separate"

        def save(path: Path) -> None:
            tifffile.imwrite(
                path, turned, photometric="minisblack", planarconfig=planar, extratags=self._extra, metadata=None,
                byteorder=self._order,
            )  # fmt: skip

        atomic.write_file(out, save)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple | np.ndarray) else value


def _number(text: Any) -> float | None:
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None
