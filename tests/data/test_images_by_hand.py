"""decode_image of files written byte by byte here, so that what they show is known without Pillow's help."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from vqkit.data.images.reading import decode_image, what_is_lost
from vqkit.errors import DataError

GREY = np.linspace(0, 255, 16 * 12).reshape(12, 16).astype(np.uint8)
DEEP = np.linspace(0, 65535, 16 * 12).reshape(12, 16).astype(np.uint16)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], -1)


def deep_of(array: Any) -> Any:
    return array.astype(np.uint16) * 257


def tiff(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def bare_tiff(rows: bytes, bits: int, white_is_zero: bool, order: str, size: tuple[int, int], form: int = 1) -> bytes:
    """An uncompressed grey TIFF of one strip: its header, its directory, its pixels."""
    values = {256: size[1], 257: size[0], 258: bits, 259: 1, 262: 0 if white_is_zero else 1, 273: 0, 277: 1}
    values |= {278: size[0], 279: len(rows), 339: form}
    values[273] = 8 + 2 + 12 * len(values) + 4
    fields = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in values.items())
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(values))
    return start + fields + bytes(4) + rows


def packed(values: Any, bits: int) -> bytes:
    """Rows of values of so many bits, the highest bit first, each row up to a whole byte."""
    return b"".join(
        np.packbits([int(value) >> bit & 1 for value in row for bit in range(bits - 1, -1, -1)]).tobytes()
        for row in values
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows: bytes, size: tuple[int, int], depth: int, colour: int, *extra: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def unfiltered(rows: bytes, count: int) -> bytes:
    length = len(rows) // count
    return b"".join(b"\0" + rows[each * length : (each + 1) * length] for each in range(count))


def shows(data: bytes, want: Any, within: int = 0) -> bool:
    pixels, _ = decode_image(data)
    assert pixels.dtype == np.uint8
    want = np.asarray(want)[None] if np.ndim(want) == 2 else np.asarray(want).transpose(2, 0, 1)
    assert pixels.shape == want.shape
    return bool(np.abs(pixels.astype(int) - want).max() <= within)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_grey_tiff_of_any_depth_has_black_and_white_where_a_viewer_has(
    bits: int, white_is_zero: bool, order: str
) -> None:
    top = (1 << bits) - 1
    for width in (16, 13):  # 13: rows that end within a byte
        levels = (np.arange(12 * width).reshape(12, width) * 37) % (top + 1)
        levels[0, :2] = 0, top
        rows = levels.astype(f"{order}u2").tobytes() if bits == 16 else packed(levels, bits)
        want = np.rint((top - levels if white_is_zero else levels) * 255 / top)
        assert shows(bare_tiff(rows, bits, white_is_zero, order, (12, width)), want)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_float_tiff_too(white_is_zero: bool, order: str) -> None:
    values = (DEEP / 65535).astype(f"{order}f4")
    want = np.rint((1 - values if white_is_zero else values) * 255)
    assert shows(bare_tiff(values.tobytes(), 32, white_is_zero, order, (12, 16), form=3), want)


ZIPPED = {"compression": "zlib"}


@pytest.mark.parametrize("more", [{}, ZIPPED, {**ZIPPED, "predictor": 2, "tile": (16, 16)}])
@pytest.mark.parametrize("order", ["<", ">"])
def test_planes_of_16_bits_and_of_8(order: str, more: dict[str, Any]) -> None:
    planar = {"planarconfig": "separate", "byteorder": order, **more}
    deep = deep_of(COLOUR).transpose(2, 0, 1).copy()
    assert shows(tiff(deep, photometric="rgb", **planar), COLOUR)
    if "predictor" not in more:
        assert shows(tiff(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", **planar), COLOUR)
    white = tiff(65535 - DEEP, photometric="miniswhite", byteorder=order, **more)
    assert shows(white, np.rint(DEEP / 257))


def test_planes_with_transparency_and_of_cmyk() -> None:
    alpha = np.full_like(GREY, 100)
    alpha[:, :5] = 255
    over = np.rint(COLOUR * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255))
    four = np.concatenate([deep_of(COLOUR), deep_of(alpha)[..., None]], -1).transpose(2, 0, 1).copy()
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate"}
    assert shows(tiff(four, extrasamples=["unassalpha"], **options), over)
    assert shows(tiff(four, extrasamples=["unspecified"], **options), COLOUR)
    associated = np.concatenate([np.rint(deep_of(COLOUR) * (alpha[..., None] / 255)), deep_of(alpha)[..., None]], -1)
    data = tiff(associated.astype(np.uint16).transpose(2, 0, 1).copy(), extrasamples=["assocalpha"], **options)
    assert shows(data, over, within=1)
    inks = np.stack([255 - COLOUR[..., 0], 255 - COLOUR[..., 1], 255 - COLOUR[..., 2], np.zeros_like(GREY)], -1)
    for planes in ({}, {"planarconfig": "separate"}):
        stored = inks.transpose(2, 0, 1).copy() if planes else inks
        assert shows(tiff(stored, photometric="separated", **planes), COLOUR, within=1)
        assert shows(tiff(deep_of(stored), photometric="separated", **planes), COLOUR, within=1)


def test_signed_bytes_below_zero_are_refused() -> None:
    low = np.full((8, 8), -3, np.int8)
    with pytest.raises(DataError, match="below 0"):
        decode_image(tiff(low, photometric="minisblack"))
    assert shows(tiff(-low, photometric="minisblack"), np.full((8, 8), 3))


def test_lab_tiff_is_shown_in_srgb() -> None:
    """By the formulas of CIE 15 and IEC 61966-2-1, with Bradford's adaptation from D50 to D65."""
    lab = np.array([[60, 40, -20], [30, -25, 10], [80, 0, 0], [50, 10, 50]], float)
    fy = (lab[:, 0] + 16) / 116
    f = np.stack([fy + lab[:, 1] / 500, fy, fy - lab[:, 2] / 200], 1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = (xyz @ np.array(to_linear).T).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    stored = np.concatenate([np.rint(lab[:, :1] * 2.55), lab[:, 1:]], 1).astype(np.int8).view(np.uint8)
    data = tiff(np.repeat(stored.reshape(1, 4, 3), 4, axis=0), photometric="cielab")
    assert shows(data, np.repeat(srgb.reshape(1, 4, 3), 4, axis=0), within=3)
    assert decode_image(data)[1] == "file: LAB converted to RGB"


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_level_of_grey_png_is_white(depth: int) -> None:
    top = (1 << depth) - 1
    levels = np.arange(64).reshape(8, 8) * 521 % (top + 1)
    transparent = int(levels[3, 3])
    rows = levels.astype(">u2").tobytes() if depth == 16 else packed(levels, depth)
    want = np.where(levels == transparent, 255, np.rint(levels * 255 / top))
    data = png(unfiltered(rows, 8), (8, 8), depth, 0, chunk(b"tRNS", struct.pack(">H", transparent)))
    assert shows(data, want)
    assert what_is_lost(data) is not None
    if depth < 16:  # only the lowest bits count, says the standard
        odd = png(unfiltered(rows, 8), (8, 8), depth, 0, chunk(b"tRNS", struct.pack(">H", transparent + (top + 1))))
        assert shows(odd, want) or depth == 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_entries_of_a_palette(depth: int) -> None:
    top = min(1 << depth, 16) - 1
    levels = np.arange(64).reshape(8, 8) % (top + 1)
    entries = (np.arange(3 * (top + 1)) * 7 % 256).astype(np.uint8).reshape(-1, 3)
    alphas = np.linspace(0, 255, top + 1).astype(np.uint8)
    part = alphas[levels][..., None] / 255
    want = np.rint(entries[levels] * part + 255 * (1 - part))
    extra = chunk(b"PLTE", entries.tobytes()), chunk(b"tRNS", alphas.tobytes())
    data = png(unfiltered(packed(levels, depth), 8), (8, 8), depth, 3, *extra)
    assert shows(data, want)
    assert decode_image(data)[1] == "file: transparency laid over white; file: palette read as RGB colours"


def test_the_transparent_colour_of_deep_rgb_png_is_compared_in_all_its_bits() -> None:
    values = np.zeros((8, 8, 3), ">u2")
    values[2:] = (0x1234, 0x5678, 0x9ABC)
    values[6:] = (0x1235, 0x5678, 0x9ABC)  # the same in the upper bytes
    trns = chunk(b"tRNS", struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC))
    want = (values >> 8).astype(np.uint8)
    want[2:6] = 255
    assert shows(png(unfiltered(values.tobytes(), 8), (8, 8), 16, 2, trns), want)
    plain = png(
        unfiltered((values >> 8).astype(np.uint8).tobytes(), 8), (8, 8), 8, 2, chunk(b"tRNS", b"\0\x12\0\x56\0\x9a")
    )
    want[6:] = 255
    assert shows(plain, want)


