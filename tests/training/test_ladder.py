"""One verb trains everything: PCA in closed form, autoencoder and VAE bit for bit, a prior on tokens."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.training.cases import StopAfter
from vqkit import tokenize
from vqkit.data import CenterCrops, load_source
from vqkit.errors import ConfigError, ModelFolderError, TrainingInterrupted
from vqkit.evaluation import evaluate
from vqkit.models import PCA, VAE, VQVAE, Autoencoder, Model
from vqkit.models.matching import readable
from vqkit.priors import GatedPixelCNN
from vqkit.tokens import Tokens, index_source
from vqkit.training import TrainConfig, resume, train
from vqkit.training import closed_form as closed
from vqkit.training.inputs.holdout import validation_split

NETWORK = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 2, "residual_blocks": 1}
QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}


@pytest.fixture(scope="module")
def digits() -> Any:
    return load_source("digits")


@pytest.fixture(scope="module")
def tokens(digits: Any, tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """The indices of all digits, by a VQ-VAE of 16 codes that has seen some but learned nothing."""
    return tokenize(tokenizer(digits), digits, tmp_path_factory.mktemp("tokens") / "digits")


def tokenizer(source: Any, **options: Any) -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE.for_source(source, 16, code_dim=4, **NETWORK, **options)
    model.prepare([torch.from_numpy(source.gather(range(256)))])
    return model.eval()


def prior(**options: Any) -> GatedPixelCNN:
    torch.manual_seed(0)
    return GatedPixelCNN(**{"codebook_size": 16, "grid": (4, 4), "hidden_channels": 8, "layers": 2, **options})


def same(a: Any, b: Any) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def photos(folder: Path, count: int = 24) -> Path:
    """Images of several sizes, some smaller than the crop of the tests."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(10, 40, 2)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{number:02d}.png")
    return folder


# ---- closed form


