"""Pictures of many signals at once: before and after, side by side, with captions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from vqkit.errors import DataError
from vqkit.storage import atomic
from vqkit.storage.marks import png_mark
from vqkit.storage.outputs import PNG_MARK

if TYPE_CHECKING:
    from torch import Tensor

SHEET = "vqkit-sheet"
"""Key of a sheet's layout in its ``info``, and in the PNG files of reports."""
_GAP = 6
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_LARGEST, _WIDEST, _SHEET = 256, 512, 3072
_CAPTION, _LINE, _SMALL = 22, 20, 13
"""Heights of a caption and of a line of words in pixels; the size of small words."""
_WIDE = 1.5
"""Width over height of pictures that make low rows."""


def to_uint8(images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Images ``[batch, channels, height, width]``, float in [0, 1] or uint8, as uint8, rounded to nearest."""
    import torch

    if images.dtype == torch.uint8:
        return images.cpu().numpy()
    return (images.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def save_png(
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], path: Path, *, durable: bool = True, made: str | None = None
) -> None:
    """Write one image ``[channels, height, width]`` (1 or 3 channels) as PNG; see ``atomic.write_file``.

    ``made`` marks it as a result of vqkit's, which is no data (see ``vqkit.storage.marks``), and says which: "sample".
    """
    plane = image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)
    picture = Image.fromarray(plane)
    text = None if made is None else png_mark(made)
    atomic.write_file(path, lambda temporary: picture.save(temporary, format="PNG", pnginfo=text), durable=durable)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet of results as PNG, marked as vqkit's own, so that a later one may take its place."""
    mark = PngInfo()
    mark.add_text("Software", PNG_MARK)
    atomic.write_file(path, lambda temporary: sheet.save(temporary, format="PNG", pnginfo=mark))


def before_after_sheet(
    rows: Sequence[tuple[str, Sequence[Tensor | Image.Image]]],
    *,
    title: str = "",
    cell: int | None = None,
    columns: int = 12,
    heads: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Image.Image:
    """Rows of pictures with a caption each, wrapped so that the rows of one column stand above each other.

    Args:
        rows: caption and images ``[channels, height, width]`` (float in [0, 1] or uint8), or Pillow images; as many in
            each row. A row without any is a heading over those after it.
        title: above everything.
        cell: height and width to fit each picture into; None: small pictures are enlarged by a whole factor to 64
            pixels or more, large ones shrunk to 256. Where all are much wider than high, as spectrograms are, the width
            is up to 512, and rows are as high as the pictures.
        columns: pictures beside each other at most; fewer of wide ones.
        heads: a word or two above each column, over the first row that has pictures.
        notes: a word or two below each column, such as a PSNR.

    Returns:
        The sheet. ``info`` holds under ``SHEET`` what a page needs to show the same with text for words: title, heads
        and notes, and for each row its caption and the boxes (left, top, right, bottom) of its pictures, a list for
        each band.
    """
    count = min(len(images) for _, images in rows if len(images))
    pictures = [(caption, [_picture(image) for image in images[:count]]) for caption, images in rows]
    largest = max(max(picture.size) for _, row in pictures for picture in row)
    wide = cell is None and all(image.width > _WIDE * image.height for _, row in pictures for image in row)
    most = _WIDEST if wide else _LARGEST
    cell = cell or (min(largest, most) if largest >= 64 else largest * -(-64 // largest))
    height = cell
    if wide:
        height = max(1, *(round(image.height * cell / image.width) for _, row in pictures for image in row))
        columns = min(columns, _SHEET // cell)
    columns = max(1, min(columns, count))
    bands = -(-count // columns)
    font, small = ImageFont.load_default(15), ImageFont.load_default(_SMALL)
    left = max((int(font.getlength(caption)) for caption, row in pictures if row), default=0) + 16
    top, line = 30 if title else 6, _LINE
    heights = [height + _GAP if row else line + _GAP for _, row in pictures]
    band_height = line * bool(heads) + sum(heights) + line * bool(notes) + 10
    width = left + columns * (cell + _GAP) + 8
    long = [title, *(caption for caption, row in pictures if not row)]
    width = max(width, *(int(font.getlength(words)) + 20 for words in long if words), 0)
    sheet = Image.new("RGB", (width, top + bands * band_height), _PAPER)
    boxes: list[list[list[list[int]]]] = [[[] for _ in range(bands)] for _ in rows]
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 7), title, fill=_INK, font=font)

    def write(words: Sequence[str], band: int, y: int) -> None:
        for column, each in enumerate(words[band * columns : (band + 1) * columns]):
            middle = left + column * (cell + _GAP) + cell / 2
            draw.text((middle, y), _within(each, small, cell + _GAP), fill=_INK, font=small, anchor="ma")

    for band in range(bands):
        y, above = top + band * band_height, heads
        for (caption, row), high, placed in zip(pictures, heights, boxes, strict=True):
            if above and row:
                write(above, band, y)
                y, above = y + line, ()
            draw.text((8, y + (high - _GAP - _CAPTION) // 2), caption, fill=_INK, font=font)
            for column, whole in enumerate(row[band * columns : (band + 1) * columns]):
                picture = _fitted(whole, cell)
                x = left + column * (cell + _GAP)
                corner = (x + (cell - picture.width) // 2, y + (height - picture.height) // 2)
                sheet.paste(picture, corner)
                placed[band].append([*corner, corner[0] + picture.width, corner[1] + picture.height])
            y += high
        write(notes, band, y - _GAP + 1)
    named = [[caption, each] for (caption, _), each in zip(rows, boxes, strict=True)]
    layout = {"title": title, "heads": list(heads)[:count], "notes": list(notes)[:count], "rows": named}
    sheet.info[SHEET] = json.dumps(layout)
    return sheet


def _within(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """Words, shortened where they are wider than so many pixels."""
    words = " ".join(words.split())
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(f"{words}...") > width:
        words = words[:-1]
    return f"{words}..."


def _picture(image: Tensor | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise DataError(f"an image of shape {tuple(image.shape)} is no picture: a sheet shows 1 or 3 channels")
    array = to_uint8(image.unsqueeze(0))[0]
    return Image.fromarray(array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1))


def _fitted(picture: Image.Image, cell: int) -> Image.Image:
    picture = picture.convert("RGB")
    factor = cell / max(picture.size)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    resample = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    return picture.resize(size, resample) if size != picture.size else picture