def test_a_picture_is_kept_whatever_is_written_beside_it() -> None:
    much = PngImagePlugin.PngInfo()
    much.add_text("notes", "x" * (3 << 20), zip=True)
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG", pnginfo=much)
    assert shows(file.getvalue(), COLOUR)
    data = png(unfiltered(COLOUR.tobytes(), 12), (12, 16), 8, 2)
    late = data[:-12] + chunk(b"zTXt", b"notes\0\0" + zlib.compress(b"x" * (3 << 20))) + data[-12:]
    assert shows(late, COLOUR)
    assert shows(png(unfiltered(COLOUR.tobytes(), 12), (12, 16), 8, 2, chunk(b"eXIf", b"no EXIF at all")), COLOUR)


def test_orientation_behind_the_pixels_counts() -> None:
    exif = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = png(unfiltered(COLOUR.tobytes(), 12), (12, 16), 8, 2)
    late = data[:-12] + chunk(b"eXIf", exif) + data[-12:]
    assert shows(late, np.rot90(COLOUR, -1))


def test_a_decoder_may_raise_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    class OddError(Exception):
        pass

    def fail(*_: object) -> None:
        raise OddError("of the decoder's own")

    data = png(unfiltered(GREY.tobytes(), 12), (12, 16), 8, 0)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", fail)
    with pytest.raises(DataError, match="damaged: of the decoder's own"):
        decode_image(data)


