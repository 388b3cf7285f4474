"""One set of defaults: a command and the Python function that does the same begin with the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vqkit
from vqkit import priors
from vqkit.cli.training.priors import pixel_plan, prior_plan
from vqkit.models import MODELS
from vqkit.pixels import PixelPrior
from vqkit.training import TrainConfig

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False, "steps": 1}
SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 2}


def settings(run: vqkit.Run) -> dict[str, Any]:
    from vqkit.training.record.run import read_config

    return dict(read_config(run.path)["training"])


@pytest.mark.parametrize("name", MODELS)
def test_train_of_every_model(vq: Any, tmp_path: Path, name: str) -> None:
    kind = MODELS[name]
    vectors = name in ("pq", "opq", "rq")
    np.save(tmp_path / "images.npy", IMAGES.reshape(24, 64).astype(np.float32) if vectors else IMAGES)
    first: dict[str, Any] = {"components": 4} if name == "pca" else {"codebook_size": 4} if vectors else {}
    steps = {} if kind.closed_form else {"steps": 1}
    options = ["--codebook-size", 4] if vectors else ["--latent-dim", 4] if first else ["--steps", 1]
    assert vq("train", "images.npy", "--model", name, *options, "--out", "cli", "--no-tensorboard").status == 0
    source = vqkit.load_source(tmp_path / "images.npy")
    model = kind.for_source(source, **first)
    run = vqkit.train(model, source, out=tmp_path / "python", quiet=True, tensorboard=False, **steps)
    told = [settings(vqkit.Run(tmp_path / place, True, 1)) for place in ("cli", "python")]
    assert told[0] == told[1]
    assert run.finished


@pytest.mark.parametrize("name", priors.PRIORS)
def test_priors(tmp_path: Path, name: str) -> None:
    source = vqkit.load_source(IMAGES)
    steps = {} if priors.PRIORS[name].closed_form else {"steps": 1}
    plan = prior_plan(
        tmp_path, source, {}, kind=name, own={}, training=steps, assigned=[], conditional=None,
        condition_dropout=None, vectors=False, crop=None, crops=None, rate_weights=None, usual={},
    )  # fmt: skip
    prior = priors.PRIORS[name](4, [2, 2])
    indices = vqkit.data.ArraySource(np.zeros((8, 1, 2, 2), dtype=np.int32), name="indices")
    run = vqkit.train(prior, indices, out=tmp_path / "run", quiet=True, tensorboard=False, **steps)
    told = settings(run)
    for setting in ("batch_size", "learning_rate", "flip", "warmup_steps", "weight_decay", "average_decay"):
        assert told[setting] == getattr(plan.config, setting), setting


def test_pixel_priors(tmp_path: Path) -> None:
    source = vqkit.load_source(IMAGES)
    config, _ = pixel_plan(tmp_path, {}, own={}, training={"steps": 1}, assigned=[])
    model = vqkit.VQVAE.for_source(source, 4, **SMALL)
    prior = PixelPrior.for_model(model, hidden_channels=8, layers=1)
    told = settings(vqkit.train(prior, source, out=tmp_path / "run", **QUIET))
    assert told == {**TrainConfig.from_dict(config.as_dict()).as_dict(), "batch_size": 8}
    assert (told["flip"], told["learning_rate"]) == (True, 1.2e-2)


@pytest.mark.parametrize("name", ["autoencoder", "vae", "pca"])
def test_a_vector_of_latents_of_images_that_are_cropped(vq: Any, tmp_path: Path, name: str) -> None:
    """The size of a model is that of the crops that its training shows it, in Python as on the command line."""
    (tmp_path / "photos").mkdir()
    for number, size in enumerate([(40, 48), (33, 60), (52, 36), (40, 40)] * 3):
        pixels = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    source = vqkit.load_source(tmp_path / "photos")
    kind = MODELS[name]
    model = kind.for_source(source, 4)
    assert model.config["size"] == [32, 32]
    steps = {} if kind.closed_form else {"steps": 1}
    vqkit.train(model, source, out=tmp_path / "python", quiet=True, tensorboard=False, **steps)
    options = [] if kind.closed_form else ["--steps", 1]
    said = vq("train", "photos", "--model", name, "--latent-dim", 4, *options, "--out", "cli", "--no-tensorboard")
    assert said.status == 0, said.err
    assert vqkit.load_model(tmp_path / "cli").config == model.config
