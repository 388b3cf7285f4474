"""Files of science by name, ``file.nc:u,v@latitude,longitude``, as sources of fields."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from vqkit.data.arrays.loading import from_array
from vqkit.data.grids.base import GRID_FORMATS, GridFormat, Selection, moves
from vqkit.data.grids.choosing import in_windows, parts_of, readings
from vqkit.data.grids.dicom import DicomSeries, holds_dicom
from vqkit.data.grids.nifti import NiftiFile
from vqkit.data.grids.series import SeriesTable
from vqkit.data.grids.tiff import TiffFile
from vqkit.data.grids.xarrays import XarrayFile
from vqkit.data.identity import tree_stamp
from vqkit.data.source import Array, Source
from vqkit.errors import DataError
from vqkit.signals import Field, Signal
from vqkit.signals.fields.layouts import GRIDS
from vqkit.spelling import option

__all__ = ["DicomSeries", "NiftiFile", "SeriesTable", "TiffFile", "XarrayFile", "in_grid", "load_grid", "open_grid"]


def in_grid(spec: str) -> tuple[type[GridFormat], Path, Selection] | None:
    """The format, the file and what is chosen of it, of a name of data; None: it is of another kind.

    Example:
        >>> from vqkit.data.grids.loading import in_grid
        >>> in_grid("nowhere.nc:u,v") is None
        True
    """
    found = _found(spec)
    return None if found is None else found[:3]


def _found(spec: str) -> tuple[type[GridFormat], Path, Selection, str] | None:
    """The same, and how the name calls the file."""
    for text, names, more in readings(spec):
        path = Path(text).expanduser()
        if not text or not path.exists() or (names and path.is_dir() and "/" in names):
            continue
        found = _format(path)
        if found is not None:
            return found, path, Selection.of(names, more), text
    return None


def _format(path: Path) -> type[GridFormat] | None:
    if path.is_dir() and not path.name.lower().endswith(".zarr"):
        return DicomSeries if holds_dicom(path) else None
    return next((each for each in GRID_FORMATS.values() if each.reads(path)), None)


def open_grid(spec: str) -> GridFormat | None:
    """Open what a name says, where it is a file of such a format; None: other data.

    Raises:
        DataError: damaged, or without what is asked for.
    """
    found = in_grid(spec)
    return None if found is None else found[0](found[1], found[2])


def load_grid(spec: str, kind: Signal | None, *, limit: int) -> Source | None:
    """Load the fields of a file of science; None: it is of another kind, or nobody asked for fields.

    What is larger than ``limit`` bytes goes into the cache folder, an item at a time, and is memory-mapped.

    Raises:
        DataError: damaged, without what is asked for, of items of several sizes, or a kind other than fields.
    """
    found = in_grid(spec)
    if found is None:
        return None
    form, path, chosen = found
    if form.asks_for_field and not isinstance(kind, Field) and not chosen.settings:
        return None
    if form is TiffFile:
        return None  # pictures, which signal files read
    if kind is not None and not isinstance(kind, Field):
        raise DataError(f"{path}: such files hold fields, and kind={kind.name!r} was said: leave it out")
    from vqkit.data.tables.rows import gathered_rows  # pyarrow, an extra

    opened = form(path, chosen)
    stamp = tree_stamp(path)
    array = gathered_rows(opened.blocks(), limit=limit, identity=[spec, *stamp], name=spec)
    if array is None:
        raise DataError(f"{path} holds no items; of series, a window may be longer than every group of rows")
    layout = f"NC{GRIDS[opened.axes]}"
    said = kind or Field()
    if said.layout not in (None, layout) or (said.said_axes or opened.axes) != opened.axes:
        raise DataError(
            f"{path} holds fields {layout}, and {said.name} was said; leave the layout out, and choose axes by name: "
            "FILE:NAMES@AXES"
        )
    source = from_array(array, name=spec, kind=said.with_(axes=None, layout=layout))
    source._item_names = None if opened.item_names is None else list(opened.item_names)
    source.channel_labels = tuple(opened.channel_labels()) or None
    source.notes = [*opened.notes, *source.notes]
    source.overlaps = opened.overlaps
    if isinstance(source.kind, Field):
        source.kind.labels = tuple(opened.channel_labels())
    return source


def recorded_grid(spec: str) -> str | None:
    """The name of the same data from any folder; None: it is of another kind."""
    found = _found(spec)
    if found is None:
        file, _, _ = parts_of(spec) if in_windows(spec) is not None else (None, "", "")
        return None if file is None else f"{Path(file).expanduser().resolve()}{spec[len(file) :]}"
    return f"{found[1].resolve()}{spec[len(found[3]) :]}"


def write_like(spec: str, values: Array, out: Path, *, exact: bool = False) -> None:
    """Write decoded items ``[N, C, *grid]``, NaN for gaps, as a file like the one that a name says.

    Args:
        spec: name of the data.
        values: of the items.
        out: a new file.
        exact: the values are promised: a packing that would move them is left out.

    Raises:
        DataError: the name is of no file of science, or the values are of another shape; exact values that no file
            like it holds.
    """
    opened = open_grid(spec)
    if opened is None:
        raise DataError(f"{spec} is no file to write one like it; {without_like()}")
    opened.check_out(out)
    opened.exact = exact
    opened.write(values, out)
    if exact and moves(values, np.concatenate(list(type(opened)(out, opened.chosen).blocks())).reshape(values.shape)):
        shutil.rmtree(out) if out.is_dir() else out.unlink()
        raise DataError(
            f"{out}: files like {spec} are in steps of their own, which would move values beyond the error that is "
            f"promised; without {option('like', spec)} they are written as .npy"
        )


def without_like() -> str:
    """Return which files others can be like, and what to do about the rest, in words."""
    written = (each for each in GRID_FORMATS.values() if each.writes())
    known = ", ".join(extension for each in written for extension in each.extensions)
    return f"known are {known}; without it fields are written as .npy"
