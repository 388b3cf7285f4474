"""What notebooks show of sources, tokens, runs and evaluations, and ``vqkit.show``."""

from __future__ import annotations

import base64
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor
from rich.console import Console

import vqkit
from vqkit.errors import DataError, ModelFolderError
from vqkit.notebooks import table
from vqkit.plotting import COLORS, Panel, line_plots
from vqkit.training.curves import plot_log
from vqkit.training.record.progress import Progress


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
    left = np.asarray(sheet.convert("L"))[6 : 6 + 8 * scale, 16 : 16 + 8 * scale]
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
    assert vqkit.show(digits, back, 3).height > vqkit.show(digits, 3).height
    wave = np.sin(np.arange(4000, dtype=np.float32))[None].repeat(2, 0)
    assert vqkit.show(wave, kind="sound").width > 100


# ---- progress and plots of a run


def test_progress_in_a_notebook_is_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[dict[str, str]] = []
    kinds: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            assert raw
            kinds.append("update")
            pages.append(data)

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        kinds.append("display")
        pages.append(data)
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    module = ModuleType("IPython.display")
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    console = Console(file=io.StringIO(), force_jupyter=True)
    with Progress("a <b> -> run", console=console) as progress:
        progress.update({"step": 5, "loss": 0.25, "psnr_db": 20.0, "usage": 0.5, "perplexity": 3.0}, 0.5, 61.0)
        progress.say("a <warning>")
    for data in pages:
        Checked(data["text/html"].replace("<br>", ""))
    assert kinds[0] == "display"
    assert set(kinds[1:]) == {"update"}
    assert [*pages[0].values()][1] == "a <b> -> run"
    assert "50%, 1:01 left" in pages[-2]["text/html"]
    texts = Checked(pages[-1]["text/html"].replace("<br>", "")).texts
    assert {"a <b> -> run", "20.00 dB", "0.2500", "a <warning>", " 100%"} <= set(texts)


def test_the_plot_of_a_run(run: vqkit.Run) -> None:
    assert run.plot().height > 100  # two steps: points, no lines
    log: list[dict[str, Any]] = [
        {"step": step, "kind": "train", "loss": 2.0**-step, "a_loss": 1.0, "b_loss": 2.0, "psnr_db": step, "usage": 1.0}
        for step in range(9)
    ]
    log += [{"step": 4, "kind": "validation", "psnr_db": None, "bits_per_dim": {"total": 3.0}}]
    log += [{"step": step, "kind": "validation", "psnr_db": 2.0 * step, "usage": 0.5} for step in (2, 8)]
    picture = plot_log(log, "mine")
    assert picture.size == (640, 30 + 3 * 200 + 26), "loss, PSNR, usage; one number alone is no curve"
    validation = (np.asarray(picture) == ImageColor.getrgb(COLORS[1])).all(axis=2)
    assert validation[240:420].any(), "the validation's PSNR"
    with pytest.raises(ModelFolderError, match="mine: nothing to plot yet"):
        plot_log([{"step": 0, "kind": "warning", "message": "x"}], "mine")


def test_a_plot_places_points_where_they_belong() -> None:
    sheet = np.asarray(line_plots([Panel("", {"": [(0, 0.0), (10, 10.0), (3, float("nan"))]}, least=(0.0, 20.0))]))
    line = (sheet == ImageColor.getrgb(COLORS[0])).all(axis=2)
    rows, columns = np.nonzero(line)
    assert columns[rows.argmax()] < columns[rows.argmin()], "it rises"
    frame = (40, 184)  # rows of the plot, which spans -1 to 21
    middle = frame[1] - (10 + 1) / 22 * (frame[1] - frame[0])
    assert abs(rows.min() - middle) <= 5
