"""Square crops of images of any size: where they may lie, and how small images are made large enough."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vqkit.data.rng import below
from vqkit.data.source import Array, Source

WHOLE_SIDE = 256
DEFAULT_SIDE = 128
SIDE_MULTIPLE = 16
SAMPLE = 4096


def default_crop(source: Source) -> int | None:
    """Return the side in pixels of the square crops to train on, or None to train on whole items.

    None for anything but images, and where all images have one size of at most 256 a side. Else 128, or
    the median of the shorter sides rounded down to a multiple of 16 (at least 16) where that is less:
    at most half of the images then have to be upscaled. The median is over 4,096 evenly spaced items.
    """
    if source.axes != 2:
        return None
    if source.size is not None and max(source.size) <= WHOLE_SIDE:
        return None
    sizes = source.item_sizes()
    places = np.linspace(0, len(sizes) - 1, min(SAMPLE, len(sizes))).astype(int)
    median = int(np.median(sizes[places].min(axis=1)))
    return min(DEFAULT_SIDE, max(SIDE_MULTIPLE, median // SIDE_MULTIPLE * SIDE_MULTIPLE))


def crop_place(words: Array, height: Array | int, width: Array | int, side: int) -> tuple[Array, Array]:
    """Return tops and lefts, int64 [B], uniform over all places, from random words uint64 [B, 2]."""
    return below(words[:, 0], np.asarray(height) - side + 1), below(words[:, 1], np.asarray(width) - side + 1)


def crop_item(item: Array, words: Array, side: int) -> Array:
    """Return the crop [C, side, side] of one image that the random words uint64 [2] choose.

    An image with a side under ``side`` is first upscaled until it has none.
    """
    large = upscale(item, side)
    tops, lefts = crop_place(words[None], large.shape[1], large.shape[2], side)
    top, left = int(tops[0]), int(lefts[0])
    return large[:, top : top + side, left : left + side]


def upscale(item: Array, side: int) -> Array:
    """Enlarge an image [C, H, W] by bicubic interpolation until its shorter side is ``side``, aspect kept.

    Larger images are returned as they are. uint8 stays uint8; float32 is clipped to [0, 1].
    """
    _, height, width = item.shape
    shorter = min(height, width)
    if shorter >= side:
        return item
    new_height, new_width = (max(side, round(each * side / shorter)) for each in (height, width))
    planes = [
        np.asarray(Image.fromarray(plane).resize((new_width, new_height), Image.Resampling.BICUBIC))
        for plane in np.ascontiguousarray(item)
    ]
    large = np.stack(planes)
    return large if item.dtype == np.uint8 else large.clip(0, 1).astype(item.dtype)
