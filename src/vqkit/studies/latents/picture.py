"""The plane of two latent numbers as a picture: what each place decodes to, and where the data lie on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vqkit.plotting import ticks
from vqkit.studies.report.class_colors import class_color, class_label
from vqkit.studies.report.sheets import KEPT_LIGHT

_SIDE, _LEFT, _TOP, _BELOW, _GAP, _FINE = 600, 34, 34, 44, 26, 3
_INK, _LINE, _PAPER, _HOLE = "#202020", "#b4b8bf", "white", "#ff7f0e"
_RADIUS = 3.2
_NAMES = 17


@dataclass(frozen=True)
class DecodedPlane:
    """One plane to draw.

    Attributes:
        title: above it.
        pictures: of the cells, row by row from the top left.
        places: of the data ``[N, 2]``.
        holes: which of the cells are framed.
    """

    title: str
    pictures: Sequence[Image.Image]
    places: NDArray[np.float64]
    holes: Sequence[bool]


def planes_picture(
    planes: Sequence[DecodedPlane],
    *,
    cells: int,
    reach: float,
    labels: Sequence[int] | NDArray[np.int64] | None = None,
    class_names: Sequence[str] | None = None,
    dots: bool = True,
) -> Image.Image:
    """Draw planes side by side on the same axes.

    Args:
        planes: from left to right.
        cells: along each axis.
        reach: the axes go from minus this to plus this.
        labels: classes of the data ``[N]``, which colour the dots.
        class_names: for the legend.
        dots: whether the data are drawn, and the holes framed.
    """
    font = ImageFont.load_default(15)
    names = [] if labels is None or not dots else _names(np.asarray(labels), class_names)
    aside = max((int(font.getlength(name)) + 44 for name in names), default=8)
    width = len(planes) * (_LEFT + _SIDE + _GAP) + aside
    sheet = Image.new("RGB", (width, _TOP + _SIDE + _BELOW), _PAPER)
    draw = ImageDraw.Draw(sheet)
    boxes: list[list[int]] = []
    for number, plane in enumerate(planes):
        left = number * (_LEFT + _SIDE + _GAP) + _LEFT
        sheet.paste(_grid(plane.pictures, cells), (left, _TOP))
        if dots:
            _frames(draw, (left, _TOP), plane.holes, cells)
            _dots(sheet, (left, _TOP), plane.places, None if labels is None else np.asarray(labels), reach)
        boxes.append([left, _TOP, left + _SIDE, _TOP + _SIDE])
        draw.rectangle((left - 1, _TOP - 1, left + _SIDE, _TOP + _SIDE), outline=_LINE)
        draw.text((left, 8), plane.title, fill=_INK, font=font)
        for value in ticks(-reach, reach):
            across = (value + reach) / (2 * reach) * _SIDE
            draw.text((left + across, _TOP + _SIDE + 4), f"{value:g}", fill=_INK, font=font, anchor="ma")
            draw.text((left - 6, _TOP + _SIDE - across), f"{value:g}", fill=_INK, font=font, anchor="rm")
        below = (left + _SIDE / 2, _TOP + _SIDE + 23)
        draw.text(
            below,
            "right: first latent number, up: second; unit: standard deviations of samples",
            fill=_INK,
            font=font,
            anchor="ma",
        )
    for number, name in enumerate(names):
        top = _TOP + number * 22
        if number < _NAMES:
            draw.ellipse((width - aside + 8, top + 4, width - aside + 19, top + 15), fill=class_color(number))
        draw.text((width - aside + 26, top), name, fill=_INK, font=font)
    sheet.info[KEPT_LIGHT] = json.dumps(boxes)
    return sheet


def _names(labels: NDArray[np.int64], class_names: Sequence[str] | None) -> list[str]:
    found = [class_label(number, class_names) for number in range(int(labels.max(initial=-1)) + 1)]
    return found if len(found) <= _NAMES else [*found[:_NAMES], f"and {len(found) - _NAMES} more"]


def _grid(pictures: Sequence[Image.Image], cells: int) -> Image.Image:
    """The cells, each picture fitted into its own."""
    plane = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    edges = [round(number * _SIDE / cells) for number in range(cells + 1)]
    for number, picture in enumerate(pictures):
        row, column = divmod(number, cells)
        left, top = edges[column], edges[row]
        size = (edges[column + 1] - left - 1, edges[row + 1] - top - 1)  # a line of paper between them
        way = Image.Resampling.BOX if picture.width > size[0] else Image.Resampling.NEAREST
        plane.paste(picture.convert("RGB").resize(size, way), (left, top))
    return plane


def _frames(draw: ImageDraw.ImageDraw, corner: tuple[int, int], holes: Sequence[bool], cells: int) -> None:
    """Frame the cells that hold no item."""
    edges = [round(number * _SIDE / cells) for number in range(cells + 1)]
    for number, hole in enumerate(holes):
        row, column = divmod(number, cells)
        left, top, right, bottom = edges[column], edges[row], edges[column + 1] - 2, edges[row + 1] - 2
        if hole:
            box = (corner[0] + left, corner[1] + top, corner[0] + right, corner[1] + bottom)
            draw.rectangle(box, outline=_HOLE, width=3)


def _dots(
    sheet: Image.Image,
    corner: tuple[int, int],
    places: NDArray[np.float64],
    labels: NDArray[np.int64] | None,
    reach: float,
) -> None:
    """Draw the data over a plane; those beyond its edge are left out."""
    box = (*corner, corner[0] + _SIDE, corner[1] + _SIDE)
    fine = sheet.crop(box).resize((_SIDE * _FINE, _SIDE * _FINE), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(fine)
    inner, outer = _RADIUS * _FINE, (_RADIUS + 0.9) * _FINE
    inside = np.flatnonzero((np.abs(places) < reach).all(axis=1))
    for item in np.random.default_rng(0).permutation(inside):  # no class lies on top of the others
        x, y = (places[item] / reach * (1, -1) + 1) / 2 * _SIDE * _FINE
        color = class_color(0 if labels is None else int(labels[item]))
        pen.ellipse((x - outer, y - outer, x + outer, y + outer), fill=_PAPER)
        pen.ellipse((x - inner, y - inner, x + inner, y + inner), fill=color)
    sheet.paste(fine.resize((_SIDE, _SIDE), Image.Resampling.BOX), corner)
