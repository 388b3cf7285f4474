"""``vqkit decompress`` where something is in the way: names, limits, other models, files that exist."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.cases import refused
from tests.codec.cases import histogram, pixels, tokenizer
from vqkit.cli import loading as opening
from vqkit.codec import Compressor, Decompressor, Signal, limits
from vqkit.codec import decompressor as decompressing
from vqkit.codec.inspect import inspect_file
from vqkit.coding import Reader
from vqkit.errors import LimitError, WrongModelError


def picture(file: Path, size: tuple[int, int] = (12, 9)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file)
    return file


@pytest.fixture
def file(vq: Any, file_run: Path, tmp_path: Path) -> Path:
    """A file of one image."""
    prior = file_run / "context" / "run"
    vq("compress", picture(tmp_path / "cat.png"), "-m", file_run, "-o", tmp_path / "cat.vqk", "--prior", prior)
    return tmp_path / "cat.vqk"


def test_all_that_is_compressed_comes_back(vq: Any, file_run: Path, tmp_path: Path) -> None:
    given = ["a.jpg", "a.png", "a.jpg.png", "x.jpg", "x.png/y.png", "A.png", f"{'l' * 251}.jpg", f"{'l' * 251}.png"]
    for name in given:
        picture(tmp_path / "photos" / name)
    vq("compress", tmp_path / "photos", "-m", file_run, "-o", tmp_path / "f.vqk")
    assert vq("decompress", tmp_path / "f.vqk", "-m", file_run, "-o", tmp_path / "back").status == 0
    found = sorted(each.relative_to(tmp_path / "back").as_posix() for each in (tmp_path / "back").rglob("*.png"))
    expected = ["A.png", "a.jpg.2.png", "a.jpg.png", "a.png.png", "x.jpg.png", "x.png/y.png"]
    assert found == sorted([*expected, f"{'l' * 250}~.png", f"{'l' * 251}.png", "x.png"])


def test_a_file_over_the_limits_is_refused_before_a_model_is_opened(
    vq: Any,
    file_run: Path,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused(vq("decompress", file, "-m", "no-such-run", "-o", "back", "--max-values", "100"), "--max-values 324")
    assert vq("decompress", file, "-m", file_run, "-o", "back", "--max-values", "324").status == 0
    for number, size in enumerate([(12, 9)] * 17 + [(13, 9)]):
        picture(tmp_path / "many" / f"{number:02d}.png", size if number % 2 else (9, 9))
    vq("compress", tmp_path / "many", "-m", file_run, "-o", "many.vqk")
    assert vq("decompress", "many.vqk", "-m", file_run, "-o", "all", "--max-values", "351").status == 0
    assert sorted(each.name for each in Path("all").iterdir()) == [f"{number:02d}.png" for number in range(18)]
    monkeypatch.setattr(opening, "open_model", lambda *_: pytest.fail("a model was opened"))
    said = vq("decompress", "many.vqk", "-m", file_run, "-o", "far", "--max-values", "340")
    refused(said, "many.vqk decodes to 5,130 numbers (pixels x channels)", "--max-values 351")
    assert not Path("far").exists()


@pytest.mark.parametrize(("total", "each_byte"), [(None, None), (1000, 1), (1000, 3), (100, 2)])
def test_the_limit_that_is_named_is_the_least(
    total: int | None, each_byte: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tokenizer()
    for module in (decompressing, limits) if total else ():
        monkeypatch.setattr(module, "MAX_TOTAL_VALUES", total)
        monkeypatch.setattr(module, "MAX_VALUES_PER_BYTE", each_byte)
    for sizes in ([(8, 8)], [(8, 8), (8, 9)] * 20, [(20, 20), (8, 8)]):
        data = io.BytesIO()
        Compressor(model).write(data, (Signal(np.zeros((1, *size), np.uint8)) for size in sizes))
        needed = inspect_file(io.BytesIO(data.getvalue())).max_values
        assert len(list(Decompressor(model, max_values=needed).read(io.BytesIO(data.getvalue())))) == len(sizes)
        with pytest.raises(LimitError):
            list(Decompressor(model, max_values=needed - 1).read(io.BytesIO(data.getvalue())))


def test_another_model_is_named_at_once_and_nothing_is_advised(
    vq: Any,
    file_run: Path,
    file: Path,
    tmp_path: Path,
) -> None:
    tokenizer(channels=3, residual_blocks=2).save_pretrained(tmp_path / "other" / "model")
    said = vq("decompress", file, "-m", tmp_path / "other", "-o", "back")
    refused(said, "made with the tokenizer")
    assert "train" not in said.err
    model = tokenizer(channels=3, num_codebooks=2, stacking="residual")
    model.save_pretrained(tmp_path / "bare" / "model")
    said = vq("decompress", file, "-m", tmp_path / "bare", "-o", "back")
    refused(said, "coded under a context model, and there is none in", "(--prior)")
    assert "train" not in said.err
    histogram(model).save_pretrained(tmp_path / "bare" / "context" / "histogram")  # of another kind
    refused(vq("decompress", file, "-m", tmp_path / "bare", "-o", "back"), "there is none in")
    prior = file_run / "context" / "run"
    assert vq("decompress", file, "-m", tmp_path / "bare", "-o", "back", "--prior", prior).status == 0
    pixels(model).save_pretrained(file_run / "lossless" / "model")
    vq("compress", tmp_path / "cat.png", "-m", file_run, "-o", "l.vqk", "--lossless", "--prior", prior)
    said = vq("decompress", "l.vqk", "-m", tmp_path / "other", "-o", "l")
    refused(said, "made with the tokenizer")
    said = vq("decompress", "l.vqk", "-m", tmp_path / "bare", "-o", "l", "--prior", prior)
    refused(said, "there is no pixel prior in", "(--pixels)")
    assert "train" not in said.err
    assert issubclass(WrongModelError, ValueError)


def test_nothing_is_overwritten_and_no_folder_has_the_name_of_an_image(
    vq: Any,
    file_run: Path,
    file: Path,
    tmp_path: Path,
) -> None:
    keep = picture(tmp_path / "keep.png", (30, 20))
    before = keep.read_bytes()
    refused(vq("decompress", file, "-m", file_run, "-o", keep), "keep.png exists", "--force")
    assert keep.read_bytes() == before
    assert vq("decompress", file, "-m", file_run, "-o", keep, "--force").status == 0
    assert Image.open(keep).size == (9, 12)
    for name in ("o.jpg", "o.WEBP", "o.tif"):
        refused(vq("decompress", file, "-m", file_run, "-o", name), "images are written as .png only")
        assert not Path(name).exists()
    Path("taken.txt").write_text("mine")
    refused(vq("decompress", file, "-m", file_run, "-o", "taken.txt", "--force"), "a new or empty folder")
    assert Path("taken.txt").read_text() == "mine"
    Path("empty.png").mkdir()
    assert vq("decompress", file, "-m", file_run, "-o", "empty.png").status == 0
    assert [each.name for each in Path("empty.png").iterdir()] == ["cat.png"]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_refused_by_name(vq: Any, file_run: Path, pipe: Path) -> None:
    refused(vq("decompress", pipe, "-m", file_run, "-o", "back"), "is a pipe or a device", "save it to the disk")
    refused(vq("decompress", "/dev/null", "-m", file_run, "-o", "back"), "is a pipe or a device")


def test_a_folder_stays_where_another_model_is_given(vq: Any, file_run: Path, file: Path) -> None:
    Path("empty").mkdir()
    refused(vq("decompress", file, "-m", file_run, "-o", "empty", "--prior", "none"), "context model")
    assert Path("empty").is_dir()
    with file.open("rb") as opened:
        assert Reader(opened).header.entropy_model == "context"
