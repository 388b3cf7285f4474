"""Series in columns of CSV and Parquet files: windows of rows, of one group each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from vqkit.data.grids.base import GRID_FORMATS, GridFormat, Selection
from vqkit.data.grids.tables import Place, joined_rows, write_table
from vqkit.data.source import Array
from vqkit.errors import DataError
from vqkit.optional import require

_ROWS = 1 << 16
_WINDOW = 512
_NUMBERS = ("int", "uint", "float", "double", "halffloat")
_FLOAT, _EXACT = 1 << 24, 1 << 53
"""Up to which whole numbers are exact in float32 and float64."""


@GRID_FORMATS.register("series", citations=())
@final
class SeriesTable(GridFormat):
    """Columns as series ``[C, T]``: ``ecg.csv:I,II@window=512,hop=256,group=patient``.

    Rows are in the order of time; a window lies within rows of one group, which lie together. Without columns, all of
    numbers but the group's; without a window 512 rows; without a hop windows beside each other. Missing values are
    gaps. The table is read a block at a time.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from vqkit.data.grids.base import Selection
        >>> from vqkit.data.grids.series import SeriesTable
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "a.csv"
        ...     _ = file.write_text("x,y\\n" + "1,2\\n" * 10)
        ...     table = SeriesTable(file, Selection.of("x,y", "window=4,hop=2"))
        ...     np.concatenate(list(table.blocks())).shape
        (4, 2, 4)
    """

    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".parquet")
    asks_for_field: ClassVar[bool] = True
    axes = 1

    def __init__(self, path: Path, chosen: Selection) -> None:
        super().__init__(path, chosen)
        require("pyarrow", f"tables ({path})")
        self.refuse_words("window", "hop", "group")
        self._floats = False
        self._window = self._setting("window", _WINDOW)
        self._hop = self._setting("hop", self._window)
        self._group = chosen.settings.get("group")
        self.overlaps = -(-self._window // self._hop) - 1
        schema = next(self._batches(None), None)
        if schema is None:
            raise DataError(f"{path} has no rows; a series needs some")
        kinds = {field.name: str(field.type) for field in schema.schema}
        numbers = [name for name, kind in kinds.items() if kind.startswith(_NUMBERS)]
        self._kinds = {field.name: field.type for field in schema.schema}
        names = list(chosen.names) or [name for name in numbers if name != self._group]
        for name in (*names, *([self._group] if self._group else [])):
            if name not in kinds:
                raise DataError(f"{path} has no column {name!r}; it holds {', '.join(kinds)}")
        if self._group in names or len(set(names)) < len(names):
            twice = self._group if self._group in names else next(each for each in names if names.count(each) > 1)
            raise DataError(f"{path}: column {twice!r} is named twice; name each once, a group's among no channels")
        odd = [name for name in names if name not in numbers and kinds[name] != "null"]
        if odd or not names:
            raise DataError(f"{path}: column {(odd or ['?'])[0]!r} is no number; numbers are {', '.join(numbers)}")
        self.channel_names = names
        if all(kinds[name].startswith(("int", "uint")) for name in names):
            self._type = self._whole_type()
        else:  # a column that begins with whole numbers, or with none, may go on with others
            self._floats = path.suffix.lower() != ".parquet"
            single = all(kinds[name].startswith(("float", "halffloat")) for name in names)
            self._type = np.dtype(np.float32 if single and not self._floats else np.float64)
        self._named: list[str | None] = []
        self._places: list[Place] = []
        self.item_names = self._named
        self.notes.append(f"columns {', '.join(names)} in windows of {self._window:,} rows, a hop of {self._hop:,}")

    def _setting(self, name: str, default: int) -> int:
        text = self.chosen.settings.get(name, str(default))
        if not text.isdigit() or int(text) < 1:
            raise DataError(f"{self.path}: {name}={text} is no number of rows; give one from 1 on")
        return int(text)

    def _whole_type(self) -> np.dtype[Any]:
        """The type that holds columns of whole numbers: int32 or uint32; floats where values are missing, or large.

        Raises:
            DataError: whole numbers that no float64 holds exactly.
        """
        import pyarrow.compute as compute

        low, high, missing = 0, 0, False
        try:
            for batch in self._batches(list(self.channel_names)):
                for column in batch.columns:
                    missing |= column.null_count > 0
                    ends = compute.min_max(column).as_py()
                    if ends["min"] is not None:
                        low, high = min(low, ends["min"]), max(high, ends["max"])
        except DataError:
            self._floats = True  # further down there are others than whole numbers; what is no number is refused there
            return np.dtype(np.float64)
        if max(-low, high) > _EXACT:
            far = low if -low > high else high
            raise DataError(
                f"{self.path}: {far} in columns of whole numbers, and fields hold those up to 2^53 exactly: leave such "
                "columns (ids, times in nanoseconds) out, or write floats"
            )
        for kind in () if missing else (np.int32, np.uint32):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return np.dtype(kind)
        return np.dtype(np.float32 if max(-low, high) <= _FLOAT else np.float64)

    def _batches(self, columns: list[str] | None) -> Iterator[Any]:
        import pyarrow
        import pyarrow.csv as tables
        import pyarrow.parquet as parquet

        try:
            if self.path.suffix.lower() == ".parquet":
                yield from parquet.ParquetFile(self.path).iter_batches(_ROWS, columns=columns)
                return
            tab = "\t" if self.path.suffix.lower() == ".tsv" else ","
            numbers = {name: pyarrow.float64() for name in self.channel_names} if self._floats else {}
            if self._group:
                numbers[self._group] = pyarrow.string()
            convert = tables.ConvertOptions(include_columns=columns, column_types=numbers)
            yield from tables.open_csv(
                self.path, parse_options=tables.ParseOptions(delimiter=tab), convert_options=convert
            )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{self.path} cannot be read: {' '.join(str(error).split())[:200]}") from error

    def blocks(self) -> Iterator[Array]:
        """See ``GridFormat.blocks``: the windows of some rows at a time."""
        self._named.clear()
        self._places.clear()
        columns = [*self.channel_names, *([self._group] if self._group else [])]
        held, group, start, skip = np.empty((len(self.channel_names), 0)), None, 0, 0
        for batch in self._batches(columns):
            parts = [batch.column(name).to_numpy(zero_copy_only=False) for name in self.channel_names]
            rows = np.stack([np.asarray(part, np.float64) for part in parts])
            for own, stretch in self._stretches(batch, rows):
                if own != group:
                    held, group, start, skip = stretch, own, 0, 0
                else:
                    held = np.concatenate([held, stretch[:, skip:]], axis=1)
                    skip = max(0, skip - stretch.shape[1])
                count = max(0, (held.shape[1] - self._window) // self._hop + 1)
                if count:
                    views = np.lib.stride_tricks.sliding_window_view(held, self._window, axis=1)[:, :: self._hop]
                    head = "" if group is None else f"{self._group}={group},"
                    self._named += [f"{head}row={start + n * self._hop:08d}" for n in range(count)]
                    self._places += [(group, start + n * self._hop) for n in range(count)]
                    yield views[:, :count].transpose(1, 0, 2).astype(self._type)
                    skip = max(0, count * self._hop - held.shape[1])  # a hop beyond the rows that are there yet
                    held, start = held[:, count * self._hop :], start + count * self._hop

    def write(self, values: Array, out: Path) -> None:
        """Write a table of the same columns and their types, of the rows that windows cover; NaN as missing."""
        count = sum(len(block) for block in self.blocks())
        self.check_values(values, (count, len(self.channel_names), self._window))
        rows, groups = joined_rows(values, self._places)
        kinds = {
            name: self._kinds[name] if self._type.kind in "iu" else self._real(name) for name in self.channel_names
        }
        columns: dict[str, tuple[Any, Any]] = {
            name: (rows[channel], kinds[name]) for channel, name in enumerate(self.channel_names)
        }
        if self._group is not None:
            columns = {self._group: (groups, self._kinds[self._group]), **columns}
        write_table(columns, out)

    def _real(self, name: str) -> Any:
        """The type of a column of floats, and of whole numbers with gaps: its own, unless it was guessed."""
        import pyarrow

        kind = self._kinds[name]
        return pyarrow.float64() if self._floats or kind == pyarrow.null() else kind

    def _stretches(self, batch: Any, rows: Array) -> Iterator[tuple[str | None, Array]]:
        if self._group is None:
            yield None, rows
            return
        groups = np.array([str(each) for each in batch.column(self._group).to_pylist()])
        cuts = [0, *(np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist(), len(groups)]
        for first, last in pairwise(cuts):
            if last > first:
                yield str(groups[first]), rows[:, first:last]
