"""How classes are named and colored in charts and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageColor

CLASS_COLORS = (
    "#332288",
    "#cc6677",
    "#ddcc77",
    "#117733",
    "#88ccee",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
    "#999999",
)
"""Paul Tol's "muted" scheme and grey: nine classes that the colour-blind can tell apart, then a tenth."""


def class_label(number: int, class_names: Sequence[str] | None) -> str:
    """The name of a class in one short line."""
    name = class_names[number] if class_names is not None and number < len(class_names) else str(number)
    line = " ".join(name.split())
    return line if len(line) <= 28 else line[:27] + "..."


def class_color(number: int) -> tuple[int, int, int]:
    """The colour of a class."""
    hue, light = number * 137.508 % 360, 55 + 20 * (number % 3)  # beyond ten: a golden angle apart, in three shades
    red, green, blue, *_ = ImageColor.getrgb(
        CLASS_COLORS[max(number, -1)] if number < 10 else f"hsv({hue:.0f},70%,{light}%)"
    )
    return red, green, blue
