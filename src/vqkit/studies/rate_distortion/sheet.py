"""The picture of a study of rate and distortion: the same parts of images out of files of about equal size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vqkit.evaluation import psnr_db
from vqkit.studies.report.sheets import KEPT_LIGHT

Pixels = npt.NDArray[np.uint8]
_GAP, _CAPTION, _CELL, _FONT = 8, 62, 384, 22
_NARROWEST = 340  # a caption fits


@dataclass(frozen=True)
class Shown:
    """One image as one codec has it.

    Attributes:
        name: of the codec.
        pixels: ``[channels, height, width]``.
        size: bytes of its file; None for the original.
    """

    name: str
    pixels: Pixels
    size: int | None


def shown_sheet(rows: Sequence[Sequence[Shown]], crop: int) -> Image.Image:
    """A row for each image, the original first; each with its bits per pixel and PSNR (of the whole image).

    Args:
        rows: the originals and what the codecs made of them.
        crop: side of the part that is shown, the one of most detail; enlarged by a whole factor.
    """
    factor = max(1, _CELL // crop)
    cell = max(crop * factor, _NARROWEST)
    font = ImageFont.load_default(_FONT)
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (cell + _GAP) + _GAP, len(rows) * (cell + _CAPTION + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    boxes: list[list[int]] = []
    for number, row in enumerate(rows):
        top, left = busiest(row[0].pixels, crop)
        upper = _GAP + number * (cell + _CAPTION + _GAP)
        for place, shown in enumerate(row):
            part = shown.pixels[:, top : top + crop, left : left + crop]
            plane = part[0] if len(part) == 1 else np.moveaxis(part, 0, -1)
            picture = Image.fromarray(np.ascontiguousarray(plane)).convert("RGB")
            picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
            across = _GAP + place * (cell + _GAP)
            draw.text((across, upper), shown.name, fill="#202020", font=font)
            draw.text((across, upper + _FONT + 6), _figures(row[0].pixels, shown), fill="#202020", font=font)
            sheet.paste(picture, (across, upper + _CAPTION))
            boxes.append([across, upper + _CAPTION, across + picture.width, upper + _CAPTION + picture.height])
    sheet.info[KEPT_LIGHT] = json.dumps(boxes)
    return sheet


def busiest(pixels: Pixels, crop: int) -> tuple[int, int]:
    """Top and left of the square part whose values vary most, on a grid of half its side."""
    height, width = pixels.shape[1:]
    step = max(1, crop // 2)
    tops = sorted({*range(0, max(1, height - crop + 1), step), max(0, height - crop)})
    lefts = sorted({*range(0, max(1, width - crop + 1), step), max(0, width - crop)})
    places = [(top, left) for top in tops for left in lefts]
    return max(places, key=lambda at: float(pixels[:, at[0] : at[0] + crop, at[1] : at[1] + crop].astype(float).var()))


def _figures(original: Pixels, shown: Shown) -> str:
    if shown.size is None:
        return "8 bits per value"
    mse = float(np.mean(((original.astype(float) - shown.pixels) / 255) ** 2))
    rate = 8 * shown.size / (original.shape[1] * original.shape[2])
    return f"{rate:.3f} bits/pixel, {min(psnr_db(mse), 100):.2f} dB"
