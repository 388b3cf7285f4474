"""Figures for print: vector graphics with embedded fonts, by matplotlib, which is an extra.

A line has a colour of Okabe and Ito (2008), which stay apart for the colour-blind, and dashes and markers of its own,
so that it is told from the others in grey too. Sizes and fonts are those of a paper's column.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from vqkit.errors import ConfigError
from vqkit.optional import require
from vqkit.plotting import COLORS, DRAWABLE
from vqkit.results.figures.series import Axes, Line
from vqkit.storage import atomic
from vqkit.storage.outputs import PNG_MARK

FORMATS = ("pdf", "svg", "png")
MARK = "vqkit figure"
"""The program that a figure says it was made by."""
WIDTH = 3.3
"""Of a panel, in inches: a column of most papers."""
_SHAPE, _MOST_WIDTH, _DOTS = 0.75, 40.0, 300
_MARKERS = "os^DvPX*"
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
_STYLE = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "text.usetex": False,
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,  # whole fonts in the file, as journals ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "vqkit",
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}


def check_figure_file(path: Path) -> None:
    """Raise unless a figure can be written under that name.

    Raises:
        ConfigError: another ending than those of ``FORMATS``.
    """
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        raise ConfigError(f"{path}: a figure is a file that ends in {', '.join(f'.{each}' for each in FORMATS)}")


def draw(panels: Sequence[Axes], *, width: float = WIDTH) -> Any:
    """Draw panels beside each other.

    Args:
        panels: at least one.
        width: of each, in inches.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ConfigError: a width that no page has.
        MissingExtraError: matplotlib is not installed.
    """
    if not 1 <= width * len(panels) <= _MOST_WIDTH or width < 1:
        raise ConfigError(f"width={width:g}: give the inches of a panel, 1 or more, {_MOST_WIDTH:g} together at most")
    matplotlib = require("matplotlib", "Figures")
    figure_class = require("matplotlib.figure", "Figures").Figure
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        figure = figure_class(figsize=(width * len(panels), width * _SHAPE), layout="constrained")
        names: list[str] = []
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, panel)
            if names != [line.name for line in panel.lines] and len(panel.lines) > 1:
                _legend(axes, panel)
            names = [line.name for line in panel.lines]
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # settled: what is drawn again lies in the same places
    return figure


def save(figure: Any, path: Path) -> None:
    """Write a figure, whole or not at all; the same figure gives the same bytes.

    Raises:
        ConfigError: a name of another ending.
        OSError: it cannot be written.
    """
    check_figure_file(path)
    form = path.suffix.lower().removeprefix(".")
    metadata: dict[str, dict[str, str | None]] = {
        "pdf": {"Creator": MARK, "CreationDate": None},
        "svg": {"Creator": MARK, "Date": None},
        "png": {"Software": PNG_MARK},
    }
    matplotlib = require("matplotlib", "Figures")
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        atomic.write_file(
            path,
            lambda temporary: figure.savefig(temporary, format=form, dpi=_DOTS, metadata=metadata[form]),
        )


def is_figure(found: bytes) -> bool:
    """Return True for the first and last bytes of a figure that vqkit wrote."""
    if found.startswith(b"\x89PNG"):
        return b"tEXtSoftware\0" + PNG_MARK.encode() in found
    return MARK.encode() in found and (found.startswith(b"%PDF-") or b"<svg" in found)


def _draw(axes: Any, panel: Axes) -> None:
    styles = zip(cycle(COLORS), cycle(_MARKERS), cycle(_DASHES), strict=False)
    for line, (color, marker, dashes) in zip(panel.lines, styles, strict=False):
        _draw_line(axes, _drawable(line, panel), panel, color, marker, dashes)
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def _legend(axes: Any, panel: Axes) -> None:
    """Name the lines where there is most room; many of them below the panel."""
    below = len(panel.lines) > 5
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "ncols": 2} if below else {}
    axes.legend(**place)


def _draw_line(axes: Any, line: Line, panel: Axes, color: str, marker: str, dashes: Any) -> None:
    if panel.points:
        axes.errorbar(
            line.xs,
            line.ys,
            yerr=line.deviations,
            xerr=line.x_deviations,
            color=color,
            marker=marker,
            linestyle=dashes,
            capsize=2,
            elinewidth=0.8,
            label=line.name,
        )
        return
    often = max(1, len(line.xs) // 8)
    axes.plot(line.xs, line.ys, color=color, marker=marker, linestyle=dashes, markevery=often, label=line.name)
    if line.deviations is not None:
        low = [y - deviation for y, deviation in zip(line.ys, line.deviations, strict=True)]
        high = [y + deviation for y, deviation in zip(line.ys, line.deviations, strict=True)]
        axes.fill_between(line.xs, low, high, color=color, alpha=0.2, linewidth=0)


def _drawable(line: Line, panel: Axes) -> Line:
    """The line without points that have no place on these axes."""
    kept = [
        number
        for number, (x, y) in enumerate(zip(line.xs, line.ys, strict=True))
        if abs(x) < DRAWABLE and abs(y) < DRAWABLE and (x > 0 or not panel.log_x) and (y > 0 or not panel.log_y)
    ]
    spread, x_spread = (
        None if values is None else [values[number] for number in kept]
        for values in (line.deviations, line.x_deviations)
    )
    return Line(line.name, [line.xs[number] for number in kept], [line.ys[number] for number in kept], spread, x_spread)
