"""The workshop: what names lead to, data and priors of runs, and one line where there is nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vqkit
from tests.lab.cases import image_model
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.lab import OpenModel, Workshop
from vqkit.lab.acts.code_use import data_use
from vqkit.lab.acts.examples import example_names, read_example


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, one in a folder of its own; a training that goes on; a prior."""
    folder = tmp_path_factory.mktemp("lab") / "runs"
    digits = vqkit.load_source("builtin:digits")
    vqkit.train(vqkit.PCA.for_source(digits, 4), digits, out=folder / "pca", quiet=True)
    model = vqkit.VQVAE.for_source(digits, 8, hidden_channels=8, residual_channels=4)
    vqkit.train(model, digits, out=folder / "more" / "vq", steps=2, quiet=True, tensorboard=False)
    (folder / "going-on").mkdir()
    settings = (folder / "more" / "vq" / "run.json").read_text()
    (folder / "going-on" / "run.json").write_text(settings)
    vqkit.HistogramPrior(8, (2, 2)).save_pretrained(folder / "prior")
    return folder


def test_a_folder_of_runs(runs: Path) -> None:
    found = Workshop.of(str(runs))
    assert found.names() == ["more/vq", "pca"]
    assert found.folders == (runs,)
    assert [found[name].kind for name in found.names()] == ["image", "image"]
    assert Workshop.of([str(runs / "going-on"), str(runs / "pca")]).names() == ["pca"]


def test_the_held_out_data_of_a_run(runs: Path) -> None:
    opened = Workshop.of([runs / "more" / "vq"])["vq"]
    assert opened.data is not None
    digits = vqkit.load_source("builtin:digits")
    assert 0 < len(opened.data) < len(digits)
    use = data_use(opened)
    assert use.positions == 64 * 4
    assert "held-out item 1" in example_names(opened)
    item = read_example(opened, "held-out item 2")
    assert np.array_equal(item.signals[0], opened.data.read(1))


def test_names_are_kept_apart(runs: Path) -> None:
    twice = Workshop.of([str(runs / "pca"), str(runs / "pca"), image_model()])
    assert twice.names() == ["pca", "pca (2)", "model-3"]
    assert Workshop.of({"a": str(runs / "pca"), "b": image_model()}).names() == ["a", "b"]
    with pytest.raises(ConfigError, match="two models"):
        Workshop([OpenModel("a", None, image_model()), OpenModel("a", None, image_model())])


def test_what_is_no_model(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="prior over indices"):
        Workshop.of(str(runs / "prior"))
    with pytest.raises(ModelFolderError):
        Workshop.of(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="no model 'x' is open"):
        Workshop.of({"a": image_model()})["x"]


def test_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.lab import workshop

    monkeypatch.setattr(workshop, "reference_models", dict)
    with pytest.raises(ConfigError, match="vqkit lab runs/mine"):
        Workshop.of(None)


def test_the_command_says_it_in_one_line(vq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from vqkit.lab import workshop

    monkeypatch.setattr(workshop, "reference_models", dict)
    outcome = vq("lab", "--no-browser")
    assert outcome.status == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert "vqkit lab" in outcome.err


def test_a_damaged_run_in_a_folder_is_left_out(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "pca", tmp_path / "runs" / "whole")
    shutil.copytree(runs / "pca", tmp_path / "runs" / "damaged")
    (tmp_path / "runs" / "damaged" / "model" / "model.safetensors").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"left out: .*damaged"):
        assert Workshop.of(str(tmp_path / "runs")).names() == ["whole"]
    with pytest.raises(ModelFolderError, match="damaged"):
        Workshop.of(str(tmp_path / "runs" / "damaged"))
