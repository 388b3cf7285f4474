"""Objectives of runs: recorded, logged, resumed bit for bit, in parts, in bfloat16; refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.objectives.cases import Adversary
from tests.training.cases import StopAfter
from vqkit.data import ArraySource, load_source
from vqkit.errors import ConfigError, TrainingInterrupted
from vqkit.models import PCA, VAE, VQVAE, Autoencoder
from vqkit.objectives import GradientObjective, LikelihoodObjective
from vqkit.priors import TransformerPrior
from vqkit.training import Run, TrainConfig, resume, train
from vqkit.training.checkpoints import checkpoint

QUIET: dict[str, Any] = {"quiet": True, "tensorboard": False}
SETTINGS: dict[str, Any] = {
    "steps": 8, "batch_size": 16, "evaluations": 0, "log_every": 1, "checkpoint_seconds": 1e6
}  # fmt: skip
SUM = "likelihood + 0.5*gradient + 0.3*adversary(after=2, adaptive=True)"


def source(axes: int = 2) -> ArraySource:
    shape = {1: (48, 1, 16), 2: (48, 1, 8, 8)}[axes]
    found = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(axes))
    return load_source(found.numpy() if axes == 2 else found.numpy() / 255.0)  # type: ignore[return-value]


def model_of(kind: type[Any] = VQVAE, **options: Any) -> Any:
    own = {"code_dim": 4} if kind is VQVAE else {"latent_dim": 4, "latent": "grid"}
    small = {"hidden_channels": 8, "residual_channels": 4, "downsampling": 2, "residual_blocks": 1, **own}
    arguments = (16,) if kind is VQVAE else ()
    return kind.for_source(source(), *arguments, seed=0, **{**small, **options})


def trained(out: Path, *, callbacks: Any = (), model: Any = None, **settings: Any) -> Run:
    model = model_of() if model is None else model
    return train(model, source(), out=out, callbacks=callbacks, **{**QUIET, **SETTINGS, "objective": SUM, **settings})


def losses(run: Run, name: str) -> list[float]:
    return [line[name] for line in run.log() if line["kind"] == "train"]


def last_state(run: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.found(run / "checkpoints")[-1] / checkpoint.TENSORS)


def test_stopped_and_resumed_it_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(TrainingInterrupted):
        trained(tmp_path / "parts", callbacks=[StopAfter(5)], checkpoint_seconds=0)
    parts = resume(tmp_path / "parts", data=source(), **QUIET)
    first, second = last_state(whole.path), last_state(parts.path)
    assert first.keys() == second.keys()
    assert any(name.startswith("objective_optimizer/adversary/discriminator.0.weight/") for name in first)
    assert int(first["objective/adversary/_extra_state"]) == 8
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    for name in ("loss", "adversary_loss", "adversary_discriminator"):
        assert [line.get(name) for line in whole.log()] == [line.get(name) for line in parts.log()]


def test_the_log_holds_every_term_and_the_model_none_of_it(tmp_path: Path) -> None:
    model = model_of()
    run = trained(tmp_path / "run", model=model)
    for line in run.log():
        if line["kind"] == "train":
            assert line["loss"] == pytest.approx(sum(line[name] for name in line if name.endswith("_loss")), rel=1e-5)
    assert losses(run, "adversary_loss")[:2] == [0.0, 0.0]
    recorded = json.loads((run.path / "run.json").read_text())
    assert recorded["training"]["objective"] == SUM
    plain = trained(tmp_path / "plain", objective="likelihood")
    assert "objective" not in json.loads((plain.path / "run.json").read_text())["training"]
    assert run.model().state_dict().keys() == plain.model().state_dict().keys()
    assert run.model().config == plain.model().config
    assert isinstance(model.objective, LikelihoodObjective)  # as it was before
    assert not any(name.startswith("objective") for name in last_state(plain.path))


def test_the_discriminator_learns_and_only_by_its_own_loss(tmp_path: Path) -> None:
    adversary = Adversary()
    run = trained(tmp_path / "run", objective=LikelihoodObjective() + 0.0 * adversary, steps=40, learning_rate=1e-6)
    values = losses(run, "adversary_discriminator")
    assert values[-1] < values[0] - 0.1
    assert adversary.steps == 40  # the instance that was given has been trained


def test_a_term_of_no_weight_changes_no_bit_of_the_model(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain", objective="likelihood").model().state_dict()
    other = trained(tmp_path / "other", objective="likelihood + 0*gradient").model().state_dict()
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_batches_in_parts_teach_the_same(tmp_path: Path) -> None:
    text = "likelihood + 0.5*gradient + 0.3*adversary"
    whole, parts = (trained(tmp_path / str(count), objective=text, accumulate=count) for count in (1, 4))
    for name in ("loss", "adversary_loss", "adversary_discriminator"):
        assert losses(parts, name) == pytest.approx(losses(whole, name), rel=1e-3)
    first, second = last_state(whole.path), last_state(parts.path)
    for name, tensor in first.items():
        if name.startswith("objective/"):
            assert torch.allclose(tensor.float(), second[name].float(), atol=1e-4), name


@pytest.mark.parametrize("kind", [VQVAE, VAE, Autoencoder])
def test_every_rung_in_bfloat16(tmp_path: Path, kind: type[Any]) -> None:
    run = trained(tmp_path / "run", model=model_of(kind), precision="bfloat16", steps=4)
    assert all(torch.isfinite(torch.tensor(losses(run, "adversary_loss"))))
    assert last_state(run.path)["objective/adversary/discriminator.0.weight"].dtype == torch.float32


def test_the_gradient_loss_sharpens_edges(tmp_path: Path) -> None:
    found = {}
    for text in ("likelihood", "likelihood + 10*gradient"):
        run = trained(tmp_path / text[-3:], objective=text, steps=30, learning_rate=1e-2, log_every=30)
        model, x = run.model(), torch.as_tensor(source().read(0))[None].float() / 255
        with torch.no_grad():
            model.use_objective(GradientObjective())
            found[text] = float(model(x).metrics["gradient_loss"])
    assert found["likelihood + 10*gradient"] < found["likelihood"]


def test_a_longer_run_with_another_objective_begins_its_discriminator(tmp_path: Path) -> None:
    trained(tmp_path / "run", objective="likelihood")
    run = resume(tmp_path / "run", steps=10, data=source(), objective="likelihood + 0.1*adversary", **QUIET)
    assert [line["step"] for line in run.log() if "adversary_discriminator" in line] == [9, 10]
    with pytest.raises(ConfigError, match=r"objective.*has ended"):
        resume(tmp_path / "run", data=source(), objective="likelihood + 0.2*adversary", **QUIET)
    resume(tmp_path / "run", data=source(), objective="likelihood+.10*adversary", **QUIET)  # the same in other words


@pytest.mark.parametrize(
    ("objective", "repair"),
    [
        ("likelihood + sharp", "objective 'sharp' is unknown; known: .*likelihood"),
        ("likelihood + -1*gradient", "weight -1: give a finite number, 0 or more"),
        (0.5, "give names such as"),
    ],
)
def test_refused_before_anything_is_written(tmp_path: Path, objective: Any, repair: str) -> None:
    with pytest.raises(ConfigError, match=repair):
        trained(tmp_path / "run", objective=objective)
    assert not (tmp_path / "run").exists()


def test_models_without_a_reconstruction_to_judge_refuse_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a PCA.*leave it out"):
        train(PCA.for_source(source(), 4), source(), out=tmp_path / "pca", objective="likelihood + gradient", **QUIET)
    grids = ArraySource(torch.zeros(8, 1, 2, 2, dtype=torch.int32).numpy(), name="grids")
    prior = TransformerPrior(5, [2, 2])
    with pytest.raises(ConfigError, match=r"a TransformerPrior .*leave it out"):
        train(prior, grids, out=tmp_path / "prior", steps=1, objective="gradient", **QUIET)
    vectors = load_source(torch.randn(32, 6).numpy())
    model = VQVAE.for_source(vectors, 16, code_dim=4, hidden_channels=8)
    with pytest.raises(ConfigError, match="for signals of 1 or 2 or 3 axes, and these have 0"):
        train(model, vectors, out=tmp_path / "vectors", steps=1, objective="gradient", **QUIET)


def test_an_objective_of_the_model_is_asked_for_in_the_training(tmp_path: Path) -> None:
    model = model_of()
    model.use_objective("gradient")
    with pytest.raises(ConfigError, match=r"use_objective\('gradient'\).*train\(\.\.\., objective=\.\.\.\)"):
        trained(tmp_path / "run", model=model)


def test_settings_record_one_spelling() -> None:
    assert TrainConfig(objective="likelihood+.10*gradient").objective == "likelihood + 0.1*gradient"
    assert TrainConfig(objective=LikelihoodObjective()) == TrainConfig()
    assert TrainConfig(objective=LikelihoodObjective() + 0.5 * GradientObjective(scales=2)).as_dict()["objective"] == (
        "likelihood + 0.5*gradient(scales=2)"
    )


def test_spectral_losses_of_sound_go_down_and_are_resumed_in_words(tmp_path: Path) -> None:
    """Learned, of a run that was stopped too; a model of one axis that reads sound."""
    words = "likelihood + 0.5*mel(rate=8000, windows=[16, 32], adaptive=True) + stft(windows=[16])"
    sines = load_source((torch.arange(64) * torch.linspace(0.1, 1, 48)[:, None, None]).sin().numpy() / 2, kind="sound")
    options: dict[str, Any] = {**QUIET, **SETTINGS, "steps": 30, "objective": words, "learning_rate": 1e-2}
    model = VQVAE.for_source(sines, 16, code_dim=4, hidden_channels=8, downsampling=2, seed=0)
    with pytest.raises(TrainingInterrupted):
        train(model, sines, out=tmp_path / "run", callbacks=[StopAfter(20)], **{**options, "checkpoint_seconds": 0})
    run = resume(tmp_path / "run", data=sines, **QUIET)
    assert json.loads((run.path / "run.json").read_text())["training"]["objective"] == words
    for name in ("mel_loss", "stft_loss", "reconstruction_loss"):
        found = losses(run, name)
        assert len(found) == 30
        assert sum(found[-5:]) < sum(found[:5]), name