def test_a_pca_is_solved_in_one_pass_over_the_training_items(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    solve = PCA.fit

    def counted(self: PCA, stream: Any) -> None:
        def counting() -> Any:
            passes.append(0)
            for batch in stream():
                passes[-1] += len(batch)
                yield batch

        solve(self, counting)

    monkeypatch.setattr(PCA, "fit", counted)
    model = PCA.for_source(digits, 6)
    run = train(model, digits, out=tmp_path / "run", **QUIET)
    training, held_out = validation_split(digits, TrainConfig())
    assert passes == [len(training)]
    assert (run.finished, run.step) == (True, 0)
    loaded = run.model()
    assert same(model, loaded)
    assert loaded.training_size() == (8, 8)
    assert float(loaded.likelihood.log_scale) != 0  # fitted after the components, and saved
    rows = training.gather(range(len(training))).reshape(len(training), -1) / 255.0
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
    assert loaded.variances.numpy() == pytest.approx(values[::-1][:6], rel=1e-5)
    assert np.abs(loaded.components.numpy() @ vectors[:, ::-1][:, :6]) == pytest.approx(np.eye(6), abs=1e-4)
    x = torch.from_numpy(held_out.gather(range(len(held_out))))
    expected = evaluate(loaded, [(None, x)])
    assert run.evaluation is not None
    assert run.evaluation["mse"] == pytest.approx(expected.mse, rel=1e-5)
    assert [entry["kind"] for entry in run.log()] == ["final"]
    assert (run.path / "pictures" / "final.png").is_file()


def test_a_stopped_pca_is_begun_again(digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(PCA.for_source(digits, 6), "digits", out=tmp_path / "whole", **QUIET)
    batches = closed.evaluation_batches

    def interrupted(*arguments: Any) -> Any:
        for number, batch in enumerate(batches(*arguments)):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    monkeypatch.setattr(closed, "evaluation_batches", interrupted)
    with pytest.raises(TrainingInterrupted) as stopped:
        train(PCA.for_source(digits, 6), "digits", out=tmp_path / "part", **QUIET)
    part = stopped.value.run
    assert not part.finished
    assert not (part.path / "model" / "config.json").exists()
    with pytest.raises(ModelFolderError, match=r"vqkit\.resume"):
        part.model()
    monkeypatch.undo()
    for _ in range(2):  # the second time it is finished already
        again = resume(part.path, **QUIET)
        assert again.finished
        assert same(again.model(), whole.model())
        assert [entry["kind"] for entry in again.log()] == ["final"]
    with pytest.raises(ConfigError, match=r"vqkit\.resume"):
        train(PCA.for_source(digits, 6), "digits", out=tmp_path / "part", **QUIET)


@pytest.mark.parametrize("kind", [PCA, Autoencoder])
def test_a_model_of_one_size_trains_on_crops_and_is_judged_on_the_middle(tmp_path: Path, kind: type[Model]) -> None:
    source = load_source(photos(tmp_path / "photos"))
    options = {} if kind is PCA else NETWORK
    torch.manual_seed(0)
    model: Any = kind.for_source(source, 3, size=[16, 16], **options)  # type: ignore[attr-defined]
    settings: dict[str, Any] = {"crop": 16, "batch_size": 4, "validation": 0.25}
    settings |= {} if kind is PCA else {"steps": 4, "evaluations": 2}
    run = train(model, source, out=tmp_path / "run", **settings, **QUIET)
    held_out = validation_split(source, TrainConfig(**settings))[1]
    assert run.evaluation is not None
    assert run.evaluation["items"] == len(held_out) == 6
    middles = []
    for index in range(len(held_out)):
        item = held_out.read(index)
        if min(item.shape[1:]) < 16:
            item = CenterCrops(held_out, 16).read(index)  # upscaled
        top, left = (item.shape[1] - 16) // 2, (item.shape[2] - 16) // 2
        middles.append(torch.from_numpy(item[:, top : top + 16, left : left + 16].copy()))
    expected = evaluate(run.model(), [(None, torch.stack(middles))])
    assert run.evaluation["mse"] == pytest.approx(expected.mse, rel=1e-5)


def test_centre_crops_are_a_source_like_any_other(tmp_path: Path) -> None:
    source = load_source(photos(tmp_path / "photos"))
    crops = CenterCrops(source, 12)
    assert crops.size == (12, 12)
    assert len(crops) == 24
    assert crops.gather([5, 3]).shape == (2, 3, 12, 12)
    assert np.array_equal(crops.subset([5, 3]).read(1), crops.read(3))
    assert crops.with_channels(1).read(0).shape == (1, 12, 12)
    assert "12x12" in crops.describe()
    grid = VAE.for_source(source, 2, latent="grid", **NETWORK)
    assert readable(grid, source) is source  # it reads any size
    with pytest.raises(ConfigError, match="images"):
        CenterCrops(load_source(np.zeros((4, 3), np.float32)), 2)


# ---- gradient steps


@pytest.mark.parametrize("kind", ["ae", "vae", "vae-logistic"])
def test_resume_continues_bit_for_bit(digits: Any, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def model() -> Any:
        torch.manual_seed(0)
        if kind == "ae":
            return Autoencoder.for_source(digits, 4, noise=0.5, density_components=2, **NETWORK)
        likelihood = "gaussian" if kind == "vae" else "logistic"
        warmup = {"beta_warmup": 40, "likelihood": likelihood, "likelihood_warmup": 30}
        return VAE.for_source(digits, 4, free_bits=0.01, **warmup, **NETWORK)

    settings = {"steps": 30, "batch_size": 8, "log_every": 7, "evaluations": 2, "evaluation_items": 16}
    whole = train(model(), "digits", out=tmp_path / "whole", **settings, **QUIET)
    with pytest.raises(TrainingInterrupted) as stopped:
        train(
            model(),
            "digits",
            out=tmp_path / "part",
            checkpoint_seconds=0,
            callbacks=[StopAfter(13)],
            **settings,
            **QUIET,
        )
    part = stopped.value.run
    assert not part.finished
    assert 13 <= part.step < 30
    rest = resume(part.path, **QUIET)
    assert int(rest.model().steps_seen) == 30
    assert same(whole.model(), rest.model())
    skip = {"seconds", "signals_per_second", "step_seconds", "watching_seconds"}
    logs = [[{k: v for k, v in entry.items() if k not in skip} for entry in run.log()] for run in (whole, rest)]
    assert logs[0] == logs[1]


def test_what_is_fitted_last_is_saved(digits: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Autoencoder.for_source(digits, 4, density_components=2, **NETWORK)
    run = train(model, digits, out=tmp_path / "run", steps=10, evaluations=0, **QUIET)
    saved = load_file(run.path / "model" / "model.safetensors")
    training = validation_split(digits, TrainConfig())[0]
    x = torch.from_numpy(training.gather(range(len(training))))
    latents = run.model().encode(x)
    mixed = (saved["density.weights"][:, None] * saved["density.means"]).sum(dim=0)
    assert torch.allclose(mixed, latents.mean(dim=0), atol=0.02 * float(latents.std()))
    error = (run.model().reconstruct(x) - x / 255).square().mean()
    scale = saved["likelihood.log_scale"].exp() * saved["signal_std"]
    assert float(scale) == pytest.approx(float(error.sqrt()), rel=0.05)  # but for the clipping to [0, 1]
    assert same(model, run.model())
    generator = torch.Generator().manual_seed(0)
    assert model.sample(3, generator=generator).shape == (3, 1, 8, 8)


# ---- priors on tokens


def test_a_prior_learns_tokens_and_is_judged_on_the_grids_of_held_out_images(
    digits: Any, tokens: Tokens, tmp_path: Path
) -> None:
    trained = prior()
    settings = {"steps": 40, "log_every": 10, "evaluations": 2, "learning_rate": 1e-2}
    run = train(trained, tokens, out=tmp_path / "run", **settings, **QUIET)
    held_images = validation_split(digits, TrainConfig())[1]
    held_tokens = validation_split(index_source(tokens), TrainConfig())[1]
    grids = torch.from_numpy(held_tokens.gather(range(len(held_tokens)))[:, 0]).long()
    x = torch.from_numpy(held_images.gather(range(len(held_images))))
    assert torch.equal(grids, tokenizer(digits).encode(x))  # no prior saw what the model's own judge looks at
    loaded = run.model()
    assert isinstance(loaded, GatedPixelCNN)
    assert same(trained, loaded)
    assert not loaded.training
    with torch.no_grad():
        nats = -loaded.log_prob(grids).double().mean()
    assert run.evaluation is not None
    assert run.evaluation["items"] == len(held_images)
    assert run.evaluation["bits_per_item"] == pytest.approx(float(nats) / math.log(2), rel=1e-5)
    assert run.evaluation["nats_per_index"] == pytest.approx(float(nats) / 16, rel=1e-5)
    assert run.evaluation["uniform_bits_per_item"] == 64
    assert run.evaluation["bits_per_item"] < 63  # it has learned something
    kinds = [entry["kind"] for entry in run.log()]
    assert (kinds.count("train"), kinds.count("final")) == (4, 1)
    assert not list(run.path.glob("pictures/*"))


def test_a_prior_resumes_bit_for_bit(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"steps": 20, "batch_size": 16, "evaluations": 2, "evaluation_items": 16}
    whole = train(prior(dropout=0.2), tokens, out=tmp_path / "whole", **settings, **QUIET)
    with pytest.raises(TrainingInterrupted) as stopped:
        train(
            prior(dropout=0.2),
            str(tokens.path),
            out=tmp_path / "part",
            checkpoint_seconds=0,
            callbacks=[StopAfter(9)],
            **settings,
            **QUIET,
        )
    part = stopped.value.run
    assert not part.finished
    assert same(whole.model(), resume(part.path, **QUIET).model())


def test_several_codebooks_are_learned_together(digits: Any, tmp_path: Path) -> None:
    few = digits.subset(range(64))
    made = tokenize(tokenizer(digits, num_codebooks=2), few, tmp_path / "tokens")
    assert made[0].shape == (4, 4, 2)
    run = train(prior(num_codebooks=2), made, out=tmp_path / "run", steps=3, batch_size=8, **QUIET)
    assert run.evaluation is not None
    assert run.evaluation["uniform_bits_per_item"] == 128
    with pytest.raises(ConfigError, match="codebooks"):
        train(prior(), made, out=tmp_path / "other", steps=3, **QUIET)


def test_what_does_not_fit_is_refused_before_anything_is_written(digits: Any, tokens: Tokens, tmp_path: Path) -> None:
    short: dict[str, Any] = {"out": tmp_path / "run", "steps": 2, "batch_size": 8, **QUIET}
    with pytest.raises(ConfigError, match="tokenize"):
        train(prior(), digits, **short)
    with pytest.raises(ConfigError, match="grid"):
        train(prior(grid=(2, 2)), tokens, **short)
    with pytest.raises(ConfigError, match="are indices"):
        train(tokenizer(digits), tokens, **short)
    with pytest.raises(ConfigError, match="codebook_size=16"):
        train(prior(codebook_size=8), tokens, **short)
    with pytest.raises(ConfigError, match=r"labels of .* run from 0 to 9; make the prior with classes=10"):
        train(prior(classes=9), tokens, **short)
    with pytest.raises(ConfigError, match=r"condition_dim=4: .* no vectors"):
        train(prior(condition_dim=4), tokens, **short)
    with pytest.raises(ConfigError, match=r"\[4, 4\] only.*\[8, 8\]"):
        train(PCA(3, size=[4, 4], channels=1), digits, out=tmp_path / "run", **QUIET)
    assert not (tmp_path / "run").exists()
