"""Selection of items: what stands in the brackets of ``source[...]`` and ``tokens[...]`` as numbers of items."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError


def selected(index: Any, count: int, name: str) -> npt.NDArray[np.int64] | None:
    """Return the numbers 0..count-1 of the items that a slice, a list or a mask selects; None: it is one number.

    Args:
        index: a slice; whole numbers (negative ones count from the end); or true and false, one for each item.
        count: items that there are.
        name: of the set, for messages.

    Raises:
        IndexError: a number beyond the items.
        DataError: other numbers, or a mask of another length.

    Example:
        >>> import numpy as np
        >>> selected(slice(-2, None), 5, "digits"), selected(np.array([True, False, True]), 3, "digits")
        (array([3, 4]), array([0, 2]))
    """
    if isinstance(index, slice):
        return np.arange(count, dtype=np.int64)[index]
    if not hasattr(index, "__len__") or getattr(index, "ndim", 1) == 0:
        return None
    rows = np.asarray(index)
    if rows.dtype == np.bool_:
        if rows.shape != (count,):
            raise DataError(f"{name}: a mask of shape {list(rows.shape)} for {count:,} items; give one value for each")
        return np.flatnonzero(rows).astype(np.int64)
    if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
        raise DataError(
            f"{name}: indices of {rows.dtype} and shape {list(rows.shape)}; give a list of whole numbers, a slice or a "
            "mask"
        )
    if len(rows) and (int(rows.min()) < -count or int(rows.max()) >= count):
        raise IndexError(f"items {rows.min()}..{rows.max()} of {name}, which has {count:,} items")
    return rows.astype(np.int64) % max(count, 1)
