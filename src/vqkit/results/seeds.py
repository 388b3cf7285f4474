"""Results that differ only by the seed, taken together: means and deviations."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vqkit.results.result import Result, in_order

_FIXED = ("nominal_bits", "bits_per_position", "bytes_per_vector", "uniform_bits_per_item", "parameters")
"""Numbers that follow from the recipe, whatever the seed."""


@dataclass(frozen=True)
class Spread:
    """A number over several seeds.

    Attributes:
        mean: of the values.
        deviation: their standard deviation, over n - 1; None of one value.
        count: n.

    Example:
        >>> from vqkit.results import Spread
        >>> Spread(24.5, 0.25, 3).mean
        24.5
    """

    mean: float
    deviation: float | None = None
    count: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more."""
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values) if deviation is not None else values[0], deviation, len(values))


@dataclass(frozen=True)
class Group:
    """Results of one recipe.

    Attributes:
        results: one of each seed.
        measures: those that all of them have.
    """

    results: tuple[Result, ...]
    measures: Mapping[str, Spread]

    @property
    def first(self) -> Result:
        """The one that speaks for all: they differ only by the seed."""
        return self.results[0]


def grouped(results: Sequence[Result]) -> list[Group]:
    """Put together what differs only by the seed, in the order of the first of each.

    The same seed twice is two rows: it is no second sample.
    """
    groups: dict[tuple[str, int], list[Result]] = {}
    counts: dict[tuple[str, int | None], int] = {}
    for number, result in enumerate(results):
        again = counts.get((result.recipe, result.seed), 0)
        counts[result.recipe, result.seed] = again + 1
        alone = result.seed is None or not result.recipe
        groups.setdefault((f"alone {number}" if alone else result.recipe, again), []).append(result)
    return [_group(each) for each in groups.values()]


def _group(results: Sequence[Result]) -> Group:
    common = [name for name in results[0].measures if all(name in each.measures for each in results)]
    spread = {name: [each.measures[name] for each in results] for name in common}
    order = in_order(dict.fromkeys(common, 0.0))
    fixed = {name for name in _FIXED if name in spread and len(set(spread[name])) == 1}
    return Group(tuple(results), {name: Spread.of(spread[name][: 1 if name in fixed else None]) for name in order})
