"""Tables of series that are written: windows put back into rows, of the types of a source's columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.data.source import Array
from vqkit.storage import atomic

Place = tuple[str | None, int]
"""The group of a window, and its first row there."""


def joined_rows(values: Array, places: Sequence[Place]) -> tuple[Array, list[str | None]]:
    """Return rows ``[C, T]`` of windows ``[N, C, T]``, and the group of each; of overlapping windows the first counts.

    Rows between windows are gaps; those after the last of a group are left out.

    Example:
        >>> import numpy as np
        >>> from vqkit.data.grids.tables import joined_rows
        >>> rows, groups = joined_rows(np.array([[[1.0, 2]], [[9, 3]], [[7, 8]]]), [("a", 0), ("a", 1), ("b", 0)])
        >>> rows.tolist(), groups
        ([[1.0, 2.0, 3.0, 7.0, 8.0]], ['a', 'a', 'a', 'b', 'b'])
    """
    window = values.shape[2]
    parts: list[Array] = []
    groups: list[str | None] = []
    first = 0
    for last in range(1, len(places) + 1):
        if last < len(places) and places[last][0] == places[first][0] and places[last][1] > places[last - 1][1]:
            continue
        rows = np.full((values.shape[1], places[last - 1][1] + window), np.nan)
        for number in reversed(range(first, last)):
            rows[:, places[number][1] : places[number][1] + window] = values[number]
        parts.append(rows)
        groups += [places[first][0]] * rows.shape[1]
        first = last
    return np.concatenate(parts, axis=1), groups


def write_table(columns: Mapping[str, tuple[Iterable[Any], Any]], out: Path) -> None:
    """Write columns, each with its type, as ``.csv``, ``.tsv`` or ``.parquet``; NaN as a missing value."""
    import pyarrow
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    made = {}
    for name, (values, kind) in columns.items():
        if not isinstance(values, np.ndarray):
            made[name] = pyarrow.array(list(values)).cast(kind)
            continue
        gaps = np.isnan(values)
        if pyarrow.types.is_integer(kind):
            bits = kind.bit_width - (not str(kind).startswith("u"))
            low = 0.0 if str(kind).startswith("u") else -(2.0**bits)
            whole = np.rint(np.where(gaps, 0, values)).clip(low, np.nextafter(2.0**bits, 0))
            made[name] = pyarrow.array(whole.astype(np.uint64 if low == 0 else np.int64), mask=gaps).cast(kind)
        else:
            made[name] = pyarrow.array(values.astype(kind.to_pandas_dtype()), mask=gaps)
    table = pyarrow.table(made)
    if out.suffix.lower() == ".parquet":
        atomic.write_file(out, lambda file: parquet.write_table(table, file))
        return
    options = csv.WriteOptions(delimiter="\t" if out.suffix.lower() == ".tsv" else ",")
    atomic.write_file(out, lambda file: csv.write_csv(table, file, options))
