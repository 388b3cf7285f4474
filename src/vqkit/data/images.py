"""One image file or its bytes -> uint8 [C, H, W], as a person sees it in a viewer.

EXIF rotation is applied, transparency is laid over white, 16-bit grey is scaled (not clipped) to 8 bits,
an animation shows its first frame. Grey stays one channel; every other colour mode becomes RGB.
What a viewer could only show in part (a truncated file) is an error here: half an image teaches a model
to draw grey rectangles.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vqkit.data.source import Array
from vqkit.errors import ConfigError, DataError

Encoded = Path | bytes

MIN_SIDE = 4
MAX_PIXELS = 178_956_970  # where Pillow itself calls an image a decompression bomb

# What Pillow reads without running other programs (EPS needs Ghostscript) and that holds one picture.
EXTENSIONS = frozenset((
    ".apng", ".avif", ".avifs", ".bmp", ".dds", ".dib", ".gif", ".icns", ".ico", ".j2c", ".j2k",
    ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm",
    ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
# The common ones first: Pillow tries them in this order.
_FORMATS = (
    "PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "DDS", "DIB", "ICNS", "ICO", "JPEG2000",
    "MPO", "PCX", "PSD", "QOI", "SGI", "TGA",
)  # fmt: skip
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_KEPT_MODES = frozenset({"1", "L", "P", "RGB"})  # what 8-bit grey or RGB holds without a loss
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Header:
    """What an image says before it is decoded: channels (1 or 3), (height, width), a note or None."""

    channels: int
    size: tuple[int, int]
    note: str | None

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded uint8 image."""
        return self.channels * self.size[0] * self.size[1]


def decode_image(encoded: Encoded, *, smallest: int = MIN_SIDE) -> tuple[Array, str | None]:
    """Decode a path or the bytes of a file to (uint8 [C, H, W] with C = 1 or 3, a note or None).

    Raises DataError with the reason; the message does not name the file, its caller does: not an image,
    truncated, a side under ``smallest`` pixels, more than 178,956,970 pixels, float values outside [0, 1].
    """
    with _reasons(), _opened(encoded, smallest) as image:
        note = _note(image)
        image.load()
        upright = ImageOps.exif_transpose(image) if _is_rotated(image) else image
        return np.ascontiguousarray(_pixels(upright)), note


def read_header(encoded: Encoded, *, smallest: int = MIN_SIDE) -> Header:
    """Read channels and size (after EXIF rotation) without decoding the pixels.

    Raises DataError like ``decode_image``, but cannot see damage to the pixels.
    """
    with _reasons(), _opened(encoded, smallest) as image:
        width, height = image.size
        # Image.Image.getexif: the PNG class's own would decode the whole image first.
        rotated = image.format != "TIFF" and Image.Image.getexif(image).get(_ORIENTATION, 1) in (5, 6, 7, 8)
        channels = 1 if image.mode in _GREY_MODES else 3
        return Header(channels, (width, height) if rotated else (height, width), _note(image))


def what_is_lost(encoded: Encoded) -> str | None:
    """What of an image ``decode_image`` leaves out or rounds, as far as its header tells; None: nothing.

    Raises DataError like ``read_header``.
    """
    with _reasons(), _opened(encoded, 1) as image:
        if image.mode not in _KEPT_MODES:
            return f"mode {image.mode}, which is more than 8-bit grey or RGB"
        if image.has_transparency_data:
            return "transparency"
        if _is_deep(image):
            return "16 bits a channel"
        return "several frames or pages" if _note(image) else None


def from_picture(image: Image.Image) -> Array:
    """Return the pixels of an opened picture as ``decode_image`` reads them: uint8 [C, H, W] with C = 1 or 3.

    Raises DataError with the reason.
    """
    with _reasons():
        upright = ImageOps.exif_transpose(image) if _is_rotated(image) else image
        return np.ascontiguousarray(_pixels(upright))


def to_channels(array: Array, channels: int) -> Array:
    """Convert images [..., C, H, W] between 1 and 3 channels; float32 stays float32, uint8 stays uint8.

    Grey -> RGB repeats the channel. RGB -> grey is ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in the
    fixed-point arithmetic of Pillow for uint8. Raises ConfigError for other numbers of channels.
    """
    have = array.shape[-3]
    if have == channels:
        return array
    if (have, channels) == (1, 3):
        return np.repeat(array, 3, axis=-3)
    if (have, channels) == (3, 1):
        red, green, blue = (array[..., [each], :, :] for each in range(3))
        if array.dtype != np.uint8:
            luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
            return luma.clip(0, 1).astype(np.float32)
        parts = red * np.uint32(19595) + green * np.uint32(38470) + blue * np.uint32(7471)
        return ((parts.astype(np.uint32) + np.uint32(0x8000)) >> np.uint32(16)).astype(np.uint8)
    raise ConfigError(f"cannot turn {have} channels into {channels}; images convert between 1 (grey) and 3 (RGB).")


