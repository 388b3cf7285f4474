"""NIfTI scans by nibabel: a volume ``[1, D, H, W]`` for each time, or its slices as items."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from vqkit.data.grids.base import GRID_FORMATS, GridFormat, Selection
from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.storage import atomic


@GRID_FORMATS.register("nifti", citations=())
@final
class NiftiFile(GridFormat):
    """A scan, ``brain.nii.gz``, or its slices, ``brain.nii.gz@slices``.

    The axes of the file x, y, z become W, H, D; of four axes, each time is an item. Where the header says a slope, the
    values are scaled by it.

    Example:
        >>> from pathlib import Path
        >>> from vqkit.data.grids.nifti import NiftiFile
        >>> NiftiFile.reads(Path("brain.nii.gz")), NiftiFile.reads(Path("brain.gz"))
        (True, False)
    """

    extensions: ClassVar[tuple[str, ...]] = (".nii", ".nii.gz")

    def __init__(self, path: Path, chosen: Selection) -> None:
        super().__init__(path, chosen)
        nibabel = require("nibabel", f"NIfTI files ({path})")
        self.refuse_words("slices")
        try:
            self._image: Any = nibabel.load(path)
            self._shape = tuple(self._image.shape)
        except Exception as error:  # of nibabel, gzip and the system
            raise DataError(f"{path} cannot be read as NIfTI: {' '.join(str(error).split())[:200]}") from error
        dtype = self._image.get_data_dtype()
        if not 2 <= len(self._shape) <= 4 or dtype.kind not in "iuf" or 0 in self._shape:
            raise DataError(f"{path} holds {dtype} {list(self._shape)}; scans are numbers of two to four axes")
        self._slices = "slices" in chosen.words
        self.axes = 2 if self._slices or len(self._shape) == 2 else 3
        times, depth = self._counts()
        rows = [(time, z) for time in range(times) for z in range(depth)]
        times_named = [f"t={time:04d}" for time in range(times)]
        several = [f"t={time:04d},z={z:04d}" if times > 1 else f"z={z:04d}" for time, z in rows]
        self.item_names = several if self._slices else times_named if times > 1 else None

    def _counts(self) -> tuple[int, int]:
        """How many times, and slices of each."""
        shape = (*self._shape, 1, 1)[:4] if len(self._shape) < 4 else self._shape
        return int(shape[3]), int(shape[2])

    def blocks(self) -> Iterator[Array]:
        """See ``GridFormat.blocks``: one volume at a time."""
        for time in range(self._counts()[0]):
            try:
                proxy = self._image.dataobj
                volume = np.asarray(proxy[..., time] if len(self._shape) == 4 else proxy)
            except Exception as error:  # a damaged stream
                raise DataError(f"{self.path} cannot be read: {' '.join(str(error).split())[:200]}") from error
            turned = np.ascontiguousarray(volume.T.astype(volume.dtype.newbyteorder("="), copy=False))
            plane = self.axes == 2
            yield (turned[:, None] if turned.ndim == 3 else turned[None, None]) if plane else turned[None, None]

    def write(self, values: Array, out: Path) -> None:
        """Write a NIfTI file with the affine, the units and the type of the source."""
        times, depth = self._counts()
        sides = self._shape[:2][::-1]
        grid = (times * depth, 1, *sides) if self.axes == 2 else (times, 1, depth, *sides)
        self.check_values(values, grid)
        turned = values.reshape(times, depth, *sides).transpose(3, 2, 1, 0).reshape(self._shape)
        header = self._image.header.copy()
        kind = header.get_data_dtype()
        slope, offset = self._image.dataobj.slope, self._image.dataobj.inter
        if kind.kind in "iu":
            stored = np.rint((np.nan_to_num(turned.astype(np.float64)) - offset) / slope)
            turned = np.clip(stored, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
            header.set_slope_inter(1, 0)
        made = type(self._image)(turned.astype(kind), self._image.affine, header)
        content = bytearray(made.to_bytes())
        if kind.kind in "iu" and (slope, offset) != (1, 0):
            place, form = (112, "2f") if made.header.sizeof_hdr == _NIFTI_1 else (176, "2d")
            struct.pack_into(f"{made.header.endianness}{form}", content, place, slope, offset)
        whole = gzip.compress(content, 6, mtime=0) if out.suffix == ".gz" else bytes(content)
        atomic.write_file(out, lambda path: path.write_bytes(whole))


_NIFTI_1 = 348
"""Bytes of the header of version 1."""
