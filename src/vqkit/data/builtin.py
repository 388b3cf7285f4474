"""Two small data sets that come with the installed packages, for a first try without any download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vqkit.data.arrays.memory import ArraySource
from vqkit.data.images.reading import decode_image
from vqkit.data.source import Array
from vqkit.errors import DataError

PHOTOS = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "ihc": "ihc.png",
    "retina": "retina.jpg",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "motorcycle_left": "motorcycle_left.png",
}
PHOTO_SIDE = 64
CONSTANT_STD = 2.0  # of 255: below it a crop is a plain surface (the black around the retina)


def digits() -> ArraySource:
    """Return scikit-learn's handwritten digits: 1,797 grey images 8x8 with labels 0..9.

    Values 0..16 are scaled to 0..255 by rounding.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return ArraySource(images[:, None], name="digits", labels=bunch.target, class_names=[*map(str, range(10))])


def photos() -> ArraySource:
    """Return 64x64 RGB crops, side by side, of eight colour photographs that scikit-image ships.

    Nearly constant crops (standard deviation under 2 of 255) are left out. The label is the photograph.
    Raises DataError if the installed scikit-image does not hold the files.
    """
    folder = _photo_folder()
    crops: list[Array] = []
    labels: list[int] = []
    for label, file in enumerate(PHOTOS.values()):
        try:
            pixels, _ = decode_image(folder / file)
        except DataError as error:
            raise DataError(
                f"photos: {file} of scikit-image cannot be read ({error}); reinstall it: pip install scikit-image."
            ) from error
        tiles = _tiles(pixels)
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


def _photo_folder() -> Path:
    spec = find_spec("skimage")  # finds the package without importing it
    if spec is None or spec.origin is None:
        raise DataError("photos need the package scikit-image, which is not installed: pip install scikit-image.")
    return Path(spec.origin).parent / "data"


def _tiles(pixels: Array) -> Array:
    """Cut [C, H, W] into [N, C, 64, 64], row by row from the top left; what is left over is dropped."""
    channels, height, width = pixels.shape
    rows, columns = height // PHOTO_SIDE, width // PHOTO_SIDE
    cut = pixels[:, : rows * PHOTO_SIDE, : columns * PHOTO_SIDE]
    grid = cut.reshape(channels, rows, PHOTO_SIDE, columns, PHOTO_SIDE).transpose(1, 3, 0, 2, 4)
    return grid.reshape(-1, channels, PHOTO_SIDE, PHOTO_SIDE)
