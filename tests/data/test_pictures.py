"""Sheets of pictures, and single PNGs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqkit.data.images.reading import from_picture, read_picture
from vqkit.pictures import before_after_sheet, save_png, to_uint8


def images(count: int, channels: int, height: int, width: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(channels, height, width, generator=generator) for _ in range(count)]


def test_to_uint8_rounds_and_clamps() -> None:
    values = torch.tensor([-1.0, 0.0, 0.49 / 255, 0.51 / 255, 0.5, 254.6 / 255, 1.0, 3.0])
    assert to_uint8(values.view(1, 1, 1, 8)).ravel().tolist() == [0, 0, 0, 1, 128, 255, 255, 255]
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert np.array_equal(to_uint8(every), every.numpy())
    assert np.array_equal(to_uint8(every.float() / 255), every.numpy())


@pytest.mark.parametrize("channels", [1, 3])
def test_png_round_trip(tmp_path: Path, channels: int) -> None:
    array = to_uint8(torch.stack(images(1, channels, 5, 7)))[0]
    save_png(array, tmp_path / "a.png")
    read = np.asarray(Image.open(tmp_path / "a.png"))
    assert np.array_equal(read if channels == 1 else np.moveaxis(read, -1, 0), array if channels == 3 else array[0])


def test_small_pictures_are_enlarged_by_a_whole_factor_without_blur() -> None:
    image = torch.zeros(1, 8, 8)
    image[0, 0, 0] = 1.0
    sheet = np.asarray(before_after_sheet([("", [image])]))
    white_block = np.all(sheet[6 : 6 + 64, :, :] == 255, axis=(0, 2))
    assert not white_block.all()
    black = np.argwhere(np.all(sheet == 0, axis=2))
    (top, left), (bottom, right) = black.min(axis=0), black.max(axis=0)
    assert (bottom - top + 1, right - left + 1) == (64, 64)
    assert np.all(sheet[top : top + 8, left : left + 8] == 255)
    assert np.all(sheet[top + 8 : top + 64, left : left + 64] == 0)


def test_rows_stand_above_each_other_in_every_band() -> None:
    before = [torch.full((3, 64, 64), 0.2)] * 5
    after = [torch.full((3, 64, 64), 0.6)] * 5
    sheet = np.asarray(before_after_sheet([("original", before), ("reconstruction", after)], columns=2, title="T"))
    column = sheet[:, sheet.shape[1] - 8 - 66 - 40]  # through the first column of pictures
    runs = [int(value) for value in column[:, 0] if value in (51, 153)]
    order = [value for place, value in enumerate(runs) if place == 0 or runs[place - 1] != value]
    assert order == [51, 153] * 3


@pytest.mark.parametrize(("height", "width"), [(1, 50), (50, 1), (1, 1), (3, 4000)])
def test_any_size_fits(height: int, width: int) -> None:
    sheet = before_after_sheet([("a", images(3, 3, height, width)), ("b", images(3, 3, height, width))])
    assert sheet.height < 1000


def test_large_pictures_are_shrunk_so_that_the_sheet_stays_small() -> None:
    sheet = before_after_sheet([("a", images(2, 3, 600, 900))])
    assert sheet.width < 800
    assert sheet.height < 300
    assert before_after_sheet([("a", images(2, 3, 600, 900))], cell=600).width > 1200


def test_sizes_and_kinds_may_differ_within_a_sheet() -> None:
    mixed = [torch.rand(3, 20, 30), torch.rand(1, 30, 20), torch.zeros(3, 9, 9, dtype=torch.uint8)]
    sheet = before_after_sheet([("a", mixed), ("b", mixed)], title="a long title " * 12)
    assert sheet.mode == "RGB"
    assert sheet.width > 500


def ink(sheet: Image.Image, box: tuple[int, int, int, int]) -> bool:
    return bool((np.asarray(sheet.crop(box).convert("L")) < 128).any())


def test_words_stand_above_the_first_pictures_and_below_the_last_of_every_band() -> None:
    grey = [torch.full((1, 64, 64), 0.7)] * 4  # lighter than ink
    rows = [("", grey), ("", grey)]
    plain = before_after_sheet(rows, columns=2)
    named = before_after_sheet(rows, columns=2, heads=["a", "b", "c", ""], notes=["1", "2", "", "4" * 99])
    assert named.height == plain.height + 2 * 40
    assert named.width == plain.width  # long words are cut
    band = (named.height - 6) // 2
    for place, (head, below) in enumerate([(True, True), (True, True), (True, False), (False, True)]):
        left, top = 16 + place % 2 * 70, 6 + place // 2 * band
        assert ink(named, (left, top, left + 64, top + 18)) is head
        assert ink(named, (left, top + 20 + 2 * 70 - 6, left + 64, top + band - 8)) is below
        assert not ink(named, (left, top + 20, left + 64, top + 20 + 64 + 6 + 64))


def test_a_row_without_pictures_is_a_heading_over_the_whole_width() -> None:
    grey = [torch.full((1, 64, 64), 0.7)] * 2
    sheet = before_after_sheet([("a heading wider than two pictures together", []), ("", grey)], heads=["x", "y"])
    assert sheet.width > 280
    assert ink(sheet, (0, 6, sheet.width, 28))
    assert ink(sheet, (16, 32, 80, 52))  # heads stand by the pictures
    assert not ink(sheet, (16, 54, 16 + 64, sheet.height))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3)], ids=["grey", "RGB"])
def test_a_picture_in_memory_is_what_its_file_is(shape: tuple[int, ...], form: str, orientation: int) -> None:
    made = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    made.save(file := io.BytesIO(), form, **({"exif": exif} if orientation > 1 else {}))
    held = Image.open(io.BytesIO(file.getvalue()))
    held.load()
    wanted = read_picture(file.getvalue(), smallest=1).pixels
    assert np.array_equal(from_picture(held), wanted)
    assert np.array_equal(from_picture(held.copy()), wanted)
