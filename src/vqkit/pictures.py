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
_GAP, _NOTE = 2, 18
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_LARGEST, _WIDEST, _SHEET = 256, 512, 3072
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
    notes: Sequence[str] = (),
) -> Image.Image:
    """Rows of pictures with a caption each, wrapped so that the rows of one column stand above each other.

    Args:
        rows: caption and images ``[channels, height, width]`` (float in [0, 1] or uint8), or Pillow images; as many in
            each row.
        title: above everything.
        cell: height and width to fit each picture into; None: small pictures are enlarged by a whole factor to 64
            pixels or more, large ones shrunk to 256. Where all are much wider than high, as spectrograms are, the width
            is up to 512, and rows are as high as the pictures.
        columns: pictures beside each other at most; fewer of wide ones.
        notes: a word or two below each column, such as a PSNR.

    Returns:
        The sheet. ``info`` holds under ``SHEET`` what a page needs to show the same with text for captions: the title,
        and for each row its caption and the boxes (left, top, right, bottom) of its pictures, a list for each band.
    """
    count = min(len(images) for _, images in rows)
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
    font, caption_height = ImageFont.load_default(15), 22
    captions = max(int(font.getlength(caption)) for caption, _ in rows) + 16
    title_height = 30 if title else 6
    band_height = len(rows) * (height + _GAP) + 10 + (_NOTE if notes else 0)
    width = captions + columns * (cell + _GAP) + 8
    if title:
        width = max(width, int(font.getlength(title)) + 20)
    sheet = Image.new("RGB", (width, title_height + bands * band_height), _PAPER)
    boxes: list[list[list[list[int]]]] = [[[] for _ in range(bands)] for _ in rows]
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((10, 7), title, fill=_INK, font=font)
    for band in range(bands):
        for number, (caption, row) in enumerate(pictures):
            top = title_height + band * band_height + number * (height + _GAP)
            draw.text((8, top + (height - caption_height) // 2), caption, fill=_INK, font=font)
            for column, whole in enumerate(row[band * columns : (band + 1) * columns]):
                picture = _fitted(whole, cell)
                left = captions + column * (cell + _GAP)
                corner = (left + (cell - picture.width) // 2, top + (height - picture.height) // 2)
                sheet.paste(picture, corner)
                boxes[number][band].append([*corner, corner[0] + picture.width, corner[1] + picture.height])
        for column, note in enumerate(notes[band * columns : (band + 1) * columns]):
            middle = captions + column * (cell + _GAP) + cell / 2
            top = title_height + band * band_height + len(rows) * (height + _GAP) + 2
            draw.text((middle, top), note, fill=_INK, font=ImageFont.load_default(12), anchor="ma")
    named = [[caption, each] for (caption, _), each in zip(rows, boxes, strict=True)]
    sheet.info[SHEET] = json.dumps({"title": title, "rows": named})
    return sheet


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
