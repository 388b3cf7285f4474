"""Two small data sets that come with vqkit, for a first try without any download.

Their files lie in ``samples/``, with the source and the terms of each in ``LICENSES.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vqkit.data.arrays.memory import ArraySource
from vqkit.data.arrays.npy import open_npz
from vqkit.data.images.reading import decode_image
from vqkit.data.source import Array

SAMPLES = Path(__file__).parent / "samples"
PHOTOS = {
    "astronaut": "astronaut.webp",
    "chelsea": "chelsea.webp",
    "coffee": "coffee.webp",
    "rocket": "rocket.jpg",
    "ihc": "ihc.webp",
    "retina": "retina.jpg",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "motorcycle_left": "motorcycle_left.webp",
}
PHOTO_SIDE = 64
CONSTANT_STD = 2.0  # of 255: below it a crop is a plain surface (the black around the retina)


def digits() -> ArraySource:
    """Return scikit-learn's handwritten digits: 1,797 grey images 8x8 with labels 0..9.

    Values 0..16 are scaled to 0..255 by rounding.
    """
    with open_npz(SAMPLES / "digits.npz") as archive:
        images, labels = archive.read("images"), archive.read("labels")
    return ArraySource(
        np.rint(images * (255 / 16)).astype(np.uint8)[:, None],
        name="digits",
        labels=labels.astype(np.int64),
        class_names=[*map(str, range(10))],
    )


def photos() -> ArraySource:
    """Return 64x64 RGB crops, side by side, of eight colour photographs of scikit-image's.

    Nearly constant crops (standard deviation under 2 of 255) are left out. The label is the photograph.
    """
    crops: list[Array] = []
    labels: list[int] = []
    for label, file in enumerate(PHOTOS.values()):
        tiles = _tiles(decode_image(SAMPLES / file)[0])
        tiles = tiles[tiles.std(axis=(2, 3)).mean(axis=1) >= CONSTANT_STD]
        crops.append(tiles)
        labels.extend([label] * len(tiles))
    return ArraySource(
        np.concatenate(crops),
        name="photos",
        labels=np.array(labels, dtype=np.int64),
        class_names=list(PHOTOS),
    )


BUILTINS = {"digits": digits, "photos": photos}


def _tiles(pixels: Array) -> Array:
    """Cut [C, H, W] into [N, C, 64, 64], row by row from the top left; what is left over is dropped."""
    channels, height, width = pixels.shape
    rows, columns = height // PHOTO_SIDE, width // PHOTO_SIDE
    cut = pixels[:, : rows * PHOTO_SIDE, : columns * PHOTO_SIDE]
    grid = cut.reshape(channels, rows, PHOTO_SIDE, columns, PHOTO_SIDE).transpose(1, 3, 0, 2, 4)
    return grid.reshape(-1, channels, PHOTO_SIDE, PHOTO_SIDE)
