"""The label column of a table: whole numbers, names, true and false, in any of the types that Arrow has for them.

Whole numbers from 0 are the labels themselves. Names, true and false, and numbers that are no numbering (negative
ones, or far apart) are classes by name, numbered in sorted order. -1, null and NaN are no label.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

LABELS = ("label", "labels")
MOST_NUMBER = 1 << 20
"""A label from here on is no number of a class, but a key."""
_FEW = 100


@dataclass(frozen=True)
class LabelColumn:
    """How the values of a column are read as labels.

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

    def numbers(self, column: Any) -> list[int]:
        """The labels of an Arrow column, -1 for none."""
        values = (_plain(value) for value in column.to_pylist())
        if self.numbering is None:
            return [-1 if value is None else int(value) for value in values]
        return [self.numbering.get(value, -1) for value in values]


def label_kind(kind: Any) -> str | None:
    """What the values of an Arrow type are: "whole numbers", "names", "true or false", "numbers"; None: no labels."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "whole numbers"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "names"
    if pa.types.is_boolean(kind):
        return "true or false"
    return "numbers" if pa.types.is_floating(kind) else None


def read_labels(
    columns: Iterable[Any], *, column: str, class_names: Sequence[str] | None, asked_for: bool
) -> LabelColumn:
    """Look once through all values of a label column.

    Args:
        columns: its parts.
        column: its name.
        class_names: names of the labels where the table's metadata has some.
        asked_for: somebody named the column: texts are classes however many there are.
    """
    counts: Counter[Any] = Counter()
    for part in columns:
        for value, count in _counted(part):
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


def _counted(column: Any) -> Iterable[tuple[Any, int]]:
    """Each value of an Arrow column, and how often it is there."""
    try:
        found = pc.value_counts(column)
        return zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    except (pa.ArrowException, NotImplementedError):  # float16 among others
        return Counter(column.to_pylist()).items()


def _by_name(values: Sequence[Any], notes: list[str]) -> LabelColumn:
    return LabelColumn({value: number for number, value in enumerate(values)}, [str(each) for each in values], notes)


def _plain(value: Any) -> Any:
    """A value as its class: a float that is a whole number as that number, NaN as none."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value
