"""decode_image: every mode, as a person sees the picture in a viewer."""

from __future__ import annotations

import contextlib
import io
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence, PngImagePlugin

from vqkit.data.images.reading import decode_image, over_white, read_header, scale_16_bit, to_channels
from vqkit.errors import ConfigError, DataError

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def colour_image() -> Image.Image:
    return Image.fromarray(np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1))


def decode(encoded: bytes) -> np.ndarray:
    """Decode, and check what holds for every image: dtype, layout, and that the header agrees."""
    pixels, note = decode_image(encoded)
    header = read_header(encoded)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert (header.channels, *header.size) == pixels.shape
    assert header.note == note
    return pixels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_grey_stays_one_channel_and_colour_is_channels_first(kind: str) -> None:
    np.testing.assert_array_equal(decode(encode(Image.fromarray(RAMP), kind)), RAMP[None])
    expected = np.stack([RAMP, 255 - RAMP, RAMP // 2])
    np.testing.assert_array_equal(decode(encode(colour_image(), kind)), expected)


def test_one_bit_is_black_and_white() -> None:
    bits = RAMP > 100
    np.testing.assert_array_equal(decode(encode(Image.fromarray(bits))), bits[None] * 255)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    wide = (np.arange(48).reshape(6, 8) * 1394).astype(np.uint16)
    wide[0, 0], wide[-1, -1] = 0, 65535
    expected = np.rint(wide / 257.0)
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode(encode(Image.fromarray(wide), kind))[0], expected)
    assert scale_16_bit(np.array([65535, 128, 129], dtype=np.uint16)).tolist() == [255, 0, 1]


def test_32_bit_integers_beyond_16_bits_are_refused() -> None:
    wide = np.full((6, 8), 70000, dtype=np.int32)
    with pytest.raises(DataError, match=r"70000.*65535"):
        decode_image(encode(Image.fromarray(wide), "TIFF"))


def test_float_tiff_in_0_to_1_is_scaled_and_other_ranges_are_refused() -> None:
    values = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(values), "TIFF"))[0], np.rint(values * 255))
    with pytest.raises(DataError, match=r"0\.\.255: only \[0, 1\]"):
        decode_image(encode(Image.fromarray(values * 255), "TIFF"))
    beyond = values * np.float32(1.0005) - np.float32(2e-4)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(beyond), "TIFF"))[0], np.rint(beyond.clip(0, 1) * 255))
    values[2, 3] = np.nan
    with pytest.raises(DataError, match="NaN"):
        decode_image(encode(Image.fromarray(values), "TIFF"))


def test_palette_becomes_rgb() -> None:
    image = Image.fromarray(RAMP % 3, mode=None).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    pixels = decode(encode(image))
    table = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(pixels, table[RAMP % 3].transpose(2, 0, 1))


def reference_over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    part = alpha.astype(np.float64) / 255
    return np.rint(colour.astype(np.float64) * part + 255 * (1 - part))


def test_rgba_and_la_are_laid_over_white() -> None:
    alpha = 255 - RAMP
    rgba = np.stack([RAMP, RAMP // 2, RAMP // 3, alpha], axis=-1)
    expected = reference_over_white(rgba[..., :3].transpose(2, 0, 1), alpha)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(rgba))), expected)
    grey = np.stack([RAMP, alpha], axis=-1)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(grey)))[0], reference_over_white(RAMP, alpha))


def test_over_white_agrees_with_float64_for_all_pairs_of_bytes() -> None:
    colour, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    np.testing.assert_array_equal(over_white(colour, alpha), reference_over_white(colour, alpha))


