"""What is to become a file: read strictly, nothing in the place of something else, and checked before it is coded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from vqkit.data.images.reading import what_is_lost
from vqkit.data.inputs import InputSignals, named_signals
from vqkit.errors import DataError
from vqkit.signals import signal_kind

IMAGE, SOUND = signal_kind("image"), signal_kind("sound")


def encode(array: Any, form: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    image = Pillow.fromarray(np.asarray(array))
    (image if mode is None else image.convert(mode)).save(file, form, **options)
    return file.getvalue()


def colour(seed: int, size: tuple[int, int] = (8, 6), channels: int = 3) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)


def deep_png() -> bytes:
    """8 x 6 pixels of RGB with 16 bits, which Pillow reads as RGB with 8 and cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes(range(8 * 6)) for _ in range(6))
    head = struct.pack(">IIBBBBB", 8, 6, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def animated() -> bytes:
    file = io.BytesIO()
    frames = [Pillow.fromarray(colour(seed)) for seed in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


GOOD = [encode(colour(seed)) for seed in range(5)]
CUT = GOOD[2][: len(GOOD[2]) - 60]


def table(folder: Path, *items: bytes | None) -> InputSignals:
    rows = pa.table({"image": [{"bytes": item, "path": None} for item in items]})
    pq.write_table(rows, folder / "some.parquet")
    found = named_signals([str(folder / "some.parquet")])[0]
    assert len(found) == len(items)
    return found


def arrays(named: InputSignals, channels: int = 3, **options: bool) -> list[Any]:
    named.check(channels, IMAGE, **options)
    return [values for _, values in named.read(channels, IMAGE, **options)]


LOSSY = {
    "RGBA": (encode(colour(0, channels=4)), "mode RGBA"),
    "transparent palette": (encode(colour(0), mode="P", transparency=3), "transparency"),
    "transparent colour": (encode(colour(0), transparency=(1, 2, 3)), "transparency"),
    "16-bit grey": (encode(np.full((6, 8), 40_000, np.uint16)), "mode I;16"),
    "16-bit RGB": (deep_png(), "16 bits a channel"),
    "16-bit PPM": (b"P6 8 6 65535\n" + bytes(8 * 6 * 6), "16 bits a channel"),
    "CMYK": (encode(colour(0), "TIFF", mode="CMYK"), "mode CMYK"),
    "animation": (animated(), "several frames or pages"),
}


@pytest.mark.parametrize("kind", LOSSY)
def test_what_a_lossless_file_could_not_restore_is_refused_in_files_and_in_tables(kind: str, tmp_path: Path) -> None:
    data, message = LOSSY[kind]
    assert message in str(what_is_lost(data))
    (tmp_path / "a.png").write_bytes(GOOD[0])
    (tmp_path / "odd.png").write_bytes(data)
    loose = named_signals([str(tmp_path)])[0]
    rows = table(tmp_path, GOOD[0], data)
    for named, name in ((loose, "odd.png"), (rows, "some.parquet row 1")):
        for call in (named.check, lambda *given, named=named, **more: list(named.read(*given, **more))):
            with pytest.raises(DataError, match=f"{name}: .*{message}.*; so a lossless file could not restore"):
                call(3, IMAGE, lossless=True)
        assert len(arrays(named)) == 2


def test_what_it_can_restore_is_kept(tmp_path: Path) -> None:
    grey, palette = colour(0)[..., 0], Pillow.fromarray(colour(1)).quantize(7)
    file = io.BytesIO()
    palette.save(file, "PNG")
    given = [encode(grey), encode(grey > 99), file.getvalue(), encode(colour(2), "BMP"), encode(colour(3), "JPEG")]
    assert [what_is_lost(each) for each in given] == [None] * 5
    found = arrays(table(tmp_path, *given), lossless=True)
    assert all(each.shape == (3, 8, 6) for each in found)
    assert np.array_equal(found[2], np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    with pytest.raises(DataError, match="row 2: 3 channels, and this model's files hold 1"):
        arrays(table(tmp_path, *given), channels=1, lossless=True)


@pytest.mark.parametrize("bad", [CUT, b"no image", b"", None])
def test_a_damaged_row_is_left_out_by_name_and_nothing_stands_in_for_it(bad: bytes | None, tmp_path: Path) -> None:
    given = [GOOD[0], GOOD[1], bad, GOOD[3], GOOD[4]]
    named = table(tmp_path, *given)
    found = arrays(named)
    assert [np.array_equal(each.transpose(1, 2, 0), colour(n)) for each, n in zip(found, (0, 1, 3, 4), strict=True)]
    assert len(found) == 4
    assert [each.name for each in named.skipped] == ["some.parquet row 2"]
    with pytest.raises(DataError, match=r"some\.parquet row 2: "):
        arrays(table(tmp_path, *given), lossless=True)
    with pytest.raises(DataError, match="only 1 of 3 rows can be used"):
        arrays(table(tmp_path, GOOD[0], bad, bad))


def test_a_damaged_file_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    for number, data in enumerate(GOOD[:3]):
        (tmp_path / f"{number}.png").write_bytes(data)
    (tmp_path / "9.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"9\.png: not an image"):
        named_signals([str(tmp_path)])[0].check(3, IMAGE)
    with pytest.raises(DataError, match="the model reads sounds, of 1 axes"):
        named_signals([str(tmp_path)])[0].check(3, SOUND)


def test_the_smallest_images_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(colour(0, (1, 1))))
    (tmp_path / "b.png").write_bytes(encode(colour(0, (3, 70))))
    assert [each.shape for each in arrays(named_signals([str(tmp_path)])[0])] == [(3, 1, 1), (3, 3, 70)]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 8, 8, 4), np.uint8), "transparency laid over white"),
        (np.zeros((2, 8, 8, 3), np.uint16), "16 bits scaled to 8"),
        (np.zeros((2, 8, 8, 3), np.float32), "values of float32"),
        (np.zeros((2, 8, 8, 3), np.uint8), None),
        (np.zeros((2, 8, 8), bool), None),
    ],
)
def test_arrays_are_held_to_the_same(array: Any, message: str | None, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    named = named_signals([str(tmp_path / "a.npy")])[0]
    assert len(arrays(named)) == 2
    assert named.notes == ([message] if message and "values" not in message else [])
    if message is None:
        assert len(arrays(named, lossless=True)) == 2
        return
    for call in (named.check, lambda *given, **more: list(named.read(*given, **more))):
        with pytest.raises(DataError, match=f"{message}.*could not restore it"):
            call(3, IMAGE, lossless=True)
    np.save(tmp_path / "b.npy", np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="this model's files hold 1"):
        arrays(named_signals([str(tmp_path / "b.npy")])[0], channels=1, lossless=True)


def test_a_name_that_comes_twice_is_found_among_many(tmp_path: Path) -> None:
    for folder in ("one/x", "two/x"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(3):
            (tmp_path / folder / f"{number}.png").write_bytes(GOOD[0])
    with pytest.raises(DataError, match=r"3 names come twice, such as x/0\.png"):
        named_signals([str(tmp_path / "one/x"), str(tmp_path / "two/x")])


def test_a_folder_of_tables_is_read_and_an_empty_one_refused(tmp_path: Path) -> None:
    table(tmp_path, *GOOD)
    assert len(arrays(named_signals([str(tmp_path)])[0])) == 5
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        named_signals([str(tmp_path / "empty")])
