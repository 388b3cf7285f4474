"""One seed in Python and on the command line: the same initial weights, codebooks and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from vqkit import load_source, resume, tokenize, train
from vqkit.cli.main import app
from vqkit.errors import ConfigError
from vqkit.models import MODELS, VQVAE
from vqkit.pixels import PixelPrior
from vqkit.priors import PRIORS
from vqkit.training import TrainConfig
from vqkit.training.recipes.prior import train_prior

PIXELS = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NETWORK: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4}
RUN: dict[str, Any] = {"steps": 2, "batch_size": 8, "evaluations": 0, "quiet": True, "tensorboard": False}
KINDS = {
    "pca": {},
    "autoencoder": NETWORK,
    "vae": NETWORK,
    "vqvae": {"code_dim": 8, **NETWORK},
}


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in model.state_dict().items()}


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def made(kind: str, seed: int | None, **options: Any) -> Any:
    build: Any = MODELS[kind]
    return build.for_source(load_source(PIXELS), 8, seed=seed, **{**KINDS[kind], **options})


def asked(kind: str, seed: int, data: Path, out: Path, *more: str) -> dict[str, Any]:
    """What the command line records of a run."""
    size = ["--codebook-size", "8", "--code-dim", "8"] if kind == "vqvae" else ["--latent-dim", "8"]
    network = [] if kind == "pca" else ["--hidden-channels", "8", "--residual-channels", "4", "--steps", "2"]
    words = ["train", str(data), "--model", kind, "--out", str(out), "--seed", str(seed), *size, *network, *more]
    found = CliRunner().invoke(app, [*words, "--batch-size", "8", "--no-tensorboard"])
    assert found.exit_code == 0, found.output
    document: dict[str, Any] = json.loads((out / "run.json").read_text())
    return document


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_is_one_model_and_leaves_the_generator_as_it_was(kind: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = made(kind, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert same(first, made(kind, 3))
    assert kind == "pca" or not same(first, made(kind, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_seed_the_weights_are_those_of_the_generator(kind: str) -> None:
    torch.manual_seed(3)
    first = made(kind, None)
    torch.manual_seed(3)
    options = {"size": [8, 8]} if kind != "vqvae" else {}
    build: Any = MODELS[kind]
    assert same(first, build(8, channels=1, **options, **KINDS[kind]))


@pytest.mark.parametrize(("kind", "seed"), [("vqvae", 0), ("vqvae", 7), ("vae", 7), ("autoencoder", 0), ("pca", 1)])
def test_python_begins_and_ends_as_the_command_line(kind: str, seed: int, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS.numpy())
    recorded = asked(kind, seed, tmp_path / "x.npy", tmp_path / "a")
    settings = {name: value for name, value in RUN.items() if kind != "pca" or name not in ("steps", "evaluations")}
    model = made(kind, seed)
    run = train(model, tmp_path / "x.npy", out=tmp_path / "b", seed=seed, **settings)
    mine = json.loads((run.path / "run.json").read_text())
    assert mine["initial_weights"] == recorded["initial_weights"]
    assert mine["model"] == recorded["model"]
    assert (tmp_path / "a/model/model.safetensors").read_bytes() == (run.path / "model/model.safetensors").read_bytes()


def test_of_vectors_too(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", table)
    recorded = asked("vqvae", 2, tmp_path / "x.npy", tmp_path / "a")
    model = VQVAE.for_source(load_source(table), 8, seed=2, **KINDS["vqvae"])
    train(model, table, out=tmp_path / "b", seed=2, **RUN)
    assert json.loads((tmp_path / "b/run.json").read_text())["initial_weights"] == recorded["initial_weights"]
    assert VQVAE.for_source(load_source(table), 8, downsampling=1).config["downsampling"] == 1


def test_the_codebook_has_the_seed_unless_it_names_its_own() -> None:
    assert made("vqvae", 0).config["quantizer_options"].get("seed", 0) == 0
    assert made("vqvae", 7).config["quantizer_options"]["seed"] == 7
    assert made("vqvae", 7, quantizer_options={"seed": 2}).config["quantizer_options"]["seed"] == 2
    assert "seed" not in made("vqvae", 7, quantizer="fsq").config["quantizer_options"]
    assert "seed" not in made("vae", 7).config


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0", True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_seed_is_refused(kind: str, seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed"):
        made(kind, seed)


def test_runs_that_began_with_other_weights_are_told_apart(tmp_path: Path) -> None:
    documents = []
    for number, seed in enumerate([None, None, 0, 0]):
        train(made("vqvae", seed), PIXELS, out=tmp_path / str(number), **RUN)
        document = json.loads((tmp_path / str(number) / "run.json").read_text())
        del document["made_by"]
        documents.append(json.dumps(document))
    assert len(set(documents)) == 3
    assert documents[2] == documents[3]


def test_a_run_that_goes_on_keeps_what_it_began_with(tmp_path: Path) -> None:
    run = train(made("vqvae", 0), PIXELS, out=tmp_path / "r", seed=0, **RUN)
    first = json.loads((run.path / "run.json").read_text())
    resume(run.path, data=PIXELS, steps=4, quiet=True, tensorboard=False)
    second = json.loads((run.path / "run.json").read_text())
    assert second["initial_weights"] == first["initial_weights"]
    del second["initial_weights"]
    (run.path / "run.json").write_text(json.dumps(second))  # of an earlier version
    resume(run.path, data=PIXELS, steps=6, quiet=True, tensorboard=False)
    assert "initial_weights" not in json.loads((run.path / "run.json").read_text())


@pytest.mark.parametrize("kind", PRIORS)
def test_a_seed_of_priors(kind: str, tmp_path: Path) -> None:
    model = made("vqvae", 0).eval()
    tokens = tokenize(model, load_source(PIXELS), out=tmp_path / "t")
    small = {} if kind == "histogram" else {"layers": 1, "hidden_channels": 16}
    first = PRIORS[kind].for_tokens(tokens, seed=3, **small)
    assert same(first, PRIORS[kind].for_tokens(tokens, seed=3, **small))
    if kind != "histogram":
        assert not same(first, PRIORS[kind].for_tokens(tokens, seed=4, **small))
        config = TrainConfig(steps=1, batch_size=8, seed=3, evaluations=0)
        run = train_prior(
            model, load_source(PIXELS), tmp_path / "p", config=config, prior_type=kind, options=small, quiet=True
        )
        train(first, tokens, out=tmp_path / "own", config=config, quiet=True, tensorboard=False)
        mine, theirs = (json.loads((path / "run.json").read_text()) for path in (tmp_path / "own", run.path))
        assert mine["initial_weights"] == theirs["initial_weights"]


def test_a_seed_of_pixel_priors() -> None:
    model = made("vqvae", 0)
    small = {"hidden_channels": 8, "layers": 1, "token_channels": 8, "token_layers": 1}
    first = PixelPrior.for_model(model, seed=3, **small)
    torch.manual_seed(3)
    assert same(first, PixelPrior.for_model(model, **small))
    assert not same(first, PixelPrior.for_model(model, seed=4, **small))


@pytest.mark.parametrize("name", ["hierarchical", "multiscale", "wavelet"])
def test_the_seed_settles_the_networks_between_levels_too(name: str) -> None:
    torch.manual_seed(1)
    first = made("vqvae", 3, quantizer=name)
    torch.manual_seed(2)
    assert same(first, made("vqvae", 3, quantizer=name))
    if name == "hierarchical":
        assert not same(first, made("vqvae", 4, quantizer=name))
