"""Classes by name: the labels of two sets of data mean the same only where they are numbered by the same names.

A label without a name goes by its number: 3 is the class "3".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError

Labels = npt.NDArray[np.int64]


def all_names(labels: Labels, names: Sequence[str] | None) -> list[str]:
    """The name of every class 0 .. C - 1: those that are known, and numbers for labels beyond them."""
    known = [] if names is None else list(names)
    return known + [str(number) for number in range(len(known), int(labels.max(initial=-1)) + 1)]


def renumbered(
    labels: Labels, names: Sequence[str] | None, wanted: Sequence[str], *, what: str
) -> tuple[Labels, list[str]]:
    """The labels numbered as in ``wanted``, and the names of all classes then.

    Args:
        labels: int64 [N], -1 for none.
        names: of these labels; None: they go by their numbers.
        wanted: names of the classes 0, 1, ...; classes that are not among them come after these.
        what: has these labels, for messages.

    Raises:
        DataError: a name that comes twice, so that it does not tell which class is meant.
    """
    have = all_names(labels, names)
    if list(wanted[: len(have)]) == have:
        return labels, list(wanted)
    for each in (have, wanted):
        twice = sorted({name for name in each if list(each).count(name) > 1}) if len(set(each)) < len(each) else []
        if twice:
            raise DataError(f"{what}: the class {twice[0]!r} comes twice among the names of classes; name each once")
    numbers = {name: number for number, name in enumerate(wanted)}
    for number in np.unique(labels[labels >= 0]):
        numbers.setdefault(have[number], len(numbers))
    table = np.array([*(numbers.get(name, -1) for name in have), -1], dtype=np.int64)  # the last one is -1's own
    return table[labels], list(numbers)


def foreign_names(labels: Labels, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Names of the classes that occur among the labels and are not known."""
    return [names[number] for number in np.unique(labels[labels >= 0]) if names[number] not in known]


def shown(names: Sequence[str], limit: int = 8) -> str:
    """Names for a message: the first few, and how many more."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
