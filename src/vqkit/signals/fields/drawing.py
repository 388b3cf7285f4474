"""Pictures of one item of fields: a curve of a series, colors of a plane, the middle slices of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from vqkit.signals.base import Array
from vqkit.signals.fields.colors import colored, composite, known_ends

_GAP, _PAPER, _SMALL = 4, 255, 11
_LINE, _ZERO, _WORDS = (28, 60, 110), (205, 205, 205), (110, 110, 110)


@final
@dataclass(frozen=True)
class Scale:
    """What the colors of a picture, or the height of a curve, stand for.

    Attributes:
        low: least.
        high: most.
        table: of ``vqkit.signals.fields.colors.TABLES``.
    """

    low: float
    high: float
    table: str = "values"

    @classmethod
    def of(cls, arrays: list[Array], axes: int) -> Scale:
        """Return what suits the items of a channel ``[*grid]``: all of a series, else the 2nd to 98th percentile."""
        low, high = known_ends(arrays, (0, 100) if axes == 1 else (2, 98))
        return cls(low, high, "gray" if axes == 3 else "values")

    @classmethod
    def of_errors(cls, arrays: list[Array], axes: int) -> Scale:
        """Return what suits differences: as far below zero as above."""
        sizes = [np.abs(each) for each in arrays]
        most = known_ends(sizes, (0, 100) if axes == 1 else (0, 99))[1]
        return cls(-most, most, "errors")


def draw_channel(values: Array, scale: Scale) -> Pillow.Image:
    """Return a picture of one channel ``[*grid]`` of one to three axes.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.drawing import Scale, draw_channel
        >>> volume = np.zeros((4, 6, 8))
        >>> draw_channel(volume, Scale.of([volume], 3)).size  # 6x8, 4x8 and 4x6 beside each other
        (30, 6)
    """
    if values.ndim == 1:
        return draw_curve(values, scale.low, scale.high)
    planes = slices(values) if values.ndim == 3 else [values]
    return _beside([Pillow.fromarray(colored(each, scale.low, scale.high, scale.table)) for each in planes])


def draw_item(item: Array, rgb: tuple[int, ...] = ()) -> Pillow.Image:
    """Return a picture of an item ``[C, *grid]``: three channels in color, else one, in a scale of its own.

    Args:
        item: NaN for gaps.
        rgb: the channels, from 1; of (), or where the item lacks one of them, the first is shown.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.drawing import draw_item
        >>> draw_item(np.zeros((4, 20, 30)), (3, 2, 1)).size
        (30, 20)
    """
    bands = [each - 1 for each in rgb] if rgb and max(rgb) <= len(item) else [0]
    if len(bands) == 3 and item.ndim > 2:
        return draw_composite(item[bands], [known_ends([item[band]]) for band in bands])
    return draw_channel(item[bands[0]], Scale.of([item[bands[0]]], item.ndim - 1))


def draw_composite(bands: Array, ends: list[tuple[float, float]]) -> Pillow.Image:
    """Return the picture in color of three channels ``[3, *grid]`` of two or three axes."""
    if bands.ndim == 3:
        return Pillow.fromarray(composite(bands, ends))
    planes = zip(*(slices(each) for each in bands), strict=True)
    return _beside([Pillow.fromarray(composite(np.stack(each), ends)) for each in planes])


def slices(volume: Array) -> list[Array]:
    """Return the middle slice across each of the three axes of a volume ``[depth, height, width]``.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.drawing import slices
        >>> [each.shape for each in slices(np.zeros((4, 6, 8)))]
        [(6, 8), (4, 8), (4, 6)]
    """
    return [np.take(volume, volume.shape[axis] // 2, axis=axis) for axis in range(3)]


def draw_curve(values: Array, low: float, high: float, height: int = 129, width: int = 512) -> Pillow.Image:
    """Return a curve on white between its numbers ``low`` and ``high``; nothing where there is a gap.

    Of several positions a column the least and the most are joined, so that no peak is missed.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.drawing import draw_curve
        >>> draw_curve(np.linspace(0, 1, 40), 0.0, 1.0).size
        (512, 129)
    """
    margin = 0.1 * height
    picture = Pillow.new("RGB", (width, height), (_PAPER,) * 3)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_SMALL)

    def row(value: float) -> float:
        share = float(np.clip((value - low) / ((high - low) or 1.0), -0.1, 1.1))
        return margin + (1 - share) * (height - 1 - 2 * margin)

    if low < 0 < high:
        draw.line((0, row(0), width, row(0)), fill=_ZERO)
    edges = np.linspace(0, len(values), min(width, len(values)) + 1).astype(int)
    step = (width - 1) / max(1, len(edges) - 2)
    before: float | None = None
    for number, (first, last) in enumerate(pairwise(edges.tolist())):
        part = values[first:last]
        known = part[np.isfinite(part)]
        if not known.size:
            before = None
            continue
        x = number * step
        if before is not None:
            draw.line(((x - step, before), (x, row(float(known[0])))), fill=_LINE)
        draw.line(((x, row(float(known.min()))), (x, row(float(known.max())))), fill=_LINE)
        before = row(float(known[-1]))
        if known.size < part.size and not np.isfinite(part[-1]):
            before = None
    draw.text((2, 0), f"{high:.4g}", fill=_WORDS, font=font)
    draw.text((2, height), f"{low:.4g}", fill=_WORDS, font=font, anchor="lb")
    return picture


def _beside(pictures: list[Pillow.Image]) -> Pillow.Image:
    if len(pictures) == 1:
        return pictures[0]
    width = sum(each.width for each in pictures) + _GAP * (len(pictures) - 1)
    sheet = Pillow.new("RGB", (width, max(each.height for each in pictures)), (_PAPER,) * 3)
    left = 0
    for each in pictures:
        sheet.paste(each, (left, 0))
        left += each.width + _GAP
    return sheet
