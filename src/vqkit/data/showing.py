"""A picture of any signals, for a look at them in a notebook or a script."""

from __future__ import annotations

from typing import Any

from PIL import Image

from vqkit.data.load import load_source
from vqkit.errors import DataError
from vqkit.pictures import before_after_sheet
from vqkit.signals import Signal


def show(data: Any, *below: Any, count: int = 16, columns: int = 8, kind: Signal | str | None = None) -> Image.Image:
    """Draw the first items of a data source beside each other: images, film strips of video, spectrograms of sound.

    Args:
        data: what ``load_source`` takes: a source, a batch ``[N, C, H, W]`` of a model's reconstructions, a folder ...
        *below: more of them, drawn row by row below the first: ``show(before, after)``. A last number is the count.
        count: items at most.
        columns: beside each other.
        kind: of the signals, where ``data`` does not say it.

    Returns:
        A Pillow image, which a notebook shows.

    Raises:
        DataError: data that cannot be read, or of a kind without pictures (vectors).

    Example:
        >>> import vqkit
        >>> vqkit.show("builtin:digits", 3).size
        (234, 86)
    """
    given = [data, *below]
    if below and isinstance(below[-1], int):
        count = int(given.pop())
    return before_after_sheet([("", _drawn(each, count, kind)) for each in given], columns=columns)


def _drawn(data: Any, count: int, kind: Signal | str | None) -> list[Image.Image]:
    source = load_source(data, kind=kind)
    drawn = [source.kind.show(source.peek(number)) for number in range(min(count, len(source)))]
    shown = [each for each in drawn if each is not None]
    if not shown:
        raise DataError(f"{source.describe()}: of these there are no pictures")
    return shown
