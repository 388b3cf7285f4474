"""Colors of fields: tables from the least to the most, bars that say what they stand for, composites of three bands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from vqkit.signals.base import Array

Pixels = npt.NDArray[np.uint8]
GAP = (168, 190, 222)
"""The color of what was not measured: in no table."""
TABLES: dict[str, Array] = {
    "values": np.array(
        [
            (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
            (31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37),
        ],
        np.float64,
    ),
    "gray": np.array([(0, 0, 0), (255, 255, 255)], np.float64),
    "errors": np.array(
        [
            (33, 102, 172), (103, 169, 207), (209, 229, 240), (247, 247, 247),
            (253, 219, 199), (239, 138, 98), (178, 24, 43),
        ],
        np.float64,
    ),
    "sizes": np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64),
}  # fmt: skip
"""Evenly spaced colors: after viridis and inferno by van der Walt and Smith, and RdBu by Brewer (blue below zero)."""
_BAR, _HIGH, _SMALL, _INK = 150, 11, 11, (32, 32, 32)


def colored(values: Array, low: float, high: float, table: str = "values") -> Pixels:
    """Return RGB ``[height, width, 3]`` of numbers ``[height, width]``; ``GAP`` where there are none.

    Args:
        values: NaN for gaps.
        low: what has the first color of the table.
        high: what has its last.
        table: of ``TABLES``.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.colors import colored
        >>> colored(np.array([[0.0, 5.0, np.nan]]), 0.0, 5.0, "gray").tolist()
        [[[0, 0, 0], [255, 255, 255], [168, 190, 222]]]
    """
    stops = TABLES[table]
    plane = np.asarray(values, np.float64)
    places = np.clip((np.nan_to_num(plane, nan=low) - low) / ((high - low) or 1.0), 0, 1) * (len(stops) - 1)
    ticks = np.arange(len(stops))
    found = np.stack([np.interp(places, ticks, stops[:, channel]) for channel in range(3)], axis=-1)
    found[np.isnan(plane)] = GAP
    rgb: Pixels = found.round().astype(np.uint8)
    return rgb


def composite(bands: Array, ends: list[tuple[float, float]]) -> Pixels:
    """Return RGB ``[height, width, 3]`` of three bands ``[3, height, width]``, each stretched between its ends.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.colors import composite
        >>> composite(np.array([[[0.1]], [[0.2]], [[0.3]]]), [(0.1, 0.2), (0.1, 0.2), (0.1, 0.5)]).tolist()
        [[[0, 255, 128]]]
    """
    gaps = np.isnan(bands).any(axis=0)
    planes = [colored(band, *own, "gray")[..., 0] for band, own in zip(bands, ends, strict=True)]
    rgb: Pixels = np.stack(planes, axis=-1)
    rgb[gaps] = GAP
    return rgb


def color_bar(caption: str, low: float, high: float, table: str) -> Pillow.Image:
    """Return a bar of a table's colors with the numbers at its ends, and what they are of above it.

    Example:
        >>> from vqkit.signals.fields.colors import color_bar
        >>> color_bar("wind (m/s)", -3, 12, "values").height
        47
    """
    font = ImageFont.load_default(_SMALL)
    words = f"{low:.4g}", f"{high:.4g}"
    width = max(_BAR, int(font.getlength(caption)), int(sum(map(font.getlength, words))) + 10) + 8
    picture = Pillow.new("RGB", (width, 47), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((0, 0), caption, fill=_INK, font=font)
    ramp = colored(np.linspace(0, 1, width - 8)[None].repeat(_HIGH, 0), 0, 1, table)
    picture.paste(Pillow.fromarray(ramp), (0, 17))
    draw.text((0, 31), words[0], fill=_INK, font=font)
    draw.text((width - 8, 31), words[1], fill=_INK, font=font, anchor="ra")
    return picture


def gap_note() -> Pillow.Image:
    """Return the color of gaps beside its name."""
    picture = Pillow.new("RGB", (44, 47), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 17, 10, 17 + _HIGH - 1), fill=GAP)
    draw.text((15, 16), "gap", fill=_INK, font=ImageFont.load_default(_SMALL))
    return picture


def known_ends(arrays: list[Array], percentiles: tuple[float, float] = (2, 98)) -> tuple[float, float]:
    """Return percentiles of the numbers of arrays, gaps apart; (0, 1) of gaps alone, and a step apart of constants.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.colors import known_ends
        >>> known_ends([np.array([3.0, np.nan])], (0, 100))
        (2.5, 3.5)
    """
    known = np.concatenate([np.asarray(each, np.float64)[np.isfinite(each)] for each in arrays])
    if not known.size:
        return 0.0, 1.0
    low, high = (float(each) for each in np.percentile(known, percentiles))
    if low == high:
        low, high = float(known.min()), float(known.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)