def test_transparent_colours_of_palette_grey_rgb_and_16_bit_become_white() -> None:
    palette = Image.fromarray(RAMP % 3).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert (decode(encode(palette, transparency=1))[:, RAMP % 3 == 1] == 255).all()
    assert (decode(encode(palette, transparency=1))[0, RAMP % 3 == 0] == 255).all()  # red stays red
    assert (decode(encode(palette, transparency=1))[1, RAMP % 3 == 0] == 0).all()
    assert (decode(encode(Image.fromarray(RAMP), transparency=10))[0, RAMP == 10] == 255).all()
    assert decode(encode(colour_image(), transparency=(0, 255, 0)))[:, 0, 0].tolist() == [255, 255, 255]
    wide = RAMP.astype(np.uint16) * 200
    pixels = decode(encode(Image.fromarray(wide), transparency=5 * 200))[0]
    assert (pixels[RAMP == 5] == 255).all()
    assert pixels[0, 0] == 0


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (8, 6), (0, 255, 255, 0))
    assert decode(encode(image, "TIFF"))[:, 0, 0].tolist() == [255, 0, 0]
    red = decode(encode(image, "JPEG", quality=95))[:, 0, 0].astype(int)
    assert red[0] > 240
    assert red[1] < 15
    assert red[2] < 15


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_rotation_is_applied(kind: str, orientation: int) -> None:
    upright = np.stack([RAMP, 255 - RAMP, RAMP // 2])
    turned = {  # what the camera stored, by the EXIF standard, so that a viewer shows it upright
        1: upright,
        2: upright[:, :, ::-1],
        3: upright[:, ::-1, ::-1],
        4: upright[:, ::-1],
        5: upright.transpose(0, 2, 1),
        6: upright.transpose(0, 2, 1)[:, ::-1],
        7: upright.transpose(0, 2, 1)[:, ::-1, ::-1],
        8: upright.transpose(0, 2, 1)[:, :, ::-1],
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(turned.transpose(1, 2, 0)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode(encode(image, kind, exif=exif, **options)), upright)


def test_jpeg_exif_rotation_swaps_the_sides() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encode(colour_image(), "JPEG", exif=exif)).shape == (3, 8, 6)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_shows_its_first_frame_with_a_note(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    encoded = encode(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(encoded))))) == 2
    pixels, note = decode_image(encoded)
    assert note == "animated file: first frame used"
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]


def test_a_still_image_has_no_note() -> None:
    assert decode_image(encode(colour_image(), "GIF"))[1] is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_a_truncated_file_is_an_error(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    encoded = encode(Image.fromarray(noise), kind)
    with pytest.raises(DataError, match=r"damaged|not an image"):
        decode_image(encoded[: len(encoded) // 2])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_any_damage_gives_an_image_or_a_data_error() -> None:
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"):
        good = encode(colour_image(), kind)
        for _ in range(60):
            bad = bytearray(good)
            for place in rng.integers(0, len(bad), 4):
                bad[place] = int(rng.integers(256))
            with contextlib.suppress(DataError):  # nothing else may come out
                assert decode_image(bytes(bad))[0].dtype == np.uint8


def test_what_is_no_image_is_named_so(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("this is a letter")
    with pytest.raises(DataError, match="not an image"):
        decode_image(text)
    with pytest.raises(DataError, match="empty"):
        decode_image(b"")
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(1 << 28)  # 256 MiB of nothing, which need not be read to see that it is no image
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="not an image"):
            decode_image(large)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
    with pytest.raises(DataError, match="No such file"):
        decode_image(tmp_path / "missing.png")


def test_sides_under_4_pixels_and_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="3x9 pixels: images need at least 4"):
        decode_image(encode(Image.new("L", (3, 9))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as many programs do
    bomb = io.BytesIO()
    PngImagePlugin.putchunk(bomb, b"IHDR", (20000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00")
    PngImagePlugin.putchunk(bomb, b"IDAT", b"")
    with pytest.raises(DataError, match=r"20000x20000 pixels.*bomb"):
        decode_image(b"\x89PNG\r\n\x1a\n" + bomb.getvalue())


def test_to_channels_is_pillows_grey_and_repeats_for_rgb() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (3, 40, 50)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(rgb.transpose(1, 2, 0).copy()).convert("L"))
    np.testing.assert_array_equal(to_channels(rgb, 1)[0], expected)
    as_float = to_channels((rgb / np.float32(255)).astype(np.float32), 1)
    assert as_float.dtype == np.float32
    assert np.abs(as_float[0] * 255 - expected).max() < 0.51
    np.testing.assert_array_equal(to_channels(rgb[None, :1], 3)[0], rgb[[0, 0, 0]])
    assert to_channels(rgb, 3) is rgb
    with pytest.raises(ConfigError, match=re.escape("cannot turn 3 channels into 2")):
        to_channels(rgb, 2)
