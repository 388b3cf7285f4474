"""The same again: seeds in Python as on the command line, and runs made again from their ``run.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqkit
from vqkit.errors import DataError
from vqkit.evaluation import train_classifier
from vqkit.models import MODELS
from vqkit.pretrained.folder import content_hash
from vqkit.priors import PRIORS
from vqkit.training.record.rebuilding import seed_weights

DIGITS = vqkit.load_source("digits").subset(range(64))
SHORT: dict[str, Any] = {"steps": 2, "batch_size": 8, "evaluations": 0, "quiet": True, "tensorboard": False}


def named(folder: Path) -> vqkit.data.Source:
    """Few digits with a name that ``run.json`` keeps."""
    np.save(folder / "digits.npy", DIGITS.gather(range(64))[:, 0])
    return vqkit.load_source(folder / "digits.npy")


def new_model(**options: Any) -> vqkit.VQVAE:
    return vqkit.VQVAE.for_source(DIGITS, 8, hidden_channels=4, residual_channels=4, code_dim=4, **options)


def trained(out: Path, model: vqkit.VQVAE | None = None, **settings: Any) -> str:
    model = model or new_model()
    vqkit.train(model, DIGITS, out=out, **SHORT, **settings)
    return content_hash(model)


def test_a_seed_of_training_covers_the_initial_weights(tmp_path: Path) -> None:
    found = [trained(tmp_path / str(number), seed=number // 2) for number in range(4)]
    assert found[0] == found[1] != found[2] == found[3]


def test_they_are_those_of_a_model_that_is_made_with_the_seed() -> None:
    seeded, plain = new_model(seed=5), new_model()
    assert seed_weights(plain, 5)
    assert content_hash(plain.encoder) == content_hash(seeded.encoder)
    assert content_hash(plain.decoder) == content_hash(seeded.decoder)


def test_weights_that_are_not_as_they_were_made_stay() -> None:
    model = new_model()
    with torch.no_grad():
        next(model.parameters()).data.mul_(2)
    before = content_hash(model)
    assert not seed_weights(model, 0)
    assert content_hash(model) == before
    other = new_model(seed=1)
    before = content_hash(other)
    assert not seed_weights(other, 0)
    assert content_hash(other) == before


def test_without_a_seed_the_weights_are_those_that_torch_drew(tmp_path: Path) -> None:
    model = new_model()
    begun = content_hash(model)
    trained(tmp_path / "run", model)
    assert json.loads((tmp_path / "run/run.json").read_text())["initial_weights"] == begun


def test_a_run_is_made_again_from_its_settings(tmp_path: Path) -> None:
    source = named(tmp_path)
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=4, residual_channels=4, code_dim=4, seed=3)
    vqkit.train(model, source, out=tmp_path / "run", seed=3, **SHORT)
    again = vqkit.repeat(tmp_path / "run/run.json", out=tmp_path / "again", quiet=True, tensorboard=False)
    assert content_hash(again.model()) == content_hash(model)
    other = vqkit.repeat(tmp_path / "run", out=tmp_path / "other", seed=4, quiet=True, tensorboard=False)
    assert content_hash(other.model()) != content_hash(model)


def test_what_no_seed_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = named(tmp_path)
    model = vqkit.VQVAE.for_source(source, 8, hidden_channels=4, residual_channels=4, code_dim=4)
    vqkit.train(model, source, out=tmp_path / "run", **SHORT)
    vqkit.repeat(tmp_path / "run", out=tmp_path / "again", tensorboard=False)
    assert "its seed did not make the weights" in " ".join(capsys.readouterr().err.split())


def test_data_without_a_name_is_asked_for(tmp_path: Path) -> None:
    trained(tmp_path / "run", seed=0)
    with pytest.raises(DataError, match="give the same again"):
        vqkit.repeat(tmp_path / "run", out=tmp_path / "again")
    again = vqkit.repeat(tmp_path / "run", data=DIGITS, out=tmp_path / "again", quiet=True, tensorboard=False)
    assert content_hash(again.model()) == content_hash(vqkit.load_model(tmp_path / "run"))


def test_a_run_says_who_made_it_and_who_went_on(tmp_path: Path) -> None:
    trained(tmp_path / "run", seed=0)
    made = json.loads((tmp_path / "run/run.json").read_text())["made_by"]
    assert made["torch"] == torch.__version__
    assert made["threads"] == torch.get_num_threads()
    assert made["processor"]
    vqkit.resume(tmp_path / "run", data=DIGITS, steps=3, quiet=True, tensorboard=False)
    document = json.loads((tmp_path / "run/run.json").read_text())
    assert document["made_by"] == made
    assert [each["vqkit"] for each in document["resumed_by"]] == [vqkit.__version__]


def test_a_classifier_does_not_depend_on_the_threads() -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(content_hash(train_classifier(DIGITS, steps=3, batch_size=32)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


def test_a_model_is_made_of_what_its_config_gave() -> None:
    model = new_model()
    assert type(model).from_config(model.config).config == model.config


def test_another_seed_is_the_run_that_the_seed_makes(tmp_path: Path) -> None:
    source = named(tmp_path)
    small: dict[str, Any] = {"hidden_channels": 4, "residual_channels": 4, "code_dim": 4}
    digests = {}
    for seed in (0, 3):
        model = vqkit.VQVAE.for_source(source, 8, seed=seed, **small)
        digests[seed] = content_hash(vqkit.train(model, source, out=tmp_path / str(seed), seed=seed, **SHORT).model())
    for seed, other in ((0, 3), (3, 0)):
        again = vqkit.repeat(tmp_path / str(seed), out=tmp_path / f"{seed}-{other}", seed=other, quiet=True)
        assert content_hash(again.model()) == digests[other]


def test_python_and_the_command_line_make_one_digest(tmp_path: Path, vq: Any) -> None:
    named(tmp_path)
    words = ("--hidden-channels", 4, "--residual-channels", 4, "--code-dim", 4, "--codebook-size", 8, "--steps", 2)
    words += ("--batch-size", 8, "--set", "evaluations=0", "--no-tensorboard", "--seed", 0)
    found = {trained(tmp_path / "made-with-it", new_model(seed=0), seed=0)}
    torch.manual_seed(7)  # the seed of the training is what counts
    found.add(trained(tmp_path / "made-without", new_model(), seed=0))
    for number in range(2):
        assert vq("train", tmp_path / "digits.npy", *words, "--out", f"command-{number}").status == 0
        found.add(content_hash(vqkit.load_model(f"command-{number}")))
    assert len(found) == 1


@pytest.mark.parametrize(
    "kind", ["pca", "autoencoder", "vae", "vqvae", "fsq", "rq", "opq", "prior", "context", "histogram"]
)
def test_a_run_of_any_kind_is_made_again_from_run_json_alone(tmp_path: Path, kind: str, vq: Any) -> None:
    model, data = of_kind(kind, tmp_path)
    short = {} if model.closed_form else {"steps": 2, "batch_size": 8, "evaluations": 0}
    run = vqkit.train(model, data, out=tmp_path / "run", seed=5, quiet=True, tensorboard=False, **short)
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/run.json").write_bytes((run.path / "run.json").read_bytes())
    again = vq("train", "--config", tmp_path / "alone", "--no-tensorboard", "--out", tmp_path / "again")
    assert again.status == 0, again.err
    assert content_hash(vqkit.load_run(tmp_path / "again").model()) == content_hash(run.model())


def of_kind(kind: str, folder: Path) -> tuple[Any, Any]:
    small: dict[str, Any] = {"hidden_channels": 4, "residual_channels": 4, "seed": 5}
    if kind in ("rq", "opq"):
        np.save(folder / "vectors.npy", np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32))
        data = vqkit.load_source(folder / "vectors.npy")
        return MODELS[kind].for_source(data, 4, num_codebooks=2, seed=5), data
    data = named(folder)
    if kind in ("pca", "autoencoder", "vae"):
        options = {} if kind == "pca" else small
        return MODELS[kind].for_source(data, 4, **options), data
    if kind == "fsq":
        return vqkit.VQVAE.for_source(data, 16, quantizer="fsq", code_dim=2, **small), data
    model = vqkit.VQVAE.for_source(data, 8, code_dim=4, **small)
    if kind == "vqvae":
        return model, data
    tokens = vqkit.tokenize(model.eval(), data, out=folder / "tokens")
    options = {"prior": {"hidden_channels": 8, "layers": 1}, "context": {"hidden_channels": 8}, "histogram": {}}[kind]
    prior = PRIORS[{"prior": "pixelcnn"}.get(kind, kind)]
    return prior.for_tokens(tokens, **({} if kind == "histogram" else {"seed": 5}), **options), tokens
