"""Plots of a run: its losses and measures over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from vqkit.errors import ModelFolderError
from vqkit.plotting import Panel, line_plots

_MEASURES = {
    "PSNR, dB": "psnr_db",
    "bits per dimension": "bits_per_dim",
    "codebook usage": "usage",
}
"""Titles of panels and the measures in them."""
_KINDS = {"training": ("train",), "validation": ("validation", "final")}
_LOG_SPAN = 20.0
"""Greatest over least loss from which on their axis is logarithmic."""


def plot_log(log: Sequence[Mapping[str, Any]], where: str) -> Image.Image:
    """Plot the lines of a log (see ``read_log``): a panel for each measure that it has more than once, if it has any.

    Raises:
        ModelFolderError: it has none; says which run, ``where``.
    """
    panels = [_losses(log)]
    for title, name in _MEASURES.items():
        lines = {kind: _series(log, kinds, name) for kind, kinds in _KINDS.items()}
        least = (0.0, 1.0) if name == "usage" else ()
        panels.append(Panel(title, {kind: line for kind, line in lines.items() if line}, least=least))
    most = max(_longest(panel) for panel in panels)
    if not most:
        raise ModelFolderError(f"{where}: nothing to plot yet, since no step has been logged (log_every)")
    return line_plots([panel for panel in panels if _longest(panel) >= min(most, 2)], x_label="step", title=where)


def _longest(panel: Panel) -> int:
    return max((len(line) for line in panel.series.values()), default=0)


def _losses(log: Sequence[Mapping[str, Any]]) -> Panel:
    """The loss and its terms: of training, and the loss of validation."""
    terms = dict.fromkeys(name for line in log if line["kind"] == "train" for name in line if name.endswith("_loss"))
    series = {"loss": _series(log, ("train",), "loss"), "validation": _series(log, ("validation", "final"), "loss")}
    if len(terms) > 1:
        series |= {name.removesuffix("_loss").replace("_", " "): _series(log, ("train",), name) for name in terms}
    series = {name: line for name, line in series.items() if line}
    values = [y for line in series.values() for _, y in line]
    wide = bool(values) and min(values) > 0 and max(values) > _LOG_SPAN * min(values)
    return Panel("loss", series, log=wide)


def _series(log: Sequence[Mapping[str, Any]], kinds: tuple[str, ...], name: str) -> list[tuple[float, float]]:
    found = []
    for line in log:
        value = line.get(name) if line["kind"] in kinds else None
        value = value.get("total") if isinstance(value, Mapping) else value
        if isinstance(value, int | float) and math.isfinite(value):
            found.append((float(line["step"]), float(value)))
    return found
