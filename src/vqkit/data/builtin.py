"""Four small data sets that come with vqkit, for a first try without any download.

Their files lie in ``samples/``, with the source and the terms of each in ``LICENSES.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vqkit.data.arrays.items import ragged
from vqkit.data.arrays.memory import ArraySource, RaggedSource
from vqkit.data.arrays.npy import open_npz
from vqkit.data.images.reading import decode_image
from vqkit.data.source import Array, Source
from vqkit.errors import DataError
from vqkit.signals import Signal, Sound

BUILTIN_PREFIX = "builtin:"
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
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
"""The classes of Fashion-MNIST, in the order of its labels."""
CLOTHES_SIDE = 28
SENTENCES = {
    "arctic_a0290": "One by one the boys were captured.",
    "arctic_b0264": "But this time it was Saxon who rebelled.",
    "arctic_b0365": "My age, in years, is twenty two.",
    "arctic_b0500": "Then came my boy code.",
    "arctic_b0511": "Do you value your hide.",
}
SPEECH_RATE = 16000
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


def fashion() -> ArraySource:
    """Return 3,000 grey images 28x28 of Fashion-MNIST: the first 300 of each of its ten classes (``CLOTHES``).

    Class by class; Xiao, Rasul and Vollgraf 2017.
    """
    rows = decode_image(SAMPLES / "fashion.webp")[0][0]  # a row of images for each class
    side, each = CLOTHES_SIDE, rows.shape[1] // CLOTHES_SIDE
    images = rows.reshape(len(CLOTHES), side, each, side).swapaxes(1, 2).reshape(-1, 1, side, side)
    return ArraySource(
        np.ascontiguousarray(images),
        name="fashion",
        labels=np.repeat(np.arange(len(CLOTHES), dtype=np.int64), each),
        class_names=list(CLOTHES),
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


def speech() -> RaggedSource:
    """Return five English sentences (``SENTENCES``) read by one woman: mono sounds at 16 kHz, 11 seconds.

    The file holds the differences of neighbouring 16-bit samples, low bytes and high bytes apart, which deflates to
    two thirds of the samples and needs no reader of sound files.
    """
    with open_npz(SAMPLES / "speech.npz") as archive:
        differences, lengths = archive.read("differences").astype(np.uint16), archive.read("lengths")
    samples = np.cumsum(differences[0] | differences[1] << 8, dtype=np.uint16).view(np.int16)
    waves = (samples / np.float32(1 << 15))[None]
    return ragged(
        np.split(waves, np.cumsum(lengths)[:-1], axis=1),
        Sound(SPEECH_RATE),
        name="speech",
        item_names=[f"{name}.wav" for name in SENTENCES],
        position_bits=[16] * len(SENTENCES),
    )


BUILTINS: dict[str, Callable[[], Source]] = {
    "digits": digits,
    "fashion": fashion,
    "photos": photos,
    "speech": speech,
}


def load_builtin(name: str, kind: Signal | None = None) -> Source:
    """Load a built-in data set by its name.

    Raises:
        DataError: no such set, or another sample rate than its sounds have.
    """
    if name not in BUILTINS:
        known = ", ".join(BUILTIN_PREFIX + each for each in BUILTINS)
        raise DataError(f"{BUILTIN_PREFIX + name!r} is no built-in data set; there are {known}.")
    source = BUILTINS[name]()
    return source.with_kind(kind) if kind is not None and type(kind) is type(source.kind) else source


def _tiles(pixels: Array) -> Array:
    """Cut [C, H, W] into [N, C, 64, 64], row by row from the top left; what is left over is dropped."""
    channels, height, width = pixels.shape
    rows, columns = height // PHOTO_SIDE, width // PHOTO_SIDE
    cut = pixels[:, : rows * PHOTO_SIDE, : columns * PHOTO_SIDE]
    grid = cut.reshape(channels, rows, PHOTO_SIDE, columns, PHOTO_SIDE).transpose(1, 3, 0, 2, 4)
    return grid.reshape(-1, channels, PHOTO_SIDE, PHOTO_SIDE)
