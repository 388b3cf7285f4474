"""Pictures that end early, with a proper end behind what is missing: an error of that file, whatever the format."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from vqkit.data.images.files import strict_decoders
from vqkit.data.images.reading import decode_image
from vqkit.errors import DataError

SMOOTH = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)).resize((96, 80))
)
NOISE = np.random.default_rng(1).integers(0, 256, (24, 20, 3), dtype=np.uint8)


def encode(array: Any, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels: Any, rows: int, *, interlaced: bool = False) -> bytes:
    """A PNG whose stream is valid and has so many of its rows (of its last pass, if interlaced)."""
    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, int(interlaced))
    passes = [pixels[:rows]]
    if interlaced:  # Adam7
        starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [pixels[top::down, left::right] for top, left, down, right in starts]
        passes[-1] = passes[-1][:rows]
    body = b"".join(b"\0" + row.tobytes() for each in passes for row in each)
    whole = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + whole


def gif(pixels: Any, count: int) -> bytes:
    """A grey GIF of 128 levels whose LZW stream has ``count`` pixels, then its end code."""
    height, width = pixels.shape
    codes = []
    for each, value in enumerate(pixels.ravel()[:count].tolist()):
        codes += [128] * (each % 64 == 0) + [value]
    codes.append(129)
    bits = "".join(format(code, "08b")[::-1] for code in codes)
    packed = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(packed[at : at + 255])]) + packed[at : at + 255] for at in range(0, len(packed), 255))
    table = bytes(2 * level for level in range(128) for _ in range(3))
    start = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | 6, 0, 0) + table
    return start + b"," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 7) + blocks + b"\0;"


def is_whole(data: bytes) -> bool:
    try:
        decode_image(data)
    except DataError as error:
        assert "damaged" in str(error)  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("pixels", [NOISE, NOISE[..., 0], np.zeros_like(NOISE), np.full_like(NOISE, 255)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_with_too_few_rows(pixels: Any, interlaced: bool) -> None:
    rows = 12 if interlaced else 24
    whole = png(pixels, rows, interlaced=interlaced)
    found, _ = decode_image(whole)
    assert np.array_equal(found[0], pixels if pixels.ndim == 2 else pixels[..., 0])
    for fewer in (0, 1, rows // 2, rows - 1):
        assert not is_whole(png(pixels, fewer, interlaced=interlaced))


def test_a_picture_that_has_the_colour_of_the_paint_is_whole() -> None:
    for paint in ((0xA5, 0x3C, 0xC9), (0x5A, 0xC3, 0x36)):
        assert is_whole(png(np.full((9, 8, 3), paint, np.uint8), 9))
        assert not is_whole(png(np.full((9, 8, 3), paint, np.uint8), 8))


def test_gif_with_too_few_pixels() -> None:
    levels = NOISE[..., 0] // 2
    found, _ = decode_image(gif(levels, levels.size))
    assert np.array_equal(found[0], levels * 2)
    for count in (20, levels.size // 2, levels.size - 1):
        assert not is_whole(gif(levels, count))


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 20}, {"subsampling": 0}, {"restart_marker_blocks": 5}, {"progressive": True}],
    ids=str,
)
def test_jpeg_with_its_end_marked_too_early(options: dict[str, Any]) -> None:
    flat = [np.full((40, 33, 3), 255, np.uint8), np.full((40, 33), 128, np.uint8)]
    for pixels in (SMOOTH, SMOOTH[..., 0], *flat):
        data = encode(pixels, "JPEG", **options)
        assert is_whole(data)
        assert is_whole(data[:-2] + b"\xff\xd9 and what an editor left here")
        if pixels.std() > 0:
            assert not any(is_whole(data[: int(part * len(data))] + b"\xff\xd9") for part in (0.5, 0.7, 0.9))


def test_jpeg_2000_without_its_last_tiles() -> None:
    data = encode(SMOOTH, "JPEG2000", tile_size=(32, 32))
    assert is_whole(data)
    for part in (0.5, 0.9):
        assert not is_whole(data[: int(part * len(data))])
        assert not is_whole(data[: int(part * len(data))] + b"\xff\xd9")


def strips(count: int, total: int, cut: int = 0) -> bytes:
    """A grey 8-bit TIFF of 4 rows a strip with ``count`` of its ``total`` strips, the last ``cut`` bytes short."""
    sizes = [4 * 16] * count
    sizes[-1] -= cut
    tags = {256: [16], 257: [4 * total], 258: [8], 259: [1], 262: [1], 273: [0] * count, 277: [1], 278: [4], 279: sizes}
    pixels = 8 + 2 + 12 * len(tags) + 4 + 8 * count
    tags[273] = [pixels + 64 * each for each in range(count)]
    fields, behind = b"", b""
    for tag, values in tags.items():
        listed = struct.pack(f"<{len(values)}I", *values)
        where = struct.pack("<I", pixels - 8 * count + len(behind)) if len(values) > 1 else listed
        behind += listed if len(values) > 1 else b""
        fields += struct.pack("<HHI", tag, 4, len(values)) + where
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + fields + bytes(4) + behind + bytes(range(64)) * count


def test_tiff_with_strips_missing_or_too_short() -> None:
    assert is_whole(strips(5, 5))
    for count, cut in ((4, 0), (2, 0), (5, 20)):
        with pytest.raises(DataError, match=r"damaged: .*(of 5 strips are in the file|its pixels need 320)"):
            decode_image(strips(count, 5, cut))


@pytest.mark.parametrize("kind", ["TGA", "PCX", "SGI", "QOI", "DDS", "WEBP", "AVIF", "PPM"])
def test_other_formats_cut_off(kind: str) -> None:
    data = encode(SMOOTH, kind)
    assert is_whole(data)
    with pytest.raises(DataError):
        decode_image(data[: len(data) * 2 // 3])


def test_a_program_that_lets_pillow_read_half_pictures_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("PNG", "JPEG", "BMP"):
        data = encode(NOISE, kind)
        assert not is_whole(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_pillows_warnings_stay_with_pillow() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + b"\1\x12\0\3\0\0\0\1"  # says five entries, has half of one
    data = encode(SMOOTH, "JPEG", exif=exif)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(data)).getexif()
        assert seen  # Pillow does warn
        seen.clear()
        assert decode_image(data)[0].shape == (3, 80, 96)
        assert not seen
        with strict_decoders:
            warnings.warn("of another module", stacklevel=1)
        assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_whole(data)


def test_libtiff_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = bytearray(encode(NOISE, "TIFF", compression=kind))
        for _ in range(5):
            data[20:900] = rng.integers(0, 256, 880, dtype=np.uint8).tobytes()
            is_whole(bytes(data))
    assert capfd.readouterr() == ("", "")
