"""Series of a figure: lines of points, each with the deviation over seeds, and the axes that they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vqkit.evaluation import MEASURES
from vqkit.results.seeds import Spread


@dataclass(frozen=True)
class Line:
    """One line of a figure.

    Attributes:
        name: in the legend.
        xs: from left to right.
        ys: means over the seeds.
        deviations: of them; None of a single seed.
        x_deviations: of ``xs``, where the seeds differ there too; None elsewhere.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    deviations: Sequence[float] | None = None
    x_deviations: Sequence[float] | None = None


@dataclass(frozen=True)
class Axes:
    """One panel of a figure.

    Attributes:
        lines: in it.
        x_label: name and unit of the horizontal axis.
        y_label: name and unit of the vertical axis.
        log_x: a logarithmic horizontal axis.
        log_y: a logarithmic vertical axis.
        points: whether each point has a marker: measured settings, not steps of one training.
    """

    lines: Sequence[Line]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    points: bool = False


def label(name: str, of: str = "") -> str:
    """Return the label of an axis: the measure's title, its unit, and of what it is."""
    known = MEASURES.get(name)
    title = name.replace("_", " ").capitalize() if known is None else known.title
    inside = ", ".join(filter(None, (known.unit if known is not None else "", of)))
    return f"{title} ({inside})" if inside else title


def scale(name: str) -> float:
    """Return what the numbers of a measure are multiplied by: 100 of a fraction that is shown in per cent."""
    return 100.0 if name in MEASURES and MEASURES[name].percent else 1.0


def averaged(name: str, seeds: Sequence[Mapping[float, float]]) -> Line:
    """Return the mean line of several seeds, with deviations.

    Where the seeds have other places (as runs of minutes do), all are taken at those of the first one, on straight
    lines between their points, as far as all of them reach.

    Args:
        name: in the legend.
        seeds: values by place, of each seed.
    """
    places = [np.array(sorted(each)) for each in seeds]
    values = [np.array([each[x] for x in xs]) for each, xs in zip(seeds, places, strict=True)]
    low, high = max(xs[0] for xs in places), min(xs[-1] for xs in places)
    common = places[0][(places[0] >= low) & (places[0] <= high)]
    at = np.array([np.interp(common, xs, ys) for xs, ys in zip(places, values, strict=True)])
    spread = [Spread.of(column) for column in at.T.tolist()]
    deviations = None if len(seeds) < 2 else [each.deviation or 0.0 for each in spread]
    return Line(name, common.tolist(), [each.mean for each in spread], deviations)
