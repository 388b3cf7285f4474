"""What is computed once and kept is of what is asked for: the same goes on, other settings or contents are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vqkit
from vqkit.cli.main import app
from vqkit.codec import known_priors
from vqkit.data import ArraySource, load_source
from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.models import VQVAE
from vqkit.studies.codebooks.study import codebooks
from vqkit.studies.ladder.study import compare
from vqkit.studies.rate_distortion.study import rate_distortion
from vqkit.tokens import load_tokens
from vqkit.training import TrainConfig, resume, train
from vqkit.training.recipes.prior import train_prior

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "downsampling": 4}
QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
PRIOR = ["--kind", "pixelcnn", "--steps", "3", "--hidden-channels", "8", "--layers", "1", "--unconditional"]
PIXELS = ["--steps", "2", "--hidden-channels", "8", "--set", "layers=1"]


def digits(first: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Sixty of the built-in digits, uint8 ``[60, 8, 8]``."""
    return load_source("digits").gather(range(first, first + 60))[:, 0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a prior and a pixel prior, and two arrays of as many images: ``mine.npy`` (its own), ``other.npy``."""
    folder = tmp_path_factory.mktemp("stale")
    np.save(folder / "mine.npy", digits())
    np.save(folder / "other.npy", digits(500))
    torch.manual_seed(0)
    train(VQVAE(16, channels=1, **SMALL), folder / "mine.npy", out=folder / "r", steps=4, batch_size=8, **QUIET)
    assert ask("prior", folder / "r", *PRIOR) is None
    assert ask("lossless", folder / "r", *PIXELS) is None
    return folder


def ask(*words: object) -> str | None:
    """What a command refuses; None where it does what was asked."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is None or (isinstance(done.exception, SystemExit) and not done.exit_code):
        return None
    assert isinstance(done.exception, VqkitError), done.exception
    return str(done.exception)


def config_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be changed."""
    shutil.copytree(made / "r", tmp_path / "r")
    tokens = tmp_path / "r/prior/tokens"
    for file in (tmp_path / "r/prior/run/run.json",):
        file.write_text(json.dumps({**json.loads(file.read_text()), "data": str(tokens)}))
    return tmp_path / "r"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--kind", "transformer", "--steps", 9], "kind: was pixelcnn, now transformer"),
        (["--seed", 7], "seed: was 0, now 7"),
        (["--lr", 0.02], "learning_rate: was 0.001, now 0.02"),
        (["--batch-size", 5], "batch_size: was 64, now 5"),
        (["--layers", 3], "layers: was 1, now 3"),
        (["--set", "dropout=0.5"], "dropout: was 0.0, now 0.5"),
        (["--set", "weight_decay=0.5"], "weight_decay: was 0.0, now 0.5"),
        (["--validation", "last:9"], 'validation: was 0.1, now "last:9"'),
        (["--rate-weights", "0.5"], "rate_weights: was [], now [0.5]"),
        (["--crop", 4], "crop: was null, now 4"),
        (["--steps", 2], "steps=2"),
    ],
)
def test_a_prior_of_other_settings_is_refused_and_they_are_named(made: Path, options: list[Any], named: str) -> None:
    before = config_of(made / "r/prior/run")
    said = ask("prior", made / "r", *options)
    assert said is not None
    assert named in said
    assert config_of(made / "r/prior/run") == before


def test_a_prior_of_other_data_or_vectors_is_refused(made: Path, tmp_path: Path) -> None:
    said = ask("prior", made / "r", made / "other.npy", "--kind", "pixelcnn")
    assert "data: other contents (was mine.npy, " in str(said)
    assert ", now other.npy, " in str(said)
    np.save(tmp_path / "vectors.npy", np.ones((60, 2)))
    assert "condition_dim: was null, now 2" in str(ask("prior", made / "r", "--vectors", tmp_path / "vectors.npy"))


def test_the_same_prior_is_gone_on_with_and_made_longer(own: Path) -> None:
    assert ask("prior", own) is None  # what is not given is as it was
    assert ask("prior", own, *PRIOR) is None
    assert ask("prior", own, "--steps", 5) is None
    found = config_of(own / "prior/run")
    assert (found["training"]["steps"], found["model"]["layers"]) == (5, 1)
    assert json.loads((own / "prior/run/log.jsonl").read_text().splitlines()[-1])["step"] == 5


def test_a_new_prior_takes_the_seed_that_is_given(made: Path, tmp_path: Path) -> None:
    assert ask("prior", made / "r", *PRIOR, "--seed", 7, "--out", tmp_path / "p") is None
    assert config_of(tmp_path / "p/run")["training"]["seed"] == 7
    assert ask("lossless", made / "r", *PIXELS, "--seed", 8, "--out", tmp_path / "l") is None
    assert config_of(tmp_path / "l")["training"]["seed"] == 8


def test_squares_of_another_side_or_number_are_other_tokens(made: Path, tmp_path: Path) -> None:
    squares = [*PRIOR, "--crop", 4, "--crops", 50, "--out", tmp_path / "p"]
    assert ask("prior", made / "r", *squares) is None
    assert ask("prior", made / "r", "--out", tmp_path / "p") is None
    assert ask("prior", made / "r", *squares) is None
    assert "crops: was 50, now 70" in str(ask("prior", made / "r", "--out", tmp_path / "p", "--crops", 70))
    assert "crop: was 4, now 8" in str(ask("prior", made / "r", "--out", tmp_path / "p", "--crop", 8))
    assert len(load_tokens(tmp_path / "p/tokens")) < 70


def test_a_prior_of_an_older_version_stays_usable(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "prior/settings.json").unlink()
    found = config_of(own / "prior/run")
    del found["made_of"]
    (own / "prior/run/run.json").write_text(json.dumps(found))
    assert ask("prior", own) is None
    assert "kind: was pixelcnn, now masked" in str(ask("prior", own, "--kind", "masked"))
    assert "seed: was 0, now 3" in str(ask("prior", own, "--seed", 3))


def test_a_prior_begun_in_python_is_the_same_as_on_the_command_line(made: Path, tmp_path: Path) -> None:
    model, source = vqkit.load_model(made / "r"), load_source(made / "mine.npy")
    config = TrainConfig(steps=2, batch_size=8)
    options = {"hidden_channels": 8, "layers": 1}
    given: dict[str, Any] = {"config": config, "options": options, "quiet": True}
    train_prior(model, source, tmp_path / "p", **given)
    assert train_prior(model, source, tmp_path / "p", **given).finished
    with pytest.raises(ConfigError, match="data: other contents"):
        train_prior(model, load_source(made / "other.npy"), tmp_path / "p", **given)
    with pytest.raises(ConfigError, match="layers: was 1, now 2"):
        train_prior(model, source, tmp_path / "p", **{**given, "options": {**options, "layers": 2}})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--steps", 6, "--seed", 5], "seed: was 0, now 5"),
        (["--lr", 0.001], "learning_rate: was 0.012, now 0.001"),
        (["--hidden-channels", 12], "hidden_channels: was 8, now 12"),
        (["--neighbours", 8], "neighbours: was 24, now 8"),
        (["--batch-size", 5], "batch_size: was 8, now 5"),
        (["--no-flip"], "flip: was true, now false"),
        (["--crop", 4], "crop: was null, now 4"),
        (["--validation", "last:9"], 'validation: was 0.1, now "last:9"'),
        (["--steps", 1], "steps=1"),
    ],
)
def test_a_pixel_prior_of_other_settings_is_refused(made: Path, options: list[Any], named: str) -> None:
    assert named in str(ask("lossless", made / "r", *options))
    assert config_of(made / "r/lossless")["training"]["steps"] == 2


def test_a_pixel_prior_is_of_its_data_and_its_tokenizer(made: Path, own: Path, tmp_path: Path) -> None:
    assert "not the data that the run was started with" in str(ask("lossless", made / "r", made / "other.npy"))
    assert ask("lossless", own) is None
    assert ask("lossless", own, "--steps", 3) is None
    assert config_of(own / "lossless")["training"]["steps"] == 3
    assert ask("train", "--resume", own, "--steps", 6) is None
    assert "not the tokenizer that the run was started with" in str(ask("lossless", own))


def test_a_prior_does_not_outlive_the_state_of_its_model(own: Path, tmp_path: Path) -> None:
    """Trained further, a tokenizer has other indices: its old priors are no longer taken for its own."""
    assert known_priors(own, vqkit.load_model(own)) == known_priors(own)
    assert list(known_priors(own)) == ["histogram"]
    before = ask("sample", own, "--n", 1, "--out", tmp_path / "a")
    assert before is None
    assert ask("train", "--resume", own, "--steps", 8) is None
    assert known_priors(own, vqkit.load_model(own)) == {}
    assert "another state of the model" in str(ask("sample", own, "--n", 1, "--out", tmp_path / "b"))
    assert ask("prior", own, *PRIOR) is None
    assert (own / "prior/before-001/run/run.json").is_file()
    assert ask("sample", own, "--n", 1, "--out", tmp_path / "b") is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 3}, "seed: was 0, now 3"),
        ({"validation": "last:9"}, 'validation: was 0.1, now "last:9"'),
        ({"steps": 3}, "has made 4 steps"),
        ({"learning_rate": 1.0}, "learning_rate: .* has ended, at step 4"),
        ({"batch_size": 4}, "batch_size: .* has ended, at step 4"),
        ({"minutes": 1e-9}, "minutes=1e-09: .* was trained for"),
    ],
)
def test_resume_obeys_or_refuses(made: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        resume(made / "r", **changes, **QUIET)


def test_resume_goes_on_with_its_data_wherever_it_lies_and_with_no_other(own: Path, made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "mine.npy", tmp_path / "moved.npy")
    with pytest.raises(DataError, match="not the data"):
        resume(own, data=made / "other.npy", steps=6, **QUIET)
    longer = resume(own, data=tmp_path / "moved.npy", steps=6, learning_rate=2e-3, **QUIET)
    assert (longer.step, config_of(own)["training"]["learning_rate"]) == (6, 2e-3)


def test_held_out_data_of_its_own_is_a_part_of_the_run(made: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "held.npy", digits(200))
    model = VQVAE(16, channels=1, **SMALL)
    held = str(tmp_path / "held.npy")
    run = train(model, made / "mine.npy", out=tmp_path / "r", steps=1, batch_size=8, validation=held, **QUIET)
    np.save(tmp_path / "held.npy", digits(300))
    with pytest.raises(DataError, match="not the held-out data that the run was started with"):
        resume(run.path, steps=2, **QUIET)


def textures(seed: int) -> ArraySource:
    rng = np.random.default_rng(seed)
    return ArraySource(rng.integers(0, 256, (140, 1, 8, 8), dtype=np.uint8), name=f"textures-{seed}")


def test_studies_of_other_data_are_made_anew_and_the_earlier_ones_kept(tmp_path: Path) -> None:
    """Data of as many items, as large and as the other in every word: only the contents differ."""
    small: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "code_dim": 4, "steps": 2, "quiet": True}
    options = {**small, "codebook_size": 8, "validation": 0.3, "samples": 32, "features": "random", "rungs": ["ae"]}
    first, told = compare(textures(0), tmp_path / "c", **options), list[str]()
    second = compare(textures(1), tmp_path / "c", say=told.append, **options)
    assert first.document["rungs"][0]["mse"] != second.document["rungs"][0]["mse"]
    assert second.document["data"]["name"] == "textures-1"
    kept = json.loads((tmp_path / "c/before-001/compare.json").read_text())
    assert kept["rungs"] == first.document["rungs"]
    assert any("textures-0" in sentence and "before-001" in sentence for sentence in told)
    again = compare(textures(1), tmp_path / "c", say=told.append, **options)
    assert "Autoencoder: done before" in told
    assert again.document["rungs"] == second.document["rungs"]

    options = {**small, "sizes": [4], "quantizers": ["ema"]}
    one = codebooks(textures(0), tmp_path / "k", **options)
    other = codebooks(textures(1), tmp_path / "k", **options)
    assert one.document["entries"][0]["mse"] != other.document["entries"][0]["mse"]


def test_files_are_measured_anew_for_other_images(made: Path, tmp_path: Path) -> None:
    codecs: dict[str, Any] = {name: [] for name in ("webp", "avif", "jpeg_xl", "jpeg_2000")}
    options: dict[str, Any] = {**codecs, "jpeg": [50], "shown": 0, "images": 2}
    bits = []
    for seed in (0, 1):
        study = rate_distortion(textures(seed), made / "r", tmp_path / "d", **options)
        bits.append([point["mse"] for curve in study.document["curves"] for point in curve["points"]])
    assert bits[0] != bits[1]
    with pytest.raises(ConfigError, match="prior: other contents"):
        rate_distortion(textures(1), made / "r", tmp_path / "d", prior="none", **options)
