"""Curves of trainings: a logged measure over steps, seeds of one recipe as a line and its band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqkit.errors import ConfigError, DataError
from vqkit.results.figures.labels import labels
from vqkit.results.figures.series import Axes, averaged, label, scale
from vqkit.results.reading import result_of_run
from vqkit.results.result import Result, is_number
from vqkit.results.seeds import Group, grouped
from vqkit.spelling import option
from vqkit.training.record.log import read_log

PLACES = {"step": "Training step", "epoch": "Epoch", "seconds": "Training time (s)"}
"""What a curve can be drawn over."""
_HEADLINES = ("psnr_db", "si_sdr_db", "bits_per_item", "lossless_bits_per_dim", "nmse", "loss")
_HELD_OUT, _TRAINING = ("validation", "final"), ("train",)
_LEAST = 2
"""Points that make a line."""


@dataclass(frozen=True)
class _Logged:
    result: Result
    log: Sequence[Mapping[str, Any]]


def curves(runs: Sequence[Path], measures: Sequence[str], x: str, *, log_y: bool) -> list[Axes]:
    """Return a panel for each measure.

    A measure is that of held-out items where the evaluations along the way have it, else that of training.

    Args:
        runs: run folders.
        measures: names in the log; none: the headline of the evaluations.
        x: a key of ``PLACES``.
        log_y: logarithmic vertical axes.

    Raises:
        ConfigError: a place or a measure that is not in the logs.
        DataError: nothing is logged yet.
    """
    if x not in PLACES:
        raise ConfigError(f"x={x!r}: a curve is drawn over {', '.join(PLACES)}")
    logged = {}
    for path in runs:
        log = read_log(path)
        result, _ = result_of_run(path, log)
        logged[result.path] = _Logged(result, log)
    groups = grouped([each.result for each in logged.values()])
    names = labels(groups)
    chosen = list(measures) or [_headline(list(logged.values()))]
    return [_panel(groups, names, logged, measure, x, log_y) for measure in chosen]


def _headline(logged: Sequence[_Logged]) -> str:
    for name in _HEADLINES:
        if all(
            len(_points(each, name, kinds, "step")) >= _LEAST for each in logged for kinds in (_kinds([each], name),)
        ):
            return name
    raise DataError(
        f"{logged[0].result.path}: nothing to plot yet, since fewer than {_LEAST} steps are logged in each of the runs"
    )


def _panel(
    groups: Sequence[Group], names: Sequence[str], logged: Mapping[str, _Logged], measure: str, x: str, log_y: bool
) -> Axes:
    kinds = _kinds(list(logged.values()), measure)
    factor, lines = scale(measure), []
    for name, group in zip(names, groups, strict=True):
        seeds = [_points(logged[each.path], measure, kinds, x) for each in group.results]
        if min(map(len, seeds)) < 1:
            raise ConfigError(_missing(logged[group.first.path], measure))
        lines.append(averaged(name, [{place: factor * value for place, value in each.items()} for each in seeds]))
    of = "held out" if kinds == _HELD_OUT else "training"
    return Axes(lines, PLACES[x], label(measure, of), log_y=log_y)


def _kinds(logged: Sequence[_Logged], measure: str) -> tuple[str, ...]:
    """Of held-out items, where each run has enough of them, or has none of training."""
    enough = all(len(_points(each, measure, _HELD_OUT, "step")) >= _LEAST for each in logged)
    trained = all(_points(each, measure, _TRAINING, "step") for each in logged)
    return _HELD_OUT if enough or not trained else _TRAINING


def _points(logged: _Logged, measure: str, kinds: tuple[str, ...], x: str) -> dict[float, float]:
    """Values of a measure by place; the places of evaluations are those of the training at that step."""
    places = {line["step"]: line.get(x) for line in logged.log if line["kind"] == "train"} if x != "step" else {}
    found = {}
    for line in logged.log:
        value = line.get(measure) if line["kind"] in kinds else None
        value = value.get("total") if isinstance(value, Mapping) else value
        place = line["step"] if x == "step" else _place(places, line["step"])
        if is_number(value) and place is not None and math.isfinite(place):
            found[float(place)] = float(value or 0.0)
    return found


def _place(places: Mapping[int, Any], step: int) -> float | None:
    """Where a step lies, on a straight line between the two logged ones around it."""
    known = sorted((at, float(place)) for at, place in places.items() if is_number(place))
    before = [each for each in known if each[0] <= step][-1:] or [(0, 0.0)]
    after = [each for each in known if each[0] >= step][:1] or before
    (first, low), (last, high) = before[0], after[0]
    return low if last == first else low + (high - low) * (step - first) / (last - first)


def _missing(logged: _Logged, measure: str) -> str:
    names = {name for line in logged.log for name, value in line.items() if is_number(value)} - {"step"}
    return f"{option('measure', measure)}: {logged.result.path} has logged none; it has {', '.join(sorted(names))}"
