"""Image formats that a model is compared with: JPEG, WebP, AVIF, JPEG XL, JPEG 2000, as libraries have them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, features

from vqkit.errors import DataError

Pixels = npt.NDArray[np.uint8]
"""``[channels, height, width]``, 1 or 3 channels."""


@dataclass(frozen=True)
class ImageCodec:
    """One format with one encoder.

    Attributes:
        name: for people: "JPEG".
        about: library, version and settings: what the files depend on.
        setting: what the encoder's number is: "quality", "distance", "bits per pixel wanted".
        values: the numbers that a curve is made of.
        encode: pixels and a number to a whole file.
        decode: a whole file to pixels of so many channels.
    """

    name: str
    about: str
    setting: str
    values: tuple[float, ...]
    encode: Callable[[Pixels, float], bytes]
    decode: Callable[[bytes, int], Pixels]


def image_codecs(values: Mapping[str, Sequence[float]], channels: int) -> tuple[list[ImageCodec], list[str]]:
    """The codecs that are installed here, and sentences about those that are not.

    Args:
        values: the numbers of each curve by ``jpeg``, ``webp``, ``avif``, ``jpeg_xl``, ``jpeg_2000``; a format without
            numbers is left out.
        channels: 1 or 3; JPEG with whole chroma is there for 3 only.
    """
    found, missing = [], []
    wanted = {name: tuple(float(each) for each in numbers) for name, numbers in values.items() if numbers}
    pillow = f"Pillow {PIL.__version__}"
    if "jpeg" in wanted:
        library = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
        version = f"{pillow}, {library} {features.version('jpg')}"
        samplings = {"JPEG": "4:2:0", "JPEG 4:4:4": "4:4:4"} if channels == 3 else {"JPEG": ""}
        for name, sampling in samplings.items():
            options: dict[str, Any] = {"format": "JPEG", "optimize": True}
            options |= {"subsampling": sampling} if sampling else {}
            about = f"{version}, optimize{f', {sampling}' if sampling else ''}"
            found.append(_pillow(name, about, wanted["jpeg"], options))
    if "webp" in wanted and features.check("webp"):
        about = f"{pillow}, libwebp {features.version('webp')}, method 6"
        found.append(_pillow("WebP", about, wanted["webp"], {"format": "WEBP", "method": 6}))
    elif "webp" in wanted:
        missing.append(f"WebP: {pillow} was built without it.")
    if "avif" in wanted and features.check("avif"):
        about = f"{pillow}, libavif {features.version('avif')}, default speed, 4:2:0"
        found.append(_pillow("AVIF", about, wanted["avif"], {"format": "AVIF"}))
    elif "avif" in wanted:
        missing.append(f"AVIF: {pillow} was built without it; Pillow 11.3 and later have it.")
    if "jpeg_xl" in wanted:
        codec = _jpeg_xl(wanted["jpeg_xl"])
        if codec is None:
            missing.append("JPEG XL: Pillow has none, and imagecodecs is not installed (pip install imagecodecs).")
        else:
            found.append(codec)
    if "jpeg_2000" in wanted and features.check("jpg_2000"):
        found.append(
            _jpeg_2000(f"{pillow}, OpenJPEG {features.version('jpg_2000')}, 9/7, colour transform", wanted["jpeg_2000"])
        )
    elif "jpeg_2000" in wanted:
        missing.append(f"JPEG 2000: {pillow} was built without it.")
    return found, missing


def _pillow(name: str, about: str, values: tuple[float, ...], options: dict[str, Any]) -> ImageCodec:
    def encode(pixels: Pixels, value: float) -> bytes:
        return _saved(pixels, {**options, "quality": int(value)})

    return ImageCodec(name, about, "quality", values, encode, _opened)


def _jpeg_2000(about: str, values: tuple[float, ...]) -> ImageCodec:
    """With the colour transform, which Pillow leaves out unless told (``mct``): that costs 2 to 7 dB of PSNR."""

    def encode(pixels: Pixels, value: float) -> bytes:
        ratio = 8 * len(pixels) / value
        layers = {
            "quality_mode": "rates",
            "quality_layers": [ratio],
            "irreversible": True,
            "mct": int(len(pixels) == 3),
        }
        return _saved(pixels, {"format": "JPEG2000", **layers})

    return ImageCodec("JPEG 2000", about, "bits per pixel wanted", values, encode, _opened)


def _jpeg_xl(values: tuple[float, ...]) -> ImageCodec | None:
    try:
        import imagecodecs

        if not imagecodecs.JPEGXL.available:
            return None
    except ImportError:
        return None

    def encode(pixels: Pixels, value: float) -> bytes:
        plane = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
        return bytes(imagecodecs.jpegxl_encode(plane, distance=value, effort=7, lossless=False, numthreads=1))

    def decode(data: bytes, channels: int) -> Pixels:
        array = np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))
        array = array if array.ndim == 3 else array[..., None]
        return np.ascontiguousarray(np.moveaxis(array, -1, 0)[:channels])

    about = f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}, effort 7"
    return ImageCodec("JPEG XL", about, "distance", values, encode, decode)


def _saved(pixels: Pixels, options: dict[str, Any]) -> bytes:
    plane = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
    file = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(plane)).save(file, **options)
    except (OSError, ValueError) as error:
        height, width = pixels.shape[1:]
        raise DataError(
            f"an image of {width}x{height} pixels cannot be saved as {options['format']}: {error}"
        ) from error
    return file.getvalue()


def _opened(data: bytes, channels: int) -> Pixels:
    with Image.open(io.BytesIO(data)) as picture:
        array = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return np.ascontiguousarray(array[None] if channels == 1 else np.moveaxis(array, -1, 0))
