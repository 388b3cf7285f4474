"""Spread over seeds: entries of several trainings as one, with means, deviations, and claims within the noise."""

from __future__ import annotations

import itertools
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


def merged(entries: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """One part of a study, tried with each of the seeds: of the first one alone where that failed, or has no others.

    Args:
        entries: in the order of the seeds, each with its ``status``; those that are not done are left out, and noted.
        seeds: of the study.
    """
    if entries[0]["status"] != "done" or len(entries) == 1:
        return dict(entries[0])
    done = [(entry, seed) for entry, seed in zip(entries, seeds, strict=True) if entry["status"] == "done"]
    counted = [seed for _, seed in done]
    failed = [seed for seed in seeds if seed not in counted]
    return {
        **over_seeds([entry for entry, _ in done]),
        "seeds": counted,
        "notes": [f"seed {seed} failed and is not counted" for seed in failed],
    }


def seeds_in_words(document: Mapping[str, Any]) -> str:
    """The seed of a study's document, or the seeds whose mean and deviation it shows.

    Example:
        >>> from vqkit.studies.spread import seeds_in_words
        >>> seeds_in_words({"settings": {"seed": 0}}), seeds_in_words({"seeds": [0, 1]})
        ('seed 0', 'means over seeds 0 and 1, ± one deviation; pictures of the first')
    """
    seed = document.get("seed", (document.get("settings") or {}).get("seed", "-"))
    *others, last = map(str, document.get("seeds") or [seed])
    if not others:
        return f"seed {last}"
    return f"means over seeds {', '.join(others)} and {last}, ± one deviation; pictures of the first"


def by_seed(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries that ``over_seeds`` made one of, as far as its numbers say; of one seed the entry itself."""
    spread = entry.get(SPREAD) or {}
    count = max((len(each["values"]) for each in spread.values()), default=1)
    found = []
    for place in range(count):
        mine = {name: value for name, value in entry.items() if name != SPREAD}
        for path, each in spread.items():
            _put(mine, path.split("."), each["values"][place])
        found.append(mine)
    return found


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


def compared(less: Mapping[str, Any], more: Mapping[str, Any], path: str, margin: float = 0.0) -> bool | None:
    """Whether a number of the second entry is above that of the first by a margin; None: within the noise of seeds."""
    error = math.hypot(standard_error(less, path), standard_error(more, path))
    return verdict(float(more[path]) - float(less[path]) - margin, error)


def never_falls(entries: Sequence[Mapping[str, Any]], path: str) -> bool | None:
    """Whether a number rises over entries: from the first to the last, and falls in no step by more than the noise."""
    for less, more in itertools.pairwise(entries):
        if more[path] < less[path] and compared(more, less, path):
            return False
    return True if entries[0][path] == entries[-1][path] else compared(entries[0], entries[-1], path)


def all_hold(verdicts: Sequence[bool | None]) -> bool | None:
    """Verdicts together: contradicted where one is; else within the noise where one is.

    Example:
        >>> from vqkit.studies.spread import all_hold
        >>> all_hold([True, None]), all_hold([None, False]), all_hold([True])
        (None, False, True)
    """
    return False if False in verdicts else None if None in verdicts else True


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
