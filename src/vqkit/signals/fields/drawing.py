"""Pictures of fields of one axis: a curve."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from vqkit.signals.base import Array


def draw_curve(values: Array, height: int = 129, width: int = 512) -> Pillow.Image:
    """Return a black line on white of values of [0, 1]; nothing where there is a gap.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.drawing import draw_curve
        >>> draw_curve(np.linspace(0, 1, 40)).size
        (512, 129)
    """
    columns = values[np.arange(width) * len(values) // width]
    rows = np.rint((1 - np.nan_to_num(columns, nan=-9.0).clip(-9, 2)) * 0.8 * height + 0.1 * height)
    before = np.where(np.abs(np.roll(rows, 1) - rows) < 4 * height, np.roll(rows, 1), rows)
    before[0] = rows[0]
    heights = np.arange(height)[:, None]
    ink = (heights >= np.minimum(rows, before)) & (heights <= np.maximum(rows, before))
    return Pillow.fromarray(np.where(ink, 0, 255).astype(np.uint8))
