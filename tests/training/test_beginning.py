"""Fine-tuning: a training that begins with the model of another run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.errors import ConfigError, ModelFolderError


def pictures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)


def model(width: int = 8) -> vqkit.VQVAE:
    return vqkit.VQVAE(8, channels=1, hidden_channels=width, residual_channels=4, code_dim=4)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> vqkit.Run:
    folder = tmp_path_factory.mktemp("first")
    np.save(folder / "data.npy", pictures(0))
    settings = {"steps": 4, "batch_size": 8, "quiet": True, "tensorboard": False}
    return vqkit.train(model(), folder / "data.npy", out=folder / "run", **settings)


def weights(run: vqkit.Run) -> bytes:
    return (run.path / "model/model.safetensors").read_bytes()


def test_it_begins_with_the_weights_and_codebooks_of_the_run(first: vqkit.Run, tmp_path: Path) -> None:
    settings = {"steps": 3, "batch_size": 8, "quiet": True, "tensorboard": False, "seed": 3}
    handed_over = vqkit.train(first.model(), pictures(1), out=tmp_path / "handed", **settings)
    named = vqkit.train(model(), pictures(1), out=tmp_path / "named", start=first.path, **settings)
    assert weights(handed_over) == weights(named) != weights(first)


def test_such_a_run_can_be_repeated_from_what_it_recorded(first: vqkit.Run, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", pictures(1))
    run = tmp_path / "run"
    line = f"train {tmp_path / 'data.npy'} --start {first.path} --steps 3 --batch-size 8 --no-tensorboard --threads 1"
    assert CliRunner().invoke(app, f"{line} --out {run}").exit_code == 0
    again = CliRunner().invoke(app, f"train --config {run} --out {tmp_path / 'again'} --no-tensorboard --threads 1")
    assert again.exit_code == 0
    assert "began with" not in again.output
    kept = [(each / "model/model.safetensors").read_bytes() for each in (run, tmp_path / "again")]
    assert kept[0] == kept[1]


def test_a_start_that_has_changed_since_is_told(first: vqkit.Run, tmp_path: Path) -> None:
    kept = vqkit.load_model(first.path)
    kept.save_pretrained(tmp_path / "start")
    settings = {"steps": 2, "batch_size": 8, "quiet": True, "tensorboard": False}
    np.save(tmp_path / "data.npy", pictures(1))
    run = vqkit.train(model(), tmp_path / "data.npy", out=tmp_path / "run", start=tmp_path / "start", **settings)
    with torch.no_grad():
        next(iter(kept.parameters())).add_(1.0)
    kept.save_pretrained(tmp_path / "start")
    found = CliRunner().invoke(app, f"train --config {run.path} --out {tmp_path / 'again'} --no-tensorboard")
    assert f"startisnotwhat{run.path}beganwith" in "".join(found.output.split())  # lines break where they are full


def test_models_that_it_cannot_begin_with_are_refused(first: vqkit.Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other settings \(hidden_channels=8 against 12"):
        vqkit.train(model(12), pictures(1), start=first.path, steps=1, quiet=True)
    with pytest.raises(ConfigError, match="holds a VQVAE, and the model to train is a Autoencoder"):
        vqkit.train(vqkit.Autoencoder(4, channels=1, size=(8, 8), hidden_channels=8), pictures(1), start=first.path)
    with pytest.raises(ConfigError, match="start: a PCA is solved in closed form"):
        vqkit.train(vqkit.PCA(4, channels=1, size=(8, 8)), pictures(1), start=first.path)
    with pytest.raises(ModelFolderError):
        vqkit.train(model(), pictures(1), start=tmp_path / "nothing", steps=1, quiet=True)
    told = CliRunner().invoke(app, f"train digits --start {first.path} -k 16")
    assert "--start begins with a run's own model" in str(told.exception)
