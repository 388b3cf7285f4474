"""Opening and decoding of one image file by Pillow: every failure, truncation too, is a DataError of that file.

The pixel buffer is filled with one color before a decoder runs; rows that still have it were not in the file.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

from vqkit.data.images.ends import check_jpeg, check_jpeg2000
from vqkit.data.images.tiff import WHITE_IS_ZERO, check_parts, is_tiff, readable_tiff, silence_libtiff
from vqkit.errors import DataError

Encoded = Path | bytes

MIN_SIDE = 4
HAIR = 1e-3
"""How far beyond [0, 1] the floats of images may lie: rounding and resampling leave them there."""
MAX_PIXELS = 178_956_970  # where Pillow itself calls an image a decompression bomb

# The common ones first: Pillow tries them in this order. None runs other programs (EPS needs Ghostscript).
_FORMATS = (
    "PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "DDS", "DIB", "ICNS", "ICO", "JPEG2000",
    "MPO", "PCX", "PSD", "QOI", "SGI", "TGA",
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_WHOLE_OR_NOTHING = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "ICO", "ICNS"})
_FILLS = ((0xA5, 0x3C, 0xC9, 0x57), (0x5A, 0xC3, 0x36, 0xA8))
"""Two colors that differ in every channel; the second is tried only if a last row has the first one throughout."""


@contextmanager
def opened(encoded: Encoded, smallest: int = MIN_SIDE) -> Iterator[Image.Image]:
    """Open an image, and refuse what is too small or too large before a pixel is decoded.

    Args:
        encoded: a path, or the bytes of a file.
        smallest: the least height and width in pixels.

    Raises:
        DataError: whatever goes wrong while it is open (damage, no image, no such file), with a short reason.
    """
    with _reasons(), strict_decoders, _open(encoded) as image:
        width, height = image.size
        if min(width, height) < smallest:
            raise DataError(f"{width}x{height} pixels: images need at least {smallest} pixels a side")
        if width * height > MAX_PIXELS:
            raise DataError(f"{width}x{height} pixels: more than {MAX_PIXELS:,}, taken for a decompression bomb")
        yield image


def load_whole(image: Image.Image, encoded: Encoded, *, known_good: bool = False) -> Image.Image:
    """Decode the pixels of an image from ``opened``; return it, or a second image object of the same file.

    Args:
        image: from ``opened``.
        encoded: its path or bytes.
        known_good: skip the checks for missing pixels, which the file passed before.

    Raises:
        DataError: some of the pixels are not in the file.
    """
    form = image.format or ""
    if form == "TIFF":
        silence_libtiff()
    if form == "TIFF" and not known_good:
        check_parts(image)
    elif form == "JPEG2000" and not known_good:
        check_jpeg2000(read_bytes(encoded))
    try:
        unfilled = _load_filled(image, None if known_good else 0)
    except ValueError:
        plain = without_text(read_bytes(encoded)) if form == "PNG" else None
        if plain is None:
            raise
        return load_whole(_open(plain), plain, known_good=known_good)
    if form in ("JPEG", "MPO") and not known_good:
        check_jpeg(image, lambda: read_bytes(encoded))
    elif unfilled:
        with _open(encoded) as again:
            if _load_filled(again, 1):
                raise DataError("damaged: the file ends before its last rows of pixels")
    return image


def read_bytes(encoded: Encoded) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    return encoded if isinstance(encoded, bytes) else encoded.read_bytes()


class _StrictDecoders:
    """Context, for any number of threads, in which Pillow gives no warnings and raises on truncated images.

    Both are settings of the whole process, so the first to enter sets them and the last to leave restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters: Any = nullcontext()
        self._lenient = False

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            self._filters = warnings.catch_warnings()
            self._filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            self._lenient = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._lenient
                self._filters.__exit__(None, None, None)


strict_decoders = _StrictDecoders()


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(each for each in _FORMATS if each in Image.OPEN)


