"""Line plots as Pillow pictures: panels of series over one axis, as a run shows its measures over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07d00", "#7d7dd6", "#8c8c8c", "#2b8fc9")
"""Of Okabe and Ito (2008), which stay apart for the colour-blind, and further ones."""
DRAWABLE = 1e100
"""Larger numbers are not drawn: their differences leave float64."""

_WIDTH, _HEIGHT, _FINE = 640, 200, 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 30, 26
_INK, _PALE, _PAPER = "#202020", "#e2e4e8", "white"
_FEW = 60
"""Points up to which each has a marker."""


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: above it.
        series: points ``(x, y)`` by name.
        log: a logarithmic vertical axis.
        least: what the vertical axis spans at least, as 0 and 1 for a fraction.
    """

    title: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    log: bool = False
    least: tuple[float, ...] = ()


def line_plots(panels: Sequence[Panel], *, x_label: str = "", title: str = "") -> Image.Image:
    """Draw panels below each other over the same horizontal axis.

    What cannot be placed (NaN, infinity, zero on a logarithmic axis) is left out.

    Args:
        panels: at least one.
        x_label: name of the horizontal axis.
        title: above everything.

    Example:
        >>> from vqkit.plotting import Panel, line_plots
        >>> line_plots([Panel("loss", {"train": [(0, 1.0), (10, 0.5)]})], x_label="step").size
        (640, 236)
    """
    xs = [x for panel in panels for line in panel.series.values() for x, _ in line if abs(x) < DRAWABLE]
    across = bounds(xs or [0.0])
    above = 30 if title else 10
    font = ImageFont.load_default(13)
    sheet = Image.new("RGB", (_WIDTH, above + _HEIGHT * len(panels) + (26 if x_label else 0)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 8), title, fill=_INK, font=ImageFont.load_default(15))
    for number, panel in enumerate(panels):
        _draw(sheet, above + number * _HEIGHT, panel, across, font)
    if x_label:
        draw.text(((_LEFT + _WIDTH - _RIGHT) / 2, sheet.height - 8), x_label, fill=_INK, font=font, anchor="ms")
    return sheet


def _draw(
    sheet: Image.Image,
    top: int,
    panel: Panel,
    across: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Draw one panel whose upper edge is ``top``: lines at a multiple of the size, then words and numbers."""
    lines = {
        name: [(x, math.log10(y) if panel.log else y) for x, y in sorted(line) if _drawable(y, panel.log)]
        for name, line in panel.series.items()
    }
    low, high = bounds([*(y for line in lines.values() for _, y in line), *panel.least] or [0.0])
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    marks = log_ticks(10**low, 10**high) if panel.log else ticks(low, high, 5)
    y_ticks = {math.log10(value) if panel.log else value: f"{value:,.10g}" for value in marks}

    def place(x: float, y: float) -> tuple[float, float]:
        return (x - across[0]) / (across[1] - across[0]) * width, (high - y) / (high - low) * height

    plot = Image.new("RGB", (width * _FINE, height * _FINE), _PAPER)
    pen = ImageDraw.Draw(plot)
    for y in y_ticks:
        pen.line([(0, place(0, y)[1] * _FINE), (plot.width, place(0, y)[1] * _FINE)], fill=_PALE, width=_FINE)
    for x in ticks(*across):
        pen.line([(place(x, 0)[0] * _FINE, 0), (place(x, 0)[0] * _FINE, plot.height)], fill=_PALE, width=_FINE)
    for color, line in zip(COLORS * len(lines), lines.values(), strict=False):
        points = [(x * _FINE, y * _FINE) for x, y in (place(*point) for point in line)]
        pen.line(points, fill=color, width=2 * _FINE, joint="curve")
        for x, y in points if len(points) <= _FEW else ():
            pen.ellipse([x - 3 * _FINE, y - 3 * _FINE, x + 3 * _FINE, y + 3 * _FINE], fill=color)
    sheet.paste(plot.resize((width, height), Image.Resampling.BOX), (_LEFT, top + _TOP))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle([_LEFT, top + _TOP, _LEFT + width, top + _TOP + height], outline="#9a9fa6")
    for y, words in y_ticks.items():
        draw.text((_LEFT - 7, top + _TOP + place(0, y)[1]), words, fill=_INK, font=font, anchor="rm")
    for x in ticks(*across):
        spot = (_LEFT + place(x, 0)[0], top + _TOP + height + 17)
        draw.text(spot, f"{x:,.10g}", fill=_INK, font=font, anchor="ms")
    draw.text((_LEFT, top + 19), panel.title, fill=_INK, font=font, anchor="ls")
    right = float(_WIDTH - _RIGHT)
    for color, name in reversed(list(zip(COLORS * len(lines), lines, strict=False))):
        draw.text((right, top + 19), name, fill=color, font=font, anchor="rs")
        right -= font.getlength(name) + 16


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    size = (high - low) / about
    power = math.floor(math.log10(size))
    step = next(factor * 10.0**power for factor in (1, 2, 5, 10) if factor * 10.0**power >= size * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, max(0, 1 - power)) for place in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten with their doubles and fives as far as there is room; both bounds above 0."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in exponents for factor in factors]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) <= 8:
            break
    found = found[:: max(1, -(-len(found) // 8))]
    return found if len(found) > 2 else [value for value in ticks(low, high) if value > 0]


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis for these values: a little more than they span, never nothing."""
    low, high = min(values), max(values)
    room = (high - low) * 0.05
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-100):  # one value
        room = abs(low) * 0.1 if abs(low) > 1e-100 else 1.0
    return low - room, high + room


def _drawable(value: float, log: bool) -> bool:
    return abs(value) < DRAWABLE and (not log or value > 1 / DRAWABLE)
