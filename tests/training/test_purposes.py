"""``--for files``: the settings that the pages measure, given ones first, and only on what they were measured on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.errors import ConfigError
from vqkit.training.recipes.purposes import PURPOSES, purpose_named

FILES = PURPOSES["files"]
SMALL = "--hidden-channels 8 --residual-blocks 1 --set residual_channels=4 --set widths=null --steps 2 --threads 1"


def source(side: int = 128, count: int = 4) -> vqkit.data.Source:
    values = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return vqkit.load_source(values)


def test_given_settings_go_before() -> None:
    model, training = FILES.settle(source(), {"codebook_size": 16, "quantizer_options": {"rate_weight": 0.1}}, {})
    assert (model["codebook_size"], model["num_codebooks"]) == (16, 8)
    assert model["quantizer_options"] == {**FILES.model["quantizer_options"], "rate_weight": 0.1}
    assert training == FILES.training
    assert FILES.settle(source(), {}, {"crop": 32, "learning_rate": 1.0})[1] == {
        **FILES.training, "crop": 32, "learning_rate": 1.0,
    }  # fmt: skip


def test_options_of_a_codebook_are_not_given_to_another_quantizer() -> None:
    model, _ = FILES.settle(source(), {"quantizer": "fsq"}, {})
    assert "quantizer_options" not in model


def test_small_pictures_are_taken_whole() -> None:
    _, training = FILES.settle(source(32), {}, {})
    assert training == {"learning_rate": 8e-4, "flip": True}
    kind, crop, crops, weights, own = FILES.settle_prior(source(), None, None, None, None, {"batch_size": None})
    assert (kind, crop, crops, weights) == ("context", None, None, FILES.prior["rate_weights"])
    assert own == FILES.prior_training
    assert FILES.settle_prior(source(256), "transformer", None, 7, [1.0], {"batch_size": 3}) == (
        "transformer", 192, 7, [1.0], {"batch_size": 3, "learning_rate": 5e-3},
    )  # fmt: skip


def test_what_it_was_not_measured_on_is_refused() -> None:
    with pytest.raises(ConfigError, match="no images"):
        FILES.settle(vqkit.load_source(np.zeros((3, 4), np.float32)), {}, {})
    with pytest.raises(ConfigError, match="one of: files"):
        purpose_named("fiels")


def test_the_two_commands_make_files_of_any_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("pictures.npy", np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8))
    lines = (
        f"train pictures.npy --for files {SMALL} --no-tensorboard --out run",
        "prior run --for files --steps 2 --hidden-channels 8 --layers 1 --threads 1",
        "compress pictures.npy --model run --rate-weight 0.8 --out pictures.vqk",
    )
    for line in lines:
        done = CliRunner().invoke(app, line)
        assert done.exit_code == 0, done.output
        if line.startswith("train"):
            assert "vqkit prior run --for files" in done.output
    config = json.loads(Path("run/model/config.json").read_text())
    assert (config["num_codebooks"], config["hidden_channels"]) == (8, 8)
    settings = json.loads(Path("run/context/tokens/tokens.json").read_text())
    assert settings["items"] >= 10
    prior = json.loads(Path("run/context/run/model/config.json").read_text())
    assert prior["later_cell"] == [2, 2, 1]
    done = CliRunner().invoke(app, "train pictures.npy --for files --model pca --out other")
    assert "of VQ-VAEs" in str(done.exception)
    assert CliRunner().invoke(app, "train --resume run --for files").exit_code
