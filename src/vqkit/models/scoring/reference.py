"""What is usual: the scores of held-out items, sorted, against which those of others are ranked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vqkit.errors import DataError

if TYPE_CHECKING:
    Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreReference:
    """Sorted scores of items that nothing was learned from, column by column, to rank other items by.

    Attributes:
        items: how many.
        columns: of each score its values, ascending, float64; without those that are not known (NaN).

    Example:
        >>> import numpy as np
        >>> from vqkit.models import ScoreReference
        >>> usual = ScoreReference.of([{"mse": np.array([0.3, 0.1, 0.2, 0.4])}])
        >>> usual.percentile("mse", np.array([0.05, 0.25, 0.3, 9.0]))  # 0.3 is among them: half of it counts
        array([  0. ,  50. ,  62.5, 100. ])
    """

    items: int
    columns: Mapping[str, Any]

    @classmethod
    def of(cls, parts: Iterable[Mapping[str, Any]]) -> Self:
        """Return the reference of items that come in parts, each a mapping of columns (``Scores.measures``).

        Raises:
            DataError: no items.
        """
        found: dict[str, list[Any]] = {}
        items = 0
        for part in parts:
            items += len(next(iter(part.values()), ()))
            for name, values in part.items():
                found.setdefault(name, []).append(np.asarray(values, dtype=np.float64))
        if not items:
            raise DataError("there are no items to rank others against; give at least one")
        joined = {name: np.concatenate(values) for name, values in found.items()}
        return cls(items=items, columns={name: np.sort(each[~np.isnan(each)]) for name, each in joined.items()})

    def percentile(self, name: str, values: Any) -> Values | None:
        """Percent of the reference below each value, and half of what equals it; None for an unknown column.

        The items of the reference itself have the percentiles (i + 1/2) 100 / N, evenly spread, where no two are equal.
        NaN of a value, and all of a column without known values, stay NaN.
        """
        usual = self.columns.get(name)
        if usual is None:
            return None
        wanted = np.asarray(values, dtype=np.float64)
        if not len(usual):
            return np.full(wanted.shape, np.nan)
        below, up_to = (np.searchsorted(usual, wanted, side=side) for side in ("left", "right"))
        found: Values = np.where(np.isnan(wanted), np.nan, (below + up_to) * (50.0 / len(usual)))
        return found
