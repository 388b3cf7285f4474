"""Pictures on a dark page: sheets as rows with text beside them, drawings with their light turned round."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vqkit.pictures import SHEET

KEPT_LIGHT = "vqkit-light"
"""Key of the boxes (left, top, right, bottom) of a drawing that hold pictures, which look the same in the dark."""
_GAP = 6
_LARGE = 40_000
_DARKEST, _LIGHTEST = 21, 231


@dataclass(frozen=True)
class Row:
    """A row of a sheet; one without pictures is a heading over those after it.

    Attributes:
        caption: beside it.
        strips: its pictures beside each other, transparent between them; one for each band that the row is cut into.
        count: of its pictures.
    """

    caption: str
    strips: list[Image.Image]
    count: int


@dataclass(frozen=True)
class Sheet:
    """A sheet of ``before_after_sheet``, taken apart.

    Attributes:
        title: above all.
        rows: from the top down.
        columns: pictures beside each other.
        heads: words above the columns, of all bands one after the other.
        notes: words below the columns.
    """

    title: str
    rows: list[Row]
    columns: int = 1
    heads: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sheet_rows(sheet: Image.Image) -> Sheet | None:
    """What a sheet of ``before_after_sheet`` holds; None of any other picture.

    Example:
        >>> import torch
        >>> from vqkit.pictures import before_after_sheet
        >>> from vqkit.studies.report.sheets import sheet_rows
        >>> sheet = before_after_sheet([("original", torch.rand(3, 1, 8, 8)), ("again", torch.rand(3, 1, 8, 8))])
        >>> [(row.caption, row.count, row.strips[0].size) for row in sheet_rows(sheet).rows]
        [('original', 3, (204, 64)), ('again', 3, (204, 64))]
    """
    try:
        layout = json.loads(sheet.info[SHEET])
        rows, columns = [], 1
        for caption, bands in layout["rows"]:
            strips = [_strip(sheet, boxes) for boxes in bands if boxes]
            rows.append(Row(str(caption), strips, sum(map(len, bands))))
            columns = max(columns, *map(len, bands))
        heads, notes = (tuple(map(str, layout.get(key, ()))) for key in ("heads", "notes"))
        return Sheet(str(layout["title"]), rows, columns, heads, notes)
    except (KeyError, ValueError, TypeError):
        return None


def _strip(sheet: Image.Image, boxes: list[list[int]]) -> Image.Image:
    pictures = [sheet.crop((box[0], box[1], box[2], box[3])) for box in boxes]
    width = sum(each.width + _GAP for each in pictures) - _GAP
    strip = Image.new("RGBA", (width, max(each.height for each in pictures)))
    left = 0
    for each in pictures:
        strip.paste(each, (left, 0))
        left += each.width + _GAP
    gray = all(_is_gray(each) for each in pictures)
    return strip.convert("LA") if gray else strip


def _is_gray(picture: Image.Image) -> bool:
    pixels = np.asarray(picture.convert("RGB"))
    return bool((pixels == pixels[..., :1]).all())


def in_the_dark(drawing: Image.Image) -> Image.Image:
    """The same drawing on dark paper: light and dark change places, hues stay; pictures in it are left alone.

    Example:
        >>> from PIL import Image
        >>> from vqkit.studies.report.sheets import in_the_dark
        >>> in_the_dark(Image.new("RGB", (1, 1), "white")).getpixel((0, 0))
        (21, 21, 21)
    """
    light = np.asarray(drawing.convert("RGB")).astype(np.int32)
    turned = light + 255 - light.max(axis=2, keepdims=True) - light.min(axis=2, keepdims=True)
    turned = _DARKEST + turned * (_LIGHTEST - _DARKEST) // 255
    for left, top, right, bottom in json.loads(drawing.info.get(KEPT_LIGHT, "[]")):
        turned[top:bottom, left:right] = light[top:bottom, left:right]
    return Image.fromarray(turned.clip(0, 255).astype(np.uint8))


def address(picture: Image.Image) -> str:
    """A picture as an address that a page holds: PNG, or JPEG where that would be large (on grey, if transparent)."""
    png = as_png(picture)
    if len(png) <= _LARGE:
        return png_address(png)
    buffer, paper = io.BytesIO(), Image.new("RGBA", picture.size, "#808080")
    paper = Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    paper.save(buffer, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def png_address(png: bytes) -> str:
    """The bytes of a PNG file as an address that a page holds."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def as_png(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