def _open(encoded: Encoded) -> Image.Image:
    if isinstance(encoded, bytes) and not encoded:
        raise DataError("no bytes at all (empty)")
    try:
        return Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded, formats=_formats())
    except (UnidentifiedImageError, ValueError):
        start = encoded[:8] if isinstance(encoded, bytes) else _start(encoded)
        if not (start.startswith(_PNG) or is_tiff(start)):
            raise  # without a look at the rest, which may be large
        data = read_bytes(encoded)
        plain = without_text(data) if data.startswith(_PNG) else None
        tiff = readable_tiff(data) if is_tiff(data) else None
        if plain is None and tiff is None:
            raise
        image = Image.open(io.BytesIO(tiff.data if tiff is not None else plain or b""), formats=_formats())
        image.info[WHITE_IS_ZERO] = tiff is not None and tiff.white_is_zero
        return image


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(8)


def without_text(data: bytes) -> bytes | None:
    """Return a PNG without its text chunks, whose size Pillow limits; None: it has none."""
    kept, place, dropped = [data[:8]], 8, False
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] in _TEXT:
            dropped = True
        else:
            kept.append(data[place:end])
        place = end
    return b"".join(kept) if dropped else None


def _load_filled(image: Image.Image, fill: int | None) -> bool:
    """Decode an image into a buffer filled with color ``fill``; None: without that check.

    Returns:
        True if one of the last two rows still has that color throughout.
    """
    if fill is None or not isinstance(image, ImageFile.ImageFile) or image.format in _WHOLE_OR_NOTHING:
        image.load()
        return False
    unfilled = False
    # A GIF frame covers a part of the picture; the rest is background.
    tiles = [each[1] for each in image.tile if each[1]] if image.format == "GIF" else []
    prepare, end = image.load_prepare, image.load_end

    def area() -> tuple[int, int, int, int]:
        if not tiles:
            return 0, 0, *image.im.size
        return min(t[0] for t in tiles), min(t[1] for t in tiles), max(t[2] for t in tiles), max(t[3] for t in tiles)

    def load_prepare() -> None:
        prepare()
        if getattr(image, "map", None) is None:  # else the pixels are the file's own
            image.im.paste(_fill_value(image.im.mode, fill), area())

    def load_end() -> None:
        nonlocal unfilled
        if getattr(image, "map", None) is None:
            unfilled = _shows_fill(image.im, area(), fill)
        end()

    image.load_prepare, image.load_end = load_prepare, load_end  # type: ignore[method-assign]
    try:
        image.load()
    finally:
        del image.load_prepare, image.load_end
    return unfilled


def _shows_fill(pixels: Any, area: tuple[int, int, int, int], fill: int) -> bool:
    left, top, right, bottom = area
    unwritten = _filled_pixel(pixels.mode, fill)
    for row in range(bottom - 1, max(top, bottom - 2) - 1, -1):
        if pixels.getpixel((left, row)) != unwritten or pixels.getpixel((right - 1, row)) != unwritten:
            continue
        if all(pixels.getpixel((column, row)) == unwritten for column in range(left, right)):
            return True
    return False


@lru_cache(maxsize=64)
def _filled_pixel(mode: str, fill: int) -> Any:
    pixels = Image.new(mode, (1, 1)).im
    pixels.paste(_fill_value(mode, fill), (0, 0, 1, 1))
    return pixels.getpixel((0, 0))


@lru_cache(maxsize=64)
def _fill_value(mode: str, fill: int) -> int | tuple[int, ...]:
    bands = Image.getmodebands(mode)
    return _FILLS[fill][0] if bands == 1 else _FILLS[fill][:bands]


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever Pillow's decoders raise, on damaged input or by a fault of their own, into a DataError."""
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
    except Exception as error:
        raise DataError(f"damaged: {' '.join(str(error).split())[:200] or type(error).__name__}") from error
