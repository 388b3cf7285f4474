"""Fields: measured quantities on a grid of one to three axes, any number of channels, each in a unit of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
from PIL import Image as Pillow

from vqkit.checking import shown
from vqkit.errors import ConfigError, DataError
from vqkit.signals.base import SIGNALS, Array, Signal, median_side
from vqkit.signals.fields.drawing import draw_item
from vqkit.signals.fields.layouts import (
    GRIDS,
    arranged,
    check_bands,
    guessed_layout,
    layout_axes,
    layout_spelled,
    number_in,
    restored,
)
from vqkit.signals.fields.pictures import PICTURES, read_picture
from vqkit.signals.fields.sheet import draw_sheet
from vqkit.storage import atomic

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
"""Types of numbers that fields have."""
SCALINGS = ("standard", "robust")
_WIDE = ("uint32", "int32", "float64")
"""What float32 does not hold exactly."""
_WHOLE = {1: 1 << 13, 2: 256, 3: 64}
_CROP = {1: 4096, 2: 128, 3: 32}
_MULTIPLE = 16
_SEGMENT, _LONG = 8192, 1 << 15


@SIGNALS.register("field")
@final
class Field(Signal):
    """Fields ``[C, *grid]``: bands, wind, scans, series; floats with NaN where nothing was measured (gaps).

    A model takes each channel's own mean off and divides by its deviation, which it keeps, so that what it decodes is
    in the units of the data; files are written in their type. The kind says all that is needed for that, and its name
    says it too: ``"field@NHWC,uint16,nodata=0"``.

    Args:
        axes: of the grid, 1 to 3; None: as the layout or the data say (2 until then).
        layout: of arrays and files, in letters (``vqkit.signals.fields.layouts``); None: guessed, and said.
        dtype: of the numbers where they came from, in which they are written; None: float32.
        nodata: the number that stands for a gap in the data; None: NaN alone.
        scaling: ``"standard"`` (mean and standard deviation of a channel) or ``"robust"`` (median, and the range
            between the quartiles over 1.349, which is the deviation of a Gaussian: outliers do not move it).
        rgb: the channels, from 1, that pictures show in red, green and blue, or one to show; None: the first ones.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import numpy as np, vqkit
        >>> winds = np.full((8, 12, 20, 2), 3.5)
        >>> source = vqkit.load_source(winds, kind="field@NHWC")
        >>> source.describe(), source.kind.name
        ('8 2-channel fields 12x20 in memory (31 kB)', 'field@NHWC,float64')
    """

    axes: int
    noun = ("field", "fields")
    unit = "numbers"
    extensions = (".npy", *PICTURES)
    measures = ("fields",)
    gaps = True
    per_channel = True
    layouts = "[N, C, T], [N, C, H, W] or [N, C, D, H, W], in any order that the layout says"
    channel_names: ClassVar[dict[int, str]] = {}

    def __init__(
        self,
        axes: int | None = None,
        *,
        layout: str | None = None,
        dtype: str | None = None,
        nodata: float | None = None,
        scaling: str = "standard",
        rgb: Sequence[int] | None = None,
    ) -> None:
        own = None if layout is None else layout_axes(layout)
        if axes is not None and (axes not in GRIDS or own not in (None, axes)):
            raise ConfigError(f"axes={shown(axes)}: fields have 1 to 3 axes, as many as the letters of their layout")
        if dtype is not None and dtype not in TYPES:
            raise ConfigError(f"dtype={shown(dtype)}: fields are of {', '.join(TYPES)}")
        if scaling not in SCALINGS:
            raise ConfigError(f"scaling={shown(scaling)}: choose {' or '.join(SCALINGS)}")
        self.said_axes = own if axes is None else axes
        self.axes = self.said_axes or 2
        self.layout = None if layout == f"NC{GRIDS[self.axes]}" and axes is not None else layout
        self.dtype = None if dtype == "float32" else dtype
        self.nodata = None if nodata is None or math.isnan(nodata) else float(nodata)
        self.scaling = scaling
        self.rgb = tuple(rgb or ())
        if len(self.rgb) not in (0, 1, 3) or not all(type(each) is int and each >= 1 for each in self.rgb):
            raise ConfigError(f"rgb={shown(rgb)}: give three channels, counted from 1, such as 4,3,2, or one of them")
        self.labels: tuple[str, ...] = ()  # of the channels, perhaps with units, for pictures
        self.usual: str | None = None  # layout of other data that a model has seen

    @classmethod
    def with_setting(cls, text: str) -> Field:
        """Return fields with the settings of a name, between commas: axes or layout, type, scaling, ``nodata=``."""
        found: dict[str, Any] = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            if re.fullmatch(r"[123]", part):
                found["axes"] = int(part)
            elif part in TYPES:
                found["dtype"] = part
            elif part in SCALINGS:
                found["scaling"] = part
            elif name == "nodata" and number_in(value) is not None:
                found["nodata"] = number_in(value)
            elif name == "rgb" and re.fullmatch(r"\d{1,6}(-\d{1,6})*", value):
                found["rgb"] = [int(each) for each in value.split("-")]
            elif re.fullmatch(r"[A-Z]{1,5}", part):
                found["layout"] = part
            else:
                raise ConfigError(
                    f"kind={shown(f'field@{text}')}: {shown(part)} is no number of axes (1 to 3), no layout (NCHW), no "
                    f"type (uint16), no scaling ({', '.join(SCALINGS)}), no nodata=NUMBER and no rgb=4-3-2"
                )
        return cls(**found)

    @property
    def name(self) -> str:
        """The name in ``SIGNALS``, and what it holds: ``"field@2,uint16"``."""
        axes = self.layout or ("" if self.said_axes is None else str(self.axes))
        nodata = None if self.nodata is None else f"nodata={self.nodata:.17g}"
        rgb = f"rgb={'-'.join(map(str, self.rgb))}" if self.rgb else ""
        parts = [axes, self.dtype, "" if self.scaling == SCALINGS[0] else self.scaling, nodata, rgb]
        said = ",".join(part for part in parts if part)
        return f"field@{said}" if said else "field"

    def _held(self) -> tuple[Any, ...]:
        return self.axes, self.layout, self.dtype, self.nodata, self.scaling, self.rgb

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and self._held() == other._held()

    def __hash__(self) -> int:
        return hash(self._held())

    def __repr__(self) -> str:
        return f"signal_kind({self.name!r})"

    def with_(self, **changes: Any) -> Field:
        """Return the same kind with other arguments."""
        own = {"layout": self.layout, "dtype": self.dtype, "nodata": self.nodata, "scaling": self.scaling}
        made = Field(changes.pop("axes", self.said_axes), **{**own, "rgb": self.rgb, **changes})
        made.labels = self.labels
        return made

    def of_axes(self, axes: int) -> Signal:
        """See ``Signal.of_axes``."""
        return self.with_(axes=axes) if self.said_axes is None and axes in GRIDS else self

    def reads(self, other: Signal) -> bool:
        """Return whether the other is a field of as many axes, or of both one does not say how many it has."""
        return isinstance(other, Field) and (None in (self.said_axes, other.said_axes) or self.axes == other.axes)

    @property
    def common(self) -> Field:
        """See ``Signal.common``: the axes alone."""
        return Field(self.axes)

    def of_file(self, path: Path) -> Signal:
        """See ``Signal.of_file``: pictures have channels, height and width, whatever the layout of arrays is."""
        return self.with_(axes=2, layout="NCHW") if path.suffix.lower() in PICTURES else self

    def expecting(self, said: Signal | None) -> Signal:
        """See ``Signal.expecting``: what was said comes first; without a word the model's number for gaps holds."""
        if not isinstance(said, Field):
            found = Field(self.axes, nodata=self.nodata, scaling=self.scaling, rgb=self.rgb)
            found.usual = self.layout or f"NC{GRIDS[self.axes]}"
            return found
        nodata = self.nodata if said.nodata is None else said.nodata
        return said.with_(nodata=nodata, rgb=said.rgb or self.rgb).of_axes(self.axes)

    def settled(self, array: Array, name: str, *, single: bool = False) -> tuple[Self, list[str]]:
        """See ``Signal.settled``: axes and layout (which is guessed where it is not said, with a note) and the type.

        Raises:
            DataError: a layout that does not stand out, or a type that fields do not have.
        """
        dtype = array.dtype.newbyteorder("=").name
        if dtype == "bool" or dtype not in TYPES:
            raise DataError(f"{name} is of {dtype}; fields are of {', '.join(TYPES)}: convert it")
        layout, notes = self.layout, []
        if layout is not None and single and "N" in layout and array.ndim == len(layout) - 1:
            layout = layout.replace("N", "")
        if layout is None:
            shape = array.shape
            if self.usual is not None and len(self.usual) == array.ndim:
                layout = self.usual
                notes.append(f"fields of the layout {layout} {list(shape)}, as those that the model was made for")
            elif single and self.said_axes is not None and array.ndim == 1 + self.axes:
                layout = f"C{GRIDS[self.axes]}"
            else:
                layout = guessed_layout(shape, self.said_axes, name)
                other = f"N{GRIDS[layout_axes(layout)]}C"
                notes.append(
                    f"fields of the layout {layout} {list(shape)} (guessed; else say "
                    f"{layout_spelled(other if layout != other else 'NC' + GRIDS[layout_axes(layout)])})"
                )
        check_bands(self.rgb, arranged(array, layout, name).shape[1], name)
        if single and layout == f"C{GRIDS[layout_axes(layout)]}":
            layout = f"N{layout}"  # the usual one, of items that are in files each
        settled = self.with_(axes=layout_axes(layout), layout=layout, dtype=dtype)
        return settled, notes

    def describe(self, count: int, channels: int) -> str:
        """Return how many channels there are: ``"13-channel fields"``."""
        return f"{f'{channels}-channel ' if channels > 1 else ''}{self.noun[count != 1]}"

    def describe_size(self, size: Sequence[int]) -> str:
        """Return the lengths of the axes, in the order of the array."""
        return "x".join(str(int(side)) for side in size)

    @property
    def position(self) -> str:
        """What one position is called."""
        return "position"

    def channels_first(self, array: Array) -> Array | None:
        """See ``Signal.channels_first``: as the layout says, else in the order N, C, grid."""
        layout = self.layout or f"NC{GRIDS[self.axes]}"
        return arranged(array, layout) if array.ndim == len(layout) else None

    @property
    def step(self) -> float | None:
        """See ``Signal.step``: 1 for integers."""
        return None if self._type.kind == "f" else 1.0

    @property
    def bounds(self) -> tuple[float, float] | None:
        """See ``Signal.bounds``: those of the type, of integers."""
        if self._type.kind == "f":
            return None
        about = np.iinfo(self._type)
        return float(about.min), float(about.max)

    @property
    def wide(self) -> bool:
        """See ``Signal.wide``."""
        return self.dtype in _WIDE

    @property
    def number_type(self) -> str:
        """See ``Signal.number_type``: that of the data."""
        return self.dtype or "float32"

    @property
    def _type(self) -> np.dtype[Any]:
        return np.dtype(self.dtype or "float32")

    def as_floats(self, block: Array) -> Array:
        """See ``Signal.as_floats``: float64 of what float32 does not hold exactly; NaN for gaps.

        Raises:
            DataError: infinity.
        """
        native = block.dtype.newbyteorder("=")
        floats = block.astype(np.float64 if native.name in _WIDE or native.itemsize > 4 else np.float32)
        if isinstance(block, np.ma.MaskedArray):
            floats = np.ma.filled(floats, np.nan)
        if self.nodata is not None:
            with np.errstate(over="ignore"):
                missing = block == (native.type(self.nodata) if native.kind == "f" else self.nodata)
            floats[np.asarray(missing)] = np.nan
        return floats

    def as_values(self, floats: Array) -> Array:
        """See ``Signal.as_values``: in the type of the data, integers rounded and cut to its bounds, gaps as nodata.

        A number that would be taken for a gap is the next one to it. Integers that have gaps, and no number for them,
        stay floats.
        """
        kind = self._type
        gaps = np.isnan(floats)
        with np.errstate(invalid="ignore", over="ignore"):
            if kind.kind == "f":
                most = float(np.finfo(kind).max)
                values = np.clip(floats, -most, most).astype(kind)
            else:
                low, high = np.iinfo(kind).min, np.iinfo(kind).max
                values = np.clip(np.rint(np.where(gaps, 0, floats)), low, high).astype(kind)
        if self.nodata is None:
            return floats.astype(np.float32) if kind.kind != "f" and gaps.any() else values
        missing = kind.type(self.nodata)
        taken = (values == missing) & ~gaps
        if taken.any():
            if kind.kind == "f":
                values[taken] = np.nextafter(missing, kind.type(0 if missing else 1))
            else:
                values[taken] = int(missing) + (1 if int(missing) < np.iinfo(kind).max else -1)
        values[gaps] = missing
        return values

    def read(self, path: Path) -> Array:
        """Return the array of a file as it is: ``.npy`` in any layout, PNG and TIFF in their full depth ``[C, H, W]``.

        Raises:
            DataError: no such file.
        """
        if path.suffix.lower() in PICTURES:
            return read_picture(path)
        try:
            array: Array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: not readable as a .npy array ({error})") from error
        return array

    def checked(self, array: Any, what: str) -> Array:
        """Return one item ``[C, *grid]``: floats with NaN for gaps.

        Raises:
            DataError: another layout or type, an empty axis, or infinity.
        """
        item: Array = np.asarray(array)
        layout = self.layout
        if layout is None:
            layout = f"C{GRIDS[self.axes]}" if item.ndim == 1 + self.axes else GRIDS[self.axes]
        elif "N" in layout and item.ndim == len(layout) - 1:
            layout = layout.replace("N", "")
        if item.dtype.newbyteorder("=").name not in TYPES or 0 in item.shape:
            raise DataError(
                f"{what} is an array of {item.dtype} {list(item.shape)}; a field is of {', '.join(TYPES)}, with no "
                "empty axis"
            )
        views = arranged(item, layout, what)
        if len(views) != 1:
            raise DataError(f"{what} holds {len(views):,} items {list(item.shape)}; give one a file")
        floats = self.as_floats(views[0])
        if np.isinf(floats).any():
            raise DataError(f"{what} holds infinity; every value must be a finite number, or NaN for a gap")
        return floats

    def write(self, item: Array, path: Path, *, durable: bool = True, made: str | None = None) -> None:
        """Write an item ``[C, *grid]`` in the type and the layout of the data; NaN as the number for gaps."""
        values = restored(self.as_values(np.asarray(item)), self.layout or f"C{GRIDS[self.axes]}", single=True)
        atomic.write_file(path, lambda file: atomic.save_npy(file, values), durable=durable)

    def as_written(self, items: Array) -> Array:
        """See ``Signal.as_written``: many items, in the type and the layout of the data."""
        return restored(self.as_values(items), self.layout or f"NC{GRIDS[self.axes]}")

    def crop_size(self, side: int, sizes: Array) -> tuple[int, ...]:
        """See ``Signal.crop_size``; of volumes no thicker than they are."""
        own = (side,) * self.axes
        return own if self.axes < 3 else (min(side, int(sizes[:, 0].min())), *own[1:])

    def default_crop(self, sizes: Array) -> int | None:
        """Return the side of a crop, or None where several have one size of at most 8,192, 256 or 64 a side."""
        if len(sizes) == 1 and int(sizes.min()) >= 2 * _MULTIPLE:
            return median_side(sizes.min(axis=1) // 2, _MULTIPLE, _CROP[self.axes])
        if bool((sizes == sizes[0]).all()) and int(sizes[0].max()) <= _WHOLE[self.axes]:
            return None
        return median_side(sizes[:, 1 if self.axes == 3 else 0 :].min(axis=1), _MULTIPLE, _CROP[self.axes])

    def segment_length(self, sizes: Array) -> int | None:
        """Return 8,192 for series where one is longer than 32,768."""
        return _SEGMENT if self.axes == 1 and int(sizes.max()) > _LONG else None

    def enlarge(self, item: Array, size: tuple[int, ...]) -> Array:
        """Return an item that a crop fits into; what it lacks at its ends are gaps."""
        missing = [max(0, want - have) for want, have in zip(size, item.shape[1:], strict=True)]
        if not any(missing):
            return item
        return np.pad(item, [(0, 0), *((0, more) for more in missing)], constant_values=np.nan)

    def shows(self, channels: int) -> bool:
        """Return True."""
        return True

    def show(self, item: Array) -> Pillow.Image:
        """Return the channels of ``rgb`` in color, else the first: a curve, colors, or a volume's middle slices."""
        return draw_item(np.asarray(item, np.float64), self.rgb)

    def sheet(self, rows: Sequence[tuple[str, Sequence[Array]]], columns: int | None = None) -> Pillow.Image:
        """See ``Signal.sheet``: channels in one scale, with the bars of their colors; of two rows the error too."""
        return draw_sheet(rows, self.rgb, self.labels, columns)

    def example(self, count: int, generator: np.random.Generator) -> Array:
        """Return smooth fields of two channels of different units on 16x16 positions."""
        phase = generator.uniform(0, 2 * np.pi, (count, 2, 1, 1))
        waves = np.sin(np.arange(16)[:, None] / 3 + phase) + np.cos(np.arange(16) / 4 - phase)
        return (waves * [[[3.0]], [[250.0]]] + [[[-1.0]], [[1e4]]]).astype(np.float32)
