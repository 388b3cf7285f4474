"""Labels in a NumPy array, read as those in a column of a table are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vqkit.data.source import Array
from vqkit.data.tables.labels import MOST_NUMBER, read_labels
from vqkit.errors import DataError


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
    column = pa.array(values.tolist(), pa.uint64() if flat.dtype.kind == "u" else None)
    found = read_labels([column], column="labels", class_names=None, asked_for=False)
    numbers = np.array(found.numbers(column), dtype=np.int64) if found.used else None
    return numbers, found.class_names, found.notes
