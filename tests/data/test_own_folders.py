"""What vqkit wrote inside a folder of data is no data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vqkit.cli.main import app
from vqkit.data import load_source
from vqkit.data.images.folder import find_images
from vqkit.data.inputs import named_signals
from vqkit.errors import DataError
from vqkit.models import VQVAE
from vqkit.pictures import save_png
from vqkit.studies.codebooks.study import codebooks
from vqkit.tokens import tokenize
from vqkit.tokens.detokenization import detokenize

TINY = ["-k", "16", "--hidden-channels", "8", "--code-dim", "8", "--batch-size", "8", "--threads", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 12 pictures, and the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def vq(*words: Any) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return str(result.output)


def picture(folder: Path, name: str = "x.png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20)).save(folder / name)


def test_a_run_inside_the_folder_of_its_data(here: Path) -> None:
    vq("train", ".", *TINY, "--crop", 16, "--steps", 2)
    (run,) = (here / "runs").iterdir()
    assert list((run / "pictures").glob("*.png"))
    said = vq("info", ".")
    assert "12 RGB images" in said
    assert said.count("left out what vqkit wrote") == 1
    assert f"runs/{run.name}" in said
    vq("train", "--resume", run, "--steps", 3, "--threads", 1)
    assert "done at step 3" in (run / "log.jsonl").read_text() or (run / "model").is_dir()
    vq("eval", run, "--threads", 1)
    assert len(load_source(".")) == 12


def test_samples_edits_and_decoded_signals_are_marked(here: Path) -> None:
    torch.manual_seed(0)
    data = np.zeros((8, 8, 8), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None] * 20
    model = VQVAE(16, hidden_channels=8, code_dim=8, residual_channels=4, channels=1)
    model.prepare([torch.rand(16, 1, 8, 8)])
    model.save_pretrained(here / "m")
    tokens = tokenize(model, data, here / "t")
    detokenize(model, tokens, here / "decoded")
    np.save("d.npy", data)
    small = ["--steps", 1, "--hidden-channels", 8, "--layers", 1, "--threads", 1, "--kind", "masked"]
    vq("prior", "m", "d.npy", *small, "--out", "p", "--set", "hidden_channels=16")
    vq("sample", "m", "--prior", "p/run", "-n", 2, "--out", "drawn", "--threads", 1)
    vq("edit", "m", "d.npy:0", "--box", "0,0,4,4", "--prior", "p/run", "-n", 1, "--out", "edited", "--threads", 1)
    source = load_source(here)
    assert len(source) == 12
    assert source.notes == [
        "left out what vqkit wrote: decoded and 4 more (to read it all the same, name it as DATA)"
    ]  # decoded, drawn, edited, tokens, and the prior
    assert len(load_source(here / "decoded")) == 8
    assert len(load_source(here / "drawn")) == 2  # without the sheet of them
    assert sorted(each.name for each in (here / "decoded").iterdir()) == [f"{number:06d}.png" for number in range(8)]
    vq("reconstruct", "m", "d.npy", "--out", "sheet.png", "--threads", 1)
    assert len(load_source(here)) == 12
    Image.new("RGB", (20, 20)).save("sheet.png")  # a person's own
    assert len(load_source(here)) == 13


def test_a_study_is_marked(here: Path) -> None:
    codebooks(here, here / "study", sizes=[4], quantizers=["ema"], steps=1, batch_size=4, crop=16, quiet=True)
    assert list((here / "study").rglob("*.png"))
    assert len(load_source(here)) == 12


@pytest.mark.parametrize(
    ("name", "document", "left_out"),
    [
        ("run.json", {"vqkit": "0.1", "data": "x"}, True),
        ("tokens.json", {"vqkit": "0.1", "format": "npy"}, True),
        ("compare.json", {"vqkit": "0.1"}, True),
        ("settings.json", {"settings": {"steps": 1}, "data": "x"}, True),
        ("run.json", {"marathon": 42}, False),
        ("settings.json", {"theme": "dark", "settings": {}}, False),
        ("settings.json", {"settings": {"theme": "dark"}}, False),
        ("tokens.json", [1, 2], False),
    ],
)
def test_folders_of_older_versions_are_known_and_a_persons_own_are_read(
    here: Path, name: str, document: Any, left_out: bool
) -> None:
    picture(here / "deep" / "own")
    (here / "deep" / "own" / name).write_text(json.dumps(document, indent=2))
    found: list[str] = []
    assert len(find_images(here, found)) == 12 + (not left_out)
    assert found == ["deep/own"] * left_out


def test_what_is_named_itself_is_read_and_links_lead_to_nothing_else(here: Path) -> None:
    picture(here / "out" / "pictures")
    (here / "out" / "run.json").write_text('{\n  "vqkit": "0.1"}')
    assert len(load_source(here / "out")) == 1
    assert len(load_source(here / "out" / "pictures")) == 1
    (here / "link").symlink_to(here / "out")
    assert len(load_source(here)) == 12
    (named,) = named_signals([str(here)])
    assert len(named) == 12
    assert any("left out what vqkit wrote: out" in note for note in named.notes)


def test_a_class_that_a_person_adds_samples_to_is_the_persons(here: Path) -> None:
    for name in ("a", "b"):
        picture(here / "set" / name, "own.png")
        save_png(np.zeros((3, 9, 9), np.uint8), here / "set" / name / "000-a.png", made="sample")
    source = load_source(here / "set")
    assert (len(source), source.class_names, source.notes) == (4, ["a", "b"], [])


def test_classes_are_not_made_of_own_folders(here: Path) -> None:
    for name in "ab":
        picture(here / "set" / name)
    save_png(np.zeros((3, 9, 9), np.uint8), here / "set" / "samples-001" / "0.png", made="sample")
    assert load_source(here / "set").class_names == ["a", "b"]


def test_a_folder_of_results_alone_holds_no_data(here: Path) -> None:
    picture(here / "only" / "run" / "pictures")
    (here / "only" / "run" / "run.json").write_text('{\n  "vqkit": "0.1"}')
    with pytest.raises(DataError, match=r"holds no images.*left out what vqkit wrote: run"):
        load_source(here / "only")
