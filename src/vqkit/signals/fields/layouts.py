"""Layouts of arrays of fields: which axis is the item, the channel, or an axis of the grid, by letters.

``N`` items, ``C`` channels, and of the grid ``T`` (one axis), ``H W`` (two) or ``D H W`` (three): ``NCHW``, ``NHWC``,
``NCT``, ``CHW`` (one item), ``NHW`` (one channel). What is not said is guessed only where one reading stands out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vqkit.checking import shown
from vqkit.errors import ConfigError, DataError
from vqkit.spelling import spelled

GRIDS = {1: "T", 2: "HW", 3: "DHW"}
"""Letters of the axes of a grid, by their number."""
_MANY = 256
"""Length of a first axis from which on it is taken for items, not for channels."""
_APART = 2
"""How many times shorter than every other the axis of channels has to be to stand out."""


def layout_axes(layout: str) -> int:
    """Return how many axes the grid of a layout has.

    Raises:
        ConfigError: letters that are no layout.

    Example:
        >>> from vqkit.signals.fields.layouts import layout_axes
        >>> layout_axes("NHWC"), layout_axes("CT")
        (2, 1)
    """
    grid = "".join(letter for letter in layout if letter not in "NC")
    found = next((axes for axes, letters in GRIDS.items() if sorted(letters) == sorted(grid)), 0)
    if not found or len(set(layout)) != len(layout):
        raise ConfigError(
            f"layout {shown(layout)}: write N (items) and C (channels), each once at most, and of the grid T, HW or "
            "DHW, such as NCHW, NHWC, NCT, NCDHW, CHW"
        )
    return found


def arranged(array: npt.NDArray[Any], layout: str, name: str = "the array") -> npt.NDArray[Any]:
    """Return an array of this layout as a view ``[N, C, *grid]``; axes that it lacks have length 1.

    Raises:
        DataError: another number of axes.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.layouts import arranged
        >>> arranged(np.zeros((4, 101, 100, 13)), "NHWC").shape, arranged(np.zeros(50), "T").shape
        ((4, 13, 101, 100), (1, 1, 50))
    """
    if array.ndim != len(layout):
        raise DataError(
            f"{name} has shape {list(array.shape)}, {array.ndim} axes; the layout {layout} says {len(layout)}: give "
            "one with a letter for each axis"
        )
    wanted = "NC" + GRIDS[layout_axes(layout)]
    moved = array.transpose([layout.index(letter) for letter in wanted if letter in layout])
    return moved[tuple(slice(None) if letter in layout else np.newaxis for letter in wanted)]


def restored(array: npt.NDArray[Any], layout: str, *, single: bool = False) -> npt.NDArray[Any]:
    """Return ``[N, C, *grid]`` (``single``: one item ``[C, *grid]``) with its axes in the order of a layout.

    Axes of length 1 that the layout does not name are left out; an N or a C of more stays, in front.

    Example:
        >>> import numpy as np
        >>> from vqkit.signals.fields.layouts import restored
        >>> restored(np.zeros((4, 13, 101, 100)), "NHWC").shape, restored(np.zeros((1, 8, 9)), "NHW", single=True).shape
        ((4, 101, 100, 13), (8, 9))
    """
    letters = ("" if single else "N") + "C" + GRIDS[layout_axes(layout)]
    keep = [letter for at, letter in enumerate(letters) if letter in layout or array.shape[at] != 1]
    kept = array.reshape([array.shape[at] for at, letter in enumerate(letters) if letter in keep])
    order = [letter for letter in keep if letter not in layout] + [letter for letter in layout if letter in keep]
    return kept.transpose([keep.index(letter) for letter in order])


def guessed_layout(shape: Sequence[int], axes: int | None, name: str) -> str:
    """Return the layout that stands out for an array of this shape.

    Args:
        shape: of the array.
        axes: of the grid, where that is known.
        name: of the data, for messages.

    Raises:
        DataError: two readings are as likely, or there is none; the message says them.

    Example:
        >>> from vqkit.signals.fields.layouts import guessed_layout
        >>> guessed_layout((4, 101, 100, 13), None, "scenes"), guessed_layout((1000, 28, 28), 2, "maps")
        ('NHWC', 'NHW')
    """
    shape = tuple(shape)
    likely = {5: 3, 4: 2, 3: None, 2: None, 1: 1}.get(len(shape)) if axes is None else axes
    if likely is None and 1 <= len(shape) <= 3:
        _refuse(shape, _readings(len(shape), (1, 2)), name)
    grid = GRIDS.get(likely or 0, "")
    more = len(shape) - len(grid)
    if not grid or not 0 <= more <= 2:
        raise DataError(
            f"{name} has shape {list(shape)}; fields {'' if likely is None else f'of {likely} axes '}are "
            "[N, C, T], [N, C, H, W] or [N, C, D, H, W], in any order (or one item of these, or without C): say it, "
            f"{layout_spelled('NCHW')}"
        )
    if more == 0:
        return grid
    if more == 1:
        if shape[0] >= _MANY and shape[0] > max(shape[1:]):
            return f"N{grid}"
        return _refuse(shape, (f"N{grid}", f"C{grid}", f"{grid}C"), name)
    first, last = f"NC{grid}", f"N{grid}C"
    is_first = shape[1] * _APART <= min(shape[2:])
    is_last = shape[-1] * _APART <= min(shape[1:-1])
    if is_first != is_last:
        return first if is_first else last
    return _refuse(shape, (first, last), name)


def check_bands(rgb: Sequence[int], channels: int, name: str) -> None:
    """Raise ``DataError`` where a channel is to be shown that data do not have."""
    if rgb and max(rgb) > channels:
        raise DataError(
            f"{name} has {channels} channel{'s' if channels > 1 else ''}, and the bands {','.join(map(str, rgb))} were "
            "said; they are counted from 1"
        )


def layout_spelled(layout: str) -> str:
    """Return how a person says a layout, on the command line or in Python."""
    return spelled(python=f"kind='field@{layout}'", command=f"--kind field --layout {layout}")


def _readings(ndim: int, several: Sequence[int]) -> tuple[str, ...]:
    found = []
    for axes in several:
        grid = GRIDS[axes]
        found += {0: [grid], 1: [f"N{grid}", f"C{grid}"], 2: [f"NC{grid}", f"N{grid}C"]}.get(ndim - axes, [])
    return tuple(found)


def _refuse(shape: tuple[int, ...], layouts: Sequence[str], name: str) -> str:
    """Raise ``DataError`` that says each reading of a shape."""
    words = [f"as {layout} {_words(shape, layout)}" for layout in layouts]
    raise DataError(
        f"{name} has shape {list(shape)}, which can be read {'; or '.join(words)}: say which, "
        f"{' or '.join(layout_spelled(layout) for layout in layouts)}"
    )


def _words(shape: tuple[int, ...], layout: str) -> str:
    sides = dict(zip(layout, shape, strict=True))
    grid = "x".join(str(sides[letter]) for letter in GRIDS[layout_axes(layout)])
    items, channels = sides.get("N", 1), sides.get("C", 1)
    return f"{items:,} item{'' if items == 1 else 's'} of {channels} channel{'' if channels == 1 else 's'}, {grid}"


def number_in(text: str) -> float | None:
    """Return the number that a text is; None: it is none."""
    try:
        return float(text)
    except ValueError:
        return None
