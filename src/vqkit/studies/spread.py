"""Spread over seeds: entries of several trainings as one, with means, deviations, and claims within the noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vqkit.errors import ConfigError
from vqkit.seeds import check_seed

SPREAD = "spread"
_SURE = 2.0
"""Standard errors of a difference from which on it is more than noise."""


def check_seeds(seeds: Sequence[int], own: int) -> list[int]:
    """The seeds of a study, the one of its settings first; none: that one alone.

    Raises:
        ConfigError: one twice, or no seed.
    """
    found = [check_seed(seed) for seed in seeds]
    if len(set(found)) < len(found):
        raise ConfigError(f"seeds={found}: each seed once")
    return found or [own]


def over_seeds(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Entries of one part of a study, one for each seed, as one entry: numbers are means.

    What differs and is no number (pictures, curves, notes) is that of the first seed. ``spread`` holds, by the path of
    each number, the sample deviation (n - 1) and the values in the order of the seeds.

    Args:
        entries: of trainings that are done, at least one.

    Example:
        >>> from vqkit.studies.spread import over_seeds
        >>> found = over_seeds([{"psnr_db": 20.0, "steps": 5}, {"psnr_db": 22.0, "steps": 5}])
        >>> found["psnr_db"], round(found["spread"]["psnr_db"]["deviation"], 3)
        (21.0, 1.414)
    """
    first = dict(entries[0])
    if len(entries) == 1:
        return first
    spread: dict[str, Any] = {}
    for path in _numbers(first):
        values = [_at(entry, path) for entry in entries]
        if not all(_is_number(value) for value in values):
            continue
        found = [float(value) for value in values]
        if len(set(found)) > 1:
            _put(first, path, statistics.fmean(found))
            spread[".".join(path)] = {"deviation": statistics.stdev(found), "values": found}
    first[SPREAD] = spread
    return first


def deviation(entry: Mapping[str, Any], path: str) -> float | None:
    """The deviation over seeds of a number of an entry; None where there was one seed, or it is always the same."""
    found = (entry.get(SPREAD) or {}).get(path)
    return None if found is None else float(found["deviation"])


def standard_error(entry: Mapping[str, Any], path: str, single: float | None = None) -> float:
    """The standard error of the mean over seeds; with one seed ``single`` (0 where nothing is known of it).

    Args:
        entry: of ``over_seeds``.
        path: of the number.
        single: the noise of measuring it once.
    """
    found = (entry.get(SPREAD) or {}).get(path)
    if found is None:
        return single or 0.0
    return float(found["deviation"]) / math.sqrt(len(found["values"]))


def verdict(difference: float, error: float) -> bool | None:
    """Whether a difference that ought to be above 0 is: None where it is within the noise.

    Args:
        difference: that was found.
        error: its standard error.

    Example:
        >>> from vqkit.studies.spread import verdict
        >>> verdict(1.0, 0.1), verdict(-1.0, 0.1), verdict(0.1, 0.1)
        (True, False, None)
    """
    if error > 0 and abs(difference) < _SURE * error:
        return None
    return difference > 0


def with_deviation(shown: str, entry: Mapping[str, Any], path: str, template: str) -> str:
    """A number in words, with its deviation behind it where there is one.

    Args:
        shown: the number.
        entry: of ``over_seeds``.
        path: of the number.
        template: of ``str.format``, for the deviation.
    """
    found = deviation(entry, path)
    return shown if found is None else f"{shown} ± {template.format(found)}"


def _numbers(entry: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, (*above, key))
        elif _is_number(value):
            yield (*above, key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _at(entry: Any, path: Sequence[str]) -> Any:
    for name in path:
        entry = entry.get(name) if isinstance(entry, Mapping) else None
    return entry


def _put(entry: dict[str, Any], path: Sequence[str], value: float) -> None:
    for name in path[:-1]:
        entry[name] = dict(entry[name])
        entry = entry[name]
    entry[path[-1]] = value
