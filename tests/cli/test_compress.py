"""``vqkit compress`` where something is in the way: what it would overwrite, names, rates, limits, damaged items."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.cases import refused
from tests.cli.test_decompress import picture
from tests.codec.cases import histogram, pixels, signals, tokenizer
from tests.data.test_inputs import CUT, GOOD, table
from vqkit.cli.files import rate_lines
from vqkit.codec import Compressor, RateController, RateReport, Signal, entropy_model
from vqkit.models import tiling


def test_inputs_and_strangers_are_not_overwritten(vq: Any, file_run: Path, tmp_path: Path) -> None:
    cat = picture(tmp_path / "cat.png")
    kept = cat.read_bytes()
    odd = tmp_path / "odd"
    for out, words in (
        (cat, ".png is for images"),
        ("new.JPEG", ".JPEG is for images"),
        ("link", "is one of the inputs"),
        ("data.npy", "is one of the inputs"),
        ("notes.txt", "exists and is no .vqk file"),
        ("pipe", "is no file on a disk"),
    ):
        if out == "link":
            os.link(cat, out)
        if out == "pipe":
            os.mkfifo(out)
        np.save("data.npy", np.zeros((2, 8, 8, 3), np.uint8))
        Path("notes.txt").write_text("mine")
        before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
        refused(vq("compress", cat, "data.npy", "-m", file_run, "-o", out), words)
        assert before == {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
    refused(vq("compress", cat, "-m", file_run, "-o", cat, "--force"), "for images")
    refused(vq("compress", cat, "-m", file_run, "-o", "link", "--force"), "is one of the inputs")
    refused(vq("compress", cat, "-m", file_run, "-o", "a.vqk", "--json", cat), "is one of the inputs")
    refused(vq("compress", cat, "-m", file_run, "-o", "a.vqk", "--json", "a.vqk"), "by --out and by --json")
    assert cat.read_bytes() == kept
    assert vq("compress", cat, "-m", file_run, "-o", "notes.txt", "--force").status == 0
    Path("empty.vqk").touch()
    assert vq("compress", cat, "-m", file_run, "-o", "empty.vqk").status == 0
    assert vq("compress", cat, "-m", file_run, "-o", "empty.vqk").status == 0  # a .vqk file may be written anew
    assert not odd.exists()


def test_names_and_headers_are_checked_before_anything_is_coded(
    vq: Any, file_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compressor, "write", lambda *_, **__: pytest.fail("something was coded"))
    picture(tmp_path / "photos" / "a.png")
    late = picture(tmp_path / "photos" / "z" / "12:30.png")
    refused(vq("compress", "photos", "-m", file_run, "-o", "f.vqk"), "'z/12:30.png'", "a colon", "rename it")
    late.rename(late.with_name("z.png"))
    late.with_name("z.png").write_bytes(b"no image")
    refused(vq("compress", "photos", "-m", file_run, "-o", "f.vqk"), "z/z.png: not an image")


def test_images_of_any_size_come_back(vq: Any, file_run: Path, tmp_path: Path) -> None:
    sizes = {"a": (1, 1), "b": (1, 30), "c": (3, 2)}
    for name, size in sizes.items():
        picture(tmp_path / "photos" / f"{name}.png", size)
    pixels(tokenizer(channels=3, num_codebooks=2, stacking="residual")).save_pretrained(file_run / "lossless" / "model")
    for options in ((), ("--lossless",)):
        vq("compress", "photos", "-m", file_run, "-o", "f.vqk", *options)
        back = tmp_path / f"back{len(options)}"
        assert vq("decompress", "f.vqk", "-m", file_run, "-o", back).status == 0
        for name, (height, width) in sizes.items():
            assert Image.open(back / f"{name}.png").size == (width, height)
    assert np.array_equal(Image.open(back / "c.png"), Image.open("photos/c.png"))


def test_what_is_left_out_is_said(vq: Any, file_run: Path, tmp_path: Path) -> None:
    table(tmp_path, GOOD[0], CUT, *GOOD[2:])
    said = vq("compress", "some.parquet", "-m", file_run, "-o", "f.vqk")
    assert "4 signals" in said.out
    assert "skipped some.parquet row 1: damaged" in said.err
    assert "note: 1 item skipped, and the signals are numbered without" in said.err
    pixels(tokenizer(channels=3, num_codebooks=2, stacking="residual")).save_pretrained(file_run / "lossless" / "model")
    refused(vq("compress", "some.parquet", "-m", file_run, "-o", "g.vqk", "--lossless"), "some.parquet row 1: damaged")
    assert not Path("g.vqk").exists()


def test_a_file_that_needs_more_than_the_default_limits_says_so(
    vq: Any, file_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        picture(tmp_path / "photos" / f"{number}.png", (9, 9 + number % 2))
    monkeypatch.setattr("vqkit.coding.MAX_VALUES", 270)
    said = vq("compress", "photos", "-m", file_run, "-o", "f.vqk")
    assert "note" not in said.err
    assert "--max-values" not in said.out
    assert vq("decompress", "f.vqk", "-m", file_run, "-o", "a").status == 0
    monkeypatch.setattr("vqkit.coding.MAX_VALUES", 140)
    for options in ((), ("--max-values", "150")):
        refused(vq("decompress", "f.vqk", "-m", file_run, "-o", "b", *options), "--max-values 270")
    said = vq("compress", "photos", "-m", file_run, "-o", "f.vqk")
    assert "note: f.vqk decodes to 2,295 numbers" in said.err
    assert "--max-values 270" in said.err
    assert said.out.strip().endswith("--max-values 270")
    assert vq("decompress", "f.vqk", "-m", file_run, "-o", "b", "--max-values", "270").status == 0


def test_a_rate_is_compared_with_what_came_of_it(vq: Any, file_run: Path, tmp_path: Path) -> None:
    picture(tmp_path / "cat.png", (64, 64))
    command = ("compress", "cat.png", "-m", file_run, "-o", "f.vqk")
    said = vq(*command, "--rate", "9")
    assert "wanted 9.0000 bits per pixel: coded indices have 0." in said.out
    assert "no rate nearer below" in said.err
    assert "no lower rate" in vq(*command, "--rate", "0.0000001").err
    assert "wanted" not in vq(*command).out
    report = RateReport("uniform", signals=1, pixels=1000, values=1000, index_bytes=120, file_bytes=130)
    assert len(rate_lines(report, 1.0)) == 1
    report.file_bytes = 200
    assert "come on top of it" in rate_lines(report, 1.0)[1]


def test_a_rate_above_the_trained_one_is_met_with_less_weight() -> None:
    model = tokenizer(num_codebooks=2, stacking="residual")
    for book in tiling.codebooks_of(model):
        book.uses.copy_(torch.arange(1, 17) ** 2 / 93.5)
    entropy = entropy_model(histogram(model), 16)
    x = [Signal(each.numpy()) for each in signals(model, 2, (64, 64))]

    def rate(**options: Any) -> float:
        with open(os.devnull, "wb") as file:  # noqa: PTH123
            report = Compressor(model, entropy, **options).write(file, x)
        return 8 * report.index_bytes / report.pixels

    most = rate()
    for book in tiling.codebooks_of(model):
        book.rate_weight = 1.0  # as if trained with it
    trained = rate()
    assert trained < 0.5 * most
    for wanted in (0.5 * (trained + most), 2 * most):
        found = rate(search=RateController(model, entropy, wanted))
        assert 0.9 * min(wanted, most) < found <= wanted
