"""Maps of where an item is unusual: arrays, and pictures of them beside the item."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vqkit.models import ItemMaps
from vqkit.pictures import save_sheet
from vqkit.plotting import Panel, line_plots
from vqkit.signals import Signal
from vqkit.storage import atomic

Array = npt.NDArray[Any]
_STOPS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
"""Colors from the least to the most, evenly spaced (after inferno, by van der Walt and Smith)."""
_LEAST_SIDE, _MOST_SIDE, _GAP, _CAPTION = 160, 512, 8, 20
_POINTS = 2000


def heat_map(values: Any) -> Image.Image:
    """A picture of numbers ``[height, width]``, a pixel each: black for 0, pale yellow for the largest.

    Example:
        >>> import numpy as np
        >>> from vqkit.evaluation.scoring.maps import heat_map
        >>> picture = heat_map(np.array([[0.0, 2.0]]))
        >>> picture.size, picture.getpixel((0, 0)), picture.getpixel((1, 0))
        ((2, 1), (0, 0, 4), (252, 255, 164))
    """
    array = np.asarray(values, np.float64)
    most = float(array.max(initial=0.0))
    places = np.clip(array / most if most > 0 else np.zeros_like(array), 0, 1) * (len(_STOPS) - 1)
    ticks = np.arange(len(_STOPS))
    colors = np.stack([np.interp(places, ticks, _STOPS[:, channel]) for channel in range(3)], axis=-1)
    return Image.fromarray(colors.round().astype(np.uint8))


def picture_of(item: Array, maps: ItemMaps, kind: Signal) -> Image.Image | None:
    """The item beside its maps (images), or above them (sounds, series); None of vectors.

    Of signals with a third axis (video) the maps are the mean over the first.

    Args:
        item: ``[channels, *size]``.
        maps: its own.
        kind: of signal.
    """
    flat = {"error": maps.error.mean(axis=0), "bits": maps.bits, "distance": maps.distance}
    found = {name: np.asarray(each, np.float64) for name, each in flat.items() if each is not None and each.ndim}
    axes = item.ndim - 1
    if axes == 1:
        values = item[0] / 255 if item.dtype == np.uint8 else item[0]
        panels = [Panel("signal", {"": _points(np.asarray(values, np.float64), item.shape[1], most=False)})]
        panels += [Panel(name, {"": _points(each, item.shape[1])}, least=(0.0,)) for name, each in found.items()]
        return line_plots(panels, x_label=kind.position)
    if axes < 2:
        return None
    found = {name: each.mean(axis=0) if each.ndim == 3 else each for name, each in found.items()}
    shown = kind.show(item)
    parts = [] if shown is None else [("item", shown.convert("RGB"))]
    parts += [(f"{name}, up to {each.max(initial=0.0):.3g}", heat_map(each)) for name, each in found.items()]
    return _beside(parts, item.shape[-2:])


def write_maps(folder: Path, name: str, item: Array, maps: ItemMaps, kind: Signal) -> None:
    """Write ``NAME_error.npy`` ``[channels, *size]``, ``NAME_bits.npy`` and ``NAME_distance.npy`` ``[*grid]``.

    And ``NAME.png``, a picture of them beside the item. What there is none of is left out.
    """
    for what in ("error", "bits", "distance"):
        array = getattr(maps, what)
        if array is not None:
            atomic.write_file(folder / f"{name}_{what}.npy", partial(atomic.save_npy, array=array), durable=False)
    picture = picture_of(item, maps, kind)
    if picture is not None:
        save_sheet(picture, folder / f"{name}.png")


def _points(values: Array, length: int, *, most: bool = True) -> list[tuple[float, float]]:
    """Numbers along the axis of an item of some length, at the middle of what each is of; of many some."""
    step = length / max(1, len(values))
    several = -(-len(values) // _POINTS)
    found = []
    for start in range(0, len(values), several):
        part = values[start : start + several]
        value = float(part.max()) if most else float(part[int(np.abs(part).argmax())])
        found.append(((start + (len(part) - 1) / 2) * step + (step - 1) / 2, value))
    return found


def _beside(parts: list[tuple[str, Image.Image]], size: tuple[int, ...]) -> Image.Image:
    """Pictures in a row, all of the item's shape, with their captions above."""
    height, width = size
    longer = max(height, width)
    factor = float(max(1, round(_LEAST_SIDE / longer))) if longer <= _MOST_SIDE else _MOST_SIDE / longer
    cell = max(1, round(width * factor)), max(1, round(height * factor))
    across = max(cell[0], _LEAST_SIDE)
    sheet = Image.new("RGB", (len(parts) * (across + _GAP) + _GAP, cell[1] + _CAPTION + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, (caption, picture) in enumerate(parts):
        left = _GAP + number * (across + _GAP)
        draw.text((left, 3), caption, fill="#202020", font=font)
        sheet.paste(picture.resize(cell, Image.Resampling.NEAREST), (left, _CAPTION))
    return sheet
