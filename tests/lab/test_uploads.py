"""Uploads: what anybody may send is read within limits, or refused in one line that names the file alone."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.lab.cases import image_model, sound_model, vector_model
from vqkit.errors import DataError
from vqkit.lab import OpenModel, limits
from vqkit.lab.acts.uploads import read_upload


@pytest.fixture(scope="module")
def pictures() -> OpenModel:
    return OpenModel("pictures", None, image_model())


@pytest.fixture(scope="module")
def voices() -> OpenModel:
    return OpenModel("voices", None, sound_model())


@pytest.fixture(scope="module")
def vectors() -> OpenModel:
    return OpenModel("vectors", None, vector_model())


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.effect_mandelbrot((width, height), (-2, -1, 1, 1), 20).convert(mode).save(file, "PNG")
    return file.getvalue()


def tone(path: Path, seconds: float, rate: int = 16_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = np.sin(np.arange(round(seconds * rate)) * 0.05) * 9000
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def test_a_picture_is_made_smaller_and_it_is_said(pictures: OpenModel, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(png(400, 200))
    found = read_upload(pictures, file, 128)
    assert found.signals.shape == (1, 3, 64, 128)
    assert found.signals.dtype == np.uint8
    assert found.notes == ("made smaller, from 400 x 200 to 128 x 64 pixels",)
    assert read_upload(pictures, file).signals.shape == (1, 3, 200, 400)


def test_a_model_of_one_size_gets_the_middle(tmp_path: Path) -> None:
    import vqkit

    digits = vqkit.load_source("builtin:digits").subset(range(40))
    model = vqkit.PCA.for_source(digits, 4)
    model.prepare([np.asarray(digits.gather(range(40)))])
    file = tmp_path / "wide.png"
    file.write_bytes(png(40, 20, "L"))
    found = read_upload(OpenModel("digits", None, model), file)
    assert found.signals.shape == (1, 1, 8, 8)
    assert "8 x 8 pixels" in found.notes[0]


def test_a_long_sound_is_cut_and_resampled(voices: OpenModel, tmp_path: Path) -> None:
    found = read_upload(voices, tone(tmp_path / "voice.wav", 3.0, 8000), seconds=2.0)
    assert found.signals.shape == (1, 1, 32_000)
    assert found.notes == ("resampled from 8,000 to 16,000 Hz", "the first 2 of 3 seconds")


def test_stereo_is_mixed_down_with_a_word(voices: OpenModel, tmp_path: Path) -> None:
    from scipy.io import wavfile

    wavfile.write(tmp_path / "two.wav", 16_000, np.full((16_000, 2), 0.1, dtype=np.float32))
    found = read_upload(voices, tmp_path / "two.wav")
    assert found.signals.shape == (1, 1, 16_000)
    assert found.notes == ("2 channels mixed down to 1",)


def test_vectors_are_cut_at_a_number_of_rows(
    vectors: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_VECTORS", 5)
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32))
    found = read_upload(vectors, tmp_path / "rows.npy")
    assert found.signals.shape == (5, 6)
    assert found.notes == ("the first 5 of 9 rows",)


def bomb() -> bytes:
    """A PNG whose header states 60,000 x 60,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 16))) + chunk(b"IEND", b"")


def large() -> bytes:
    file = io.BytesIO()
    Image.new("1", (8000, 5001)).save(file, "PNG")
    return file.getvalue()


def saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
HOSTILE = {
    "empty.png": (b"", "empty"),
    "bomb.png": (bomb(), "pixels"),
    "large.png": (large(), "pixels"),
    "drawing.png": (SVG, "drawing.png"),
    "page.jpg": (HTML, "page.jpg"),
    "half.png": (png(64, 64)[:600], "half.png"),
    "program.exe": (b"MZ", "endings"),
    "drawing.svg": (SVG, "endings"),
    "tone.wav": (b"RIFF", "endings"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures(pictures: OpenModel, tmp_path: Path, name: str) -> None:
    content, word = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    refused(pictures, tmp_path / name, word)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.wav", b""),
        ("text.wav", b"RIFF and nothing"),
        ("page.mp3", HTML),
        ("cut.flac", b"fLaC\0\0\0\x22"),
        ("sound.npy", saved(np.zeros((1, 64), np.float32))),
    ],
)
def test_hostile_sounds(voices: OpenModel, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(voices, tmp_path / name, name)


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nan.npy", saved(np.full((4, 6), np.nan, np.float32))),
        ("infinite.npy", saved(np.full((4, 6), np.inf, np.float32))),
        ("other.npy", saved(np.zeros((4, 5), np.float32))),
        ("none.npy", saved(np.zeros((0, 6), np.float32))),
        ("objects.npy", pickled()),
        ("stated.npy", saved(np.zeros((4, 6), np.float32)).replace(b"(4, 6)", b"(9**9,")),
        ("words.csv", b"a,b\nx,y\n"),
    ],
)
def test_hostile_vectors(vectors: OpenModel, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(vectors, tmp_path / name, name)


@pytest.mark.parametrize("name", ["*.npy", "rows.npy:key", "[a].npy"])
def test_letters_of_a_name_mean_nothing(vectors: OpenModel, tmp_path: Path, name: str) -> None:
    """A name with a pattern in it is that one file."""
    path = tmp_path / name
    path.write_bytes(saved(np.ones((2, 6), np.float32)))
    if path.suffix == ".npy":
        assert read_upload(vectors, path).signals.shape == (2, 6)
    else:
        refused(vectors, path, "endings")


def test_size_and_absence(pictures: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BYTES", 100)
    (tmp_path / "a.png").write_bytes(png(64, 64))
    refused(pictures, tmp_path / "a.png", "at most")
    refused(pictures, tmp_path / "gone.png", "gone.png")
    refused(pictures, None, "drop one")


def refused(opened: OpenModel, path: Path | None, word: str) -> None:
    with pytest.raises(DataError) as caught:
        read_upload(opened, path)
    message = str(caught.value)
    assert word in message
    assert "\n" not in message
    assert path is None or str(path.parent) not in message


def test_a_name_that_is_long_is_shortened(pictures: OpenModel, tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 200}.png"
    path.write_bytes(b"")
    refused(pictures, path, "...aaaaa.png")


@pytest.mark.parametrize("name", ["rows.npz", "rows.parquet"])
def test_what_is_large_once_it_is_unpacked(
    vectors: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Compressed zeros: a file of kilobytes that holds gigabytes is refused before it is unpacked."""
    rows = np.zeros((20_000, 6), np.float32)
    if name.endswith(".npz"):
        np.savez_compressed(tmp_path / name, x=rows)
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"x": list(rows)}), tmp_path / name)
    assert read_upload(vectors, tmp_path / name).signals.shape == (20_000, 6)
    monkeypatch.setattr(limits, "MOST_UNPACKED", rows.nbytes - 1)
    refused(vectors, tmp_path / name, "once it is unpacked")


def test_a_sound_that_is_large_once_it_is_decoded(
    voices: OpenModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_UNPACKED", 100_000)
    assert read_upload(voices, tone(tmp_path / "short.wav", 1.0)).signals.shape == (1, 1, 16_000)
    refused(voices, tone(tmp_path / "long.wav", 3.0), "too large once it is decoded")


@pytest.mark.parametrize("name", ["rows.arrow", "rows.feather"])
def test_files_whose_size_is_not_known_before_are_not_read(vectors: OpenModel, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"ARROW1")
    refused(vectors, tmp_path / name, "from files that end in")
