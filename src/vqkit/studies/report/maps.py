"""Latents in the plane as a picture: a dot for each item, colored by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vqkit.plotting import DRAWABLE
from vqkit.studies.report.class_colors import class_color, class_label

_SIZE = 13


def latent_map(
    points: NDArray[Any],
    labels: NDArray[Any] | Sequence[int] | None,
    class_names: Sequence[str] | None = None,
    *,
    axes: tuple[str, str] | None = None,
) -> Image.Image:
    """Latents in the plane, a dot for each item, coloured by label, both axes on one scale.

    Args:
        points: ``[N, 2]``; points that are not finite are left out, and the legend counts them.
        labels: ``[N]`` class numbers from 0; None draws every dot alike.
        class_names: the names of the classes for the legend.
        axes: words below the plane, and along its left edge from below.
    """
    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    classes = np.zeros(len(places), dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
    finite = (np.abs(places) < DRAWABLE).all(axis=1)
    missing, places, classes = int((~finite).sum()), places[finite], classes[finite]
    names = (
        []
        if labels is None
        else [class_label(number, class_names) for number in range(int(classes.max(initial=-1)) + 1)]
    )
    shown, size, fine = names[:17], 440, 3
    rows = [*shown, *([f"and {len(names) - 17} more"] if len(names) > 17 else [])]
    rows += [f"{missing:,} not finite"] if missing else []
    font = ImageFont.load_default(15)
    aside = max((int(font.getlength(row)) + 44 for row in rows), default=0)
    sheet = Image.new("RGB", (size + aside, size), "white")
    if len(places):
        middle = (places.min(axis=0) + places.max(axis=0)) / 2
        reach = float(np.abs(places - middle).max()) or 1.0
        centers = (size / 2 + (places - middle) / reach * (1, -1) * (size / 2 - 16)) * fine
        radius = fine * min(5.0, max(1.6, 90 / math.sqrt(len(places))))
        cloud = Image.new("RGB", (size * fine, size * fine), "white")
        pen = ImageDraw.Draw(cloud)
        for item in np.random.default_rng(0).permutation(len(places)):  # no class lies on top of the others
            x, y = centers[item]
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=class_color(int(classes[item])))
        sheet.paste(cloud.resize((size, size), Image.Resampling.BOX), (0, 0))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, size - 1, size - 1), outline="#b4b8bf")
    for number, row in enumerate(rows):
        top = 8 + number * 22
        if number < len(shown):
            draw.ellipse((size + 14, top + 4, size + 25, top + 15), fill=class_color(number))
        draw.text((size + 32, top), row, fill="#202020", font=font)
    return sheet if axes is None else _with_axes(sheet, size, axes)


def _with_axes(sheet: Image.Image, size: int, axes: tuple[str, str]) -> Image.Image:
    """A map with words below it and along its left edge."""
    font, margin = ImageFont.load_default(_SIZE), 24
    framed = Image.new("RGB", (sheet.width + margin, sheet.height + margin), "white")
    framed.paste(sheet, (margin, 0))
    for words, upright in zip(axes, (False, True), strict=True):
        line = Image.new("RGB", (size, margin), "white")
        ImageDraw.Draw(line).text((size / 2, 5), words, fill="#202020", font=font, anchor="ma")
        framed.paste(line.rotate(90, expand=True) if upright else line, (0, 0) if upright else (margin, size))
    return framed
