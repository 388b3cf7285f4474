"""The picture of p(label | code): a column for each code, sorted by its most probable label, a row for each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vqkit.evaluation.probing import CodeLabels

_WIDTH, _ROW, _BARS, _TOP, _FOOT = 900, 26, 60, 34, 44
_LEAST, _MOST_COLUMN = 2, 36
_ROWS = 40
_NUMBERED = 22
"""Pixels of a column from which on the code's number stands below it."""
_LOW, _HIGH = np.array([255.0, 255.0, 255.0]), np.array([0.0, 70.0, 130.0])
_INK, _PALE = "#202020", "#9a9fa6"


def code_label_picture(table: CodeLabels, class_names: Sequence[str], *, title: str = "") -> Image.Image:
    """Draw a table of codes and labels; above each column how often the code occurs.

    Of more codes than there are columns the most frequent are drawn, of more than 40 labels those of most positions.

    Args:
        table: at least one code occurs.
        class_names: of its labels.
        title: above everything.
    """
    order = table.order()
    often = table.counts.sum(axis=1)
    most = _WIDTH // _LEAST
    if len(order) > most:
        kept = set(order[np.argsort(-often[order], kind="stable")[:most]].tolist())
        order = np.array([code for code in order if code in kept])
    per_label = table.counts.sum(axis=0)
    labels = np.sort(np.argsort(-per_label, kind="stable")[:_ROWS])
    labels = labels[per_label[labels] > 0]
    column = min(_MOST_COLUMN, max(_LEAST, _WIDTH // len(order)))
    font = ImageFont.load_default(14)
    names = [_short(class_names[label]) for label in labels]
    left = max(int(font.getlength(name)) for name in names) + 18
    width, height = column * len(order), _ROW * len(labels)
    sheet_width = max(left + width + 14, int(font.getlength(title)) + 24, left + 320)
    sheet = Image.new("RGB", (sheet_width, _TOP + _BARS + height + _FOOT), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 8), title, fill=_INK, font=font)
    values = table.conditional[order][:, labels].T
    peak = float(values.max()) or 1.0
    colors = (_LOW + (values / peak)[..., None] * (_HIGH - _LOW)).round().astype(np.uint8)
    cells = Image.fromarray(np.repeat(np.repeat(colors, _ROW, axis=0), column, axis=1))
    top = _TOP + _BARS
    sheet.paste(cells, (left, top))
    largest = int(often[order].max())
    for place, code in enumerate(order):
        tall = round((_BARS - 8) * int(often[code]) / largest)
        at = left + place * column
        if tall:
            draw.rectangle((at, top - 2 - tall, at + max(1, column - 2), top - 3), fill=_PALE)
        if column >= _NUMBERED:
            draw.text((at + column / 2, top + height + 12), str(code), fill=_INK, font=font, anchor="ms")
    for row, name in enumerate(names):
        draw.text((left - 8, top + row * _ROW + _ROW / 2), name, fill=_INK, font=font, anchor="rm")
    for row in range(1, len(labels)):
        draw.line((left, top + row * _ROW, left + width - 1, top + row * _ROW), fill="#e2e4e8")
    draw.rectangle((left - 1, top - 1, left + width, top + height), outline=_PALE)
    _scale(draw, left, top + height + 18, peak, font)
    return sheet


def _scale(
    draw: ImageDraw.ImageDraw, left: int, top: int, peak: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    """The colors of 0 to the largest probability."""
    for step in range(100):
        red, green, blue = (_LOW + step / 99 * (_HIGH - _LOW)).round().astype(int).tolist()
        draw.line((left + 24 + step, top + 4, left + 24 + step, top + 18), fill=(red, green, blue))
    draw.rectangle((left + 23, top + 3, left + 124, top + 19), outline=_PALE)
    draw.text((left + 16, top + 17), "0", fill=_INK, font=font, anchor="rs")
    draw.text((left + 132, top + 17), f"p(label | code) = {peak:.2f}", fill=_INK, font=font, anchor="ls")


def _short(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= 24 else line[:23] + "..."