def test_profiles_are_said_and_lossless_refuses_them() -> None:
    file = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOUR).save(file, "PNG", icc_profile=profile)
    assert decode_image(file.getvalue())[1] == "file: colour profile not applied"
    assert what_is_lost(file.getvalue()) == "a colour profile"


@pytest.mark.parametrize(
    ("data", "note", "lost"),
    [
        (
            tiff(np.dstack([COLOUR, GREY, GREY]), photometric="rgb", extrasamples=["unspecified"] * 2),
            "2 bands",
            "bands",
        ),
        pytest.param(
            tiff(np.dstack([GREY, GREY]), photometric="minisblack", extrasamples=["unspecified"]),
            "1 band ",
            "bands",
            marks=pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow 12 reads no such file"),
        ),
        (tiff(deep_of(COLOUR), photometric="rgb"), "16 bits scaled to 8", "16 bits"),
        (b"P6 16 12 1023\n" + np.repeat(DEEP >> 6, 3).astype(">u2").tobytes(), "10 bits scaled to 8", "10 bits"),
        (tiff((DEEP >> 4), photometric="minisblack"), "values of 12 bits in 16", "mode I;16"),
        (png(unfiltered(np.dstack([COLOUR, GREY]).tobytes(), 12), (12, 16), 8, 6), "transparency laid", "mode RGBA"),
    ],
)
def test_what_is_lost_is_said(data: bytes, note: str, lost: str) -> None:
    assert f"file: {note}" in str(decode_image(data)[1]) or note in str(decode_image(data)[1])
    assert lost in str(what_is_lost(data))


def test_an_alpha_channel_that_is_opaque_throughout_loses_nothing_to_be_said() -> None:
    four = np.dstack([COLOUR, np.full_like(GREY, 255)])
    data = png(unfiltered(four.tobytes(), 12), (12, 16), 8, 6)
    assert shows(data, COLOUR)
    assert decode_image(data)[1] is None


@pytest.mark.parametrize(("kind", "bits"), [("JPEG2000", 16), ("AVIF", 8)])
def test_depth_of_formats_that_pillow_reads_as_8_bits(kind: str, bits: int) -> None:
    file = io.BytesIO()
    Image.fromarray(DEEP if bits > 8 else COLOUR).save(file, kind)
    note = decode_image(file.getvalue())[1]
    assert note == ("file: 16 bits scaled to 8" if bits > 8 else None)
