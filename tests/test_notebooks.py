"""What notebooks show of sources, tokens, runs and evaluations, and ``vqkit.show``."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vqkit
from vqkit.errors import DataError
from vqkit.notebooks import table


class Checked(HTMLParser):
    """Every element that is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> vqkit.Run:
    digits = vqkit.load_source("builtin:digits").subset(range(100))
    model = vqkit.VQVAE.for_source(digits, 16, hidden_channels=8)
    return vqkit.train(model, digits, steps=2, out=tmp_path_factory.mktemp("run") / "run", quiet=True)


def test_a_source_shows_its_first_pictures() -> None:
    digits = vqkit.load_source("builtin:digits")
    page = digits._repr_html_()
    assert digits.describe() in "".join(Checked(page).texts)
    (sheet,) = pictures(page)
    first = np.asarray(digits.kind.show(digits.read(0)))
    scale = 8
    left = np.asarray(sheet.convert("L"))[6 : 6 + 8 * scale, :][:, -8 * (8 * scale + 2) - 8 :][:, : 8 * scale]
    assert np.array_equal(left[scale // 2 :: scale, scale // 2 :: scale], first)


def test_vectors_have_no_picture() -> None:
    vectors = vqkit.load_source(np.zeros((4, 3), np.float32))
    assert pictures(vectors._repr_html_()) == []
    with pytest.raises(DataError, match="no pictures"):
        vqkit.show(vectors)


def test_runs_evaluations_and_tokens_are_tables(run: vqkit.Run, tmp_path: Path) -> None:
    model = run.model()
    digits = vqkit.load_source("builtin:digits").subset(range(20))
    page = run._repr_html_()
    assert "finished" in "".join(Checked(page).texts)
    assert pictures(page)
    evaluation = vqkit.evaluate(model, digits)
    assert f"{evaluation.psnr_db:,.4g}" in Checked(evaluation._repr_html_()).texts
    tokens = vqkit.tokenize(model, digits, tmp_path / "tokens")
    assert {"2 x 2", "16", "20"} <= set(Checked(tokens._repr_html_()).texts)


def test_names_are_escaped() -> None:
    assert Checked(table({"<b>": "a & <i>b</i>"})).texts == ["<b>", "a & <i>b</i>"]


def test_show_draws_what_load_source_reads(run: vqkit.Run) -> None:
    digits = vqkit.load_source("builtin:digits").subset(range(5))
    back = run.model().reconstruct(digits[:])
    assert vqkit.show(back, 3).size == vqkit.show(digits, 3).size == vqkit.show(digits[:3]).size
    wave = np.sin(np.arange(4000, dtype=np.float32))[None].repeat(2, 0)
    assert vqkit.show(wave, kind="sound").width > 100