def over_white(colour: Array, alpha: Array) -> Array:
    """Lay uint8 colour over white: round(colour * alpha + 255 * (255 - alpha)) / 255), broadcasting alpha."""
    wide = colour.astype(np.uint16) * alpha.astype(np.uint16) + 255 * (255 - alpha.astype(np.uint16))
    return ((wide + 127) // 255).astype(np.uint8)


def scale_16_bit(array: Array) -> Array:
    """Scale 0..65535 to 0..255 by rounding (65535 = 255 * 257)."""
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(each for each in _FORMATS if each in Image.OPEN)


@contextmanager
def _opened(encoded: Encoded, smallest: int) -> Iterator[Image.Image]:
    """Open, and refuse what is too small or too large before a pixel is decoded."""
    if isinstance(encoded, bytes) and not encoded:
        raise DataError("no bytes at all (empty)")
    with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded, formats=_formats()) as image:
        width, height = image.size
        if min(width, height) < smallest:
            raise DataError(f"{width}x{height} pixels: images need at least {smallest} pixels a side")
        if width * height > MAX_PIXELS:
            raise DataError(f"{width}x{height} pixels: more than {MAX_PIXELS:,}, taken for a decompression bomb")
        yield image


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever Pillow's decoders raise on damaged input into a DataError with a short reason."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError("not an image in any format that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"more than {MAX_PIXELS:,} pixels, taken for a decompression bomb") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise DataError(error.strerror or type(error).__name__) from error
    except (
        OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError, OverflowError,
        MemoryError, RuntimeError, struct.error, zlib.error, Warning,
    ) as error:  # fmt: skip
        raise DataError(f"damaged: {str(error).strip() or type(error).__name__}") from error


def _note(image: Image.Image) -> str | None:
    if not getattr(image, "is_animated", False) or image.format == "MPO":  # MPO: one photo, plus previews
        return None
    return "multi-page file: first page used" if image.format == "TIFF" else "animated file: first frame used"


def _is_deep(image: Image.Image) -> bool:
    """Tell whether an image in a mode of 8 bits has 16 in its file (PNG, TIFF, SGI; PPM says its largest value)."""
    for _, _, _, arguments in getattr(image, "tile", ()):
        told = arguments if isinstance(arguments, tuple) else (arguments,)
        if image.format == "PPM" and len(told) > 1 and isinstance(told[1], int) and told[1] > 255:
            return True
        if any(isinstance(each, str) and ";16" in each and not each.startswith("BGR") for each in told):
            return True
    return False


def _is_rotated(image: Image.Image) -> bool:
    """Tell whether EXIF or XMP data asks for a rotation; most small images have neither."""
    tagged = any("exif" in key or "xmp" in key for key in map(str, image.info))
    return tagged and image.getexif().get(_ORIENTATION, 1) != 1


def _pixels(image: Image.Image) -> Array:
    """Return uint8 [C, H, W] of a loaded image in any mode."""
    mode = image.mode
    if mode.startswith("I"):
        return _integer_grey(image)[None]
    if mode == "F":
        return _float_grey(np.asarray(image))[None]
    if image.has_transparency_data:
        if mode in _GREY_MODES:
            grey_alpha = np.asarray(image.convert("LA"))
            return over_white(grey_alpha[..., 0], grey_alpha[..., 1])[None]
        colour_alpha = np.asarray(image.convert("RGBA")).transpose(2, 0, 1)
        return over_white(colour_alpha[:3], colour_alpha[3:])
    if mode in _GREY_MODES:
        return np.asarray(image.convert("L"))[None]
    colour = image if mode == "RGB" else image.convert("RGB")
    return np.asarray(colour).transpose(2, 0, 1)


def _integer_grey(image: Image.Image) -> Array:
    values = np.asarray(image).astype(np.int64)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise DataError(f"integer grey values {lowest}..{highest}: only 0..65535 (16 bits) has a known white")
    pixels = scale_16_bit(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    return pixels


def _float_grey(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise DataError("float values with NaN or Inf")
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0 or highest > 1:
        raise DataError(f"float values {lowest:g}..{highest:g}: only [0, 1] has a known black and white; rescale it")
    return np.rint(values * 255).astype(np.uint8)
