"""One image file or its bytes -> uint8 [C, H, W], as a person sees it in a viewer.

EXIF rotation is applied, transparency is laid over white, deep values are scaled (not clipped) to 8 bits, black is
black whatever number stands for it, an animation shows its first frame. Grey stays one channel; every other colour
mode becomes RGB. What of a file is lost by this is said in its notes.
What a viewer could only show in part (a truncated file) is an error here: half an image teaches a model
to draw grey rectangles.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from vqkit.data.images.files import HAIR, MAX_PIXELS, MIN_SIDE, Encoded, load_whole, opened, read_bytes
from vqkit.data.images.losses import GRAY_MODES, Facts, facts_of, first_loss
from vqkit.data.images.tiff import EXTRA_SAMPLES, PHOTOMETRIC, planes_of, tag
from vqkit.data.source import Array
from vqkit.errors import ConfigError, DataError

# What Pillow reads without running other programs (EPS needs Ghostscript) and that holds one picture.
EXTENSIONS = frozenset((
    ".apng", ".avif", ".avifs", ".bmp", ".dds", ".dib", ".gif", ".icns", ".ico", ".j2c", ".j2k",
    ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm",
    ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_ORIENTATION = 0x0112
_CMYK, _ASSOCIATED = 5, 1
_DARK_BITS = 14
"""Of 16: where no value of a picture has more, all are in the lowest quarter of the range, and a word is said."""


@dataclass(frozen=True)
class Header:
    """Properties of an image that is not decoded yet: channels (1 or 3), (height, width), a note or None."""

    channels: int
    size: tuple[int, int]
    note: str | None

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded uint8 image."""
        return self.channels * self.size[0] * self.size[1]


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: uint8 [C, H, W] with C = 1 or 3.
        notes: what a person should know of how it was read, one sentence each ("file: 16 bits scaled to 8").
        bits_per_pixel: of the file's own pixels: 8 for a palette, 64 for RGB with transparency and 16 bits.
    """

    pixels: Array
    notes: tuple[str, ...]
    bits_per_pixel: int


def read_picture(encoded: Encoded, *, smallest: int = MIN_SIDE, known_good: bool = False) -> Picture:
    """Decode a path or the bytes of a file; faster where it is ``known_good``, since it was decoded before.

    Raises DataError with the reason; the message does not name the file, its caller does: not an image, damaged,
    truncated, a side under ``smallest`` pixels, more than 178,956,970 pixels, values without a known black and white.
    """
    with opened(encoded, smallest) as image:
        facts, more = facts_of(image, encoded), list[str]()
        if facts.planes_of_16_bits:
            pixels = _planar(read_bytes(encoded), tag(image, EXTRA_SAMPLES, 0), tag(image, PHOTOMETRIC, 2))
        else:
            loaded = load_whole(image, encoded, known_good=known_good)
            pixels, more = _pixels(loaded, facts, encoded)
            if loaded.format != "TIFF":  # Pillow turns those itself
                pixels = _turned(pixels, _orientation(loaded))
        if facts.has_transparency and not facts.planes_of_16_bits and _is_opaque(loaded):
            facts = facts.opaque()
        return Picture(np.ascontiguousarray(pixels), (*facts.notes, *more), facts.bits_per_pixel)


def decode_image(encoded: Encoded, *, smallest: int = MIN_SIDE) -> tuple[Array, str | None]:
    """Decode a path or the bytes of a file to (uint8 [C, H, W] with C = 1 or 3, its notes as one, or None).

    Raises DataError like ``read_picture``.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> from vqkit.data import decode_image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (5, 4)).save(file, "png")
        >>> decode_image(file.getvalue())[0].shape
        (3, 4, 5)
    """
    picture = read_picture(encoded, smallest=smallest)
    return picture.pixels, "; ".join(picture.notes) or None


def read_header(encoded: Encoded, *, smallest: int = MIN_SIDE) -> Header:
    """Read channels and size (after EXIF rotation) without decoding the pixels.

    Raises DataError like ``read_picture``, but cannot see damage to the pixels.
    """
    with opened(encoded, smallest) as image:
        width, height = image.size
        rotated = image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)
        channels = 1 if image.mode in GRAY_MODES else 3
        note = "; ".join(facts_of(image, encoded).notes) or None
        return Header(channels, (width, height) if rotated else (height, width), note)


def what_is_lost(encoded: Encoded) -> str | None:
    """Return the loss of ``decode_image`` in words, as far as the header tells; None: lossless.

    Raises DataError like ``read_header``.
    """
    with opened(encoded, 1) as image:
        return first_loss(image, facts_of(image, encoded))


def from_picture(image: Image.Image) -> Array:
    """Return the pixels of an opened picture as ``read_picture`` reads its file: uint8 [C, H, W] with C = 1 or 3.

    Raises DataError with the reason.
    """
    file = getattr(image, "fp", None)
    if getattr(image, "tile", None) and file is not None:  # nothing was read yet, so nothing can have been changed
        where = file.tell()
        file.seek(0)
        encoded = file.read()
        file.seek(where)
        return read_picture(encoded, smallest=1).pixels
    plain = image.mode in ("L", "RGB") and "transparency" not in image.info and not image.getexif()
    if plain and 0 < image.width * image.height <= MAX_PIXELS:  # nothing that a file of it would be read differently by
        pixels = np.asarray(image)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if pixels.ndim == 3 else pixels[None]
    inverted = image.format == "TIFF" and image.mode[0] in "IF" and tag(image, PHOTOMETRIC, 1) == 0
    kept, written = "PNG" if image.mode in _PNG_MODES else "TIFF", io.BytesIO()
    try:
        image.save(written, kept, exif=image.getexif(), **({"compress_level": 0} if kept == "PNG" else {}))
    except Exception as error:
        raise DataError(f"a picture of mode {image.mode} that cannot be read ({error})") from error
    pixels = read_picture(written.getvalue(), smallest=1).pixels
    return 255 - pixels if inverted else pixels


def to_channels(array: Array, channels: int) -> Array:
    """Convert images [..., C, H, W] between 1 and 3 channels; float32 stays float32, uint8 stays uint8.

    Grey -> RGB repeats the channel. RGB -> grey is ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in the
    fixed-point arithmetic of Pillow for uint8. Raises ConfigError for other numbers of channels.

    Example:
        >>> import numpy as np
        >>> from vqkit.data import to_channels
        >>> to_channels(np.zeros((1, 4, 4), dtype=np.uint8), 3).shape
        (3, 4, 4)
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


