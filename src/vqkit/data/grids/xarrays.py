"""NetCDF, HDF5 and Zarr by xarray: variables become channels, axes by name become the grid, the others items."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from vqkit.data.grids.base import GRID_FORMATS, GridFormat, Selection, moves
from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.optional import require
from vqkit.storage import atomic

_CLASSIC = b"CDF"
_ZARR = ".zarr"


@GRID_FORMATS.register("netcdf", citations=())
@final
class XarrayFile(GridFormat):
    """Variables of a NetCDF, HDF5 or Zarr file, ``file.nc:u,v,z@latitude,longitude``.

    Without names, all variables of numbers of the most axes; without axes, the last two. Values are unpacked (scale,
    offset, fill value) as xarray does.

    Example:
        >>> from pathlib import Path
        >>> from vqkit.data.grids.xarrays import XarrayFile
        >>> XarrayFile.reads(Path("era.nc")), XarrayFile.reads(Path("era.png"))
        (True, False)
    """

    extensions: ClassVar[tuple[str, ...]] = (".nc", ".nc4", ".netcdf", ".cdf", ".h5", ".hdf5", ".he5", _ZARR)

    def __init__(self, path: Path, chosen: Selection) -> None:
        super().__init__(path, chosen)
        self._data = _opened(path, _group(chosen))
        if chosen.settings:
            self.refuse_words()
        names = [name.rpartition("/")[2] for name in chosen.names] or self._all_names()
        for name in names:
            if name not in self._data.data_vars:
                raise DataError(f"{path} has no variable {name!r}; it holds {self._words()}")
        arrays = [self._data[name] for name in names]
        for each in arrays:
            if each.dtype.kind not in "iuf":
                raise DataError(f"{path}: variable {each.name!r} is of {each.dtype}; give variables of numbers")
            if set(each.dims) != set(arrays[0].dims):
                raise DataError(f"{path}: {names[0]!r} and {each.name!r} lie on other axes; it holds {self._words()}")
        dims = [str(each) for each in arrays[0].dims]
        grid = list(chosen.words) or dims[-2:]
        odd = [each for each in grid if each not in dims]
        if odd or not 1 <= len(grid) <= 3 or len(set(grid)) != len(grid):
            raise DataError(
                f"{path}: the axes {', '.join(grid) or '(none)'} are no grid of {names[0]!r}, which has "
                f"{', '.join(dims) or 'none'}: name one to three of these after an @"
            )
        self._names, self._grid = names, grid
        self._others = [each for each in dims if each not in grid]
        self._arrays = [each.transpose(*self._others, *grid) for each in arrays]
        self.axes, self.channel_names = len(grid), names
        self.units = [str(each.attrs.get("units", "")) for each in arrays]
        self._counts = tuple(self._data.sizes[each] for each in self._others)
        self.item_names = [self._item_name(at) for at in np.ndindex(*self._counts)] if self._others else None
        if not chosen.names or not chosen.words:
            self.notes.append(f"variables {', '.join(names)} on {' x '.join(grid)} (else say FILE:NAMES@AXES)")

    def _all_names(self) -> list[str]:
        numbers = [each for each in self._data.data_vars.values() if each.dtype.kind in "iuf" and each.ndim]
        if not numbers:
            raise DataError(f"{self.path} holds no variables of numbers with axes; it holds {self._words()}")
        first = max(numbers, key=lambda each: each.ndim)
        return [str(each.name) for each in numbers if each.dims == first.dims]

    def _words(self) -> str:
        found = [f"{name}({', '.join(map(str, each.dims))})" for name, each in self._data.data_vars.items()]
        return ", ".join(found) or "no variables"

    def _item_name(self, at: tuple[int, ...]) -> str:
        return ",".join(f"{axis}={self._coordinate(axis, place)}" for axis, place in zip(self._others, at, strict=True))

    def _coordinate(self, axis: str, place: int) -> str:
        if axis not in self._data.coords:
            return str(place)
        value: Any = self._data.coords[axis].values[place]
        if isinstance(value, np.datetime64):
            return str(np.datetime_as_string(value, unit="s")).replace(":", "")
        return f"{value:g}" if isinstance(value, np.floating) else str(value).replace(":", "")

    def blocks(self) -> Iterator[Array]:
        """See ``GridFormat.blocks``: one item at a time."""
        for at in np.ndindex(*self._counts):
            places = dict(zip(self._others, at, strict=True))
            try:
                yield np.stack([each.isel(places).values for each in self._arrays])[None]
            except (OSError, RuntimeError, ValueError, KeyError) as error:
                raise DataError(f"{self.path} cannot be read: {' '.join(str(error).split())[:200]}") from error

    def write(self, values: Array, out: Path) -> None:
        """Write NetCDF, or Zarr by its name, with coordinates, attributes and types of the source; NaN as gaps."""
        sizes = tuple(self._data.sizes[each] for each in self._grid)
        self.check_values(values, (math.prod(self._counts), len(self._names), *sizes))
        made = self._data[self._names].copy()
        for channel, name in enumerate(self._names):
            own, variable = values[:, channel].reshape(*self._counts, *sizes), made[name]
            packed = {key: variable.encoding[key] for key in _PACKING if key in variable.encoding}
            as_it_was = np.transpose(own, [(*self._others, *self._grid).index(each) for each in variable.dims])
            if "_FillValue" not in packed and np.isnan(as_it_was).any():
                packed = {}  # integers have no gaps
            if self.exact and moves(as_it_was, _unpacked(as_it_was, packed)):
                packed = {}
            made[name] = (variable.dims, _packable(as_it_was, packed), variable.attrs)
            made[name].encoding = {"zlib": True, **packed}
        for name in made.coords:
            made[name].encoding = {key: item for key, item in made[name].encoding.items() if key in (*_PACKING, *_TIME)}
        with warnings.catch_warnings():  # packed values without a fill value, of which none is missing
            warnings.simplefilter("ignore", require("xarray", "NetCDF files").SerializationWarning)
            if out.name.lower().endswith(_ZARR):
                for variable in made.variables.values():
                    variable.encoding.pop("zlib", None)
                with atomic.new_folder(out) as folder:
                    made.to_zarr(folder, mode="w", consolidated=False)
            else:
                atomic.write_file(out, lambda file: made.to_netcdf(file, engine="h5netcdf"))


_PACKING = ("dtype", "scale_factor", "add_offset", "_FillValue")
_TIME = ("units", "calendar")


def _packable(values: Array, packed: dict[str, Any]) -> Array:
    """Values that lie within what a packed type of integers holds."""
    kind = np.dtype(packed.get("dtype", values.dtype))
    if kind.kind not in "iu":
        return values.astype(kind)
    about, fill = np.iinfo(kind), packed.get("_FillValue")
    scale, offset = float(packed.get("scale_factor", 1)), float(packed.get("add_offset", 0))
    low, high = int(about.min), int(about.max)
    low, high = low + (fill == low), high - (fill == high)
    least, most = sorted((low * scale + offset, high * scale + offset))
    clipped = np.clip(values, least, most)
    plain = fill is None and (scale, offset) == (1.0, 0.0)
    return np.rint(clipped).astype(kind) if plain else clipped


def _unpacked(values: Array, packed: dict[str, Any]) -> Array:
    """Values as they come back of a packed type of integers."""
    kind = np.dtype(packed.get("dtype", values.dtype))
    if kind.kind not in "iu":
        return values.astype(kind)
    scale, offset = float(packed.get("scale_factor", 1)), float(packed.get("add_offset", 0))
    return np.rint((_packable(values, packed) - offset) / scale) * scale + offset


def _group(chosen: Selection) -> str | None:
    groups = {name.rpartition("/")[0] for name in chosen.names}
    if len(groups) > 1:
        raise DataError(f"variables of several groups ({', '.join(sorted(groups))}): give those of one")
    return next(iter(groups), "") or None


def _opened(path: Path, group: str | None) -> Any:
    xarray = require("xarray", f"NetCDF, HDF5 and Zarr files ({path})")
    more: dict[str, Any] = {} if group is None else {"group": group}
    if path.is_dir():
        require("zarr", f"Zarr files ({path})")
        more["engine"] = "zarr"
        more["chunks"] = None
    else:
        with path.open("rb") as file:
            classic = file.read(3) == _CLASSIC
        require("scipy" if classic else "h5netcdf", f"NetCDF and HDF5 files ({path})")
        more |= {"engine": "scipy"} if classic else {"engine": "h5netcdf", "phony_dims": "access"}
    try:
        with warnings.catch_warnings():  # of Zarr without an index of all its metadata, which is slower only
            warnings.filterwarnings("ignore", "Failed to open Zarr store with consolidated", RuntimeWarning)
            return xarray.open_dataset(path, decode_timedelta=False, **more)
    except Exception as error:  # of several libraries, each with errors of its own
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path} cannot be read as NetCDF, HDF5 or Zarr: {words}") from error
