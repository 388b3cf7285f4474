"""Labels as values (whole numbers, names, true and false), read alike from arrays and from columns of tables.

Whole numbers from 0 are the labels themselves. Names, true and false, and numbers that are no numbering (negative
ones, or far apart) are classes by name, numbered in sorted order. -1, null and NaN are no label.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vqkit.data.source import Array
from vqkit.errors import DataError

LABEL_COLUMNS = ("label", "labels")
"""Columns that are read as labels where nobody names one."""
MOST_NUMBER = 1 << 20
"""A label from here on is no number of a class, but a key."""
_FEW = 100


@dataclass(frozen=True)
class LabelColumn:
    """A rule that maps the values of a table column to integer labels.

    Attributes:
        numbering: value to label; None: the values are the labels.
        class_names: the name of each label, or None.
        notes: what a person should know.
        used: False where the values are no classes.
    """

    numbering: Mapping[Any, int] | None = None
    class_names: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    used: bool = True

    def numbers(self, values: Iterable[Any]) -> list[int]:
        """The label of each value, -1 for none."""
        plain = (_plain(value) for value in values)
        if self.numbering is None:
            return [-1 if value is None else int(value) for value in plain]
        return [self.numbering.get(value, -1) for value in plain]


def read_labels(
    counted: Iterable[tuple[Any, int]], *, column: str, class_names: Sequence[str] | None, asked_for: bool
) -> LabelColumn:
    """Choose how the values of a label column are read.

    Args:
        counted: its values, and how often each occurs; a value may come several times.
        column: its name.
        class_names: names of the labels where the table's metadata has some.
        asked_for: somebody named the column: texts are classes however many there are.
    """
    counts: Counter[Any] = Counter()
    for value, count in counted:
        counts[_plain(value)] += count
    rows, without = counts.total(), counts[None] + counts[-1]
    found = {value for value, count in counts.items() if count and value is not None}
    notes = [f"{without:,} of {rows:,} rows have no label (null or -1) in column {column!r}"] if without else []
    fraction = next((value for value in sorted(found, key=str) if isinstance(value, float)), None)
    if fraction is not None:
        note = f"column {column!r} holds numbers such as {fraction:g}, which are no classes: not read as labels"
        return LabelColumn(notes=[note], used=False)
    if any(isinstance(value, str) for value in found):
        if not asked_for and rows >= _FEW and 2 * len(found) > rows:
            note = (
                f"column {column!r} holds {len(found):,} different texts in {rows:,} rows, which are no classes: not "
                "read as labels"
            )
            return LabelColumn(notes=[note], used=False)
        return _by_name(sorted(found), notes)
    if found and all(isinstance(value, bool) for value in found):
        return LabelColumn({False: 0, True: 1}, ["false", "true"], notes)
    numbers = sorted(value for value in found if value != -1)
    if numbers and class_names is None and (numbers[0] < 0 or numbers[-1] >= MOST_NUMBER):
        told = f"the labels in column {column!r}, {numbers[0]} to {numbers[-1]}, are keys: numbered by their order"
        return _by_name(numbers, [told, *notes])
    if numbers and (numbers[0] < 0 or numbers[-1] >= MOST_NUMBER):
        known = {value: value for value in numbers if 0 <= value < MOST_NUMBER}
        told = f"labels in column {column!r} such as {next(each for each in numbers if each not in known)} have no name"
        return LabelColumn(known, list(class_names or []), [f"{told}: not read", *notes])
    return LabelColumn(None, None if class_names is None else list(class_names), notes)


def array_labels(labels: Array, name: str) -> tuple[Array | None, list[str] | None, list[str]]:
    """Labels int64 [N] (None: they are no classes), the names of the classes (None: numbers), and notes.

    Raises DataError for another shape, or a dtype that holds no labels.
    """
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind not in "biufUS" or flat.ndim != 1:
        raise DataError(
            f"{name}: labels are {labels.dtype} of shape {list(labels.shape)}; labels are one whole number, one name "
            "or one truth value per item, shape [N]."
        )
    if flat.dtype.kind in "iu" and (flat.size == 0 or (int(flat.min()) >= -1 and int(flat.max()) < MOST_NUMBER)):
        return flat.astype(np.int64), None, []
    values = np.char.decode(flat, "utf-8", "replace") if flat.dtype.kind == "S" else flat
    plain = (values.astype(np.float64) if values.dtype.kind == "f" else values).tolist()
    found = read_labels(Counter(plain).items(), column="labels", class_names=None, asked_for=False)
    numbers = np.array(found.numbers(plain), dtype=np.int64) if found.used else None
    return numbers, found.class_names, found.notes


def _by_name(values: Sequence[Any], notes: list[str]) -> LabelColumn:
    return LabelColumn({value: number for number, value in enumerate(values)}, [str(each) for each in values], notes)


def _plain(value: Any) -> Any:
    """A value as its class: a float that is a whole number as that number, NaN as none."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value
