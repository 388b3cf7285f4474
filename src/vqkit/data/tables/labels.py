"""The label column of a table, in any of the types that Arrow has for labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vqkit.data.arrays.labels import LABEL_COLUMNS

LABELS = LABEL_COLUMNS


def label_kind(kind: Any) -> str | None:
    """Return the kind of label of an Arrow type.

    Returns:
        "whole numbers", "names", "true or false" or "numbers"; None: values that cannot be labels.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "whole numbers"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "names"
    if pa.types.is_boolean(kind):
        return "true or false"
    return "numbers" if pa.types.is_floating(kind) else None


def counted_values(column: Any) -> Iterable[tuple[Any, int]]:
    """Each value of an Arrow column, and how often it is there."""
    try:
        found = pc.value_counts(column)
        return zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    except (pa.ArrowException, NotImplementedError):  # float16 among others
        return Counter(column.to_pylist()).items()
