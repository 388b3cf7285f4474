"""Items that share an id: numbered by a last digit, or listed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def groups(ids: npt.NDArray[np.integer]) -> Ints:
    """Return a number for each row of ids ``[N, levels]``, equal where rows are, counted in the order of the rows.

    Example:
        >>> import numpy as np
        >>> from vqkit.ids.collisions import groups
        >>> groups(np.array([[1, 2], [0, 5], [1, 2]])).tolist()
        [1, 0, 1]
    """
    found = np.zeros(len(ids), np.int64)
    for column in ids.T:
        own = column.astype(np.int64)
        span = int(own.max()) + 1 if len(own) else 1
        _, found = np.unique(found * span + own, return_inverse=True)
    return found


def last_digits(ids: npt.NDArray[np.integer], old: npt.NDArray[np.integer] | None = None) -> Ints:
    """Return a digit for each row that makes rows unique: 0 for the first item of an id, then 1, in their order.

    Args:
        ids: ``[N, levels]``.
        old: rows ``[O, levels + 1]``, their own last digits included, of items that are there already; digits go on
            after theirs.

    Example:
        >>> import numpy as np
        >>> from vqkit.ids.collisions import last_digits
        >>> last_digits(np.array([[7], [7], [3]]), np.array([[7, 4]])).tolist()
        [5, 6, 0]
    """
    before = 0 if old is None else len(old)
    every = ids if old is None else np.concatenate([old[:, :-1].astype(np.int64), ids.astype(np.int64)])
    group = groups(every)
    next_digit = np.zeros(int(group.max()) + 1 if len(group) else 0, np.int64)
    if old is not None:
        np.maximum.at(next_digit, group[:before], old[:, -1].astype(np.int64) + 1)
    own = group[before:]
    order = np.argsort(own, kind="stable")
    ranked = own[order]
    found = np.empty(len(own), np.int64)
    found[order] = np.arange(len(own)) - np.searchsorted(ranked, ranked) + next_digit[ranked]
    return found


def colliding(ids: npt.NDArray[np.integer]) -> list[Ints]:
    """Return the rows of each id that several items have, in the order of their first rows."""
    group = groups(ids)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    parts = [part for part in np.split(order, starts[1:]) if len(part) > 1]
    return sorted(parts, key=lambda part: int(part[0]))