def over_white(color: Array, alpha: Array) -> Array:
    """Lay uint8 colour over white: round(colour * alpha + 255 * (255 - alpha)) / 255), broadcasting alpha."""
    wide = color.astype(np.uint16) * alpha.astype(np.uint16) + 255 * (255 - alpha.astype(np.uint16))
    return ((wide + 127) // 255).astype(np.uint8)


def scale_16_bit(array: Array) -> Array:
    """Scale 0..65535 to 0..255 by rounding (65535 = 255 * 257)."""
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8 (1: upright, and where the tag is missing or unreadable)."""
    if not any("exif" in key or "xmp" in key for key in map(str, image.info)):
        return 1  # most small images have neither
    try:
        # Image.Image.getexif: the PNG class's own would decode the whole image first.
        found = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (what a camera writes beside a picture is no reason to leave the picture out)
        return 1
    return int(found) if found in range(1, 9) else 1


def _turned(pixels: Array, orientation: int) -> Array:
    """Turn and mirror [C, H, W] so that a picture stored in this orientation stands upright."""
    if orientation >= 5:
        pixels = pixels.transpose(0, 2, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    return pixels[:, :, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _is_opaque(image: Image.Image) -> bool:
    """Tell whether a picture with an alpha channel is opaque throughout."""
    if "transparency" in image.info or image.mode not in ("LA", "RGBA"):
        return False
    return image.getchannel("A").getextrema() == (255, 255)


def _pixels(image: Image.Image, facts: Facts, encoded: Encoded) -> tuple[Array, list[str]]:
    """Return uint8 [C, H, W] of a loaded image in any mode, and notes that only its values tell."""
    mode = image.mode
    if mode.startswith("I"):
        values, notes = _integer_gray(image, facts)
        return values[None], notes
    if mode == "F":
        return _float_gray(np.asarray(image), facts.white_is_zero)[None], []
    if mode == "LAB":
        return _from_lab(image), []
    if "transparency" in image.info and mode in ("1", "L", "RGB"):
        return _one_level_transparent(image, facts, encoded), []
    if image.has_transparency_data:
        if mode in GRAY_MODES:
            gray_alpha = np.asarray(image.convert("LA"))
            return over_white(gray_alpha[..., 0], gray_alpha[..., 1])[None], []
        color_alpha = np.asarray(image.convert("RGBA")).transpose(2, 0, 1)
        return over_white(color_alpha[:3], color_alpha[3:]), []
    if mode in GRAY_MODES:
        gray = np.asarray(image.convert("L"))
        if facts.signed and int(gray.max()) > 127:
            raise DataError("signed 8-bit values below 0: only 0..127 has a known black")
        return (np.rint(gray * (255 / facts.white)).astype(np.uint8) if facts.white != 255 else gray)[None], []
    color = image if mode == "RGB" else image.convert("RGB")
    return np.asarray(color).transpose(2, 0, 1), []


def _one_level_transparent(image: Image.Image, facts: Facts, encoded: Encoded) -> Array:
    """Lay a grey or RGB picture over white in which one level or colour is transparent (PNG: of the file's depth)."""
    told = image.info["transparency"]
    if image.mode == "RGB":
        values = np.asarray(image).transpose(2, 0, 1)
        pixels = values.copy()
        if facts.depth == 16:
            values = values.astype(np.uint16) << 8 | _low_bytes(encoded)
        where = np.all([plane == level % (1 << facts.depth) for plane, level in zip(values, told, strict=True)], axis=0)
        pixels[:, where] = 255
        return pixels
    gray = np.asarray(image.convert("L")).copy()
    if image.mode == "1":
        gray[gray == (255 if told else 0)] = 255
    elif isinstance(told, int):
        levels = (1 << facts.depth) - 1
        gray[gray == (told & levels) * (255 // levels)] = 255
    return gray[None]


def _low_bytes(encoded: Encoded) -> Array:
    """The lower bytes of a PNG with 16 bits a channel, of which Pillow keeps the upper ones: uint8 [3, H, W]."""
    with opened(encoded, 1) as image:
        tiles = image.tile  # type: ignore[attr-defined]
        image.tile = [  # type: ignore[attr-defined]
            tile._replace(args=("RGB;16L", *tile.args[1:]) if isinstance(tile.args, tuple) else "RGB;16L")
            for tile in tiles
        ]
        return np.asarray(image).transpose(2, 0, 1)


def _planar(data: bytes, extra: int, photometric: int) -> Array:
    """Return uint8 [C, H, W] of a TIFF that keeps its channels of 16 bits one after the other."""
    planes = []
    for plane in planes_of(data):
        with opened(plane, 1) as image:
            planes.append(np.asarray(load_whole(image, plane)))
    deep = np.stack(planes)
    if photometric == _CMYK:
        four = [Image.fromarray(scale_16_bit(plane)) for plane in deep[:4]]
        return np.asarray(Image.merge("CMYK", four).convert("RGB")).transpose(2, 0, 1)
    colors = 1 if photometric in (0, 1) else 3
    color = scale_16_bit(65535 - deep[:colors] if photometric == 0 else deep[:colors])
    alpha = scale_16_bit(deep[colors : colors + 1])
    if not len(alpha) or extra == 0:
        return color
    return (color + (255 - np.maximum(alpha, color))) if extra == _ASSOCIATED else over_white(color, alpha)


def _integer_gray(image: Image.Image, facts: Facts) -> tuple[Array, list[str]]:
    values = np.asarray(image).astype(np.int64)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65535:
        raise DataError(f"integer grey values {lowest}..{highest}: only 0..65535 (16 bits) has a known white")
    white = 4095 if facts.depth == 12 else 65535
    bright = white - values if facts.white_is_zero else values
    pixels = scale_16_bit(bright) if white == 65535 else np.rint(bright * (255 / white)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    used = highest.bit_length()
    if white == 65535 and not facts.white_is_zero and 0 < used <= _DARK_BITS:
        return pixels, [f"file: values of {used} bits in {facts.depth}, dark and of few levels (rescale to 0..65535)"]
    return pixels, []


def _float_gray(values: Array, white_is_zero: bool) -> Array:
    if not np.isfinite(values).all():
        raise DataError("float values with NaN or Inf")
    lowest, highest = float(values.min()), float(values.max())
    if lowest < -HAIR or highest > 1 + HAIR:
        raise DataError(f"float values {lowest:g}..{highest:g}: only [0, 1] has a known black and white; rescale it")
    values = values.clip(0, 1)
    return np.rint((1 - values if white_is_zero else values) * 255).astype(np.uint8)


def _from_lab(image: Image.Image) -> Array:
    """Return sRGB of a picture in CIE L*a*b* (white: D50, as TIFF and ICC have it)."""
    found = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    if found is None:
        raise DataError("a Lab image that cannot be converted to RGB")
    return np.asarray(found).transpose(2, 0, 1)
